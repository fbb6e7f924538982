"""The interface of outputs: what a network's numbers mean.

An output answers four questions about a network, whatever is believed about the labels:

1. :meth:`Output.n_outputs`, :meth:`Output.initial_output`: how many numbers are there, and what does an untrained
   network put out;
2. :meth:`Output.prediction`, :meth:`Output.distribution`: how are they read;
3. :meth:`Output.step`, :meth:`Output.held_out`: how is a batch trained on and validated;
4. :attr:`Output.mirrors`: may training mirror images, together with their points.

The belief about labels is a noise model (:mod:`steadfit.noise`). It sees *numbers*, one row per sample, which an output
makes from what the network puts out.

Shapes: N samples, K targets of D coordinates each; numbers (N, P); targets (N, K, D) with NaN where a label is missing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from torch import Tensor, nn

from steadfit._options import check_options
from steadfit.outputs.layers import start_output

if TYPE_CHECKING:
    from steadfit.distributions import Elliptical


class Model(Protocol):
    """A network with its scalings, as an output sees it."""

    network: nn.Module

    def __call__(self, value: Tensor) -> Tensor:
        """Raw inputs to numbers (N, P)."""

    def raw(self, value: Tensor) -> Tensor:
        """Raw inputs to what the network itself puts out."""

    def standardize(self, target: Tensor) -> Tensor:
        """Targets in the frame's units to the units of the numbers."""

    def destandardize(self, prediction: Tensor) -> Tensor:
        """The inverse of :meth:`standardize`."""


class Trusted(Protocol):
    """The labels of a batch as training weighs them."""

    def loss(self, numbers: Tensor, goal: Tensor) -> Tensor:
        """The noise model's loss of numbers (B, P) for standardised targets (B, K, D), a scalar."""

    def weight(self) -> Tensor | None:
        """The weight of each label (B, K), for a loss that is not a function of the residual; None where all are 1."""


@dataclass(frozen=True)
class Step:
    """The numbers and the loss of a batch.

    Args:
        numbers: (B, P), what noise models see; without gradient where the loss is not computed from them.
        loss: a scalar; None in validation where the loss is computed from the numbers of all batches at the end.
    """

    numbers: Tensor
    loss: Tensor | None


@dataclass(frozen=True)
class Output(ABC):
    """Base of all outputs, immutable descriptions."""

    name: ClassVar[str] = ""
    predicts_covariance: ClassVar[bool] = False  # numbers describe distributions; targets are whitened for them
    weighs_by_trust: ClassVar[bool] = False  # its loss is not the noise model's, so labels are weighted by their trust
    needs_points: ClassVar[bool] = False  # targets must be points in images
    own_units: ClassVar[bool] = False  # numbers are in the target's own units rather than standardised
    for_classes: ClassVar[bool] = False  # the targets are numbers of classes
    mirrors: ClassVar[bool] = True  # training may mirror images together with their points
    usual: ClassVar[Mapping[str, Any]] = {
        "noise": "gum",
        "protocol": "steady",
        "batch_size": 64,
        "size": 48,
        "channels": 1,
    }

    def __post_init__(self) -> None:
        check_options(self)

    def of(self, classes: Sequence[str]) -> Output:
        """The output for a table with these classes, none for points and numbers."""
        return self

    def n_outputs(self, points: int, dims: int) -> int:
        """The number of outputs P of the network for K targets of D coordinates."""
        return points * dims

    def initial_output(self, points: int, dims: int) -> Tensor | None:
        """What an untrained network should put out for every sample, (P,); None where it does not matter."""
        return None

    def start(self, network: nn.Module, points: int, dims: int) -> None:
        """Set the output layer of an untrained network."""
        start_output(network, self.initial_output(points, dims))

    def prediction(self, numbers: Tensor, dims: int) -> Tensor:
        """The predicted targets, (N, P) to (N, K, D)."""
        return numbers.reshape(len(numbers), numbers.shape[1] // dims, dims)

    def distribution(self, numbers: Tensor, dims: int) -> Elliptical | None:
        """The predicted distributions, of batch shape (N, K); None where numbers are positions only."""
        return None

    def believed(self, numbers: Tensor, target: Tensor) -> Tensor | None:
        """How probable each label is by the numbers themselves, (N, K); None where the noise model judges labels."""
        return None

    def raw(self, network: nn.Module, value: Tensor) -> Tensor:
        """What the network puts out for scaled inputs."""
        result: Tensor = network(value)
        return result

    def numbers(self, network: nn.Module, raw: Tensor) -> Tensor:
        """The numbers that noise models see, (N, P)."""
        return raw

    def criterion(self, epochs: int) -> nn.Module | None:
        """The output's loss for a training of ``epochs`` epochs; None where the noise model's is minimised."""
        return None

    @abstractmethod
    def step(self, model: Model, criterion: nn.Module | None, value: Tensor, goal: Tensor, labels: Trusted) -> Step:
        """The loss and numbers of a training batch.

        Args:
            model: the network that is trained.
            criterion: the result of :meth:`criterion`.
            value: raw inputs of B samples.
            goal: their targets in the numbers' units, (B, K, D).
            labels: how much each label counts.
        """

    @abstractmethod
    def held_out(self, model: Model, criterion: nn.Module | None, value: Tensor, goal: Tensor) -> Step:
        """The loss and numbers of a validation batch, every label counting in full."""


@dataclass(frozen=True)
class OwnLoss(Output):
    """Base of the outputs with another loss than the noise model's, in which labels are weighted by their trust.

    Args:
        loss: the name of the loss; a subclass declares the names.
    """

    weighs_by_trust: ClassVar[bool] = True
    own_units: ClassVar[bool] = True
    loss: str = ""

    @abstractmethod
    def takes(self, name: str) -> bool:
        """Whether an option of this output has an effect with its loss."""


@dataclass(frozen=True)
class Coordinates(Output):
    """Base of the outputs whose loss is the noise model's: the numbers are, or contain, coordinates."""

    def step(self, model: Model, criterion: nn.Module | None, value: Tensor, goal: Tensor, labels: Trusted) -> Step:
        numbers = model(value)
        return Step(numbers, labels.loss(numbers, goal))

    def held_out(self, model: Model, criterion: nn.Module | None, value: Tensor, goal: Tensor) -> Step:
        return Step(model(value), None)
