"""The ConvNet of paper 1: its layers, its start, its normalisation."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from steadfit.networks import ConvNet, build_network
from steadfit.networks.convnet import ResponseNorm
from steadfit.outputs import output_layer


def slow_twin(network: ConvNet, image: Tensor) -> Tensor:
    """The published order of layers on the network's own weights, without dropout, with PyTorch's normalisation."""
    relu, pool, norm = torch.relu, nn.MaxPool2d(3, 2), nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0)
    c1, c2, c3, c4, c5 = (part for part in network.modules() if isinstance(part, nn.Conv2d))
    l1, l2, l3 = (part for part in network.modules() if isinstance(part, nn.Linear))
    value = norm(pool(relu(c1(image))))
    value = norm(pool(relu(c2(value))))
    value = relu(c4(relu(c3(value))))
    value = norm(relu(c5(norm(pool(value))))).flatten(1)
    found: Tensor = l3(relu(l2(relu(l1(value)))))
    return found


def test_it_has_the_published_number_of_parameters() -> None:
    network = ConvNet(3, 28)
    assert network.map == (12, 7)
    assert sum(parameter.numel() for parameter in network.parameters()) == 9_799_228
    assert [tuple(part.weight.shape) for part in network.modules() if isinstance(part, nn.Conv2d | nn.Linear)] == [
        *((32, 3, 5, 5), (32, 32, 3, 3), (64, 32, 3, 3), (64, 64, 3, 3), (1024, 64, 12, 7)),
        *((2048, 1024), (1024, 2048), (28, 1024)),
    ]
    assert "band" not in "".join(network.state_dict())  # made again, not saved


@pytest.mark.parametrize(("size", "channels"), [((120, 80), 3), ((48, 65), 1), ((31, 31), 1)])
def test_it_is_the_published_order_of_layers(size: tuple[int, int], channels: int) -> None:
    torch.manual_seed(0)
    network = ConvNet(channels, 6, size=size).double().eval()
    for part in network.modules():  # large weights, so that the normalisation and every ReLU count
        if isinstance(part, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(part.weight)
            nn.init.normal_(part.bias, std=0.3)
    image = 30 * torch.randn(2, channels, *size, dtype=torch.float64)
    torch.testing.assert_close(network(image), slow_twin(network, image), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(network(image)[1:], network(image[1:]), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("size", [(31, 31), (32, 90), (47, 33), (120, 80), (121, 83)])
def test_the_fifth_kernel_is_the_whole_map(size: tuple[int, int]) -> None:
    network = ConvNet(1, 4, size=size)
    kernel = network.whole[0]
    assert isinstance(kernel, nn.Conv2d)
    assert network.features(torch.zeros(1, 1, *size)).shape == (1, 64, *kernel.kernel_size)


def test_the_start() -> None:
    torch.manual_seed(1)
    network = ConvNet(3, 28)
    for part in network.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            weight, n = part.weight.detach().double(), part.weight.numel()
            assert part.bias is not None
            assert bool((part.bias == 0.1).all())
            assert abs(float(weight.mean())) < 5 * 0.01 / n**0.5  # five standard errors
            assert float(weight.std()) == pytest.approx(0.01, rel=5 / (2 * n) ** 0.5)


def test_what_the_start_leaves_of_the_image() -> None:
    """Grey levels reach the last hidden layer, if weakly; pixels of deviation 1 all but vanish on the way."""
    image = torch.randn(16, 3, 120, 80, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    network = ConvNet(3, 28).eval()
    with torch.no_grad():
        small, large = (
            float(network.head[:-1](network.whole(network.features(scale * image))).std(dim=0).mean())
            for scale in (1, 64)
        )
    assert 64 * 0.3 * small < large < 1e-2
    assert small < 1e-4


def test_dropout_is_on_the_map_and_the_first_hidden_layer() -> None:
    network = ConvNet(1, 4, size=(40, 40))
    assert [(part.p, where) for where, part in network.named_modules() if isinstance(part, nn.Dropout)] == [
        (0.5, f"features.{len(network.features) - 1}"),
        (0.5, "head.2"),
    ]
    image = torch.rand(1, 1, 40, 40)
    assert not torch.equal(network(image), network(image))
    network.eval()
    assert torch.equal(network(image), network(image))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_images_in_any_memory_format(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    network = ConvNet(3, 5, size=(33, 40)).to(dtype).eval()
    image = torch.rand(2, 3, 33, 40, dtype=dtype)
    out = network(image)
    assert out.dtype == dtype
    torch.testing.assert_close(network(image.to(memory_format=torch.channels_last)), out)


def test_by_name() -> None:
    network = build_network("convnet", 3, 28, size=(120, 80))
    assert isinstance(network, ConvNet)
    assert network.head[0].weight.std() < 0.011
    layer = output_layer(network, 28)
    assert layer is network.head[-1]


@pytest.mark.parametrize("head", ["average", "depthwise", "sum"])
def test_it_has_one_head(head: str) -> None:
    with pytest.raises(ValueError, match=f"ConvNet: expected the head 'flatten', got '{head}'"):
        build_network("convnet", 3, 28, size=(120, 80), head=head)


@pytest.mark.parametrize("size", [(30, 80), (120, 30), (1, 1)])
def test_smaller_images_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=rf"at least 31 x 31 px, got \({size[0]}, {size[1]}\)"):
        ConvNet(1, 2, size=size)


def test_images_of_another_size_are_refused() -> None:
    network = ConvNet(1, 2, size=(48, 48))
    with pytest.raises(ValueError, match=r"expected a map of \(3, 3\), got \(12, 7\)"):
        network(torch.zeros(1, 1, 120, 80))


@pytest.mark.parametrize("shape", [(2, 32, 5, 4), (3, 4, 3, 3), (1, 1, 2, 2), (2, 1024, 1, 1)])
@pytest.mark.parametrize("strength", [0.0, 1.0, 300.0])  # b is 1, 1.0001 and some 10
def test_the_response_norm_is_pytorch_s(shape: tuple[int, int, int, int], strength: float) -> None:
    rng = torch.Generator().manual_seed(0)
    value = (strength * torch.randn(shape, generator=rng, dtype=torch.float64)).requires_grad_()
    upstream = torch.randn(shape, generator=rng, dtype=torch.float64)
    ours, theirs = ResponseNorm(shape[1]).double(), nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0)
    found = [(out, *torch.autograd.grad(out, value, upstream)) for out in (ours(value), theirs(value))]
    for got, expected in zip(*found, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-11, atol=1e-11)  # sums of five, in another order


def test_the_response_norm_by_hand() -> None:
    value = torch.zeros(1, 7, 1, 1, dtype=torch.float64)
    value[0, 3] = 1e4  # alone: b = 1 + 2e-5 · 1e8 = 2001, also for its neighbours, which are 0
    out = ResponseNorm(7).double()(value).flatten()
    assert out.tolist() == pytest.approx([0, 0, 0, 1e4 * 2001**-0.75, 0, 0, 0], rel=1e-14)
    value[0, 6] = 1e4  # three channels away: takes no part
    assert ResponseNorm(7).double()(value).flatten()[3] == out[3]


def test_the_response_norm_s_gradient() -> None:
    rng = torch.Generator().manual_seed(0)
    value = (200 * torch.randn(2, 6, 2, 1, generator=rng, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(ResponseNorm(6).double(), (value,))


def test_the_response_norm_of_large_values_is_finite() -> None:
    for dtype, large in ((torch.float32, 1e18), (torch.float64, 1e150)):
        out = ResponseNorm(8).to(dtype)(torch.full((1, 8, 1, 1), large, dtype=dtype))
        assert out.dtype == dtype
        assert bool(out.isfinite().all())
