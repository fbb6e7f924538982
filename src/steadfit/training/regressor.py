"""The regressor, which a run stores: the network between the scaling of its inputs and the units of its targets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from steadfit.data import LabelledDataset, Standardizer
from steadfit.data.standardize import destandardize, standardize
from steadfit.data.tables.schema import Schema
from steadfit.networks import (
    HEATMAP_NETWORKS,
    IMAGENET_DEVIATION,
    IMAGENET_MEAN,
    MLP,
    build_network,
    in_grey_levels,
    load_weights,
)
from steadfit.networks.hourglass import prior_logit
from steadfit.outputs import HeatmapReader, Heatmaps, Output, output_layer
from steadfit.training.folder import MODEL
from steadfit.training.settings import Settings
from steadfit.training.trainer import some_rows


class Exact(nn.Module):
    """A module whose own buffers stay float64 when it is cast, so that no digits of offsets and scales are lost.

    ``.float()``, ``.to(torch.bfloat16)`` and Lightning's precisions cast its submodules and leave these buffers.
    Apple's MPS has no float64: there they are float32, as the inputs are, and a value's offset should be less than 1e5
    times its spread.
    """

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Exact:
        own = {id(buffer) for buffer in self._buffers.values()}

        def apply(value: Tensor) -> Tensor:
            return _moved(fn, value) if id(value) in own else fn(value)

        super()._apply(apply, recurse)  # type: ignore[no-untyped-call]
        return self


def _moved(fn: Callable[[Tensor], Tensor], value: Tensor) -> Tensor:
    """A buffer moved by ``fn``, in float64 wherever the device has it."""
    try:
        moved = fn(value)
        return moved if moved.dtype == torch.float64 else value.to(moved.device, torch.float64)
    except TypeError:  # MPS
        return fn(value.float())


def _exact(value: Tensor) -> Tensor:
    return value.float() if value.device.type == "mps" else value.double()


class InputScaling(Exact):
    """(input - mean)/deviation per channel or feature; images of 0..255 are taken as 0..1.

    Features are scaled in float64, pixels, which have 8 bits, in float32; both results are float32.

    Args:
        mean: (C,) or (F,).
        deviation: (C,) or (F,); 0 counts as 1.
        images: whether the inputs are images.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, mean: Tensor, deviation: Tensor, *, images: bool) -> None:
        super().__init__()
        self.images = images
        self.register_buffer("mean", mean.double())
        self.register_buffer("deviation", torch.where(deviation > 0, deviation, 1.0).double())

    def forward(self, value: Tensor) -> Tensor:
        if not self.images:
            return ((_exact(value) - self.mean) / self.deviation).float()
        shape = (1, -1, *[1] * (value.dim() - 2))
        return (value.float() / 255 - self.mean.float().view(shape)) / self.deviation.float().view(shape)


class Regressor(Exact):
    """Input scaling, network, output, and the way back to the frame's units.

    The network computes in its own dtype, usually float32; on both sides of it units are changed in float64.

    Args:
        network: the module from scaled inputs to the output's numbers, or to what the output makes them from.
        inputs: the scaling of raw inputs.
        targets: the units of the numbers.
        output: what the numbers mean.
    """

    center: Tensor
    scale: Tensor

    def __init__(self, network: nn.Module, inputs: InputScaling, targets: Standardizer, output: Output) -> None:
        super().__init__()
        self.network, self.inputs, self.output = network, inputs, output
        self.register_buffer("center", targets.center.double())
        self.register_buffer("scale", targets.scale.double())

    @property
    def dims(self) -> int:
        """D, the coordinates of a target."""
        return int(self.center.shape[1])

    @property
    def dtype(self) -> torch.dtype:
        """The dtype in which the network computes; float32 for one without parameters."""
        return next((p.dtype for p in self.network.parameters() if p.is_floating_point()), torch.float32)

    def raw(self, value: Tensor) -> Tensor:
        """What the network itself returns: the numbers, or the heatmaps (N, S, K, h, w) from which they are read."""
        return self.output.raw(self.network, self.inputs(value).to(self.dtype))

    def forward(self, value: Tensor) -> Tensor:
        """The output's numbers (N, P), in standardised units."""
        return self.output.numbers(self.network, self.raw(value))

    def standardize(self, target: Tensor) -> Tensor:
        """Targets (B, K, D) of the frame in standardised units: float32, or float64 for a network in float64."""
        return standardize(_exact(target), self.center, self.scale).to(torch.promote_types(self.dtype, torch.float32))

    def destandardize(self, prediction: Tensor) -> Tensor:
        """Predictions (B, K, D) in the frame's units, in float64."""
        return destandardize(_exact(prediction), self.center, self.scale)


def build_regressor(
    train: LabelledDataset, settings: Settings, output: Output, network: nn.Module | None = None
) -> Regressor:
    """The untrained regressor of a run, with both scalings measured on the training set.

    Args:
        train: the training set.
        settings: the settings with its size, channels, weights and, without ``network``, the network's name.
        output: what the numbers mean.
        network: a module of your own, started in place.
    """
    schema = train.annotations.schema
    inputs = input_scaling(train, settings.weights, settings.network)
    if network is None:
        network = named_network(inputs, settings, output, schema, train.size)
    if not _loaded_output(network, settings.weights, output.n_outputs(schema.n_targets, schema.dims)):
        output.start(network, schema.n_targets, schema.dims)
    return Regressor(network, inputs, _standardizer(train.target, output), output)


def named_network(
    inputs: InputScaling, settings: Settings, output: Output, schema: Schema, size: tuple[int, int]
) -> nn.Module:
    """The network that the settings name: by default a compact ConvNet for images, an MLP for features.

    A heatmap network comes with its reader.

    Args:
        inputs: the scaling of its inputs.
        settings: the settings with its name.
        output: what the numbers mean.
        schema: what the table's columns mean.
        size: (height, width) of its input in px.
    """
    channels, n_outputs = len(inputs.mean), output.n_outputs(schema.n_targets, schema.dims)
    if not inputs.images:
        return MLP(channels, n_outputs)
    name = "compact" if settings.network == "default" else settings.network
    if isinstance(output, Heatmaps):
        score = output.choice.score
        start = 0.0 if score == "linear" else prior_logit(size, output.sigma)
        maps = HEATMAP_NETWORKS[name](channels, schema.n_targets, size=size, start=start)
        return HeatmapReader(maps, decoding=output.decoding, score=score, sigma=output.sigma)
    head = None if settings.head == "auto" else settings.head
    return build_network(name, channels, n_outputs, size=size, head=head)


def input_scaling(train: LabelledDataset, weights: str | None = None, network: str = "default") -> InputScaling:
    """Mean and deviation per feature over all training samples, or per channel over :func:`some_rows` of them.

    Args:
        train: the training set.
        weights: the weights from which the network starts; where they are not a run's, the scaling is ImageNet's.
        network: the network's name; networks in grey levels subtract the mean alone.
    """
    rows = list(range(len(train))) if train.annotations.images is None else some_rows(len(train), train.seed)
    sample: Tensor = train.without_augment().__getitems__(rows)["input"]
    images = sample.dtype == torch.uint8
    if images and weights is not None and not Path(weights).is_dir():
        mean, deviation = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_DEVIATION)
        grey = train.channels == 1
        return InputScaling(*(v.mean(0, keepdim=True) if grey else v for v in (mean, deviation)), images=True)
    value = sample.double() / 255 if images else sample.double()
    axes = [0, *range(2, value.dim())]
    mean, deviation = value.mean(axes), value.std(axes)
    if images and in_grey_levels(network):
        deviation = torch.full_like(deviation, 1 / 255)
    return InputScaling(mean, deviation, images=images)


def _standardizer(target: Tensor, output: Output) -> Standardizer:
    """The units of the network's numbers."""
    if output.own_units:
        return Standardizer.identity(*target.shape[1:])
    return (Standardizer.whiten if output.predicts_covariance else Standardizer.fit)(target)


def _loaded_output(network: nn.Module, weights: str | None, n_outputs: int) -> bool:
    """Load weights, if there are any, and return whether the output layer is among them."""
    if weights is None:
        return False
    run = Path(weights).is_dir()
    path = Path(weights) / MODEL if run else weights
    loaded = load_weights(network, path, prefix="network." if run else "")
    output = output_layer(network, n_outputs)
    names = [name for name, part in network.named_modules() if part is output]
    return bool(names) and f"{names[0]}.weight" in loaded.loaded
