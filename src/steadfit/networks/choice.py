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


class Builder(Protocol):
    """Builds a network for images; without ``head`` it has the head that is its own."""

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


GREY_LEVELS = frozenset({"convnet"})
"""Networks that take images in grey levels, 0 to 255, less the training set's mean: their first weights are made for
inputs of that size, and next to nothing of smaller ones would reach their end."""

STEPS = {"convnet": 3e-4}
"""The largest step of AdamW that a network stands, where the default protocol's is too large for it."""


def build_network(
    name: str, in_channels: int, n_outputs: int, *, size: tuple[int, int], head: str | None = None
) -> nn.Module:
    """The network for images of that name.

    Args:
        name: a key of :data:`NETWORKS`.
        in_channels: 1 for grey, 3 for colour. n_outputs: numbers to regress. size: (height, width) in pixels.
        head: ``"depthwise"``, ``"average"``, ``"flatten"``; None for the network's own (``"flatten"`` for compact and
            convnet, ``"average"`` for ResNet-8, -20 and -110, ``"depthwise"`` for the other ResNets).

    Raises:
        ValueError: a name or head that there isn't.

    >>> build_network("compact", 1, 10, size=(32, 32)).head[-1]
    Linear(in_features=128, out_features=10, bias=True)
    """
    _checks.one_of("build_network", "name", name, NETWORKS)
    if head is None:
        return NETWORKS[name](in_channels, n_outputs, size=size)
    return NETWORKS[name](in_channels, n_outputs, size=size, head=head)


def output_layer(network: nn.Module, n_outputs: int) -> nn.Linear | None:
    """The linear layer that puts out a network's ``n_outputs`` numbers; None where there is none.

    The last ``nn.Linear`` with so many outputs, in the order in which the network's parts were assigned: for a module
    of the user's own this is a guess, right where its last layer is assigned last. It may lack a bias.

    >>> output_layer(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)), 2)
    Linear(in_features=8, out_features=2, bias=True)
    """
    layers = [part for part in network.modules() if isinstance(part, nn.Linear) and part.out_features == n_outputs]
    return layers[-1] if layers else None


def head_parameters(network: nn.Module, n_outputs: int) -> list[nn.Parameter]:
    """What is trained alone in the first epochs: the depthwise head, if there is one, and the output layer.

    These start from nothing while the rest may be pre-trained: their first, large steps shall not spoil it. Batch
    norms are no part of it; keep the rest in evaluation mode, or its running statistics move nonetheless.

    Returns:
        The parameters, each once; empty for a network with neither.

    References: Mohlin et al., BMVC 2021, section 4.1 (three epochs, weight decay .1 on them).

    >>> [tuple(p.shape) for p in head_parameters(ResNet(18, 3, 10, size=(64, 64), width=8), 10)]
    [(64, 1, 2, 2), (10, 64), (10,)]
    """
    parts: list[nn.Module] = [part for part in network.modules() if isinstance(part, DepthwiseHead)]
    output = output_layer(network, n_outputs)
    return [parameter for part in [*parts, *([] if output is None else [output])] for parameter in part.parameters()]
