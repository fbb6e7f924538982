"""The Gaussian-uniform mixture of DeepGUM: which residuals are inliers, estimated by EM.

p(r) = pi Normal(r; 0, Sigma) + (1 - pi) gamma, for every group separately; all groups are one tensor expression.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from steadfit import _checks
from steadfit.core import gaussian
from steadfit.core.em import Residuals, State, Watch, clean_sums, contest_sums, expectation, start_sums, step_sums
from steadfit.core.scale import MAD_TO_SIGMA, innermost_from, middle
from steadfit.core.sums import Sums, unstacked
from steadfit.core.widths import Widths
from steadfit.errors import ConvergenceWarning

VOLUMES = ("trimmed", "range", "moments")
COVARIANCES = ("full", "diagonal", "isotropic")


@dataclass(frozen=True, kw_only=True)
class GaussianUniformResult:
    """What EM found. For residuals of shape (N, D) the G axis is absent.

    Attributes:
        inlier_share: (G,), pi.
        covariance: (G, D, D), in squared units of the residual.
        log_density: (G,), log gamma, also where gamma (:attr:`density`) under- or overflows.
        responsibility: (N, G), the posterior probability of being an inlier, NaN where a label is missing altogether.
        log_likelihood: (n_iter,), in nats, summed over samples and groups, one value per iteration.
        n_iter: the number of iterations.
        converged: whether EM reached its fixed point.
        box: (G, D), the sides of the uniform's box; their product is 1/gamma.
        informative: (G, D), False where all residuals of the fit were equal: left out of the judgement.
        unit: (G, D), the lengths in which EM computed.
    """

    inlier_share: Tensor
    covariance: Tensor
    log_density: Tensor
    responsibility: Tensor
    log_likelihood: Tensor
    n_iter: int
    converged: bool
    box: Tensor
    informative: Tensor
    unit: Tensor

    @property
    def density(self) -> Tensor:
        """gamma, the density of the uniform component, (G,), in 1/unit^D."""
        return self.log_density.exp()

    def responsibility_of(self, residual: Tensor) -> Tensor:
        """The inlier posterior of new residuals under this mixture.

        Args:
            residual: (N, D) or (N, G, D), as in the fit; NaN marks a missing coordinate.

        Returns:
            (N,) or (N, G), in the residuals' dtype, computed in the wider one of theirs and the mixture's.

        Raises:
            ValueError: a shape that does not fit the mixture, or infinite residuals.
        """
        single = self.inlier_share.dim() == 0
        grouped = _grouped("GaussianUniformResult.responsibility_of", residual, single)
        shape, covariance = self.box.shape[-2:], self.covariance
        if grouped.shape[1:] != ((1, *shape[-1:]) if single else shape):
            raise ValueError(
                f"GaussianUniformResult.responsibility_of: expected residuals of {tuple(self.box.shape)} a sample, "
                f"got {tuple(residual.shape[1:])}."
            )
        if single:
            covariance = covariance.unsqueeze(0)
        dtype, grouped = grouped.dtype, grouped.to(torch.promote_types(grouped.dtype, self.box.dtype))
        box = self.box.reshape(-1, self.box.shape[-1]).to(grouped)
        unit = self.unit.reshape(box.shape).to(grouped)
        state = State(
            share=self.inlier_share.reshape(-1).to(grouped),
            covariance=covariance.to(grouped) / unit.unsqueeze(-1) / unit.unsqueeze(-2),
            side=box / unit,
        )
        data = Residuals.scaled(grouped.transpose(0, 1), unit, self.informative.reshape(box.shape), box)
        responsibility = expectation(data, state)[0].T.to(dtype)
        return responsibility.squeeze(1) if single else responsibility


@dataclass(frozen=True, kw_only=True)
class GaussianUniform:
    """EM for the mixture of a zero-mean Gaussian of inliers and a uniform density of outliers.

    E-step (in log space):  r_n = pi N(r_n; 0, Sigma) / (pi N(r_n; 0, Sigma) + (1 - pi) gamma)
    M-step:                 Sigma = sum r_n d_n d_n^T / sum r_n,  pi = mean r_n

    Neither a threshold nor an error rate has to be given: both are estimated.

    ``fit`` takes residuals ``(N, D)`` or ``(N, G, D)`` in any unit, NaN for missing coordinates, and returns a frozen
    :class:`GaussianUniformResult`. It starts at the normalised median |r| of every coordinate (their quadratic mean
    where the covariance is isotropic; with ``"trimmed"`` the innermost residuals' scale) and pi = 1/2, or, with
    ``start=`` responsibilities, at an M-step from those (with pi kept in [0.05, 0.95], since pi = 1 is a fixed point of
    every mixture).

    Args:
        covariance: ``"full"``, ``"diagonal"`` or ``"isotropic"`` (one variance for all D coordinates of a group).
        volume: 1/gamma. ``"trimmed"``: the product of the residuals' trimmed ranges
            (:func:`~steadfit.core.scale.trimmed_range`), which is fixed and which gross residuals don't move; a side is
            at least 4 times the innermost residuals' scale. All but gross residuals are right unless the mixture's
            log-likelihood of these, as a density of them alone, exceeds that of the best exponential power density
            (Gaussian to long tails) by 3 + D log n: the Gaussian is theirs, pi is their share, and the box holds all
            but gross ones. Otherwise the same is asked of the residuals inside the fences of the trimmed range.
            ``"range"``: the product of max - min, fixed; one gross residual makes it so large that no other is found,
            and of fewer than 200 clean residuals it flags many. ``"moments"``: eq. 5, estimated from the
            responsibilities in every iteration; it flags clean data where D > 1 (21 % at D = 2), and its
            pseudo-likelihood may fall. Or a number > 0 in unit^D, the volume in which outliers can lie.
        max_iter: the largest number of EM iterations; reaching it is reported by a
            :class:`~steadfit.errors.ConvergenceWarning`.
        tol: the estimated distance to the fixed point at which EM stops, in inlier share and relative covariance. In
            float32 it is at least 20 eps (2.4e-6).
        min_inlier_share: pi stays in [min_inlier_share, 1 - eps], so that neither component is lost for good.

    Degenerate cases:
        None of these gives NaN (except as a missing label's responsibility).

        - All residuals of a coordinate equal (all zero, say), so that its range is 0: the coordinate says nothing and
          is left out of the judgement (not out of Sigma); in a group where that holds for every coordinate all labels
          are inliers and the share is 1 - eps. With a volume given as a number nothing is left out.
        - ``"trimmed"`` where a fifth of the residuals is 0: the box is the trimmed range alone. With fewer than five
          residuals it is the range.
        - Sigma singular (a spike of equal residuals, fewer samples than dimensions, proportional coordinates): for the
          Cholesky factorisation a standard deviation is at least 1e-8 of the coordinate's range, and the correlation
          matrix gets a ridge of 64 eps. The Sigma that is returned has neither.
        - Missing: a group without any observed coordinate takes no part and has responsibility NaN; with some it is
          judged by the marginal Gaussian and the marginal box (a volume given as a number is a box whose sides are in
          proportion to the largest |r| of each coordinate). Moments come from the available pairs, and the
          eigenvalues of their correlation matrix are at least 0.03 (or the largest share of samples that lack a pair,
          if that is less), since pairs can contradict each other and EM is drawn to singular matrices. A group that
          nobody annotated has share 1 - eps.
        - ``"moments"``: a side of the box is at least sqrt(12) inlier standard deviations, the outliers' spread being
          no smaller than the inliers'; without outliers the box is the range. With one or two far outliers the box may
          swing between two sizes for thousands of iterations (a warning); who is an outlier is settled by then.
        - An inlier bias is part of Sigma, which is the second moment about zero.

    Numerics:
        Everything is computed in units of each coordinate's range (of the trimmed range where a gross value stretches
        that more than 1,000 times, and with ``"trimmed"``), so scaling a coordinate scales the result and changes
        nothing else. The covariance must be representable in the residuals' dtype: sizes of 1e±150 in float64, 1e±18 in
        float32; shares and responsibilities of the fit hold beyond. With a fixed volume the log-likelihood never falls
        except by rounding; with a full covariance and missing coordinates it may, since moments of available pairs do
        not maximise it.

    References:
        Lathuiliere et al., ECCV 2018, eqs 1-6 (eq. 3 corrected: divided by the sum of the responsibilities).
        Coretto & Hennig, JASA 2016 (fixed improper density).

    >>> r = torch.cat([torch.zeros(90, 1).uniform_(-1, 1), torch.linspace(50, 100, 10)[:, None]])
    >>> result = GaussianUniform().fit(r)
    >>> int((result.responsibility < 0.5).sum()), result.converged
    (10, True)
    """

    covariance: str = "full"
    volume: str | float = "trimmed"
    max_iter: int = 2000
    tol: float = 1e-9
    min_inlier_share: float = 0.01

    def __post_init__(self) -> None:
        who = "GaussianUniform"
        _checks.one_of(who, "covariance", self.covariance, COVARIANCES)
        if isinstance(self.volume, str):
            _checks.one_of(who, "volume (if not a number)", self.volume, VOLUMES)
        else:
            _checks.positive(who, "volume", self.volume)
        if isinstance(self.max_iter, bool) or not isinstance(self.max_iter, int) or self.max_iter < 1:
            raise ValueError(f"{who}: expected max_iter to be an integer >= 1, got {self.max_iter!r}.")
        _checks.positive(who, "tol", self.tol)
        _checks.between(who, "min_inlier_share", self.min_inlier_share, 0.0, 0.5)

    @torch.no_grad()
    def fit(self, residual: Tensor, *, start: Tensor | None = None) -> GaussianUniformResult:
        """Run EM to its fixed point.

        Args:
            residual: (N, D) or (N, G, D), in any unit; NaN marks a missing coordinate.
            start: responsibilities (N,) or (N, G) in [0, 1] from which EM starts; None: the start of the class's
                description.

        Returns:
            What EM found; without the G axis for residuals (N, D).

        Raises:
            TypeError: residuals that are not a floating-point tensor.
            ValueError: another shape, no sample, infinities; a start of another shape or outside [0, 1].
        """
        single = isinstance(residual, Tensor) and residual.dim() == 2
        grouped = _grouped("GaussianUniform", residual, single)
        _check_start(start, residual)
        widths = Widths.of(grouped)
        data = Residuals.of(grouped, widths, self.volume)
        state = self.begun(widths, data, start_sums(data)) if start is None else self._begun_from(data, start)
        bounds: list[Tensor] = []
        watch = Watch(max(self.tol, 20 * torch.finfo(grouped.dtype).eps if grouped.dtype != torch.float64 else 0))
        for _ in range(self.max_iter):
            responsibility, bound, _ = expectation(data, state)
            bounds.append(bound)
            before, state = state, self._maximization(data, responsibility)
            if watch.settled(before, state):
                break
        else:
            self.warn(watch.step, stacklevel=4)  # past the decorator
        if self.volume == "trimmed":
            clean = self.cleaned(data, clean_sums(data, self.covariance))
            state = unless_clean(contest_sums(data, state, clean), state, clean)
        return self._result(data, state, torch.stack(bounds), watch.done, single)

    def warn(self, step: float, *, stacklevel: int) -> None:
        """Warn that EM has not converged."""
        warnings.warn(
            f"GaussianUniform: not converged after {self.max_iter} iterations; the last step was {step:.1e} (tol "
            f"{self.tol:.1e}). Raise max_iter or tol; with little contamination pi approaches 1 slowly and the "
            "responsibilities are settled long before it.",
            ConvergenceWarning,
            stacklevel=stacklevel,
        )

    def _begun_from(self, data: Residuals, start: Tensor) -> State:
        """The state that follows from responsibilities (N,) or (N, G); pi = 1 is a fixed point of every mixture."""
        given = start.reshape(data.present.shape[1], data.present.shape[0]).T.to(data.value)
        begun = self._maximization(data, given.masked_fill(~data.present, torch.nan))
        return replace(begun, share=begun.share.clamp(0.05, 0.95))

    def begun(self, widths: Widths, data: Residuals, sums: Sums) -> State:
        """The state at which EM starts, from :func:`~steadfit.core.em.start_sums` of all residuals."""
        spread = (MAD_TO_SIGMA * middle(*(widths.middle / data.unit))).nan_to_num(nan=1.0)  # (G, D)
        square, near = ((sums.added[n] / widths.count).nan_to_num(nan=1.0).sqrt() for n in ("square", "clamped"))
        spread = torch.where(spread > 0, spread, square)
        if self.volume == "trimmed":
            inner = innermost_from(widths.innermost / data.unit, widths.count).nan_to_num(nan=1.0)
            spread = torch.where(inner > 0, inner, torch.minimum(spread, near))
        if self.covariance == "isotropic":
            unit = gaussian.relative(data.unit)
            spread = (spread * unit).square().mean(dim=1, keepdim=True).sqrt() / unit
        share = torch.full_like(spread[:, 0], 0.5)
        return State(share=share, covariance=torch.diag_embed(spread**2), side=self._side(data, None, None))

    def _maximization(self, data: Residuals, responsibility: Tensor) -> State:
        return self.maximized(data, step_sums(data, responsibility, self.covariance, self.volume))

    def maximized(self, data: Residuals, sums: Sums) -> State:
        """The M-step: pi, Sigma (eqs 3 corrected, 4) and, for ``"moments"``, the box (eq. 5), in units of the ranges.

        Args:
            data: residuals of which only the units and the box are used.
            sums: those of :func:`~steadfit.core.em.step_sums`, over all residuals.
        """
        count = sums.added["count"]
        share = torch.where(count > 0, sums.added["inliers"] / count.clamp(min=1), 1.0)
        share = share.clamp(self.min_inlier_share, 1 - torch.finfo(share.dtype).eps)
        covariance = gaussian.second_moment(sums, self.covariance, data.unit)
        variance = gaussian.spread(sums) if self.volume == "moments" else None
        return State(share=share, covariance=covariance, side=self._side(data, covariance, variance))

    def cleaned(self, data: Residuals, sums: Sums) -> tuple[State, State]:
        """The parameters if all residuals inside the fences are right, and if all near ones are.

        All wrong ones then lie beyond the right ones, up to the ends of the wide box and further: under the density of
        a box as narrow as the right ones, those in the Gaussian's tails would pass for wrong.

        Args:
            data: residuals of which only the units and the boxes are used.
            sums: those of :func:`~steadfit.core.em.clean_sums`, over all residuals.
        """
        inside, near = (replace(self.maximized(data, part), side=data.wide) for part in unstacked(sums, 2))
        return inside, near

    def _side(self, data: Residuals, covariance: Tensor | None, variance: Tensor | None) -> Tensor:
        """The box's sides in units of the ranges, (G, D); ``variance`` is the outliers', where it makes the box."""
        if not isinstance(self.volume, str):
            log_side = (math.log(self.volume) - data.unit.log().sum(dim=1, keepdim=True)) / data.unit.shape[1]
            return torch.ones_like(data.unit) * log_side.exp()
        if covariance is None or variance is None:
            return data.side
        floor = covariance.diagonal(dim1=-2, dim2=-1)
        return torch.where(variance > 0, (12 * torch.maximum(variance, floor)).sqrt(), data.side)  # 2 sqrt(3 v)

    def _result(
        self, data: Residuals, state: State, bounds: Tensor, converged: bool, single: bool
    ) -> GaussianUniformResult:
        responsibility, _, _ = expectation(data, state)
        box = state.side * data.unit
        unit = data.unit.unsqueeze(-1) * data.unit.unsqueeze(-2)

        def face(value: Tensor) -> Tensor:
            return value.squeeze(0) if single else value

        return GaussianUniformResult(
            inlier_share=face(state.share),
            covariance=face(state.covariance * unit),
            log_density=face(-box.log().sum(dim=1)),
            responsibility=responsibility.squeeze(0) if single else responsibility.T.contiguous(),
            log_likelihood=bounds,
            n_iter=len(bounds),
            converged=converged,
            box=face(box),
            informative=face(data.informative),
            unit=face(data.unit),
        )


def unless_clean(sums: Sums, state: State, clean: Sequence[State]) -> State:
    """``clean`` where the uniform explains right residuals hardly better than a density with a tail, else ``state``.

    Args:
        sums: those of :func:`~steadfit.core.em.contest_sums`, over all residuals.
        state: the parameters at which EM has ended.
        clean: those of :meth:`GaussianUniform.cleaned`; the last one that holds counts.
    """
    for part, found in zip(unstacked(sums, len(clean)), clean, strict=True):
        count = part.added["right"]
        gain = part.added["mixture"] - gaussian.best_exponential_power(part)
        right = gain < 3 + found.covariance.shape[-1] * count.clamp(min=1).log()
        state = State(
            share=torch.where(right, found.share, state.share),
            covariance=torch.where(right[:, None, None], found.covariance, state.covariance),
            side=torch.where(right[:, None], found.side, state.side),
        )
    return state


def _check_start(start: Tensor | None, residual: Tensor) -> None:
    """Check responsibilities of the residuals' samples (and groups); NaN is allowed where a label is missing."""
    if start is None:
        return
    _checks.floating("GaussianUniform", "start", start)
    if start.shape != residual.shape[:-1]:
        raise ValueError(
            f"GaussianUniform: expected start of shape {tuple(residual.shape[:-1])}, got {tuple(start.shape)}."
        )
    bad = (start < 0) | (start > 1)
    if bool(bad.any()):
        raise ValueError(f"GaussianUniform: expected start in [0, 1], got {float(start[bad][0])}.")


def _grouped(who: str, residual: Tensor, single: bool) -> Tensor:
    """(N, D) or (N, G, D) as (N, G, D), checked."""
    _checks.floating(who, "residual", residual)
    if residual.dim() not in ((2,) if single else (2, 3)) or 0 in residual.shape:
        rule = "(N, D)" if single else "(N, D) or (N, G, D)"
        raise ValueError(f"{who}: expected residuals of shape {rule} with at least one, got {tuple(residual.shape)}.")
    _checks.no_infinity(who, "residuals", residual)
    wide = residual if residual.dtype in (torch.float32, torch.float64) else residual.float()
    return wide.unsqueeze(1) if wide.dim() == 2 else wide
