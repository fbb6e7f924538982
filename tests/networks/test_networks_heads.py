"""The heads: starting kernels, sums written out, gradients, sizes that do not fit."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from steadfit.networks import HEADS, AveragePool, CompactConvNet, DepthwiseHead
from steadfit.networks.heads import build_head, start_kernel

pytestmark = pytest.mark.usefixtures("float64")

SEVEN = [
    [0, 0, 0, 0.0, 0, 0, 0],
    [0, 0, 0, 0.0, 0, 0, 0],
    [0, 0, 0, 0.5, 0, 0, 0],
    [0, 0, 0.5, 1.0, 0.5, 0, 0],
    [0, 0, 0, 0.5, 0, 0, 0],
    [0, 0, 0, 0.0, 0, 0, 0],
    [0, 0, 0, 0.0, 0, 0, 0],
]
KERNELS = [
    [[1.0]],
    [[0.5, 1.0, 0.5]],
    [[0.0], [0.5], [1.0], [0.5], [0.0]],
    [[0.5, 0.5]],
    [[0.25, 0.25], [0.25, 0.25]],
    [[0, 0.5, 0], [0.5, 1, 0.5], [0, 0.5, 0]],
    [[0, 0, 0], [0, 0.5, 0], [0, 0.5, 0], [0, 0, 0]],
    [[0, 0, 0.5, 0.5, 0, 0]],
    [[0, 0, 0, 0], [0, 0.25, 0.25, 0], [0, 0.25, 0.25, 0], [0, 0, 0, 0]],
    [[0, 0, 0.5, 0, 0], [0, 0.5, 1, 0.5, 0], [0, 0, 0.5, 0, 0]],
    SEVEN,
]


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda k: f"{len(k)}x{len(k[0])}")
def test_the_starting_kernel(kernel: list[list[float]]) -> None:
    expected = torch.tensor(kernel, dtype=torch.float64)
    size = (expected.shape[0], expected.shape[1])
    assert torch.equal(start_kernel(size), expected)
    head = DepthwiseHead(3, size)
    assert torch.equal(head.weight.detach(), expected.expand(3, 1, *size))
    assert [name for name, _ in head.named_parameters()] == ["weight"]


def test_the_channels_start_alike_but_do_not_share_their_weights() -> None:
    head = DepthwiseHead(2, (3, 3))
    head.weight.data[0] = 7.0
    assert torch.equal(head.weight.data[1, 0], start_kernel((3, 3)))


def test_the_start_takes_no_random_numbers() -> None:
    before = torch.get_rng_state()
    DepthwiseHead(4, (7, 7))
    assert torch.equal(torch.get_rng_state(), before)


def summed(features: Tensor, weight: Tensor) -> Tensor:
    """The depthwise head, cell by cell."""
    result = torch.zeros(features.shape[:2])
    for i in range(features.shape[2]):
        for j in range(features.shape[3]):
            result = result + features[:, :, i, j] * weight[:, 0, i, j]
    return result


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (3, 5), (7, 7), (4, 1)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_depthwise_head_is_a_weighted_sum(size: tuple[int, int], layout: torch.memory_format) -> None:
    head = DepthwiseHead(3, size)
    nn.init.normal_(head.weight)
    features = torch.randn(4, 3, *size).contiguous(memory_format=layout)
    assert head(features).shape == (4, 3)
    torch.testing.assert_close(head(features), summed(features, head.weight), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(head(features)[1:2], head(features[1:2]), rtol=1e-12, atol=1e-12)


def test_its_gradients() -> None:
    head = DepthwiseHead(2, (2, 3))
    features = torch.randn(3, 2, 2, 3, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda x, w: torch.func.functional_call(head, {"weight": w}, (x,)),
        (features, head.weight.detach().requires_grad_()),
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_dtype_is_kept(dtype: torch.dtype) -> None:
    features = torch.rand(2, 3, 5, 5, dtype=dtype)
    assert DepthwiseHead(3, (5, 5)).to(dtype)(features).dtype == dtype
    assert AveragePool()(features).dtype == dtype


def test_the_average_is_a_depthwise_head_of_equal_weights() -> None:
    head = DepthwiseHead(3, (4, 6))
    nn.init.constant_(head.weight, 1 / 24)
    features = torch.randn(2, 3, 4, 6)
    torch.testing.assert_close(AveragePool()(features), head(features), rtol=1e-12, atol=1e-12)
    assert AveragePool()(torch.randn(2, 3, 9, 1)).shape == (2, 3)


def test_heads_by_name() -> None:
    built = {head: build_head(head, 6, (2, 5)) for head in HEADS}
    kinds = {head: type(module) for head, (module, _) in built.items()}
    assert kinds == {"depthwise": DepthwiseHead, "average": AveragePool, "flatten": nn.Flatten}
    for module, count in built.values():
        assert module(torch.rand(3, 6, 2, 5)).shape == (3, count)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected a map of \(2, 3\), got \(3, 2\)\. Images must have the size"):
        DepthwiseHead(4, (2, 3))(torch.rand(1, 4, 3, 2))
    with pytest.raises(ValueError, match=r"expected channels and size >= 1, got 4 and \(0, 3\)"):
        DepthwiseHead(4, (0, 3))
    with pytest.raises(ValueError, match="expected head to be one of 'depthwise', 'average', 'flatten', got 'max'"):
        build_head("max", 4, (2, 3))
    with pytest.raises(ValueError, match="expected head to be one of"):
        CompactConvNet(1, 4, head="max")


def test_flatten_is_the_compact_network_as_it_always_was() -> None:
    """Names, random numbers and outputs: runs of earlier versions load and repeat."""
    torch.manual_seed(5)
    layers: list[nn.Module] = []
    for before, after in [(1, 16), (16, 32), (32, 64), (64, 128)]:
        layers += [nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
    hidden, last = nn.Linear(128 * 3 * 2, 128), nn.Linear(128, 10)
    expected = nn.Sequential(*layers, nn.Flatten(), hidden, nn.ReLU(), last)
    torch.manual_seed(5)
    network = CompactConvNet(1, 10, size=(47, 32))
    own, other = network.state_dict(), expected.state_dict()
    renamed = {f"features.{i}": str(i) for i in range(12)} | {"head.0": "13", "head.2": "15"}
    assert [".".join([renamed[name.rpartition(".")[0]], name.rpartition(".")[2]]) for name in own] == list(other)
    assert all(torch.equal(a, b) for a, b in zip(own.values(), other.values(), strict=True))
    image = torch.rand(4, 1, 47, 32)
    torch.testing.assert_close(network(image), expected(image), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("head", ["depthwise", "average"])
def test_the_compact_network_with_a_head(head: str) -> None:
    network = CompactConvNet(3, 6, size=(64, 33), head=head).eval()
    image = torch.rand(4, 3, 64, 33)
    cells = network.features(image)
    assert cells.shape == (4, 128, 4, 3)
    pooled = summed(cells, network.pool.weight) if head == "depthwise" else cells.flatten(2).mean(dim=2)
    torch.testing.assert_close(network(image), network.head(pooled), rtol=1e-12, atol=1e-12)
    names = {name for name in network.state_dict() if name.startswith("pool")}
    assert names == ({"pool.weight"} if head == "depthwise" else set())
