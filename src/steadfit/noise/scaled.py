"""A penalty of the residual in units of a scale, the MAD: the base of the noise models that consist of one penalty."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from steadfit import _checks
from steadfit._options import option
from steadfit.core.counting import Search, middle_ranks, order_key
from steadfit.core.linalg.small import norm
from steadfit.core.penalties import Penalty
from steadfit.core.scale import MAD_TO_SIGMA, mad, middle, nanmedian
from steadfit.core.sums import Sums
from steadfit.noise.base import NoiseModel, State
from steadfit.noise.chunk import Chunk
from steadfit.noise.residuals import masked_sum, penalized, residual_of, trust_of_labels

WIDE = 7.0
"""The factor on the scale of a "wide" start, as in the code of paper 1's authors."""
SCALES = ("epoch", "batch", "running")
"""The residuals of the MAD: the whole training set's at every refit, the batch's, or an average over batches."""


def spread(residual: Tensor) -> Tensor:
    """1.4826 MAD of every coordinate, (K, D), or what :func:`spread_from` gives in its place.

    Args:
        residual: (N, K, D), NaN where it is missing.
    """
    return spread_from(mad(residual), (residual - nanmedian(residual)).abs().nanmean(dim=0))


def spread_from(scale: Tensor, deviation: Tensor) -> Tensor:
    """The scale, or where it is 0 another one from the mean deviation.

    The scale is 0 where at least half of the residuals are equal. Then 1.2533 times the mean absolute deviation about
    the median takes its place, which is sigma for a Gaussian.

    Args:
        scale: 1.4826 MAD, (K, D).
        deviation: the mean absolute deviation about the median, (K, D).

    Returns:
        (K, D); 0 where all residuals are equal, NaN where there is none.
    """
    return torch.where(scale > 0, scale, 1.2533 * deviation)


def with_floor(scale: Tensor) -> Tensor:
    """The scale, replaced by 1 where all residuals are equal or nothing is annotated."""
    return torch.where(scale > 0, scale, 1.0)


def _distances(residual: Tensor, center: Tensor) -> tuple[Tensor, Tensor]:
    """The order of |r - center|, (n, K D), and their sum."""
    distance = (residual - center).abs()
    return order_key(distance), distance.double().nansum(dim=0)


@dataclass(frozen=True, kw_only=True)
class PenaltyNoise(NoiseModel):
    """rho(residual / s), where s, the scale of each coordinate, is a constant in backpropagation.

    Trust is the penalty's; a label with several coordinates has the trust of its worst one. A label is an outlier if
    |u| > ``cut`` in any coordinate.

    A batch gives no scale for a coordinate whose labels in it are all missing, have equal residuals (as a single label
    has), or overflow: there s stays what it was, 1 before anything is known. A batch has at most one label per sample
    from which s is estimated; small batches make ``"batch"`` noisy.

    Args:
        warmup: the loss of the first epochs: ``"l1"`` (the default), ``"l2"``, or ``"wide"``, the model's own at 7
            times the scale.
        cut: in units of the scale.
        scale: the residuals whose MAD is taken. ``"epoch"``: the whole training set's, at every refit (papers 1 and 2).
            ``"batch"``: those of the present batch. ``"running"``: an average of the batches' MADs b_1 … b_n that
            forgets, sum_k momentum^(n-k) b_k / sum_k momentum^(n-k), which starts at b_1. With the last two the
            training set is passed over once, at the end, for trust and suspects: their s is that of ``"epoch"``.
        momentum: of ``"running"``, in [0, 1).
    """

    warmup: str = option(
        "l1",
        "the loss of the first epochs (wide: the model's own at 7 times the scale)",
        choices=("l1", "l2", "wide"),
    )
    cut: float = 4.6851
    scale: str = option(
        "epoch",
        "the scale is the MAD of the training set after every epoch (epoch), of the batch (batch), or an average over "
        "batches (running)",
        choices=SCALES,
    )
    momentum: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        who = type(self).__name__
        _checks.positive(who, "cut", self.cut)
        if not 0 <= _checks.number(who, "momentum", self.momentum) < 1:
            raise ValueError(f"{who}: expected 0 <= momentum < 1, got {self.momentum}.")

    @property
    def refits_once(self) -> bool:
        return self.scale != "epoch"

    @abstractmethod
    def penalty(self) -> Penalty:
        """The penalty of a scaled residual."""

    def initial_state(self, points: int, dims: int) -> State:
        scale = {"scale": torch.ones(points, dims)}
        running = {"batches": torch.zeros(points, dims)}  # in the average: sum_k momentum^(n-k)
        return scale | running if self.scale == "running" else scale

    def begin(self, state: State) -> State:
        return state | self._search(state["scale"])

    def statistics(self, chunk: Chunk, state: State) -> Sums:
        """Counts for the median of the residuals and, once the state has the ``center``, for the distances from it."""
        residual = chunk.once((self, "residual"), lambda: self._residual(chunk.output, chunk.target).flatten(1))
        search = Search.of(state)
        if "center" not in state:
            return Sums({"counts": search.counts(chunk.once((self, "key"), lambda: order_key(residual)))})
        center = state["center"].flatten().to(residual)
        key, total = chunk.once((self, "distance", *center.tolist()), lambda: _distances(residual, center))
        return Sums({"counts": search.counts(key), "distance": total})

    def update(self, sums: Sums, state: State) -> State:
        search = Search.of(state).narrowed(sums.added["counts"], middle_ranks)
        if not search.done:
            return state | search.named()
        median = middle(*search.values()).view_as(state["scale"])
        if "center" not in state:
            return state | {"center": median} | self._search(median)
        mean = (sums.added["distance"] / search.count).view_as(median)
        return state | search.named() | {"scale": with_floor(spread_from(MAD_TO_SIGMA * median, mean))}

    def settled(self, state: State) -> bool:
        return "center" in state and Search.of(state).done

    @staticmethod
    def _search(scale: Tensor) -> State:
        """The start of a search for the median of every coordinate."""
        return Search.start(2, columns=scale.numel(), device=scale.device).named()

    @torch.no_grad()
    def observe(self, output: Tensor, target: Tensor, state: State) -> State:
        if self.scale == "epoch" or not len(target):
            return state
        found = spread(self._residual(output, target)).to(state["scale"])
        told, former = (found > 0) & found.isfinite(), state["scale"]
        if self.scale == "batch":
            return state | {"scale": torch.where(told, found, former)}
        batches = torch.where(told, self.momentum * state["batches"] + 1, state["batches"])
        return {"scale": torch.where(told, former.lerp(found, 1 / batches), former), "batches": batches}

    def _residual(self, output: Tensor, target: Tensor) -> Tensor:
        return residual_of(*self.located(output, target))

    def warmup_loss(self, output: Tensor, target: Tensor, state: State) -> Tensor:
        if self.warmup == "wide":
            return self.loss(output, target, state | {"scale": WIDE * state["scale"]})
        return super().warmup_loss(output, target, state)

    def loss(self, output: Tensor, target: Tensor, state: State, weight: Tensor | None = None) -> Tensor:
        location, target = self.located(output, target)
        scale = self._scale_for(target, state)
        return masked_sum(penalized(self.penalty(), location, target, scale, weight), weight, target)

    def _scale_for(self, target: Tensor, state: State) -> Tensor:
        if state["scale"].shape != target.shape[1:]:
            raise ValueError(
                f"{type(self).__name__}: expected target of shape (N, {', '.join(map(str, state['scale'].shape))}), as "
                f"the state has it, got {tuple(target.shape)}. Nothing is broadcast."
            )
        return state["scale"]

    def _scaled(self, output: Tensor, target: Tensor, state: State) -> Tensor:
        """u, (N, K, D): infinite for an infinite label, NaN where it is missing or has no verdict."""
        residual = self._residual(output, target)
        return residual / self._scale_for(residual, state)

    def distance(self, output: Tensor, target: Tensor, state: State) -> Tensor:
        return norm(self._scaled(output, target, state))

    def trust(self, output: Tensor, target: Tensor, state: State) -> Tensor:
        u = self._scaled(output, target, state)
        trust = self.penalty().trust(torch.where(u.isfinite(), u, 0.0))
        return trust_of_labels(torch.where(u.isfinite(), trust, 0.0), target)

    def is_outlier(self, output: Tensor, target: Tensor, state: State) -> Tensor:
        return (self._scaled(output, target, state).abs() > self.cut).any(dim=-1)
