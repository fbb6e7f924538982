"""Pre-trained weights: from a file, or from torchvision's download, checked before they are used."""

from __future__ import annotations

import hashlib
import http.client
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from steadfit.errors import ConfigError, DataError
from steadfit.networks.resnet import ResNet

IMAGENET_MEAN = (0.485, 0.456, 0.406)
"""Red, green, blue of the inputs that ``"imagenet"`` was trained on, for values of 0..1."""

IMAGENET_DEVIATION = (0.229, 0.224, 0.225)
"""Standard deviations to :data:`IMAGENET_MEAN`."""

ADDRESS = "https://download.pytorch.org/models/"
FILES = {18: "resnet18-f37072fd.pth", 50: "resnet50-0676ba61.pth", 101: "resnet101-63fe2227.pth"}
"""torchvision's IMAGENET1K_V1 weights by depth. The digits in a name begin the SHA-256 of the file."""

HEAD_NAMES = ("pool.", "fc.", "head.")
"""How the names of a head's tensors begin in the networks of this package: a task's own, not the pre-trained part."""


@dataclass(frozen=True)
class LoadedWeights:
    """What :func:`load_weights` did.

    Args:
        loaded: names of the network's tensors that were taken from the file.
        left: names of the network's tensors that were left as they were: those of heads, and batch counts that old
            files lack.
    """

    loaded: tuple[str, ...]
    left: tuple[str, ...]


def load_weights(
    network: nn.Module,
    source: str | os.PathLike[str],
    *,
    prefix: str = "",
    head_names: Sequence[str] = HEAD_NAMES,
) -> LoadedWeights:
    """Put the weights of a file, or of torchvision's ImageNet training, into a network.

    Every tensor of the network must be in the file with its shape, and every tensor of the file in the network, or
    nothing is loaded. Two exceptions. A head that doesn't fit is left as it was, all of it: tasks differ in their
    heads. And kernels for three channels are summed to one for a grey network, which gives the same result for a grey
    image as the colour network for three equal channels.

    Args:
        network: changed in place; its dtype and device stay.
        source: a ``.safetensors`` file, a ``.pth`` or ``.pt`` file with a state dict, or ``"imagenet"``: torchvision's
            ``IMAGENET1K_V1`` of the same depth, for a :class:`ResNet` of width 64 on inputs scaled by
            :data:`IMAGENET_MEAN` and :data:`IMAGENET_DEVIATION` (a grey image's: their averages). It is kept in the
            folder ``$STEADFIT_WEIGHTS``, or in torch's cache if that is not set, and downloaded if it is missing.
        prefix: only tensors of the file whose names begin with it are read, under the rest of their names:
            ``"network."`` reads a run's ``model.safetensors``, ``"module."`` what ``DataParallel`` saved.
        head_names: how the names of tensors of heads begin.

    Returns:
        The names of what was loaded and of what was left.

    Raises:
        ConfigError: ``"imagenet"`` for a network that has no such weights.
        DataError: the file is missing, damaged, of another kind, holds NaN, infinities or anything but tensors, or
            has another hash than its name says; it doesn't fit the network (the message names the tensor); the
            download failed.

    Numerics:
        Files are read with ``weights_only=True``: nothing in them is run. Values are rounded to the network's dtype.
    """
    path = _official(network) if source == "imagenet" else Path(source)
    own = network.state_dict()
    given = {name.removeprefix(prefix): value for name, value in _read(path).items() if name.startswith(prefix)}
    given = {name: _to_grey(value, own.get(name)) for name, value in given.items()}
    left = _left(own, given, tuple(head_names), f"{path} to fit the {type(network).__name__}")
    network.load_state_dict({name: value if name in left else given[name] for name, value in own.items()})
    loaded = tuple(name for name in own if name not in left)
    return LoadedWeights(loaded, tuple(name for name in own if name in left))


def _left(own: Mapping[str, Tensor], given: Mapping[str, Tensor], head_names: tuple[str, ...], what: str) -> set[str]:
    """The names that are not to be loaded; a :class:`DataError` if one of them has to be."""
    names = [*own, *(name for name in given if name not in own)]
    misfits = {name: fault for name in names if (fault := _misfit(own.get(name), given.get(name)))}
    heads = tuple(head for head in head_names if any(name.startswith(head) for name in misfits))
    left = {name for name in names if name.startswith(heads)}
    left |= {name for name, fault in misfits.items() if fault == "missing" and name.endswith(".num_batches_tracked")}
    wrong = [name for name in misfits if name not in left]
    if wrong:
        others = f" and {len(wrong) - 1} more such tensors" if len(wrong) > 1 else ""
        raise DataError(
            f"load_weights: expected {what}, got {wrong[0]} {misfits[wrong[0]]}{others}. "
            "Name the weights of the same network, and the prefix of their names if they have one."
        )
    return left


def _misfit(own: Tensor | None, given: Tensor | None) -> str | None:
    if own is None:
        return "unknown to the network"
    if given is None:
        return "missing"
    if own.shape != given.shape:
        return f"of shape {tuple(given.shape)} for {tuple(own.shape)}"
    return None


def _to_grey(given: Tensor, own: Tensor | None) -> Tensor:
    """A kernel (C, 3, h, w) summed over colours where the network's is (C, 1, h, w)."""
    if own is None or own.dim() != 4 or own.shape[1] != 1 or given.dim() != 4 or given.shape[1] != 3:
        return given
    return given.sum(dim=1, keepdim=True)


def _read(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name."""
    if path.suffix.lower() not in (".safetensors", ".pth", ".pt"):
        raise DataError(f"load_weights: expected a .safetensors, .pth or .pt file or 'imagenet', got {path}.")
    if not path.is_file():
        raise DataError(f"load_weights: expected a file, got {path}, which is none. Check the path.")
    if path.name in FILES.values():
        with path.open("rb") as file:
            _verify(path, hashlib.file_digest(file, "sha256").hexdigest(), path.name)
    try:
        state = _load(path)
    except Exception as error:  # damaged bytes make the readers raise nearly anything
        raise DataError(
            f"load_weights: expected tensors in {path}, got a file that is damaged or holds code "
            f"({type(error).__name__}). Save network.state_dict() by safetensors or torch.save."
        ) from error
    if not isinstance(state, Mapping):
        raise DataError(f"load_weights: expected tensors by name in {path}, got a {type(state).__name__}.")
    for name, value in state.items():
        if not isinstance(value, Tensor):
            raise DataError(
                f"load_weights: expected tensors only in {path}, got a {type(value).__name__} at {name!r}. "
                "Save network.state_dict() itself."
            )
        if not bool(value.isfinite().all()):
            raise DataError(f"load_weights: expected finite weights in {path}, got NaN or infinities in {name}.")
    return dict(state)


def _load(path: Path) -> object:
    if path.suffix.lower() == ".safetensors":
        from safetensors.torch import load_file  # imported here, since the networks themselves need torch alone

        return load_file(path)
    return torch.load(path, map_location="cpu", weights_only=True)


def _official(network: nn.Module) -> Path:
    """The official file for a network, downloaded if it isn't in the cache."""
    if not isinstance(network, ResNet) or network.conv1.out_channels != 64:
        raise ConfigError(
            f"load_weights: expected a ResNet of width 64 for 'imagenet', got {type(network).__name__}"
            f"{f' of width {network.conv1.out_channels}' if isinstance(network, ResNet) else ''}. "
            "Choose resnet18, resnet50 or resnet101, or name a file."
        )
    folder = os.environ.get("STEADFIT_WEIGHTS") or Path(torch.hub.get_dir()) / "checkpoints"
    path = Path(folder) / FILES[network.depth]
    if not path.exists():
        _download(path)
    return path


def _download(path: Path) -> None:
    """Download the official file with the path's name: complete and with the right hash, or not at all."""
    address = ADDRESS + path.name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(address, str(path), hash_prefix=_prefix(path.name), progress=sys.stderr.isatty())
    except RuntimeError as error:  # the hash differs
        raise DataError(
            f"load_weights: expected a SHA-256 that begins {_prefix(path.name)} of {address}, got {error}. "
            "The file is incomplete or not the official one: delete it and download it again."
        ) from error
    except (OSError, http.client.HTTPException) as error:
        raise DataError(
            f"load_weights: expected to download {address} to {path.parent}, got {error}. "
            "Fetch it where there is a network and put it there, or name another file."
        ) from error


def _prefix(name: str) -> str:
    """The first digits of the SHA-256, which the official name of a file ends in."""
    return Path(name).stem.rpartition("-")[2]


def _verify(where: object, digest: str, name: str) -> None:
    """Check that the digest begins with the digits in the official name."""
    expected = _prefix(name)
    if not digest.startswith(expected):
        raise DataError(
            f"load_weights: expected a SHA-256 that begins {expected} of {where}, got {digest[:8]}. "
            "The file is incomplete or not the official one: delete it and download it again."
        )
