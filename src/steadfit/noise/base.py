"""What training believes about label errors: the interface of every noise model.

A noise model is an immutable description. What it learns is in a ``State``, a dict of tensors, so that it can be
checkpointed, compared and moved without knowing the model. It answers five questions:

1. :meth:`NoiseModel.n_outputs`: how many numbers does the network predict;
2. :meth:`NoiseModel.loss`: what is the loss of each label;
3. :meth:`NoiseModel.trust`: how much is each label trusted, in [0, 1] (and :meth:`is_outlier`: is it suspect);
4. :meth:`NoiseModel.statistics` and :meth:`NoiseModel.update`: what is re-estimated from the whole training set, by
   :func:`steadfit.noise.refit`;
5. :meth:`NoiseModel.observe`: what is learned from every training batch, before its loss (for most models nothing).

Shapes: N samples, K points, D coordinates each; ``output`` (N, n_outputs) comes from the network, ``target`` (N, K, D)
has NaN where a label is missing, trust and losses are (N, K), weights (N, K, D). Every method passes its output and
target through :meth:`NoiseModel.checked`, which refuses other shapes and makes half precision single.

Absent labels: one that is *missing* (its target is NaN) has loss 0 and trust NaN, and is not a suspect. One whose
prediction is NaN or infinite has *no verdict*: trust and weight 0, not a suspect, and it takes no part in any estimate.

A new model is a subclass in its own file, as CONTRIBUTING.md shows with Cauchy's penalty.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from steadfit import _checks
from steadfit._options import check_options, option
from steadfit.core.counting import Search, middle_ranks, order_key
from steadfit.core.linalg.small import norm
from steadfit.core.penalties import Absolute, Penalty, Squared
from steadfit.core.scale import MAD_TO_SIGMA, middle
from steadfit.core.sums import Sums
from steadfit.distributions import Elliptical
from steadfit.noise.residuals import (
    at_least_single,
    masked_sum,
    penalized,
    residual_of,
    spread,
    spread_from,
    trust_of_labels,
    with_floor,
)
from steadfit.noise.sums import Chunk
from steadfit.outputs import Output, Positions

State = dict[str, Tensor]
WARM_UPS = {"l1": Absolute(), "l2": Squared()}
WIDE = 7.0
"""The factor on the scale of a "wide" start, as in the code of paper 1's authors."""
SCALES = ("epoch", "batch", "running")
"""The residuals of the MAD: the whole training set's at every refit, the batch's, or an average over batches."""


@dataclass(frozen=True, kw_only=True)
class NoiseModel(ABC):
    """Base of all noise models.

    Args:
        warmup: the loss of the first epochs, before anything is known about the residuals: ``"l1"`` (the default, which
            tolerates far more contamination), ``"l2"`` (paper 2), or, for models with a scale, ``"wide"``: the model's
            own loss with 7 times the scale (the authors of paper 1).
    """

    warmup: str = option("l1", "the loss of the first epochs", choices=("l1", "l2"))
    name: ClassVar[str] = ""
    needs_refit: ClassVar[bool] = True
    keeps_weights: ClassVar[bool] = False  # labels have weights that stay the same from one refit to the next
    predicts_covariance: ClassVar[bool] = False  # the network predicts a distribution; targets are whitened for it

    def __post_init__(self) -> None:
        check_options(self)

    @property
    def refits_once(self) -> bool:
        """Whether the loss needs no refit, so that one at the end of training, for trust and suspects, is enough."""
        return False

    @property
    def output(self) -> Output:
        """The output of a network under this model: what its numbers mean."""
        return Positions()

    def n_outputs(self, points: int, dims: int) -> int:
        """The number of numbers that the network predicts for K points of D coordinates."""
        return self.output.n_outputs(points, dims)

    def prediction(self, output: Tensor, dims: int) -> Tensor:
        """The predicted targets in the network's output, (N, n_outputs) to (N, K, D)."""
        return self.output.prediction(output, dims)

    def distribution(self, output: Tensor, dims: int) -> Elliptical | None:
        """The predicted distributions, of batch shape (N, K); None where the network predicts only positions."""
        return self.output.distribution(output, dims)

    def initial_output(self, points: int, dims: int) -> Tensor | None:
        """What an untrained network should predict for every sample, (n_outputs,); None: whatever it does."""
        return self.output.initial_output(points, dims)

    def initial_state(self, points: int, dims: int) -> State:
        """The state before anything is known."""
        return {}

    def warmup_loss(self, output: Tensor, target: Tensor, state: State) -> Tensor:
        """The loss of the first epochs, (N, K)."""
        location, target = self.located(output, target)
        return masked_sum(penalized(WARM_UPS[self.warmup], location, target), None, target)

    @abstractmethod
    def loss(self, output: Tensor, target: Tensor, state: State, weight: Tensor | None = None) -> Tensor:
        """The loss of each label.

        Args:
            output: (N, n_outputs), from the network.
            target: (N, K, D), NaN where a label is missing.
            state: what the model has learned.
            weight: (N, K, D), what :meth:`weight` gave at the last refit; None: 1.

        Returns:
            (N, K), >= 0 for penalties; 0 where nothing is annotated.
        """

    @abstractmethod
    def trust(self, output: Tensor, target: Tensor, state: State) -> Tensor:
        """How much each label is trusted, (N, K) in [0, 1]: 0 without a verdict, NaN where it is missing."""

    @abstractmethod
    def is_outlier(self, output: Tensor, target: Tensor, state: State) -> Tensor:
        """Which labels are suspect, (N, K) bool; False where missing or without a verdict."""

    def distance(self, output: Tensor, target: Tensor, state: State) -> Tensor:
        """How far each label is from its prediction, in the scale that the model estimates for right labels.

        Args:
            output: (N, n_outputs), from the network.
            target: (N, K, D), NaN where a label is missing.
            state: what the model has learned.

        Returns:
            (N, K), >= 0: the norm of the scaled residual, or of the standardised one for a model without a scale. NaN
            where a coordinate is missing or there is no verdict.
        """
        return norm(residual_of(*self.located(output, target)))

    def judge(self, output: Tensor, target: Tensor, state: State) -> dict[str, Tensor]:
        """The verdict on every label, as columns of the table of labels; a model may add columns.

        Args:
            output: (N, n_outputs), from the network.
            target: (N, K, D), NaN where a label is missing.
            state: what the model has learned.

        Returns:
            (N, K) each: ``distance``, ``trust``, ``suspect``.
        """
        return {
            "distance": self.distance(output, target, state),
            "trust": self.trust(output, target, state),
            "suspect": self.is_outlier(output, target, state),
        }

    def begin(self, state: State) -> State:
        """The state at which a refit begins, with whatever the rounds need in addition.

        Names that :meth:`initial_state` does not have are dropped at the end.
        """
        return state

    def statistics(self, chunk: Chunk, state: State) -> Sums:
        """What a chunk of training samples contributes in this round, as sums over them; ``state`` is not changed.

        Args:
            chunk: n samples, perhaps none.
            state: the same for all chunks of a round; its floating-point tensors are float64.
        """
        return Sums()

    def update(self, sums: Sums, state: State) -> State:
        """The state after a round, from the sums over all training samples; ``state`` is not changed."""
        return state

    def settled(self, state: State) -> bool:
        """Whether a state from :meth:`update` needs no further round; by default one is enough."""
        return True

    def checked(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """The output and the target, checked, with half precision made single; every method begins with this.

        Args:
            output: (N, n_outputs), from the network.
            target: (N, K, D), NaN where a label is missing.

        Raises:
            TypeError: one of them is not a floating-point tensor.
            ValueError: target is not (N, K, D), or output not (N, n_outputs(K, D)).
        """
        who = type(self).__name__
        _checks.floating(who, "output", output)
        _checks.floating(who, "target", target)
        if target.dim() != 3:
            raise ValueError(f"{who}: expected target of shape (N, K, D), got {tuple(target.shape)}. Reshape it.")
        wanted = (len(target), self.n_outputs(*target.shape[1:]))
        if output.shape != wanted:
            raise ValueError(
                f"{who}: expected output of shape {wanted} for target {tuple(target.shape)}, got "
                f"{tuple(output.shape)}. Nothing is broadcast."
            )
        return at_least_single(output), at_least_single(target)

    def located(self, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """The predicted targets and the targets, both (N, K, D), checked."""
        output, target = self.checked(output, target)
        return self.prediction(output, target.shape[-1]), target

    def observe(self, output: Tensor, target: Tensor, state: State) -> State:
        """The state after a training batch, for its own loss and later ones; ``state`` is not changed.

        Args:
            output: (N, n_outputs), from the network, for the N samples of the batch.
            target: (N, K, D), NaN where a label is missing.
            state: what the model has learned.
        """
        return state

    def weight(self, output: Tensor, target: Tensor, state: State) -> Tensor | None:
        """Weights (N, K, D) that labels keep until the next refit; None where the loss needs none."""
        return None

    def collapsed(self, state: State) -> bool:
        """Whether the estimate trusts no label at all, so that training should stay with its warm-up."""
        return False

    def error_rate(self, output: Tensor, target: Tensor, state: State) -> float:
        """The estimated share of wrong labels; for penalties the share of suspects among those with a verdict."""
        judged = residual_of(*self.located(output, target)).isnan().logical_not().any(dim=-1)
        return float(self.is_outlier(output, target, state)[judged].double().mean()) if bool(judged.any()) else 0.0


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
