"""The networks: shapes, sizes, costs, repeatability."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from steadfit.networks import MLP, CompactConvNet


def multiply_adds(network: nn.Module, value: torch.Tensor) -> int:
    """Counted from the layers' shapes."""
    found = []

    def count(module: nn.Module, _: object, output: torch.Tensor) -> None:
        if isinstance(module, nn.Conv2d):
            found.append(output[0].numel() * module.in_channels * module.kernel_size[0] * module.kernel_size[1])
        if isinstance(module, nn.Linear):
            found.append(module.in_features * module.out_features)

    for module in network.modules():
        module.register_forward_hook(count)
    network.eval()(value)
    return sum(found)


@pytest.mark.parametrize("size", [(48, 48), (47, 33), (96, 64), (5, 17)])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_compact_network_takes_any_size(size: tuple[int, int], channels: int) -> None:
    network = CompactConvNet(channels, 10, size=size).eval()
    assert network(torch.rand(2, channels, *size)).shape == (2, 10)


def test_the_compact_network_costs_about_two_million_multiply_adds() -> None:
    cost = multiply_adds(CompactConvNet(1, 10), torch.zeros(1, 1, 48, 48))
    assert 1.8e6 < cost < 2.5e6


def test_widths_and_hidden_units() -> None:
    network = CompactConvNet(1, 4, size=(16, 16), widths=(2, 3), hidden=5)
    assert [tuple(p.shape) for p in network.parameters() if p.dim() == 4] == [(2, 1, 3, 3), (3, 2, 3, 3)]
    assert network(torch.rand(3, 1, 16, 16)).shape == (3, 4)
    assert MLP(3, 2, widths=())(torch.rand(4, 3)).shape == (4, 2)


def test_the_mlp() -> None:
    network = MLP(7, 3, widths=(16, 8)).eval()
    assert network(torch.rand(5, 7)).shape == (5, 3)
    assert [tuple(p.shape) for p in network.parameters() if p.dim() == 2] == [(16, 7), (8, 16), (3, 8)]


@pytest.mark.parametrize("build", [lambda: CompactConvNet(1, 4, size=(16, 16)), lambda: MLP(256, 4)])
def test_a_seed_gives_a_network(build: object) -> None:
    states = []
    for _ in range(2):
        torch.manual_seed(3)
        states.append(build().state_dict())  # type: ignore[operator]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize("network", [CompactConvNet(1, 4, size=(16, 16)), MLP(256, 4)])
def test_a_sample_is_predicted_alike_alone_and_in_a_batch(network: nn.Module) -> None:
    value = torch.rand(6, 1, 16, 16) if isinstance(network, CompactConvNet) else torch.rand(6, 256)
    network.eval()
    torch.testing.assert_close(network(value)[2:3], network(value[2:3]), rtol=1e-5, atol=1e-6)
    network.train()
    network(value).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
