"""Noise models whose network predicts a distribution for every label: a position and its uncertainty (paper 3)."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from steadfit import _checks
from steadfit._options import option
from steadfit.core import predicted, widths
from steadfit.core.elliptical import LOCATIONS, log_density
from steadfit.core.linalg.small import norm
from steadfit.core.penalties import Absolute, Charbonnier, Huber, Penalty, Squared
from steadfit.core.sums import Sums, joined
from steadfit.losses.elliptical import negative_log_likelihood
from steadfit.noise.base import NoiseModel, State
from steadfit.noise.chunk import Chunk
from steadfit.noise.residuals import trust_of_labels
from steadfit.outputs import Distributions

EM_ROUNDS = 200
"""The largest number of EM iterations in a refit of the mixture."""
FAMILIES: dict[str, Penalty] = {
    "gauss": Squared(),
    "laplace": Absolute(),
    "huber": Huber(1.0),
    "charbonnier": Charbonnier(),
}
"""The proper penalties by the names of their distributions."""

LEAST_BOX = 9.0
"""The least side of the mixture's box, in predicted deviations (their geometric mean).

A box as narrow as the right labels would explain them as well as the predictions do.
"""


@dataclass(frozen=True)
class DistributionNoise(NoiseModel):
    """Base of the models whose network predicts an elliptical distribution for every label.

    A label is judged as a whole: with a missing coordinate it takes no part.

    Args:
        penalty: rho of the distribution, a proper penalty.
        covariance: the shape of the predicted covariances: ``"full"``, ``"diagonal"`` or ``"identity"``.
        location: what the network predicts: ``"nu"`` (the mean is A^-1 nu) or ``"mu"`` (the mean).
        warmup: without effect.
        floor: theta of eq. 9, > 0, in 1/unit of the standardised target.
    """

    predicts_covariance: ClassVar[bool] = True
    penalty: Penalty = field(default_factory=Huber)
    covariance: str = option(
        "full", "the shape of the predicted covariances", choices=predicted.COVARIANCES, kw_only=False
    )
    location: str = option(
        "nu", "the predicted location, nu: A times the mean, or mu: the mean", choices=LOCATIONS, kw_only=False
    )
    _: KW_ONLY
    warmup: str = option("l1", "without effect", choices=("l1", "l2"), command_line=False)
    floor: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        who = type(self).__name__
        if not isinstance(self.penalty, Penalty):
            raise TypeError(f"{who}: expected penalty to be a Penalty, got {type(self.penalty).__name__}.")
        self.penalty.require_proper()
        _checks.positive(who, "floor", self.floor)

    @property
    def output(self) -> Distributions:
        return Distributions(self.penalty, self.covariance, self.location, self.floor)

    def loss(self, output: Tensor, target: Tensor, state: State, weight: Tensor | None = None) -> Tensor:
        return self._nll(self.penalty, output, target, None if weight is None else weight.amin(dim=-1))

    def _nll(self, penalty: Penalty, output: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """-log p of every label times its weight, (N, K); 0 where it is missing."""
        output, target = self.checked(output, target)
        numbers = self.output.split(output, target.shape[-1])
        present = ~target.isnan().any(dim=-1)
        if weight is not None:
            present = present & (weight != 0)
        with torch.autocast(numbers.device.type, enabled=False):
            nll = negative_log_likelihood(
                numbers, target.to(numbers.dtype), present, penalty, self.covariance, self.location, self.floor
            )
        return torch.where(present, nll if weight is None else nll * weight, 0.0)

    def distance(self, output: Tensor, target: Tensor, state: State) -> Tensor:
        """||A (y - mu)||, in the deviations that are predicted for the label; see :meth:`NoiseModel.distance`."""
        return self._distance(output, target)[0].to(target.dtype)

    def _distance(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """||A (y - mu)|| of every label, NaN where it is missing or has no verdict, and log|A|; (N, K) in float64."""
        output, target = self.checked(output, target)
        numbers = self.output.split(output.double(), target.shape[-1])
        finite = numbers.isfinite().all(dim=-1)
        judged = finite & ~target.isnan().any(dim=-1)
        numbers = torch.where(finite.unsqueeze(-1), numbers, 0.0)  # eigenvalues of NaN are an error
        known = torch.where(judged.unsqueeze(-1), target.double(), 0.0)
        residual, log_det = predicted.residual(numbers, known, self.covariance, self.location, self.floor)
        return norm(residual).masked_fill(~judged, torch.nan), log_det.masked_fill(~finite, torch.nan)


def _of_wholes(trust: Tensor, target: Tensor) -> Tensor:
    """Trust of labels that are judged as wholes, (N, K), see :func:`~steadfit.noise.residuals.trust_of_labels`.

    Args:
        trust: (N, K), NaN where there is no verdict.
        target: (N, K, D), NaN where a coordinate is missing.
    """
    whole = torch.where(target.isnan().any(dim=-1), torch.nan, 0.0)
    return trust_of_labels(trust.unsqueeze(-1), whole.unsqueeze(-1)).to(target.dtype)


@dataclass(frozen=True)
class PredictedNoise(DistributionNoise):
    """Every label has errors of its own size and direction, which the network predicts and by which the loss is scaled.

    The loss is the negative log-likelihood of :class:`steadfit.losses.EllipticalLoss`. The trust of a label is the
    penalty's at its residual in predicted units, ||A y - nu||.

    Args:
        penalty: ``Huber(1.0)`` (the default), ``Absolute()`` (Laplace), ``Charbonnier()``, or ``Squared()`` (Gauss: one
            wrong label can move it anywhere).
        covariance: the shape of the predicted covariances: ``"full"``, ``"diagonal"`` or ``"identity"``.
        location: what the network predicts: ``"nu"`` (the mean is A^-1 nu) or ``"mu"`` (the mean).
        warmup: without effect.
        floor: theta of eq. 9, > 0, in 1/unit of the standardised target.
        level: a label outside the region with this predicted probability is suspect.

    References:
        Mohlin et al., BMVC 2021, eqs 3-13.
    """

    name: ClassVar[str] = "predicted"
    needs_refit: ClassVar[bool] = False
    level: float = field(default=0.999, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.level < 1:
            raise ValueError(f"PredictedNoise: expected 0 < level < 1, got {self.level}.")

    def trust(self, output: Tensor, target: Tensor, state: State) -> Tensor:
        output, target = self.checked(output, target)
        distance = self._distance(output, target)[0]
        return _of_wholes(torch.where(distance.isnan(), torch.nan, self.penalty.trust(distance)), target)

    def is_outlier(self, output: Tensor, target: Tensor, state: State) -> Tensor:
        return self._distance(output, target)[0] > float(self.penalty.radius(self.level, target.shape[-1]))


@dataclass(frozen=True)
class PredictedMixtureNoise(DistributionNoise):
    """A label is right, with errors as predicted for it, or wrong and anywhere: pi p(y | x) + (1 - pi) u.

    This goes beyond the papers: the robustness of GUM with a predicted covariance for every label. u is 1 over the
    volume of the box around the training labels of a point, without gross ones. pi, the inlier share of a point, is
    found by EM over the whole training set at every refit, with the predicted densities fixed; so are the
    responsibilities r. Until the next refit the network minimises r times the negative log-likelihood. The warm-up is
    the likelihood of the Laplace family with the same numbers, whose gradient a wrong label cannot dominate.

    Args:
        penalty: rho of the distribution of right labels, a proper penalty, see :class:`PredictedNoise`.
        covariance: the shape of the predicted covariances: ``"full"``, ``"diagonal"`` or ``"identity"``.
        location: what the network predicts: ``"nu"`` (the mean is A^-1 nu) or ``"mu"`` (the mean).
        warmup: without effect.
        floor: theta of eq. 9 in paper 3, > 0, in 1/unit of the standardised target.
        min_inlier_share: a lower bound of pi, in (0, 1); a point whose pi is at the bound gives weight 1 to all labels.
        inflation: factor on the predicted covariances when labels are judged. 1, the default, is the posterior: the
            predicted covariances know which images are hard, which one covariance for all cannot
            (:class:`~steadfit.noise.GaussianUniformNoise` needs 1.5).
    """

    name: ClassVar[str] = "predicted-mixture"
    keeps_weights: ClassVar[bool] = True
    min_inlier_share: float = field(default=0.01, kw_only=True)
    inflation: float = field(default=1.0, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        _checks.positive("PredictedMixtureNoise", "inflation", self.inflation)
        if not 0 < self.min_inlier_share < 1:
            raise ValueError(f"PredictedMixtureNoise: expected 0 < min_inlier_share < 1, got {self.min_inlier_share}.")

    def initial_state(self, points: int, dims: int) -> State:
        return {"inlier_share": torch.ones(points), "box": torch.full((points, dims), 1e3)}

    def warmup_loss(self, output: Tensor, target: Tensor, state: State) -> Tensor:
        return self._nll(Absolute(), output, target)

    def begin(self, state: State) -> State:
        points, dims = state["box"].shape
        half = torch.full_like(state["inlier_share"], 0.5)
        own = {"inlier_share": half, "moved": torch.ones_like(half), "left": torch.tensor(EM_ROUNDS)}
        return state | own | widths.begin(points, dims, state["box"].device)

    def statistics(self, chunk: Chunk, state: State) -> Sums:
        """The extent of labels and predictions, for the box; then responsibilities, and the gain in log-likelihood."""
        distance, log_det = chunk.once((self, "distance"), lambda: self._distance(chunk.output, chunk.target))
        if not widths.finished(state):
            own = Sums({"log_det": log_det.nansum(dim=0), "predictions": (~log_det.isnan()).sum(dim=0)})
            rows = chunk.once((self, "rows"), lambda: widths.Rows.of(chunk.target.double()))
            return joined(own, widths.statistics(rows, state))
        dims = chunk.target.shape[-1]
        log_p = chunk.once((self, "log_p"), lambda: log_density(distance, log_det, self.penalty, dims))
        gain, share = self._log_odds(log_p, state["box"]), state["inlier_share"]
        if self._converged(state):
            raised = torch.logaddexp(share.log() + gain, torch.log1p(-share)) - gain
            return Sums({"raised": raised.nansum(dim=0), "labels": (~gain.isnan()).sum(dim=0)})
        inlier = torch.sigmoid(_logit(share) + gain)
        return Sums({"inliers": inlier.nansum(dim=0), "labels": (~gain.isnan()).sum(dim=0)})

    def update(self, sums: Sums, state: State) -> State:
        """The box; then pi of every point by EM with fixed densities.

        In the end pi is 1 where nothing is annotated, and where the uniform raises the log-likelihood by less than 3 +
        log n: on clean labels it would otherwise take in some of the tail.
        """
        if not widths.finished(state):
            found = widths.update(sums, state)
            return found | {"box": self._box(sums, found)} if widths.finished(found) else found
        share, labels = state["inlier_share"], sums.added["labels"]
        if self._converged(state):
            clean = sums.added["raised"] < 3 + labels.clamp(min=1).log()
            return state | {"inlier_share": torch.where(clean, 1.0, share), "judged": torch.tensor(True)}
        new = (sums.added["inliers"] / labels).nan_to_num(nan=1.0).clamp(self.min_inlier_share, 1.0)
        return state | {"inlier_share": new, "moved": (new - share).abs(), "left": state["left"] - 1}

    def settled(self, state: State) -> bool:
        return "judged" in state

    @staticmethod
    def _converged(state: State) -> bool:
        return bool((state["moved"] < 1e-7).all()) or int(state["left"]) == 0

    @staticmethod
    def _box(sums: Sums, state: State) -> Tensor:
        """The labels' trimmed range, 1 where nothing varies or is annotated, but at least nine predicted deviations."""
        trimmed = state["width_trimmed"]
        box = torch.where(trimmed.isfinite() & (trimmed > 0), trimmed, 1.0)
        mean = sums.added["log_det"] / sums.added["predictions"].clamp(min=1)
        return torch.maximum(box, LEAST_BOX * torch.exp(-mean / box.shape[-1]).unsqueeze(-1))

    @staticmethod
    def _log_odds(log_p: Tensor, box: Tensor) -> Tensor:
        """log p(y | x) - log u, (N, K)."""
        return log_p + box.double().log().sum(dim=-1)

    def _responsibility(self, output: Tensor, target: Tensor, state: State) -> Tensor:
        """Inlier posterior of every label, (N, K); NaN where it is missing or has no verdict."""
        distance, log_det = self._distance(output, target)
        wider = math.sqrt(self.inflation)
        log_p = log_density(distance, log_det, self.penalty, target.shape[-1], scale=wider)
        prior = _logit(state["inlier_share"].double())
        return torch.sigmoid(prior + self._log_odds(log_p, state["box"])).to(target.dtype)

    def weight(self, output: Tensor, target: Tensor, state: State) -> Tensor:
        output, target = self.checked(output, target)
        inlier = self._responsibility(output, target, state)
        weight = torch.where(state["inlier_share"] <= self.min_inlier_share, 1.0, inlier)
        return torch.where(inlier.isnan(), 0.0, weight).unsqueeze(-1).expand_as(target)

    def collapsed(self, state: State) -> bool:
        return bool((state["inlier_share"] <= self.min_inlier_share).all())

    def trust(self, output: Tensor, target: Tensor, state: State) -> Tensor:
        output, target = self.checked(output, target)
        return _of_wholes(self._responsibility(output, target, state), target)

    def is_outlier(self, output: Tensor, target: Tensor, state: State) -> Tensor:
        return self._responsibility(*self.checked(output, target), state) < 0.5

    def error_rate(self, output: Tensor, target: Tensor, state: State) -> float:
        """1 - pi, averaged over the points."""
        return 1.0 - float(state["inlier_share"].double().mean())


def _logit(share: Tensor) -> Tensor:
    """log(pi/(1 - pi)), finite at pi = 1."""
    return torch.logit(share, eps=torch.finfo(torch.float64).eps)
