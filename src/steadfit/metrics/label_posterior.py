"""Posterior probabilities that the labels of a calibration set are right, under the predictions, by EM."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from steadfit import _checks
from steadfit.core.elliptical import log_density
from steadfit.core.penalties import Penalty
from steadfit.core.scale import trimmed_range
from steadfit.errors import ConvergenceWarning
from steadfit.metrics.elliptical import Labels, labels, log_determinant, mean_radius, mean_stretch
from steadfit.metrics.temperature import best_scale

__all__ = ["RightLabels", "right_labels"]

LEAST = 0.01
"""The smallest share of right labels: EM that ends there has found none."""


@dataclass(frozen=True)
class RightLabels:
    """What :func:`right_labels` found.

    Attributes:
        probability: (N, K), the posterior of every label; NaN where it is missing.
        share: pi, the share of labels that are right.
        tau: the temperature.
        n_iter: the number of EM's iterations.
        converged: whether EM reached its fixed point.
    """

    probability: Tensor
    share: float
    tau: float
    n_iter: int
    converged: bool


@torch.no_grad()
def right_labels(
    mean: Tensor, root: Tensor, target: Tensor, penalty: Penalty, *, max_iter: int = 500, tol: float = 1e-6
) -> RightLabels:
    """The probability that each label is right, if wrong labels lie anywhere in a box.

    p(y) = pi p_tau(y) + (1 - pi) gamma_k,  probability = pi p_tau(y)/p(y)

    p_tau is the prediction with its covariance times tau², gamma_k uniform over the trimmed range of point k's
    residuals, which gross ones don't move. EM finds the two numbers pi and tau. The probabilities are weights for
    :func:`~steadfit.metrics.fit_temperature` and :class:`~steadfit.metrics.ConformalRadius` where the noise model's
    trust is not a probability.

    Args:
        mean: ``(N, K, D)``, mu in the user's units.
        root: ``(N, K, D, D)``, A in 1/unit, symmetric positive definite.
        target: ``(N, K, D)`` of labels that were not trained on; NaN marks a missing label.
        penalty: a proper penalty.
        max_iter: the largest number of iterations; reaching it is reported by a
            :class:`~steadfit.errors.ConvergenceWarning`.
        tol: step of pi and log tau at which EM stops.

    Returns:
        The probabilities, in the target's dtype, and the two numbers. All labels are right (probability 1, tau fitted
        to all of them) where the uniform raises the log-likelihood by less than 3 + log n, since on clean labels it
        would otherwise take some of the tail; where EM finds no right labels (a share of .01); and without labels, or
        with all radii 0, where tau is 1.

    Raises:
        TypeError: as :func:`~steadfit.metrics.mahalanobis`.
        ValueError: as :func:`~steadfit.metrics.mahalanobis`; an improper penalty, ``max_iter`` or ``tol`` out of range.

    Numerics:
        pi stays in [.01, 1 - 1e-6]; tau is at least a hundredth of the one that explains the median radius (a spike of
        labels that equal their predictions would draw it to 0); a side of the box is at least twice the error that the
        point's predictions expect.

    References:
        Coretto & Hennig, JASA 2016 (fixed improper density).
        Lathuilière et al., ECCV 2018 (the mixture).
    """
    _checks.positive("right_labels", "tol", tol)
    if isinstance(max_iter, bool) or not isinstance(max_iter, int) or max_iter < 1:
        raise ValueError(f"right_labels: expected max_iter to be an integer >= 1, got {max_iter!r}.")
    given = labels("right_labels", mean, root, target, penalty, None)
    keep, dim = given.weight > 0, given.dim
    r = given.radius[keep]
    probability = torch.where(keep, 1.0, math.nan).to(target.dtype)
    clean = float(best_scale(r.unsqueeze(-1), torch.ones_like(r).unsqueeze(-1), penalty, dim))
    if math.isnan(clean):
        return RightLabels(probability, 1.0, 1.0, 0, True)
    log_det = log_determinant(given.root) + _log_box(given, keep, penalty)
    mixture = _Mixture(r, log_det[keep], penalty, dim)
    right, share, tau, n_iter, converged = mixture.fit(max_iter, tol)
    gain = mixture.log_likelihood(share, tau) - mixture.log_likelihood(1.0, clean)
    if share <= LEAST or gain < 3 + math.log(len(r)):
        return RightLabels(probability, 1.0, clean, n_iter, converged)
    probability[keep] = right.to(target.dtype)
    return RightLabels(probability, share, tau, n_iter, converged)


@dataclass(frozen=True)
class _Mixture:
    """pi p_tau + (1 - pi) gamma over L labels, in units in which the box has volume 1, so that gamma is 1."""

    radius: Tensor  # (L,)
    log_det: Tensor  # (L,) log|A| - log gamma
    penalty: Penalty
    dim: int

    def fit(self, max_iter: int, tol: float) -> tuple[Tensor, float, float, int, bool]:
        """EM from pi = 1/2 and the tau of the median radius; tau by one step of its fixed point, which never falls."""
        middle = float(self.radius[self.radius > 0].median() / self.penalty.radius(0.5, self.dim))
        share, tau = 0.5, middle
        for n_iter in range(1, max_iter + 1):
            right = (self._log_ratio(tau) + math.log(share / (1 - share))).sigmoid()
            t, before = self.radius / tau, (share, tau)
            share = min(max(float(right.mean()), LEAST), 1 - 1e-6)
            pull = torch.where(right > 0, right * self.penalty.psi(t) * t, 0.0)  # psi(t) t may overflow where it is 0
            moment = float(pull.sum() / right.sum().clamp(min=1e-300))
            tau = max(tau * math.sqrt(moment / self.dim), middle / 100)
            if max(abs(share - before[0]), abs(math.log(tau / before[1]))) < tol:
                return right, share, tau, n_iter, True
        warnings.warn(
            f"right_labels: not converged after {max_iter} iterations. Raise max_iter or tol.",
            ConvergenceWarning,
            stacklevel=4,  # past the decorator
        )
        return right, share, tau, max_iter, False

    def log_likelihood(self, share: float, tau: float) -> float:
        """The log-likelihood relative to that of the uniform alone."""
        if share == 1:
            return float(self._log_ratio(tau).sum())
        wrong = torch.full_like(self.radius, math.log1p(-share))
        return float(torch.logaddexp(self._log_ratio(tau) + math.log(share), wrong).sum())

    def _log_ratio(self, tau: float) -> Tensor:
        """log p_tau - log gamma, (L,)."""
        return log_density(self.radius, self.log_det, self.penalty, self.dim, scale=tau)


def _log_box(given: Labels, keep: Tensor, penalty: Penalty) -> Tensor:
    """-log gamma = the log volume of the box that holds the residuals of every point, gross ones left out, (K,)."""
    residual, kept = given.residual, keep.unsqueeze(-1)
    width = trimmed_range(residual.masked_fill(~kept, math.nan)).nan_to_num(nan=0.0)
    least = 2 * mean_radius(penalty, given.dim) * mean_stretch(given.root).mean(0)
    return torch.maximum(width, least.unsqueeze(-1)).log().sum(-1)
