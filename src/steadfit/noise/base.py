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

from torch import Tensor

from steadfit import _checks
from steadfit._options import check_options, option
from steadfit.core.linalg.small import norm
from steadfit.core.penalties import Absolute, Squared
from steadfit.core.sums import Sums
from steadfit.distributions import Elliptical
from steadfit.noise.chunk import Chunk
from steadfit.noise.residuals import at_least_single, masked_sum, penalized, residual_of
from steadfit.outputs import Output, Positions

State = dict[str, Tensor]
WARM_UPS = {"l1": Absolute(), "l2": Squared()}


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
