"""Networks by name; the layer that puts out the numbers; what is trained alone at first."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from steadfit.networks import (
    HEADS,
    MLP,
    NETWORKS,
    AveragePool,
    CompactConvNet,
    DepthwiseHead,
    ResNet,
    build_network,
    head_parameters,
)
from steadfit.outputs import output_layer


def test_the_names_and_their_own_heads() -> None:
    assert list(NETWORKS)[:7] == ["compact", "resnet18", "resnet50", "resnet101", "resnet8", "resnet20", "resnet110"]
    with torch.device("meta"):
        built = {name: build_network(name, 1, 6, size=(64, 48)) for name in NETWORKS}
    assert isinstance(built["compact"], CompactConvNet)
    assert isinstance(built["compact"].pool, nn.Flatten)
    for name in ("resnet18", "resnet50", "resnet101"):
        assert isinstance(built[name], ResNet)
        assert built[name].depth == int(name[6:])
        assert isinstance(built[name].pool, DepthwiseHead)
        assert built[name].pool.size == (2, 2)


@pytest.mark.parametrize("name", ["compact", "resnet18"])
@pytest.mark.parametrize("head", HEADS)
def test_every_network_takes_every_head(name: str, head: str) -> None:
    kinds = {"depthwise": DepthwiseHead, "average": AveragePool, "flatten": nn.Flatten}
    network = build_network(name, 3, 6, size=(40, 64), head=head)
    assert isinstance(network.pool, kinds[head])
    assert network(torch.rand(2, 3, 40, 64)).shape == (2, 6)


def test_what_there_is_not() -> None:
    with pytest.raises(ValueError, match="expected name to be one of 'compact', 'resnet18', .* got 'vgg16'"):
        build_network("vgg16", 1, 2, size=(48, 48))
    with pytest.raises(ValueError, match="expected head to be one of 'depthwise', 'average', 'flatten', got 'sum'"):
        build_network("compact", 1, 2, size=(48, 48), head="sum")


@pytest.mark.parametrize("name", ["compact", "resnet18", "resnet50"])
@pytest.mark.parametrize("head", [None, "depthwise", "average"])
def test_the_output_layer_decides_the_start(name: str, head: str | None) -> None:
    """With weight 0 every image gets the bias, and the first gradient is the output layer's."""
    network = build_network(name, 1, 6, size=(32, 32), head=head)
    layer = output_layer(network, 6)
    assert layer is not None
    nn.init.zeros_(layer.weight)
    layer.bias.data = torch.arange(6.0)
    output = network(torch.rand(4, 1, 32, 32))
    assert torch.equal(output, torch.arange(6.0).expand(4, 6))
    output.square().sum().backward()
    assert float(layer.weight.grad.abs().sum()) > 0
    assert all(bool(p.grad.isfinite().all()) for p in network.parameters())


def test_the_output_layer_of_other_modules() -> None:
    mlp = MLP(7, 3, widths=(3, 3))
    assert output_layer(mlp, 3) is mlp.layers[-1]
    assert output_layer(mlp, 4) is None
    last = nn.Linear(8, 2)
    nested = nn.Sequential(nn.Linear(4, 2), nn.ReLU(), nn.Sequential(nn.Linear(2, 8), nn.Sequential(last)), nn.Tanh())
    assert output_layer(nested, 2) is last
    assert output_layer(nn.Linear(3, 2), 2) is not None
    assert output_layer(nn.Conv2d(1, 2, 3), 2) is None


def test_what_is_trained_alone_at_first() -> None:
    network = build_network("resnet18", 1, 6, size=(64, 64))
    expected = [network.pool.weight, network.fc.weight, network.fc.bias]
    assert [id(p) for p in head_parameters(network, 6)] == [id(p) for p in expected]
    average = build_network("resnet18", 1, 6, size=(64, 64), head="average")
    assert [id(p) for p in head_parameters(average, 6)] == [id(average.fc.weight), id(average.fc.bias)]
    compact = build_network("compact", 1, 6, size=(48, 48), head="depthwise")
    expected = [compact.pool.weight, *compact.head[2].parameters()]
    assert [id(p) for p in head_parameters(compact, 6)] == [id(p) for p in expected]
    mlp = MLP(7, 3)
    assert [id(p) for p in head_parameters(mlp, 3)] == [id(p) for p in mlp.layers[-1].parameters()]
    assert head_parameters(mlp, 5) == []
