"""DeepGUM's noise model: a mixture of Gaussian inliers and uniform outliers, by sample, point or coordinate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from steadfit import _checks
from steadfit._options import option
from steadfit.core import em_rounds
from steadfit.core.em_rounds import Rows
from steadfit.core.linalg.small import norm
from steadfit.core.mixture import GaussianUniform, GaussianUniformResult
from steadfit.core.penalties import Absolute, Penalty, Squared
from steadfit.core.sums import Sums
from steadfit.noise.base import NoiseModel, State
from steadfit.noise.chunk import Chunk
from steadfit.noise.residuals import masked_sum, penalized, residual_of, trust_of_labels

FAR = 1e150
"""A residual whose square is finite, which replaces infinite ones."""
UNITS = ("sample", "point", "coordinate")
INNER: dict[str, Penalty] = {"absolute": Absolute(), "squared": Squared()}


def to_groups(residual: Tensor, unit: str) -> Tensor:
    """(N, K, D) to (N, G, D'): what is judged together is on the last axis."""
    n, k, d = residual.shape
    return residual.reshape(n, *{"sample": (1, k * d), "point": (k, d), "coordinate": (k * d, 1)}[unit])


def from_groups(value: Tensor, unit: str, points: int, dims: int) -> Tensor:
    """One number per group, (N, G), expanded to the labels that the group judges, (N, K, D).

    Args:
        value: (N, G).
        unit: what is judged together: ``"sample"``, ``"point"`` or ``"coordinate"``.
        points: K.
        dims: D.
    """
    shape = {"sample": (1, 1), "point": (points, 1), "coordinate": (points, dims)}[unit]
    return value.reshape(-1, *shape).expand(-1, points, dims)


def blocks_of(covariance: Tensor, unit: str, points: int, dims: int) -> Tensor:
    """The covariance of each label's own coordinates, (K, D, D).

    Args:
        covariance: (G, D', D'), the covariances of the groups.
        unit: what is judged together: ``"sample"``, ``"point"`` or ``"coordinate"``.
        points: K.
        dims: D.
    """
    if unit == "point":
        return covariance
    if unit == "coordinate":
        return torch.diag_embed(covariance.reshape(points, dims))
    return covariance.reshape(points, dims, points, dims).diagonal(dim1=0, dim2=2).movedim(-1, 0)


@dataclass(frozen=True, kw_only=True)
class GaussianUniformNoise(NoiseModel):
    """Labels are right with Gaussian errors, or wrong and anywhere; EM estimates which, and the error rate.

    The loss of a label is its responsibility times the inner loss of its residual (paper 2, eq. 7), where the
    responsibility stays the same from one refit to the next.

    Where EM finds no inliers in a group (its share is at the lower bound) that group's labels keep weight 1; where it
    finds none at all, training stays with its warm-up loss.

    Args:
        warmup: the loss of the first epochs: ``"l1"`` (the default) or ``"l2"`` (paper 2).
        unit: what is right or wrong as a whole: ``"sample"`` (all K D numbers of an image), ``"point"`` (its D
            coordinates), ``"coordinate"``.
        inner: ``"absolute"`` or ``"squared"`` (paper 2), the loss of the inliers.
        covariance: the inliers' covariance, see :class:`steadfit.GaussianUniform`.
        volume: 1 over the outliers' density, see :class:`steadfit.GaussianUniform`.
        min_inlier_share: the lower bound of the inlier share, see :class:`steadfit.GaussianUniform`.
        inflation: factor on the inliers' covariance when labels are judged (not when it is estimated). A network's
            errors on right labels have heavier tails than a Gaussian, since some images are harder than others. At 1.5
            right labels of hard images stay in training; 1 is the plain posterior (paper 2).

    References:
        Lathuiliere et al., ECCV 2018.
    """

    name: ClassVar[str] = "gum"
    keeps_weights: ClassVar[bool] = True
    unit: str = option("point", "what is right or wrong as a whole", choices=UNITS)
    inner: str = "absolute"
    covariance: str = "full"
    volume: str | float = "trimmed"
    min_inlier_share: float = 0.01
    inflation: float = 1.5

    def __post_init__(self) -> None:
        super().__post_init__()
        _checks.one_of("GaussianUniformNoise", "inner", self.inner, tuple(INNER))
        _checks.positive("GaussianUniformNoise", "inflation", self.inflation)
        self._mixture()

    def _mixture(self) -> GaussianUniform:
        return GaussianUniform(
            covariance=self.covariance, volume=self.volume, min_inlier_share=self.min_inlier_share, tol=1e-6
        )

    def initial_state(self, points: int, dims: int) -> State:
        _, groups, size = to_groups(torch.zeros(1, points, dims), self.unit).shape
        return {
            "inlier_share": torch.ones(groups),
            "covariance": torch.eye(size).repeat(groups, 1, 1),
            "box": torch.full((groups, size), 1e3),
            "unit": torch.full((groups, size), 1e3),
            "informative": torch.ones(groups, size, dtype=torch.bool),
        }

    def begin(self, state: State) -> State:
        return em_rounds.begin(state)

    def statistics(self, chunk: Chunk, state: State) -> Sums:
        rows = chunk.once((self, "rows"), lambda: Rows(self._grouped(chunk.output, chunk.target).double()))
        return em_rounds.statistics(self._mixture(), rows, state)

    def update(self, sums: Sums, state: State) -> State:
        return em_rounds.update(self._mixture(), sums, state)

    def settled(self, state: State) -> bool:
        return em_rounds.settled(self._mixture(), state)

    def _grouped(self, output: Tensor, target: Tensor) -> Tensor:
        return to_groups(residual_of(*self.located(output, target)), self.unit)

    def _responsibility(self, output: Tensor, target: Tensor, state: State) -> Tensor:
        """Inlier posterior of every coordinate, (N, K, D).

        NaN where the group is not annotated or the prediction is not finite.
        """
        location, target = self.located(output, target)
        result = GaussianUniformResult(
            inlier_share=state["inlier_share"].double().clamp(max=1 - torch.finfo(torch.float64).eps),
            covariance=self.inflation * state["covariance"].double(),
            log_density=-state["box"].double().log().sum(dim=-1),
            responsibility=torch.empty(0),
            log_likelihood=torch.empty(0),
            n_iter=0,
            converged=True,
            box=state["box"].double(),
            informative=state["informative"],
            unit=state["unit"].double(),
        )
        if not len(target):
            return torch.empty_like(target)
        residual = residual_of(location, target).double().clamp(-FAR, FAR)
        groups = result.responsibility_of(to_groups(residual, self.unit)).to(target.dtype)
        return from_groups(groups, self.unit, *target.shape[1:]).masked_fill(~location.isfinite(), torch.nan)

    def distance(self, output: Tensor, target: Tensor, state: State) -> Tensor:
        """The Mahalanobis distance of a label's own coordinates, without inflation; see :meth:`NoiseModel.distance`."""
        residual = residual_of(*self.located(output, target))
        points, dims = residual.shape[1:]
        root = torch.linalg.cholesky(blocks_of(state["covariance"].double(), self.unit, points, dims))  # (K, D, D)
        known = residual.double().nan_to_num(nan=0.0).clamp(-FAR, FAR)
        scaled = torch.linalg.solve_triangular(root, known.permute(1, 2, 0), upper=False)  # (K, D, N)
        distance = norm(scaled.movedim(1, -1)).T.to(residual.dtype)  # (N, K)
        return distance.masked_fill(residual.isnan().any(dim=-1), torch.nan)

    def weight(self, output: Tensor, target: Tensor, state: State) -> Tensor:
        inlier = self._responsibility(output, target, state)
        lost = (state["inlier_share"] <= self.min_inlier_share).expand(len(target), -1)
        weight = torch.where(from_groups(lost, self.unit, *target.shape[1:]), 1.0, inlier)
        return torch.where(inlier.isnan(), 0.0, weight)

    def collapsed(self, state: State) -> bool:
        return bool((state["inlier_share"] <= self.min_inlier_share).all())

    def loss(self, output: Tensor, target: Tensor, state: State, weight: Tensor | None = None) -> Tensor:
        location, target = self.located(output, target)
        return masked_sum(penalized(INNER[self.inner], location, target, weight=weight), weight, target)

    def trust(self, output: Tensor, target: Tensor, state: State) -> Tensor:
        output, target = self.checked(output, target)
        return trust_of_labels(self._responsibility(output, target, state), target)

    def is_outlier(self, output: Tensor, target: Tensor, state: State) -> Tensor:
        inlier = self._responsibility(output, target, state)
        return ((inlier < 0.5) & ~target.isnan()).any(dim=-1)

    def error_rate(self, output: Tensor, target: Tensor, state: State) -> float:
        """1 - pi, averaged over the groups."""
        return 1.0 - float(state["inlier_share"].double().mean())
