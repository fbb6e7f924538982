"""The elliptical distribution of a proper penalty."""

from __future__ import annotations

import copy
from typing import Any, Self

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from steadfit import _checks
from steadfit.core import elliptical, sampling
from steadfit.core.linalg import small
from steadfit.core.penalties import Penalty


class Elliptical(Distribution):
    r"""p(y) = \|A\|/c_d exp(-rho(\|\|A y - nu\|\|)): the density that a proper penalty and an affine map define.

    The mean and the mode are A^-1 nu, the covariance is covariance_factor(d) A^-2. Far from the mean the density falls
    as the penalty says, so the negative log-likelihood is that penalty of the whitened residual, plus the two
    normalisers that let a network learn A.

    Batch shapes broadcast as in torch; ``event_shape`` is (D,).

    Args:
        nu: location (..., D), no unit: the mean times A. :meth:`from_mean` takes the mean itself.
        root: A (..., D, D), symmetric positive definite, in 1/unit of y.
        penalty: rho, a proper one: ``Squared`` (Gauss), ``Absolute`` (Laplace), ``Huber``, ``Charbonnier``.
        log_det: log|A|, (...), where the caller knows it, for example from :func:`steadfit.spd_from_vector`; None:
            computed.
        validate_args: check values too, which costs a Cholesky factorisation; shapes are always checked. None: what
            ``torch.distributions.Distribution.set_default_validate_args`` has set; torch.compile and torch.func.vmap
            switch it off.

    Raises:
        TypeError: arguments that are not floating-point tensors of one dtype, or not a Penalty.
        ValueError: an improper penalty, shapes that do not fit; with ``validate_args`` a location that is not finite, a
            root that is not positive definite, and NaN in :meth:`log_prob`.

    Numerics:
        log_prob is finite, with finite gradients, wherever A y is and rho does not overflow; at y = mean the gradient
        of Laplace is 0. The form with the mean subtracts before it multiplies: no digits are lost when the mean is far
        from 0. A root that is singular in floating point has log|A| = -inf unless ``log_det`` is given.

    References:
        Mohlin et al., BMVC 2021, eq. 3 and supplementary A (the normaliser corrected).

    >>> from steadfit.penalties import Huber
    >>> y = Elliptical(torch.zeros(2), torch.eye(2), Huber(1.0))
    >>> round(float(y.log_prob(torch.zeros(2)).exp()) * 10.0941, 5)
    1.0
    """

    arg_constraints = {"nu": constraints.real_vector, "root": constraints.positive_definite}  # noqa: RUF012
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self,
        nu: Tensor,
        root: Tensor,
        penalty: Penalty,
        *,
        log_det: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        self._build(nu, "nu", root, penalty, log_det, validate_args)

    @classmethod
    def from_mean(
        cls,
        mean: Tensor,
        root: Tensor,
        penalty: Penalty,
        *,
        log_det: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> Self:
        """The distribution with a given mean (..., D), in the unit of y: the residual is A (y - mean)."""
        return cls._at_mean(mean, root, penalty, log_det, validate_args)

    @classmethod
    def _at_mean(
        cls, mean: Tensor, root: Tensor, penalty: Penalty, log_det: Tensor | None, validate_args: bool | None
    ) -> Self:
        new = cls.__new__(cls)
        new._build(mean, "mu", root, penalty, log_det, validate_args)
        return new

    def _build(
        self,
        location: Tensor,
        kind: str,
        root: Tensor,
        penalty: Penalty,
        log_det: Tensor | None,
        validate_args: bool | None,
    ) -> None:
        who, name = type(self).__name__, {"nu": "nu", "mu": "mean"}[kind]
        batch = _check_kinds_and_shapes(who, name, location, root, penalty, log_det)
        self.penalty, self._kind = penalty, kind
        penalty.require_proper()
        self._set(location, root, log_det, batch)
        self._validate_args = type(self)._validate_args if validate_args is None else validate_args
        if self._validate_args and not _checks.hidden():
            _check_values(who, name, location, root)

    def _set(self, location: Tensor, root: Tensor, log_det: Tensor | None, batch: torch.Size) -> None:
        event = location.shape[-1:]
        Distribution.__init__(self, batch, event, validate_args=False)  # the checks below replace torch's
        self._location = location.expand(batch + event)
        self.root = root.expand(batch + event + event)
        self._log_det = None if log_det is None else log_det.expand(batch)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Self:
        new: Self = copy.copy(self) if _instance is None else _instance
        new.__dict__.update(self.__dict__)
        new._set(self._location, self.root, self._log_det, torch.Size(batch_shape))
        new._validate_args = self._validate_args
        return new

    def __repr__(self) -> str:
        shape, root = tuple(self._location.shape), tuple(self.root.shape)
        name = "nu" if self._kind == "nu" else "mean"
        return f"{type(self).__name__}({name}: {shape}, root: {root}, penalty: {self.penalty})"

    @property
    def _dim(self) -> int:
        return self._event_shape[0]

    @property
    def nu(self) -> Tensor:
        """A mean, (..., D)."""
        return self._location if self._kind == "nu" else small.multiply(self.root, self._location)

    @property
    def mean(self) -> Tensor:
        """A^-1 nu, (..., D), in the unit of y."""
        return self._location if self._kind == "mu" else small.solve(self.root, self._location)

    @property
    def mode(self) -> Tensor:
        """The mean: the density falls with ||A y - nu||."""
        return self.mean

    @property
    def log_det(self) -> Tensor:
        """log|A|, (...)."""
        return small.log_determinant(self.root) if self._log_det is None else self._log_det

    @property
    def covariance_matrix(self) -> Tensor:
        """k A^-2, (..., D, D), k the penalty's covariance factor."""
        inverse = small.inverse(self.root)
        return self.penalty.covariance_factor(self._dim) * (inverse @ inverse.mT)

    @property
    def precision_matrix(self) -> Tensor:
        """A^2/k, (..., D, D): the inverse of the covariance."""
        return self.root.mT @ self.root / self.penalty.covariance_factor(self._dim)

    @property
    def variance(self) -> Tensor:
        """The covariance's diagonal, (..., D)."""
        inverse = small.inverse(self.root)
        return self.penalty.covariance_factor(self._dim) * (inverse * inverse).sum(dim=-1)

    def mahalanobis(self, value: Tensor) -> Tensor:
        r"""\|\|A y - nu\|\|, (...): the length of the whitened residual."""
        self._check_value(value)
        return small.norm(elliptical.whiten(value, self._location, self.root, self._kind))

    def log_prob(self, value: Tensor) -> Tensor:
        r"""log\|A\| - log c_d - rho(\|\|A y - nu\|\|), (...), in nats."""
        self._check_value(value)
        return elliptical.log_prob(value, self._location, self.root, self._log_det, self.penalty, self._kind)

    def entropy(self) -> Tensor:
        r"""log c_d - log\|A\| + E rho, (...), in nats."""
        return self.penalty.log_normalizer(self._dim) + self.penalty.expected_rho(self._dim) - self.log_det

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008 - torch's signature
        """Samples sample_shape + batch_shape + (D,); gradients flow through the location and A."""
        shape = self._extended_shape(torch.Size(sample_shape))
        noise = sampling.sample(self.penalty, shape, self._location.dtype, self._location.device)
        if self._kind == "mu":
            return self._location + small.solve(self.root, noise)
        return small.solve(self.root, self._location + noise)

    def mass_within(self, radius: Tensor | float) -> Tensor:
        r"""P(\|\|A y - nu\|\| <= radius): the share of samples inside the ellipse of that Mahalanobis radius.

        As a function of the radius it is the distribution function of :meth:`mahalanobis` of a sample.

        Args:
            radius: >= 0, of any shape.

        Returns:
            In [0, 1], the shape of ``radius``.
        """
        return self.penalty.mass(radius, self._dim)

    def radius_of(self, mass: Tensor | float) -> Tensor:
        """The Mahalanobis radius of the ellipse that holds ``mass`` in [0, 1]: the inverse of :meth:`mass_within`."""
        return self.penalty.radius(mass, self._dim)

    def _check_value(self, value: Tensor) -> None:
        who = type(self).__name__
        _checks.floating(who, "value", value)
        if value.shape[-1:] != self._event_shape:
            raise ValueError(f"{who}: expected value (..., {self._dim}), got {tuple(value.shape)}.")
        if self._validate_args and not _checks.hidden():
            _check_numbers(who, "value", value, value == value)


def _check_kinds_and_shapes(
    who: str, name: str, location: Tensor, root: Tensor, penalty: Penalty, log_det: Tensor | None
) -> torch.Size:
    """Check the arguments, and return the batch shape."""
    if not isinstance(penalty, Penalty):
        raise TypeError(f"{who}: expected penalty to be a Penalty, got {type(penalty).__name__}.")
    tensors = {name: location, "root": root, **({} if log_det is None else {"log_det": log_det})}
    for key, tensor in tensors.items():
        _checks.floating(who, key, tensor)
        if tensor.dtype != location.dtype:
            raise TypeError(f"{who}: expected {name} and {key} of one dtype, got {location.dtype} and {tensor.dtype}.")
    if location.dim() < 1 or location.shape[-1] < 1:
        raise ValueError(f"{who}: expected {name} (..., D), D >= 1, got {tuple(location.shape)}.")
    dim = location.shape[-1]
    if root.shape[-2:] != (dim, dim):
        raise ValueError(f"{who}: expected root (..., {dim}, {dim}), got {tuple(root.shape)}.")
    shapes = {location.shape[:-1], root.shape[:-2], *(() if log_det is None else (log_det.shape,))}
    try:
        return torch.Size(torch.broadcast_shapes(*shapes) if len(shapes) > 1 else shapes.pop())  # type: ignore[no-untyped-call]
    except RuntimeError:
        raise ValueError(
            f"{who}: expected batch shapes that broadcast, got {', '.join(str(tuple(s)) for s in shapes)}."
        ) from None


def _check_values(who: str, name: str, location: Tensor, root: Tensor) -> None:
    _check_numbers(who, name, location, location.isfinite())
    good: Tensor = constraints.positive_definite.check(root)  # type: ignore[no-untyped-call]
    if not bool(good.all()):
        raise ValueError(
            f"{who}: expected root to be symmetric positive definite, got {int((~good).sum())} of {good.numel()} "
            f"matrices that are not, the first at {_first(~good)}. Symmetrise it, or build it with spd_from_vector."
        )


def _check_numbers(who: str, name: str, value: Tensor, good: Tensor) -> None:
    if not bool(good.all()):
        where = _first(~good)
        raise ValueError(
            f"{who}: expected finite {name}, got {int((~good).sum())} values that are not, the first at {where}: "
            f"{float(value[where])}."
        )


def _first(bad: Tensor) -> tuple[int, ...]:
    return tuple(bad.nonzero()[0].tolist())
