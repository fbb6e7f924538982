"""The hourglasses: shapes, counts, outputs against a functional twin, the start, learning."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from steadfit.core.heatmaps import decode, from_frame, render, to_frame
from steadfit.networks.hourglass import HEATMAP_NETWORKS, Hourglass, Level, LightHourglass, Residual, prior_logit


def residual_weights(before: int, after: int) -> int:
    """Convolutions without biases, two numbers a channel for batch norms."""
    middle = after // 2
    shortcut = before * after if before != after else 0
    return before * middle + 9 * middle**2 + middle * after + shortcut + 2 * before + 4 * middle


def hourglass_weights(stacks: int, points: int, features: int, depth: int, blocks: int) -> int:
    """Three chains of blocks a level and one at the bottom, one after it; 1x1 convolutions with biases between."""
    chain = blocks * residual_weights(features, features)
    stack = (3 * depth + 2) * chain + features**2 + 2 * features + (features + 1) * points
    between = (features + 1) * features + (points + 1) * features
    return stacks * stack + (stacks - 1) * between


@pytest.mark.parametrize(("stacks", "count"), [(1, 3_417_552), (2, 6_554_080), (8, 25_373_248)])
def test_the_published_network_has_its_parameters(stacks: int, count: int) -> None:
    with torch.device("meta"):
        network = HEATMAP_NETWORKS[f"hourglass{stacks}"](3, 16)
    stem = 3 * 49 * 64 + 2 * 64 + residual_weights(64, 128) + residual_weights(128, 128) + residual_weights(128, 256)
    assert sum(p.numel() for p in network.parameters()) == stem + hourglass_weights(stacks, 16, 256, 4, 1) == count


@pytest.mark.parametrize("size", [(64, 64), (70, 53), (37, 90), (5, 17), (8, 8)])
@pytest.mark.parametrize("name", ["hourglass2", "hourglass-light"])
def test_any_size_gives_a_quarter_of_it(name: str, size: tuple[int, int]) -> None:
    network = HEATMAP_NETWORKS[name](3, 5, size=size).eval()
    with torch.no_grad():
        logits = network(torch.rand(2, 3, *size))
    stacks = 2 if name == "hourglass2" else 1
    assert logits.shape == (2, stacks, 5, math.ceil(size[0] / 4), math.ceil(size[1] / 4))
    assert network.stride == 4
    assert bool(logits.isfinite().all())


def test_other_sizes_than_the_one_it_was_built_for_will_do() -> None:
    network = LightHourglass(1, 3, size=(64, 64)).eval()
    assert network(torch.rand(1, 1, 96, 40)).shape == (1, 1, 3, 24, 10)


@pytest.mark.parametrize(
    ("side", "levels"),
    [(256, 4), (128, 3), (64, 2), (32, 1), (96, 3), (68, 3), (28, 1), (17, 1), (16, 0), (512, 4), (1, 0)],
)
def test_maps_are_halved_down_to_four_cells(side: int, levels: int) -> None:
    with torch.device("meta"):
        network = Hourglass(3, 4, size=(side, 2 * side), stacks=1, features=8)
    assert sum(isinstance(module, Level) for module in network.modules()) == levels


def test_stacks_blocks_and_depth_are_chosen() -> None:
    network = LightHourglass(1, 4, size=(64, 64), stacks=3, blocks=2, depth=1, features=8)
    assert sum(isinstance(module, Level) for module in network.modules()) == 3
    assert sum(isinstance(module, Residual) for module in network.modules()) == 3 * (3 + 2) * 2
    assert network(torch.rand(2, 1, 64, 64)).shape == (2, 3, 4, 16, 16)


# --- against a twin


def twin(state: dict[str, Tensor], image: Tensor, *, light: bool) -> Tensor:
    """The network in evaluation as a function of its state dict, whose names alone say what there is."""

    def has(name: str) -> bool:
        return any(key.startswith(name + ".") for key in state)

    def norm(name: str, value: Tensor) -> Tensor:
        factor = state[f"{name}.weight"] / (state[f"{name}.running_var"] + 1e-5).sqrt()
        shift = state[f"{name}.bias"] - state[f"{name}.running_mean"] * factor
        return (value * factor.view(-1, 1, 1) + shift.view(-1, 1, 1)).clamp(min=0)

    def convolution(name: str, value: Tensor, stride: int = 1) -> Tensor:
        weight = state[f"{name}.weight"]
        return F.conv2d(value, weight, state.get(f"{name}.bias"), stride, weight.shape[-1] // 2)

    def residual(name: str, value: Tensor) -> Tensor:
        change = value
        for i in (1, 2, 3):
            change = convolution(f"{name}.conv{i}", norm(f"{name}.bn{i}", change))
        return change + (convolution(f"{name}.shortcut", value) if has(f"{name}.shortcut") else value)

    def chain(name: str, value: Tensor) -> Tensor:
        block = 0
        while has(f"{name}.{block}"):
            value, block = residual(f"{name}.{block}", value), block + 1
        return value

    def pooled(value: Tensor) -> Tensor:
        height, width = value.shape[-2:]
        padded = F.pad(value, (0, width % 2, 0, height % 2), value=-math.inf)
        return padded.unfold(2, 2, 2).unfold(3, 2, 2).amax(dim=(-2, -1))

    def hourglass(name: str, value: Tensor) -> Tensor:
        if not has(f"{name}.skip"):
            return chain(name, value)
        low = chain(f"{name}.low.2", hourglass(f"{name}.low.1", chain(f"{name}.low.0", pooled(value))))
        low = low.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        return chain(f"{name}.skip", value) + low[..., : value.shape[2], : value.shape[3]]

    value = norm("stem.1", convolution("stem.0", image, 2))
    if light:
        value = convolution("stem.3", value, 2)
    else:
        value = residual("stem.6", residual("stem.5", pooled(residual("stem.3", value))))
    logits: list[Tensor] = []
    while has(f"stacks.body.{len(logits)}"):
        i = len(logits)
        if i:
            value = value + convolution(f"stacks.seen_on.{i - 1}", seen)  # noqa: F821
            value = value + convolution(f"stacks.score_on.{i - 1}", logits[-1])
        body = f"stacks.body.{i}"
        seen = norm(f"{body}.3", convolution(f"{body}.2", chain(f"{body}.1", hourglass(f"{body}.0", value))))
        logits.append(convolution(f"stacks.score.{i}", seen))
    return torch.stack(logits, dim=1)


def shaken(network: nn.Module) -> nn.Module:
    """Every tensor drawn anew, so that no starting value hides a mistake."""
    for name, value in network.state_dict().items():
        if name.endswith("running_var") or (value.dim() == 1 and name.endswith("weight")):
            value.uniform_(0.5, 1.5)
        elif value.dim() == 1:
            value.normal_(std=0.3)
    return network


@pytest.mark.parametrize("size", [(64, 64), (70, 53), (33, 100)])
@pytest.mark.parametrize("light", [True, False])
@pytest.mark.parametrize(("stacks", "blocks"), [(1, 2), (3, 1)])
def test_the_output_equals_the_twin(size: tuple[int, int], light: bool, stacks: int, blocks: int) -> None:
    build = LightHourglass if light else Hourglass
    network = shaken(build(3, 4, size=size, stacks=stacks, features=6, blocks=blocks).double()).eval()
    image = torch.rand(2, 3, *size, dtype=torch.float64)
    with torch.no_grad():
        expected = twin(network.state_dict(), image, light=light)
        torch.testing.assert_close(network(image), expected, rtol=1e-9, atol=1e-9 * float(expected.abs().max()))


@pytest.mark.parametrize("name", ["hourglass2", "hourglass-light"])
def test_a_sample_is_seen_alike_alone_and_in_a_batch(name: str) -> None:
    network = HEATMAP_NETWORKS[name](3, 5, size=(64, 64)).eval()
    image = torch.rand(3, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(network(image)[1:2], network(image[1:2]), rtol=1e-4, atol=1e-4)


def test_every_parameter_learns_and_stacks_share_their_features() -> None:
    network = Hourglass(1, 3, size=(64, 64), stacks=2, features=8, depth=2)
    logits = network(torch.rand(4, 1, 64, 64))
    logits[:, 1].square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.isfinite().all())
        assert float(parameter.grad.abs().max()) > 0, f"{name}: the last stack's loss reaches all"
    network.zero_grad()
    network(torch.rand(4, 1, 64, 64))[:, 0].square().mean().backward()
    assert not bool(network.stacks.score[1].weight.grad.any()), "the first stack doesn't know the second"


@pytest.mark.parametrize("size", [(64, 64), (128, 96)])
def test_every_cell_sees_the_whole_image(size: tuple[int, int]) -> None:
    network = LightHourglass(3, 2, size=size).double().eval()
    image = torch.rand(1, 3, *size, dtype=torch.float64, requires_grad=True)
    network(image)[0, 0, 0, 0, 0].backward()  # the first cell
    assert image.grad is not None
    assert bool((image.grad[0, :, -4:, -4:] != 0).any()), "down to the opposite corner"


def test_a_seed_gives_a_network_and_it_compiles() -> None:
    states = []
    for _ in range(2):
        torch.manual_seed(3)
        network = LightHourglass(3, 4, size=(64, 64), stacks=2, features=8, depth=1)
        states.append(network.state_dict())
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    image = torch.rand(1, 3, 64, 64)
    compiled = torch.compile(network.eval(), backend="eager", fullgraph=True)
    with torch.no_grad():
        torch.testing.assert_close(compiled(image), network(image))


# --- the start and learning


@pytest.mark.parametrize("size", [(64, 64), (120, 64)])
def test_the_prior_is_the_best_constant_for_its_targets(size: tuple[int, int]) -> None:
    cells = (size[0] // 4, size[1] // 4)
    points = 3 + torch.rand(200, 2) * (torch.tensor([cells[1], cells[0]]) - 7.0)
    mean = float(render(points, cells).mean())
    assert torch.tensor(prior_logit(size)).sigmoid() == pytest.approx(mean, rel=0.02)  # exp(-4.5) is cut off
    assert prior_logit((64, 64), sigma=2.0) > prior_logit((64, 64))
    assert prior_logit((4, 4), sigma=9.0) == 0.0


@pytest.mark.parametrize("name", HEATMAP_NETWORKS)
def test_outputs_start_near_the_prior_or_where_one_says(name: str) -> None:
    if name == "hourglass8":
        return
    image = torch.rand(4, 3, 64, 64)
    with torch.no_grad():
        assert float(HEATMAP_NETWORKS[name](3, 6, size=(64, 64))(image).mean()) == pytest.approx(-3.7, abs=0.5)
        assert float(HEATMAP_NETWORKS[name](3, 6, size=(64, 64), start=0.0)(image).mean()) == pytest.approx(0, abs=0.5)


def blobs(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Noisy images with a bright and a dark blob, and the blobs' places in px."""
    points = 8 + 48 * torch.rand(count, 2, 2, generator=generator)
    spots = render(points, (64, 64), sigma=3.0)  # (N, 2, 64, 64)
    image = 0.5 + 0.4 * (spots[:, :1] - spots[:, 1:]) + 0.05 * torch.randn(count, 1, 64, 64, generator=generator)
    return image, points


@pytest.mark.parametrize("loss", ["bce", "mse"])
def test_it_learns_where_blobs_are(loss: str) -> None:
    generator = torch.Generator().manual_seed(1)
    network = LightHourglass(1, 2, size=(64, 64), features=32, start=None if loss == "bce" else 0.0)
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    losses = []
    for _ in range(60):
        image, points = blobs(16, generator)
        target = render(from_frame(points, network.stride), (16, 16))
        logits = network(image)[:, 0]
        if loss == "bce":
            least = F.binary_cross_entropy(target, target)  # of soft targets
            value = F.binary_cross_entropy_with_logits(logits, target) - least
        else:
            value = F.mse_loss(logits, target)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        losses.append(value.item())
    assert sum(losses[-5:]) < 0.6 * sum(losses[:5])
    image, points = blobs(64, generator)
    with torch.no_grad():
        logits = network.eval()(image)[:, -1]
    found, _ = decode(logits.sigmoid() if loss == "bce" else logits)
    error = (to_frame(found, network.stride) - points).norm(dim=-1)
    assert float(error.median()) < 1.0, "px of the image: a quarter of a cell"


def test_errors_say_what_is_wrong() -> None:
    match = r"hourglass: expected n_points, stacks, blocks and size >= 1, features >= 2 and depth >= 0, got "
    for wrong in ({"stacks": 0}, {"blocks": 0}, {"features": 1}, {"depth": -1}, {"size": (0, 64)}):
        with pytest.raises(ValueError, match=match):
            Hourglass(3, 4, **wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=match + r"0, 1, 1 and \(64, 64\), 64 and 4"):
        LightHourglass(3, 0)
