"""Networks by name, and where in a network its output is made."""

from __future__ import annotations

from functools import partial
from typing import Protocol

from torch import nn

from steadfit import _checks
from steadfit.networks.cifar import CifarResNet
from steadfit.networks.compact import CompactConvNet
from steadfit.networks.convnet import ConvNet
from steadfit.networks.heads import DepthwiseHead
from steadfit.networks.resnet import ResNet
from steadfit.outputs.layers import output_layer


class Builder(Protocol):
    """Builds a network for images; without ``head`` it has its usual head."""

    def __call__(
        self, in_channels: int, n_outputs: int, *, size: tuple[int, int] = ..., head: str = ...
    ) -> nn.Module: ...


NETWORKS: dict[str, Builder] = {
    "compact": CompactConvNet,
    "resnet18": partial(ResNet, 18),
    "resnet50": partial(ResNet, 50),
    "resnet101": partial(ResNet, 101),
    "resnet8": partial(CifarResNet, 8),
    "resnet20": partial(CifarResNet, 20),
    "resnet110": partial(CifarResNet, 110),
    "convnet": ConvNet,
}
"""The networks for images, by the name that settings and command line use."""


def first_step(name: str) -> float | None:
    """The largest step of AdamW that a network tolerates; None where the default protocol's step works."""
    return getattr(_class_of(name), "first_step", None)


def in_grey_levels(name: str) -> bool:
    """Whether a network takes images in grey levels, 0 to 255, less the training set's mean."""
    return bool(getattr(_class_of(name), "grey_levels", False))


def _class_of(name: str) -> object:
    builder = NETWORKS.get(name)
    return builder.func if isinstance(builder, partial) else builder


def build_network(
    name: str, in_channels: int, n_outputs: int, *, size: tuple[int, int], head: str | None = None
) -> nn.Module:
    """The network for images with a given name.

    Args:
        name: a key of :data:`NETWORKS`.
        in_channels: 1 for grey, 3 for colour.
        n_outputs: numbers to regress.
        size: (height, width) in pixels.
        head: ``"depthwise"``, ``"average"``, ``"flatten"``; None for the network's usual one (``"flatten"`` for compact
            and convnet, ``"average"`` for ResNet-8, -20 and -110, ``"depthwise"`` for the other ResNets).

    Raises:
        ValueError: a name or head that does not exist.

    >>> build_network("compact", 1, 10, size=(32, 32)).head[-1]
    Linear(in_features=128, out_features=10, bias=True)
    """
    _checks.one_of("build_network", "name", name, NETWORKS)
    if head is None:
        return NETWORKS[name](in_channels, n_outputs, size=size)
    return NETWORKS[name](in_channels, n_outputs, size=size, head=head)


def head_parameters(network: nn.Module, n_outputs: int) -> list[nn.Parameter]:
    """The parameters that are trained alone in the first epochs: the depthwise head, if any, and the output layer.

    These start at random while the rest may be pre-trained, which their first, large steps must not spoil. Batch norms
    are not among them; keep the rest in evaluation mode, or its running statistics move nonetheless.

    Args:
        network: any network.
        n_outputs: the number of its outputs, by which the output layer is found.

    Returns:
        The parameters, each once; empty for a network with neither.

    References:
        Mohlin et al., BMVC 2021, section 4.1 (three epochs, weight decay .1 on them).

    >>> [tuple(p.shape) for p in head_parameters(ResNet(18, 3, 10, size=(64, 64), width=8), 10)]
    [(64, 1, 2, 2), (10, 64), (10,)]
    """
    parts: list[nn.Module] = [part for part in network.modules() if isinstance(part, DepthwiseHead)]
    output = output_layer(network, n_outputs)
    return [parameter for part in [*parts, *([] if output is None else [output])] for parameter in part.parameters()]
