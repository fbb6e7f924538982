"""What training believes about label errors: the interface of every noise model.

A noise model is an immutable description; what it learns lives in a ``State``, a dict of tensors that :meth:`refit`
returns, so that it can be checkpointed, compared and moved without knowing the model. It answers five questions:

1. :meth:`NoiseModel.n_outputs`: how many numbers must the network put out;
2. :meth:`NoiseModel.loss`: what is the loss of each label;
3. :meth:`NoiseModel.trust`: how much is each label trusted, in [0, 1] (and :meth:`is_outlier`: is it suspect);
4. :meth:`NoiseModel.refit`: what is re-estimated from the whole training set;
5. :meth:`NoiseModel.observe`: what is learned from every training batch, before its loss (by most models nothing).

Shapes: N samples, K points, D coordinates each; ``output`` (N, n_outputs) comes from the network, ``target`` (N, K, D)
has NaN where a label is missing, trust and losses are (N, K), weights (N, K, D). A new model is a subclass in a file of
its own::

    @dataclass(frozen=True, kw_only=True)
    class CauchyNoise(PenaltyNoise):
        name: ClassVar[str] = "cauchy"
        def penalty(self) -> Penalty: return Cauchy()
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from steadfit import _checks
from steadfit.core.penalties import Absolute, Penalty, Squared
from steadfit.core.scale import mad, nanmedian
from steadfit.distributions import Elliptical
from steadfit.outputs import Output, Positions

State = dict[str, Tensor]
WARM_UPS = {"l1": Absolute(), "l2": Squared()}
WIDE = 7.0
"""The factor on the scale of a "wide" start, as the authors of paper 1 used it."""
SCALES = ("epoch", "batch", "running")
"""Whose MAD: the whole training set's at every refit, the batch's, an average over batches."""


def residual_of(location: Tensor, target: Tensor) -> Tensor:
    """target - location, NaN where the label is missing."""
    _checks.same_shape("residual_of", "location", location, "target", target)
    return target - location


def masked_sum(loss: Tensor, weight: Tensor | None, target: Tensor) -> Tensor:
    """Coordinate losses (N, K, D) to label losses (N, K): weighted, with 0 for what is not annotated."""
    weighted = loss if weight is None else weight * loss
    return torch.where(target.isnan(), 0.0, weighted).sum(dim=-1)


def penalized(penalty: Penalty, location: Tensor, target: Tensor, scale: Tensor | float = 1.0) -> Tensor:
    """rho((target - location)/scale), (N, K, D); missing labels are masked before rho, so that no NaN reaches a
    gradient."""
    known = torch.where(target.isnan(), location.detach(), target)
    return penalty.rho((known - location) / scale)


def spread(residual: Tensor) -> Tensor:
    """1.4826 MAD of every coordinate, (K, D); where at least half of the residuals are equal, so that it is 0, 1.2533
    times the mean absolute deviation about the median (sigma for a Gaussian). 0 where all are equal, NaN where there is
    none."""
    scale = mad(residual)
    deviation = 1.2533 * (residual - nanmedian(residual)).abs().nanmean(dim=0)
    return torch.where(scale > 0, scale, deviation)


def robust_scale(residual: Tensor) -> Tensor:
    """:func:`spread` with a floor: 1 where all residuals are equal or nothing is annotated."""
    scale = spread(residual)
    return torch.where(scale > 0, scale, 1.0)


@dataclass(frozen=True, kw_only=True)
class NoiseModel(ABC):
    """Base of all noise models.

    Args:
        warmup: the loss of the first epochs, before anything is known about the residuals: ``"l1"`` (keeps its head
            up to far higher contamination), ``"l2"`` (paper 2), or, for models with a scale, ``"wide"``: the
            model's own loss with 7 times the scale (the authors of paper 1).
    """

    warmup: str = "l1"
    name: ClassVar[str] = ""
    needs_refit: ClassVar[bool] = True
    keeps_weights: ClassVar[bool] = False  # labels have weights that stay the same from one refit to the next
    predicts_covariance: ClassVar[bool] = False  # the network puts out a distribution; targets are whitened for it

    def __post_init__(self) -> None:
        _checks.one_of(type(self).__name__, "warmup", self.warmup, tuple(WARM_UPS))

    @property
    def refits_once(self) -> bool:
        """Whether the loss needs no refit, so that one at the end of training, for trust and suspects, is enough."""
        return False

    @property
    def output(self) -> Output:
        """What the network's numbers mean to this model."""
        return Positions()

    def n_outputs(self, points: int, dims: int) -> int:
        """How many numbers the network puts out for K points of D coordinates."""
        return self.output.n_outputs(points, dims)

    def prediction(self, output: Tensor, dims: int) -> Tensor:
        """The predicted targets in the network's output, (N, n_outputs) to (N, K, D)."""
        return self.output.prediction(output, dims)

    def distribution(self, output: Tensor, dims: int) -> Elliptical | None:
        """The predicted distributions, of batch shape (N, K); None where the network puts out positions only."""
        return self.output.distribution(output, dims)

    def initial_output(self, points: int, dims: int) -> Tensor | None:
        """What an untrained network should put out for every sample, (n_outputs,); None: whatever it does."""
        return self.output.initial_output(points, dims)

    def initial_state(self, points: int, dims: int) -> State:
        """The state before anything is known."""
        return {}

    def warmup_loss(self, output: Tensor, target: Tensor, state: State) -> Tensor:
        """The loss of the first epochs, (N, K)."""
        location = self.prediction(output, target.shape[-1])
        return masked_sum(penalized(WARM_UPS[self.warmup], location, target), None, target)

    @abstractmethod
    def loss(self, output: Tensor, target: Tensor, state: State, weight: Tensor | None = None) -> Tensor:
        """The loss of each label, (N, K), >= 0 for penalties; 0 where nothing is annotated."""

    @abstractmethod
    def trust(self, output: Tensor, target: Tensor, state: State) -> Tensor:
        """How much each label is trusted, (N, K) in [0, 1]; NaN where it is missing."""

    @abstractmethod
    def is_outlier(self, output: Tensor, target: Tensor, state: State) -> Tensor:
        """Which labels are suspect, (N, K) bool; False where missing."""

    def refit(self, output: Tensor, target: Tensor, state: State) -> State:
        """The state re-estimated from all training samples; ``state`` is not changed."""
        return state

    def observe(self, output: Tensor, target: Tensor, state: State) -> State:
        """The state with what a training batch (N samples) says, for its own loss and later ones; ``state`` is not
        changed."""
        return state

    def weight(self, output: Tensor, target: Tensor, state: State) -> Tensor | None:
        """Weights (N, K, D) that labels keep until the next refit; None: the loss needs none."""
        return None

    def collapsed(self, state: State) -> bool:
        """Whether the estimate says that no label can be trusted, so that training should stay with its warm-up."""
        return False

    def error_rate(self, output: Tensor, target: Tensor, state: State) -> float:
        """The estimated share of wrong labels; for penalties the share of suspects."""
        known = ~target.isnan().all(dim=-1)
        return float(self.is_outlier(output, target, state)[known].double().mean()) if bool(known.any()) else 0.0


@dataclass(frozen=True, kw_only=True)
class PenaltyNoise(NoiseModel):
    """rho(residual / s), s the scale of each coordinate, a constant in backpropagation.

    Trust is the penalty's; a label with several coordinates has the trust of its worst one. A label is an outlier
    where some |u| > ``cut``.

    Args:
        cut: in units of the scale.
        scale: whose residuals the MAD is taken of. ``"epoch"``: the whole training set's, at every refit (papers 1 and
            2). ``"batch"``: those of the present batch. ``"running"``: an average of the batches' MADs b_1 … b_n that
            forgets, sum_k momentum^(n-k) b_k / sum_k momentum^(n-k), which starts at b_1. With the last two the
            training set is passed over once, at the end, for trust and suspects: their s is that of ``"epoch"``.
        momentum: of ``"running"``, in [0, 1).

    A coordinate whose labels are all missing in a batch, or have equal residuals (as one label has), or overflow, tells
    no scale: there s stays what it was, 1 before anything is known. A batch has at most as many labels as samples to
    tell s from; with few of them ``"batch"`` is noisy.
    """

    cut: float = 4.6851
    scale: str = "epoch"
    momentum: float = 0.9

    def __post_init__(self) -> None:
        who = type(self).__name__
        _checks.one_of(who, "warmup", self.warmup, (*WARM_UPS, "wide"))
        _checks.positive(who, "cut", self.cut)
        _checks.one_of(who, "scale", self.scale, SCALES)
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

    def refit(self, output: Tensor, target: Tensor, state: State) -> State:
        return state | {"scale": robust_scale(self._residual(output, target)).to(state["scale"])}

    @torch.no_grad()
    def observe(self, output: Tensor, target: Tensor, state: State) -> State:
        if self.scale == "epoch":
            return state
        found = spread(self._residual(output, target)).to(state["scale"])
        told, former = (found > 0) & found.isfinite(), state["scale"]
        if self.scale == "batch":
            return state | {"scale": torch.where(told, found, former)}
        batches = torch.where(told, self.momentum * state["batches"] + 1, state["batches"])
        return {"scale": torch.where(told, former.lerp(found, 1 / batches), former), "batches": batches}

    def _residual(self, output: Tensor, target: Tensor) -> Tensor:
        return residual_of(self.prediction(output, target.shape[-1]), target)

    def warmup_loss(self, output: Tensor, target: Tensor, state: State) -> Tensor:
        if self.warmup == "wide":
            return self.loss(output, target, state | {"scale": WIDE * state["scale"]})
        return super().warmup_loss(output, target, state)

    def loss(self, output: Tensor, target: Tensor, state: State, weight: Tensor | None = None) -> Tensor:
        location = self.prediction(output, target.shape[-1])
        return masked_sum(penalized(self.penalty(), location, target, state["scale"]), weight, target)

    def _scaled(self, output: Tensor, target: Tensor, state: State) -> Tensor:
        return self._residual(output, target) / state["scale"]

    def trust(self, output: Tensor, target: Tensor, state: State) -> Tensor:
        trust = self.penalty().trust(self._scaled(output, target, state))
        worst = trust.nan_to_num(nan=2.0).amin(dim=-1)
        return worst.masked_fill(target.isnan().all(dim=-1), torch.nan)

    def is_outlier(self, output: Tensor, target: Tensor, state: State) -> Tensor:
        return (self._scaled(output, target, state).abs() > self.cut).any(dim=-1)
