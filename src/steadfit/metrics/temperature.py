"""Temperature: a factor that corrects the confidence of all predictions, fitted on labels that were not trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from steadfit import _checks
from steadfit.core.elliptical import log_density
from steadfit.core.penalties import Penalty
from steadfit.metrics.elliptical import average, labels, log_determinant

__all__ = ["Temperature", "fit_temperature"]


@dataclass(frozen=True)
class Temperature:
    """Factors on the predicted standard deviations, and what they gain; made by :func:`fit_temperature`.

    The negative log-likelihoods are weighted means in nats per label, on the labels of the fit; NaN without any label.

    Attributes:
        tau: the common factor; above 1 the predictions were overconfident.
        point_tau: one factor for each point, the common one where ``fitted`` is False.
        fitted: whether each point has its own factor.
        nll_before: the negative log-likelihood as predicted.
        nll_after: the same with ``tau``.
        nll_point: the same with ``point_tau``.
    """

    tau: float
    point_tau: tuple[float, ...]
    fitted: tuple[bool, ...]
    nll_before: float
    nll_after: float
    nll_point: float

    def apply(self, root: Tensor, *, per_point: bool = False) -> Tensor:
        """Roots ``(N, K, D, D)`` with covariances times tau²: A/tau, in the root's dtype."""
        if not per_point:
            return root / self.tau
        if root.ndim != 4 or root.shape[1] != len(self.point_tau):
            raise ValueError(
                f"Temperature: expected root of shape (N, {len(self.point_tau)}, D, D), got {tuple(root.shape)}."
            )
        return root / torch.tensor(self.point_tau, dtype=root.dtype, device=root.device)[:, None, None]

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and lists, for JSON."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Temperature:
        """The inverse of :meth:`to_dict`."""
        point_tau, fitted = (tuple(values[name]) for name in ("point_tau", "fitted"))
        numbers = (float(values[name]) for name in ("nll_before", "nll_after", "nll_point"))
        return cls(float(values["tau"]), point_tau, fitted, *numbers)


def fit_temperature(
    mean: Tensor,
    root: Tensor,
    target: Tensor,
    penalty: Penalty,
    *,
    weight: Tensor | None = None,
    min_labels: float = 20.0,
) -> Temperature:
    """The factor tau on the predicted standard deviations that makes given labels most likely.

    min over tau of sum w (rho(r/tau) + D log tau), where sum w (psi(t) t - D) = 0, t = r/tau

    Long training makes covariances too small before it makes positions worse; one number corrects most of that and
    cannot overfit. psi(t) t falls with tau, so the root is the only minimum.

    Args:
        mean: ``(N, K, D)``, mu in the user's units.
        root: ``(N, K, D, D)``, A in 1/unit, symmetric positive definite.
        target: ``(N, K, D)`` of labels that were *not* trained on; NaN marks a missing label.
        penalty: a proper penalty.
        weight: ``(N, K)`` probability that a label is right, in [0, 1]; None: 1. Unweighted, wrong labels raise tau.
        min_labels: a point with less weight than this keeps the common factor. The sampling error of log tau is
            1/sqrt(2 D n) for Gaussian labels, 11 % for twenty at D = 2.

    Returns:
        The factors. Where all radii with weight are 0, likelihood would drive tau to 0: such a point keeps the common
        factor, which is 1 if this is so for all points, or without any label.

    Raises:
        TypeError: as :func:`~steadfit.metrics.mahalanobis`.
        ValueError: as :func:`~steadfit.metrics.mahalanobis`; an improper penalty, weights or ``min_labels`` out of
            range.

    Numerics:
        Bisection of log tau to 1e-15, in units of the largest radius.

    References:
        Guo et al., ICML 2017 (temperature).
        Mohlin et al., BMVC 2021, section 5.3 (overconfidence).

    >>> from steadfit.penalties import Absolute
    >>> target = torch.tensor([1.0, 2.0, 6.0], dtype=torch.float64).reshape(3, 1, 1)
    >>> one = torch.ones(3, 1, 1, 1, dtype=torch.float64)
    >>> round(fit_temperature(torch.zeros_like(target), one, target, Absolute()).tau, 9)  # mean r / D
    3.0
    """
    _checks.between("fit_temperature", "min_labels", min_labels, 0, float("inf"))
    given = labels("fit_temperature", mean, root, target, penalty, weight)
    r, w, dim = given.radius, given.weight, given.dim
    tau = best_scale(r.reshape(-1, 1), w.reshape(-1, 1), penalty, dim).nan_to_num(nan=1.0)  # (1,)
    own = best_scale(r, w, penalty, dim)  # (K,)
    fitted = ~own.isnan() & (w.sum(0) >= min_labels)
    point_tau = torch.where(fitted, own, tau)
    log_det = log_determinant(given.root)

    def nll(scale: Tensor) -> float:
        return float(average(-log_density(r, log_det, penalty, dim, scale=scale), w, (0, 1)))

    likelihoods = (nll(torch.ones_like(tau)), nll(tau), nll(point_tau))
    return Temperature(float(tau), tuple(point_tau.tolist()), tuple(fitted.tolist()), *likelihoods)


def best_scale(radius: Tensor, weight: Tensor, penalty: Penalty, dim: int) -> Tensor:
    """tau of every column, (M, G) to (G,); NaN where no label with weight has a radius above 0."""
    if not len(radius):
        return torch.full_like(radius.sum(0), torch.nan)
    share = (weight / weight.sum(0)).nan_to_num(nan=0.0)
    counted = torch.where(share > 0, radius, 0.0)
    largest = counted.amax(0)
    usable = largest > 0
    unit = counted / torch.where(usable, largest, 1.0)

    def excess(tau: Tensor) -> Tensor:
        t = unit / tau
        moment = torch.where(unit > 0, penalty.psi(t) * t, 0.0)
        return torch.where(usable, torch.where(share > 0, share * moment, 0.0).sum(0) - dim, 0.0)

    low, high = torch.ones_like(largest), torch.ones_like(largest)
    while bool((excess(high) > 0).any()):
        high = torch.where(excess(high) > 0, 2 * high, high)
    while bool((excess(low) < 0).any()):
        low = torch.where(excess(low) < 0, low / 2, low)
    for _ in range(64):  # from a few octaves to rounding
        middle = (low * high).sqrt()
        low, high = torch.where(excess(middle) > 0, middle, low), torch.where(excess(middle) > 0, high, middle)
        if bool((high - low <= 1e-15 * high).all()):
            break
    return torch.where(usable, largest * (low * high).sqrt(), torch.nan)
