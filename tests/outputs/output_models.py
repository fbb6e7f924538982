"""A model and labels for tests of outputs, in which nothing is learned."""

from __future__ import annotations

from torch import Tensor, nn

from steadfit.outputs import Output


class Identity:
    """A model whose inputs are what its network puts out, in the targets' own units."""

    def __init__(self, output: Output, network: nn.Module | None = None) -> None:
        self.output, self.network = output, nn.Identity() if network is None else network

    def raw(self, value: Tensor) -> Tensor:
        return self.output.raw(self.network, value)

    def __call__(self, value: Tensor) -> Tensor:
        return self.output.numbers(self.network, self.raw(value))

    def standardize(self, target: Tensor) -> Tensor:
        return target

    destandardize = standardize


class Weighed:
    """Labels with given weights; their loss is the weighted sum of absolute residuals."""

    def __init__(self, weight: Tensor | None = None) -> None:
        self._weight = weight

    def loss(self, numbers: Tensor, goal: Tensor) -> Tensor:
        return (goal.flatten(1) - numbers).abs().nansum()

    def weight(self) -> Tensor | None:
        return self._weight
