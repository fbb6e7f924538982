"""The ResNets: names, shapes, counts, starting values; outputs and gradients against a functional twin."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from steadfit.networks import DepthwiseHead, ResNet

pytestmark = pytest.mark.usefixtures("float64")

PARAMETERS = {18: 11_689_512, 50: 25_557_032, 101: 44_549_160}
ENTRIES = {18: 122, 50: 320, 101: 626}
BLOCKS = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}


def published(depth: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of torchvision's state dict, written from its naming rules."""
    shapes: dict[str, tuple[int, ...]] = {}

    def convolution(name: str, norm: str, after: int, before: int, side: int) -> None:
        shapes[f"{name}.weight"] = (after, before, side, side)
        for entry in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{norm}.{entry}"] = (after,)
        shapes[f"{norm}.num_batches_tracked"] = ()

    convolution("conv1", "bn1", 64, 3, 7)
    before = 64
    for stage, count in enumerate(BLOCKS[depth]):
        inner = 64 * 2**stage
        after = inner if depth == 18 else 4 * inner
        for block in range(count):
            name = f"layer{stage + 1}.{block}"
            sides = [(inner, before, 3), (inner, inner, 3)]
            if depth != 18:
                sides = [(inner, before, 1), (inner, inner, 3), (after, inner, 1)]
            for i, (out, into, side) in enumerate(sides, 1):
                convolution(f"{name}.conv{i}", f"{name}.bn{i}", out, into, side)
            if before != after:
                convolution(f"{name}.downsample.0", f"{name}.downsample.1", after, before, 1)
            before = after
    return shapes | {"fc.weight": (1000, before), "fc.bias": (1000,)}


@pytest.mark.parametrize("depth", PARAMETERS)
def test_names_shapes_and_counts_are_the_published_ones(depth: int) -> None:
    with torch.device("meta"):
        network = ResNet(depth, 3, 1000, head="average")
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    assert shapes == published(depth)
    assert len(shapes) == ENTRIES[depth]
    assert sum(p.numel() for p in network.parameters()) == PARAMETERS[depth]


@pytest.mark.parametrize(("depth", "channels"), [(18, 512), (50, 2048)])
def test_the_depthwise_head_adds_49_weights_a_channel(depth: int, channels: int) -> None:
    with torch.device("meta"):
        network = ResNet(depth, 3, 1000)
    assert tuple(network.state_dict()["pool.weight"].shape) == (channels, 1, 7, 7)
    assert sum(p.numel() for p in network.parameters()) == PARAMETERS[depth] + 49 * channels


def twin(state: dict[str, Tensor], image: Tensor, *, training: bool) -> Tensor:
    """The network as a function of its state dict: shapes of its blocks are read from the names in it."""

    def norm(name: str, value: Tensor) -> Tensor:
        mean, variance = state[f"{name}.running_mean"], state[f"{name}.running_var"]
        if training:
            mean = value.mean(dim=(0, 2, 3))
            variance = (value - mean.view(-1, 1, 1)).square().mean(dim=(0, 2, 3))
        factor = state[f"{name}.weight"] / (variance + 1e-5).sqrt()
        return (value - mean.view(-1, 1, 1)) * factor.view(-1, 1, 1) + state[f"{name}.bias"].view(-1, 1, 1)

    def convolution(name: str, value: Tensor, stride: int) -> Tensor:
        """As a matrix product over patches."""
        weight = state[f"{name}.weight"]
        side = weight.shape[-1]
        patches = F.unfold(value, side, padding=side // 2, stride=stride)  # (N, C side², positions)
        height, width = ((n - 1) // stride + 1 for n in value.shape[-2:])
        return (weight.flatten(1) @ patches).view(len(value), -1, height, width)

    value = norm("bn1", convolution("conv1", image, 2)).clamp(min=0)
    value = F.pad(value, (1, 1, 1, 1)).unfold(2, 3, 2).unfold(3, 3, 2).amax(dim=(-2, -1))  # zeros: after a ReLU
    blocks = sorted({tuple(map(int, n[5:].split(".")[:2])) for n in state if n.startswith("layer")})
    for stage, block in blocks:
        name = f"layer{stage}.{block}"
        stride = 2 if stage > 1 and block == 0 else 1
        bottleneck = f"{name}.conv3.weight" in state
        change = convolution(f"{name}.conv1", value, 1 if bottleneck else stride)
        change = norm(f"{name}.bn1", change).clamp(min=0)
        change = norm(f"{name}.bn2", convolution(f"{name}.conv2", change, stride if bottleneck else 1))
        if bottleneck:
            change = norm(f"{name}.bn3", convolution(f"{name}.conv3", change.clamp(min=0), 1))
        if f"{name}.downsample.0.weight" in state:
            value = norm(f"{name}.downsample.1", convolution(f"{name}.downsample.0", value, stride))
        value = (value + change).clamp(min=0)
    pooled = (value * state["pool.weight"][:, 0]).sum(dim=(-2, -1)) if "pool.weight" in state else value.mean((-2, -1))
    return pooled @ state["fc.weight"].T + state["fc.bias"]


def shaken(network: nn.Module) -> nn.Module:
    """Every tensor drawn anew, so that no starting value hides a mistake."""
    for name, value in network.state_dict().items():
        if name.endswith(("running_var", "bn1.weight", "bn2.weight", "bn3.weight", "downsample.1.weight")):
            value.uniform_(0.5, 1.5)
        elif value.dim() < 2 and value.is_floating_point():
            value.normal_(std=0.3)
    if isinstance(network.pool, DepthwiseHead):
        nn.init.normal_(network.pool.weight)
    return network


@pytest.mark.parametrize("depth", [18, 50, 101])
@pytest.mark.parametrize("size", [(64, 64), (39, 70)])
@pytest.mark.parametrize(("head", "channels"), [("depthwise", 1), ("average", 3)])
def test_the_output_equals_the_twin(depth: int, size: tuple[int, int], head: str, channels: int) -> None:
    network = shaken(ResNet(depth, channels, 7, size=size, head=head, width=4)).eval()
    image = torch.randn(2, channels, *size)
    expected = twin(network.state_dict(), image, training=False)
    torch.testing.assert_close(network(image), expected, rtol=1e-9, atol=1e-9 * float(expected.detach().abs().max()))


@pytest.mark.parametrize("depth", [18, 50])
def test_gradients_in_training_equal_the_twin(depth: int) -> None:
    network = shaken(ResNet(depth, 3, 5, size=(64, 33), width=4)).train()
    image = torch.randn(6, 3, 64, 33)
    state = network.state_dict() | {n: p.detach().clone().requires_grad_() for n, p in network.named_parameters()}
    (network(image).square().mean() / 1e3).backward()
    (twin(state, image, training=True).square().mean() / 1e3).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None
        scale = max(float(parameter.grad.abs().max()), 1e-6)  # sums over many values: relative to the largest
        torch.testing.assert_close(parameter.grad, state[name].grad, rtol=0, atol=1e-7 * scale)


def test_flatten_keeps_every_cell() -> None:
    network = ResNet(18, 1, 3, size=(64, 96), head="flatten", width=4)
    assert network.fc.in_features == 32 * 2 * 3
    assert network(torch.rand(2, 1, 64, 96)).shape == (2, 3)


@pytest.mark.parametrize(("side", "cells"), [(32, 1), (33, 2), (64, 2), (224, 7), (1, 1)])
def test_the_last_map_is_a_thirty_second_rounded_up(side: int, cells: int) -> None:
    network = ResNet(18, 1, 4, size=(side, 2 * side), width=2).eval()
    assert network.pool.size == (cells, math.ceil(side / 16))
    image = torch.rand(3, 1, side, 2 * side)
    assert network(image).shape == (3, 4)
    torch.testing.assert_close(network(image)[1:2], network(image[1:2]), rtol=1e-9, atol=1e-9)


def test_the_starting_values() -> None:
    network = ResNet(50, 3, 10, size=(64, 64), width=16)
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.out_channels * module.kernel_size[0] ** 2
            ratio = float(module.weight.detach().square().mean()) * fan_out / 2
            assert ratio == pytest.approx(1, abs=6 * math.sqrt(2 / module.weight.numel())), name  # six deviations
            assert module.bias is None
        if isinstance(module, nn.BatchNorm2d):
            assert bool((module.weight == 1).all())
            assert bool((module.bias == 0).all())
    bound = 1 / math.sqrt(network.fc.in_features)
    assert 0.9 * bound < float(network.fc.weight.detach().abs().max()) <= bound


def test_a_seed_gives_a_network() -> None:
    states = []
    for _ in range(2):
        torch.manual_seed(3)
        states.append(ResNet(18, 1, 4, size=(32, 32), width=4).state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize("depth", [18, 50])
@pytest.mark.parametrize("brightness", [0.0, 1e4])
def test_black_and_glaring_images_give_finite_numbers(depth: int, brightness: float) -> None:
    network = ResNet(depth, 1, 4, size=(32, 32), width=8).float()
    image = torch.full((2, 1, 32, 32), brightness, dtype=torch.float32)
    for mode in (True, False):
        network.train(mode)
        network.zero_grad()
        output = network(image)
        output.square().mean().backward()
        assert bool(output.isfinite().all())
        assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in network.parameters())


def test_evaluation_changes_nothing_and_training_the_statistics() -> None:
    network = ResNet(18, 1, 4, size=(32, 32), width=4)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    image = torch.randn(4, 1, 32, 32)
    network.eval()(image)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    network.train()(image)
    moved = {name for name, value in network.state_dict().items() if not torch.equal(before[name], value)}
    assert moved == {name for name in before if "running" in name or "tracked" in name}


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="ResNet: expected depth to be one of 18, 50, 101, got 34"):
        ResNet(34, 3, 4)
    with pytest.raises(ValueError, match=r"expected width and size >= 1, got 64 and \(0, 224\)"):
        ResNet(18, 3, 4, size=(0, 224))
    with pytest.raises(ValueError, match=r"expected a map of \(2, 2\), got \(3, 2\)"):
        ResNet(18, 3, 4, size=(64, 64), width=2)(torch.rand(2, 3, 96, 64))
