"""The default network for tables."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class MLP(nn.Module):
    """Fully connected layers with batch norm and ReLU.

    Args:
        n_inputs: the number of features.
        n_outputs: numbers to regress.
        widths: units of the hidden layers.

    Call:
        features: (N, n_inputs).

    Returns:
        (N, n_outputs).
    """

    def __init__(self, n_inputs: int, n_outputs: int, *, widths: Sequence[int] = (128, 128)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in zip((n_inputs, *widths), widths, strict=False):
            layers += [nn.Linear(before, after, bias=False), nn.BatchNorm1d(after), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear((n_inputs, *widths)[-1], n_outputs))

    def forward(self, features: Tensor) -> Tensor:
        result: Tensor = self.layers(features)
        return result
