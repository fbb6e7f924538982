"""CIFAR's ResNets: counts, shapes, the parameter-free shortcut; outputs and gradients against a functional twin."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from steadfit.networks import HEADS, AveragePool, CifarResNet, build_network, head_parameters
from steadfit.outputs import output_layer

pytestmark = pytest.mark.usefixtures("float64")

DEPTHS = (8, 20, 32, 44, 56, 110)
ROUNDED = {20: 0.27, 32: 0.46, 44: 0.66, 56: 0.85, 110: 1.7}  # He et al., Table 6, millions


def expected_count(depth: int, classes: int) -> int:
    """Weights of 3x3 convolutions, two numbers a batch-norm channel, and the output layer."""
    n, before, total = (depth - 2) // 6, 3, 0
    layers = [16] + [width for width in (16, 32, 64) for _ in range(2 * n)]
    for after in layers:
        total += 9 * before * after + 2 * after
        before = after
    return total + 64 * classes + classes


@pytest.mark.parametrize("depth", DEPTHS)
def test_the_number_of_parameters(depth: int) -> None:
    with torch.device("meta"):
        network = CifarResNet(depth, 3, 10)
    count = sum(p.numel() for p in network.parameters())
    assert count == expected_count(depth, 10)
    assert count == {8: 75_290, 20: 269_722, 110: 1_727_962}.get(depth, count)
    if depth in ROUNDED:
        assert abs(count / 1e6 - ROUNDED[depth]) <= (0.05 if depth == 110 else 0.0051)
    weighted = [part for part in network.modules() if isinstance(part, nn.Conv2d | nn.Linear)]
    assert len(weighted) == depth


def twin(network: CifarResNet, image: Tensor) -> Tensor:
    """The same network in evaluation mode, written as one loop over its state dict."""
    state = network.state_dict()

    def conv(value: Tensor, name: str, stride: int = 1) -> Tensor:
        norm = name.replace("conv", "bn")
        value = F.conv2d(value, state[f"{name}.weight"], stride=stride, padding=1)
        mean, var = state[f"{norm}.running_mean"], state[f"{norm}.running_var"]
        scale = state[f"{norm}.weight"] / (var + 1e-5).sqrt()
        return (value - mean[:, None, None]) * scale[:, None, None] + state[f"{norm}.bias"][:, None, None]

    value = conv(image, "conv1").clamp(min=0)
    for stage in (1, 2, 3):
        for block in range((network.depth - 2) // 6):
            stride = 2 if stage > 1 and block == 0 else 1
            name = f"layer{stage}.{block}"
            change = conv(conv(value, f"{name}.conv1", stride).clamp(min=0), f"{name}.conv2")
            if stride == 2:
                short = torch.zeros_like(change)
                short[:, : value.shape[1]] = value[:, :, ::2, ::2]
                value = short
            value = (value + change).clamp(min=0)
    return value.mean((2, 3)) @ state["fc.weight"].T + state["fc.bias"]


@pytest.mark.parametrize(("depth", "size"), [(8, (32, 32)), (20, (32, 32)), (8, (13, 18))])
def test_it_is_its_twin(depth: int, size: tuple[int, int]) -> None:
    network = CifarResNet(depth, 3, 7, size=size)
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias, std=0.1)
            part.running_mean.normal_(std=0.1)  # type: ignore[union-attr]
            part.running_var.uniform_(0.5, 2.0)  # type: ignore[union-attr]
    image = torch.randn(3, 3, *size)
    torch.testing.assert_close(network.eval()(image), twin(network, image), rtol=1e-10, atol=1e-10)


def test_the_shortcut_has_no_parameters() -> None:
    network = CifarResNet(8, 1, 2)
    block = network.layer2[0]
    names = {name.split(".")[0] for name, _ in block.named_parameters()}
    assert names == {"conv1", "bn1", "conv2", "bn2"}
    with torch.no_grad():
        block.bn2.weight.zero_()  # the block is its shortcut alone
    value = torch.rand(2, 16, 6, 5)
    got = block(value)
    assert torch.equal(got[:, :16], value[:, :, ::2, ::2])
    assert not got[:, 16:].any()


def test_a_batch_is_stacked_rows_and_gradients_reach_everything() -> None:
    network = CifarResNet(8, 3, 5).eval()
    image = torch.randn(4, 3, 32, 32)
    torch.testing.assert_close(network(image), torch.cat([network(one[None]) for one in image]), rtol=1e-9, atol=1e-9)
    network.train()
    F.cross_entropy(network(image), torch.arange(4)).backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in network.parameters())


def test_the_start() -> None:
    """He et al., ICCV 2015: deviation sqrt(2 / (9 channels out)); a normal sample's deviation is off by 1/sqrt(2n)."""
    network = CifarResNet(20, 3, 10)
    for part in network.modules():
        if isinstance(part, nn.Conv2d):
            expected = math.sqrt(2 / (9 * part.out_channels))
            assert abs(float(part.weight.detach().std()) / expected - 1) < 5 / math.sqrt(2 * part.weight.numel())


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("size", [(32, 32), (30, 21)])
def test_every_head(head: str, size: tuple[int, int]) -> None:
    network = build_network("resnet8", 3, 6, size=size, head=head)
    assert network(torch.rand(2, 3, *size)).shape == (2, 6)
    layer = output_layer(network, 6)
    assert layer is network.fc
    assert head_parameters(network, 6)[-1] is network.fc.bias


def test_names_and_their_own_head() -> None:
    for name, depth in (("resnet8", 8), ("resnet20", 20), ("resnet110", 110)):
        with torch.device("meta"):
            network = build_network(name, 3, 10, size=(32, 32))
        assert isinstance(network, CifarResNet)
        assert network.depth == depth
        assert isinstance(network.pool, AveragePool)
    assert CifarResNet(8, 3, 4)(torch.rand(2, 3, 50, 40)).shape == (2, 4)  # with the average any size will do


@pytest.mark.parametrize("depth", [2, 9, 18, -4])
def test_a_depth_that_there_is_not(depth: int) -> None:
    with pytest.raises(ValueError, match=rf"CifarResNet: expected depth 6n \+ 2 .* got {depth}"):
        CifarResNet(depth, 3, 10)
    with pytest.raises(ValueError, match=r"CifarResNet: expected size >= 1, got \(0, 4\)"):
        CifarResNet(8, 3, 10, size=(0, 4))
