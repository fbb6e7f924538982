"""Weights from files and downloads: what fits is loaded, what doesn't is named, what runs code is refused."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from steadfit.errors import ConfigError, DataError
from steadfit.networks import (
    IMAGENET_DEVIATION,
    IMAGENET_MEAN,
    MLP,
    CompactConvNet,
    LoadedWeights,
    ResNet,
    load_weights,
    weights,
)

State = dict[str, Tensor]
SUFFIXES = [".safetensors", ".pth", ".pt"]


def small(seed: int = 0, *, depth: int = 18, channels: int = 3, outputs: int = 5, **options: object) -> ResNet:
    """A slim ResNet whose statistics are no starting values either."""
    torch.manual_seed(seed)
    network = ResNet(depth, channels, outputs, **({"size": (64, 64), "width": 4} | options))
    for name, value in network.state_dict().items():
        if "running" in name:
            value.uniform_(0.5, 1.5)
        if "tracked" in name:
            value.fill_(seed)
    return network


def save(state: State, path: Path) -> Path:
    if path.suffix == ".safetensors":
        save_file({name: value.contiguous() for name, value in state.items()}, path)
    else:
        torch.save(state, path)
    return path


def same(one: State, other: State) -> set[str]:
    return {name for name in one if name in other and torch.equal(one[name], other[name])}


def copied(network: nn.Module) -> State:
    return {name: value.clone() for name, value in network.state_dict().items()}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_gives_the_network_back(tmp_path: Path, suffix: str) -> None:
    first, second = small(1), small(2)
    result = load_weights(second, save(first.state_dict(), tmp_path / f"weights{suffix}"))
    assert result == LoadedWeights(tuple(first.state_dict()), ())
    assert same(first.state_dict(), second.state_dict()) == set(first.state_dict())
    image = torch.rand(2, 3, 64, 64)
    assert torch.equal(first.eval()(image), second.eval()(image))


def test_the_format_before_torch_1_6_is_read(tmp_path: Path) -> None:
    first, second = small(1), small(2)
    torch.save(first.state_dict(), tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    load_weights(second, tmp_path / "old.pth")
    assert same(first.state_dict(), second.state_dict()) == set(first.state_dict())


def test_a_published_file_fits_a_network_with_other_outputs_and_a_learned_head(tmp_path: Path) -> None:
    published, network = small(1, outputs=1000, head="average"), small(2)
    before = copied(network)
    result = load_weights(network, str(save(published.state_dict(), tmp_path / "published.pth")))
    assert set(result.left) == {"pool.weight", "fc.weight", "fc.bias"}
    assert same(before, network.state_dict()) >= set(result.left)
    assert same(published.state_dict(), network.state_dict()) == set(result.loaded)
    assert set(result.loaded) | set(result.left) == set(before)


def test_heads_that_fit_are_loaded_and_others_left_as_a_whole(tmp_path: Path) -> None:
    source = small(1, head="depthwise")
    path = save(source.state_dict(), tmp_path / "source.pth")
    assert load_weights(small(2, size=(96, 96)), path).left == ("pool.weight",)  # 3x3 cells for 2x2
    assert load_weights(small(2, head="average"), path).left == ()  # the file's pool.weight has no place
    flat = small(2, head="flatten")
    bias = flat.fc.bias.detach().clone()
    assert load_weights(flat, path).left == ("fc.weight", "fc.bias")  # a bias without its weight makes no sense
    assert torch.equal(flat.fc.bias, bias)


def test_the_compact_network(tmp_path: Path) -> None:
    source = CompactConvNet(3, 10, size=(48, 48))
    path = save(source.state_dict(), tmp_path / "compact.safetensors")
    network = CompactConvNet(1, 4, size=(32, 32), head="depthwise")
    result = load_weights(network, path)
    assert set(result.left) == {"pool.weight", *(f"head.{i}.{kind}" for i in (0, 2) for kind in ("weight", "bias"))}
    expected = source.state_dict()["features.0.weight"].sum(dim=1, keepdim=True)
    assert torch.equal(network.state_dict()["features.0.weight"], expected)


def test_a_grey_network_sees_in_grey_what_the_colour_network_does(tmp_path: Path) -> None:
    colour, grey = small(1).double(), small(2, channels=1).double()
    load_weights(grey, save(colour.state_dict(), tmp_path / "colour.safetensors"))
    image = torch.rand(2, 1, 64, 64, dtype=torch.float64)
    seen = colour.eval()(image.expand(2, 3, 64, 64))
    torch.testing.assert_close(grey.eval()(image), seen, rtol=1e-9, atol=1e-9)  # sums in another order


@pytest.mark.parametrize(("saved", "wanted"), [(1, 3), (4, 1), (2, 3)])
def test_other_channels_are_refused(tmp_path: Path, saved: int, wanted: int) -> None:
    path = save(small(1, channels=saved).state_dict(), tmp_path / "w.pth")
    with pytest.raises(DataError, match=rf"conv1.weight of shape \(4, {saved}, 7, 7\) for \(4, {wanted}, 7, 7\)\. Na"):
        load_weights(small(2, channels=wanted), path)


def without(name: str) -> Callable[[State], State]:
    return lambda state: {n: v for n, v in state.items() if n != name}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("layer3.1.conv2.weight"), r"to fit the ResNet, got layer3\.1\.conv2\.weight missing\. Name"),
        (without("bn1.running_var"), r"got bn1\.running_var missing\. Name"),
        (lambda s: s | {"bn1.bias": torch.zeros(3)}, r"got bn1\.bias of shape \(3,\) for \(4,\)"),
        (lambda s: s | {"layer5.0.weight": torch.zeros(3)}, r"got layer5\.0\.weight unknown to the network"),
        (lambda s: {f"module.{n}": v for n, v in s.items()}, r"got conv1\.weight missing and 222 more such tensors"),
        (lambda s: {}, r"got conv1\.weight missing and \d+ more such"),
    ],
)
def test_every_other_misfit_is_named_and_nothing_is_loaded(
    tmp_path: Path, change: Callable[[State], State], message: str
) -> None:
    network = small(2)
    before = copied(network)
    path = save(change(small(1).state_dict()), tmp_path / "w.pth")
    with pytest.raises(DataError, match=message):
        load_weights(network, path)
    assert same(before, network.state_dict()) == set(before)


def test_a_deeper_network_of_the_same_shapes_is_no_match(tmp_path: Path) -> None:
    """Every tensor of a ResNet-50 is in a ResNet-101's file."""
    path = save(small(1, depth=101).state_dict(), tmp_path / "deep.pth")
    with pytest.raises(DataError, match=r"got layer3\.6\.conv1\.weight unknown to the network and \d+ more"):
        load_weights(small(2, depth=50), path)


def test_batch_counts_that_old_files_lack_are_left(tmp_path: Path) -> None:
    state = {n: v for n, v in small(1).state_dict().items() if "tracked" not in n}
    network = small(2)
    result = load_weights(network, save(state, tmp_path / "old.safetensors"))
    assert set(result.left) == {n for n in network.state_dict() if "tracked" in n}
    assert int(network.bn1.num_batches_tracked) == 2


def test_a_prefix_picks_a_part_of_a_file(tmp_path: Path) -> None:
    source, network = small(1), small(2)
    state = {f"network.{n}": v for n, v in source.state_dict().items()} | {"inputs.mean": torch.zeros(3)}
    path = save(state, tmp_path / "model.safetensors")
    assert load_weights(network, path, prefix="network.").left == ()
    assert same(source.state_dict(), network.state_dict()) == set(source.state_dict())
    with pytest.raises(DataError, match=r"conv1\.weight missing"):
        load_weights(network, path, prefix="net.")


def test_other_modules_name_their_heads(tmp_path: Path) -> None:
    path = save(MLP(3, 2, widths=(4,)).state_dict(), tmp_path / "mlp.pth")
    with pytest.raises(DataError, match=r"got layers\.3\.weight of shape \(2, 4\) for \(5, 4\) and 1 more such"):
        load_weights(MLP(3, 5, widths=(4,)), path)
    result = load_weights(MLP(3, 5, widths=(4,)), path, head_names=["layers.3."])
    assert result.left == ("layers.3.weight", "layers.3.bias")


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_the_networks_dtype_is_kept(tmp_path: Path, dtype: torch.dtype) -> None:
    state = {n: v.to(dtype) if v.is_floating_point() else v for n, v in small(1).state_dict().items()}
    network = small(2)
    load_weights(network, save(state, tmp_path / "w.safetensors"))
    assert network.conv1.weight.dtype == torch.float32
    assert torch.equal(network.conv1.weight, state["conv1.weight"].float())


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("keep", [0.0, 0.01, 0.5, 0.999])
def test_a_truncated_file_is_refused(tmp_path: Path, suffix: str, keep: float) -> None:
    path = save(small(1).state_dict(), tmp_path / f"w{suffix}")
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    network = small(2)
    before = copied(network)
    with pytest.raises(DataError, match="expected tensors in .*, got a file that is damaged or holds code"):
        load_weights(network, path)
    assert same(before, network.state_dict()) == set(before)


class Intruder:
    """Pickled, it asks whoever reads it to make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("plain", [True, False])
def test_a_pickle_with_code_is_refused_and_not_run(tmp_path: Path, plain: bool) -> None:
    path, trace = tmp_path / "evil.pth", tmp_path / "trace"
    content = small(1).state_dict() | {"conv1.weight": Intruder(trace)}
    if plain:
        path.write_bytes(pickle.dumps(content, protocol=2))
    else:
        torch.save(content, path)
    with pytest.raises(DataError, match=r"damaged or holds code \(UnpicklingError\)\. Save network\.state_dict"):
        load_weights(small(2), path)
    assert not trace.exists()


def test_what_is_no_state_dict_is_refused(tmp_path: Path) -> None:
    network, path = small(2), tmp_path / "w.pth"
    torch.save([torch.zeros(3)], path)
    with pytest.raises(DataError, match="expected tensors by name in .*, got a list"):
        load_weights(network, path)
    torch.save({"epoch": 3, "state_dict": {}}, path)
    with pytest.raises(DataError, match="expected tensors only in .*, got a int at 'epoch'"):
        load_weights(network, path)
    for bad in (torch.nan, -torch.inf):
        torch.save(small(1).state_dict() | {"bn1.weight": torch.tensor([1.0, bad, 1.0, 1.0])}, path)
        with pytest.raises(DataError, match=r"expected finite weights in .*, got NaN or infinities in bn1\.weight"):
            load_weights(network, path)
    with pytest.raises(DataError, match=r"expected a \.safetensors, \.pth or \.pt file or 'imagenet', got .*w\.bin"):
        load_weights(network, tmp_path / "w.bin")
    with pytest.raises(DataError, match=r"expected a file, got .*none\.pth, which is none"):
        load_weights(network, tmp_path / "none.pth")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in the download's place, and an empty cache."""
    folder = tmp_path / "server"
    folder.mkdir()
    monkeypatch.setattr(weights, "ADDRESS", f"{folder.as_uri()}/")
    monkeypatch.setenv("STEADFIT_WEIGHTS", str(tmp_path / "cache"))
    return folder


def test_the_official_names() -> None:
    assert weights.ADDRESS == "https://download.pytorch.org/models/"
    assert weights.FILES == {18: "resnet18-f37072fd.pth", 50: "resnet50-0676ba61.pth", 101: "resnet101-63fe2227.pth"}
    assert IMAGENET_MEAN == (0.485, 0.456, 0.406)
    assert IMAGENET_DEVIATION == (0.229, 0.224, 0.225)


@pytest.mark.parametrize("cache", ["STEADFIT_WEIGHTS", "torch"])
def test_the_download_is_kept_and_used_again(
    server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: str
) -> None:
    published = small(1, outputs=1000, head="average", width=64)
    made = save(published.state_dict(), server / "made.pth")
    name = f"resnet18-{hashlib.sha256(made.read_bytes()).hexdigest()[:8]}.pth"
    made = made.rename(server / name)
    monkeypatch.setattr(weights, "FILES", {18: name})
    folder = tmp_path / "cache"
    if cache == "torch":
        monkeypatch.delenv("STEADFIT_WEIGHTS")
        monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
        folder = tmp_path / "hub" / "checkpoints"
    for network in (small(2, width=64), small(3, width=64)):
        result = load_weights(network, "imagenet")
        assert set(result.left) == {"pool.weight", "fc.weight", "fc.bias"}
        assert same(published.state_dict(), network.state_dict()) == set(result.loaded)
        assert [path.name for path in folder.iterdir()] == [name]
        made.unlink(missing_ok=True)  # the second network can only have the kept file


def test_a_download_with_another_hash_leaves_nothing(server: Path, tmp_path: Path) -> None:
    (server / weights.FILES[18]).write_bytes(b"half of a fi")
    digest = hashlib.sha256(b"half of a fi").hexdigest()[:8]
    with pytest.raises(
        DataError, match=rf"SHA-256 that begins f37072fd of file:.*, got .*{digest}.*\. The file is inc"
    ):
        load_weights(small(2, width=64), "imagenet")
    assert list((tmp_path / "cache").iterdir()) == []


def test_without_a_network_the_message_says_where_to_put_the_file(server: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected to download file:.*resnet50-0676ba61\.pth to .*cache, got .*Fetch"):
        load_weights(ResNet(50, 3, 2, size=(32, 32)), "imagenet")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_file_with_an_official_name_must_have_its_hash(server: Path, tmp_path: Path) -> None:
    for folder, source in ((tmp_path / "cache", "imagenet"), (tmp_path / "mine", None)):
        folder.mkdir()
        path = save(small(1).state_dict(), folder / weights.FILES[18])
        with pytest.raises(DataError, match=r"begins f37072fd of .*resnet18-f37072fd\.pth, got [0-9a-f]{8}\. The file"):
            load_weights(small(2, width=64), source or path)


def test_networks_without_official_weights() -> None:
    with pytest.raises(ConfigError, match="expected a ResNet of width 64 for 'imagenet', got CompactConvNet. Choose"):
        load_weights(CompactConvNet(3, 4), "imagenet")
    with pytest.raises(ConfigError, match="for 'imagenet', got ResNet of width 4. Choose"):
        load_weights(small(1), "imagenet")
