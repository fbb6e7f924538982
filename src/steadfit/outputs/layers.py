"""The output layer of a network, and what it puts out before it is trained."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def output_layer(network: nn.Module, n_outputs: int) -> nn.Linear | None:
    """The linear layer that puts out a network's ``n_outputs`` numbers; None where there is none.

    It is the last ``nn.Linear`` with that number of outputs, in the order in which the network's parts were assigned:
    for a custom module this is a guess, right where its last layer is assigned last. It may lack a bias.

    >>> output_layer(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)), 2)
    Linear(in_features=8, out_features=2, bias=True)
    """
    layers = [part for part in network.modules() if isinstance(part, nn.Linear) and part.out_features == n_outputs]
    return layers[-1] if layers else None


def start_output(network: nn.Module, output: Tensor | None) -> None:
    """Make an untrained network put out the same numbers (P,) for every sample, through its last linear layer."""
    layer = None if output is None else output_layer(network, len(output))
    if output is not None and layer is not None and layer.bias is not None:
        nn.init.zeros_(layer.weight)
        with torch.no_grad():
            layer.bias.copy_(output)
