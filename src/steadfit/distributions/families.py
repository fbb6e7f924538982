"""The four elliptical families by name."""

from __future__ import annotations

from typing import ClassVar, Self

from torch import Tensor

from steadfit.core.penalties import Absolute, Charbonnier, Huber, Penalty, Squared
from steadfit.distributions.elliptical import Elliptical

# A family's from_mean takes the same parameters as its constructor; mypy calls that a wrong override.


class _Standard(Elliptical):
    """A family without a parameter."""

    _rho: ClassVar[Penalty]

    def __init__(
        self, nu: Tensor, root: Tensor, *, log_det: Tensor | None = None, validate_args: bool | None = None
    ) -> None:
        super().__init__(nu, root, self._rho, log_det=log_det, validate_args=validate_args)

    @classmethod
    def from_mean(  # type: ignore[override]
        cls, mean: Tensor, root: Tensor, *, log_det: Tensor | None = None, validate_args: bool | None = None
    ) -> Self:
        """The distribution with a given mean (..., D), in the unit of y: the residual is A (y - mean)."""
        return cls._at_mean(mean, root, cls._rho, log_det, validate_args)


class MultivariateGauss(_Standard):
    """Gauss, N(A^-1 nu, A^-2): rho = r^2/2.

    Args:
        nu: as :class:`Elliptical`.
        root: as :class:`Elliptical`.
        log_det: as :class:`Elliptical`.
        validate_args: as :class:`Elliptical`.

    >>> import torch
    >>> round(float(MultivariateGauss(torch.zeros(2), torch.eye(2)).entropy()), 4)  # 1 + log(2 pi)
    2.8379
    """

    _rho = Squared()


class MultivariateLaplace(_Standard):
    """Laplace: rho = r, covariance (d + 1) A^-2.

    Args:
        nu: as :class:`Elliptical`.
        root: as :class:`Elliptical`.
        log_det: as :class:`Elliptical`.
        validate_args: as :class:`Elliptical`.

    >>> import torch
    >>> MultivariateLaplace(torch.zeros(2), torch.eye(2)).variance
    tensor([3., 3.])
    """

    _rho = Absolute()


class MultivariateCharbonnier(_Standard):
    """Charbonnier: rho = sqrt(1 + r^2) - 1, smooth, with Laplace's tails.

    Args:
        nu: as :class:`Elliptical`.
        root: as :class:`Elliptical`.
        log_det: as :class:`Elliptical`.
        validate_args: as :class:`Elliptical`.

    >>> import torch
    >>> round(float(MultivariateCharbonnier(torch.zeros(2), torch.eye(2)).log_prob(torch.zeros(2))), 3)
    -2.531
    """

    _rho = Charbonnier()


class MultivariateHuber(Elliptical):
    r"""Huber: Gauss up to a Mahalanobis radius of delta, Laplace beyond.

    The gradient of log_prob with respect to nu is never longer than delta: a wrong label pulls no harder than a right
    one at the knee.

    Args:
        nu: as :class:`Elliptical`.
        root: as :class:`Elliptical`.
        delta: the knee, > 0, in units of the Mahalanobis radius.
        log_det: as :class:`Elliptical`.
        validate_args: as :class:`Elliptical`.

    References:
        Mohlin et al., BMVC 2021, eqs 3-4.

    >>> import torch
    >>> round(float(MultivariateHuber(torch.zeros(2), torch.eye(2)).variance[0]), 4)
    3.0765
    """

    def __init__(
        self,
        nu: Tensor,
        root: Tensor,
        delta: float = 1.0,
        *,
        log_det: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        super().__init__(nu, root, Huber(delta), log_det=log_det, validate_args=validate_args)

    @classmethod
    def from_mean(  # type: ignore[override]
        cls,
        mean: Tensor,
        root: Tensor,
        delta: float = 1.0,
        *,
        log_det: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> Self:
        """The distribution with a given mean (..., D), in the unit of y: the residual is A (y - mean)."""
        return cls._at_mean(mean, root, Huber(delta), log_det, validate_args)
