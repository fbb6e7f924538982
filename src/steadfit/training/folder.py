"""The run folder: its files, their contents, and one function that opens all of them.

config.yaml (settings, schema, data), model.safetensors (network, scaling, noise state), metrics.json, history.csv,
rows.parquet (the rows that the run knows, with their splits), trust.parquet (every label), suspects.csv (the suspect
labels, worst first), checkpoints/last.ckpt (to resume). No file contains pickled objects. Whatever is wrong with a
file, the error is one sentence that names it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
import yaml
from safetensors.torch import load_file
from torch import Tensor

import steadfit
from steadfit._files import write_text
from steadfit.data import Annotations, Schema, native_size
from steadfit.errors import RunError
from steadfit.noise import NoiseModel
from steadfit.training.settings import Settings

CONFIG = "config.yaml"
MODEL = "model.safetensors"
MARK = "diverged.json"
"""What a training leaves that ended because its numbers were not finite."""
CASCADE = "cascade"
"""What a cascade's configuration calls its task; that of one network has none."""
FORMAT_VERSION = 1
"""The version of every JSON and YAML file in a run folder; newer files are refused."""


@contextmanager
def opened(path: Path, what: str, *, remedy: str = "") -> Iterator[None]:
    """Turn every exception in the block into a RunError about the file.

    Args:
        path: the file.
        what: what the file should be, which completes "expected …".
        remedy: one sentence on how to repair it.

    Raises:
        RunError: for any exception in the block; a RunError passes unchanged.
    """
    try:
        yield
    except RunError:
        raise
    except Exception as error:
        raise RunError(f"{path}: expected {what}, got {_fact(error)}. {remedy}".rstrip()) from None


def open_config(folder: Path) -> dict[str, Any]:
    """The content of a run's ``config.yaml``, for any task.

    Raises:
        RunError: the file is missing, is not a YAML mapping, or has a newer format.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise RunError(f"{folder}: no run here, {CONFIG} is missing. Name a folder that 'steadfit fit' wrote.")
    with opened(path, "the configuration of a run"):
        return _checked(yaml.safe_load(path.read_text(encoding="utf-8")), path)


def read_json(path: Path, what: str, keys: Mapping[str, type], *, remedy: str = "") -> dict[str, Any]:
    """The content of a JSON file.

    Args:
        path: the file.
        what: what the file should be, which completes "expected …".
        keys: keys that are required, with the types of their values.
        remedy: one sentence on how to repair it.

    Raises:
        RunError: the file cannot be read, lacks a key, or has a newer format.
    """
    with opened(path, what, remedy=remedy):
        content = _checked(json.loads(path.read_text(encoding="utf-8")), path)
        for key, kind in keys.items():
            if not isinstance(content.get(key), kind):
                raise ValueError(f"{content.get(key)!r} for {key!r}")
        return content


def read_tensors(path: Path, what: str = "the weights of a run", *, remedy: str = "") -> dict[str, Tensor]:
    """The tensors of a safetensors file.

    Args:
        path: the file.
        what: what the file should be, which completes "expected …".
        remedy: one sentence on how to repair it.

    Raises:
        RunError: the file cannot be read.
    """
    with opened(path, what, remedy=remedy):
        return load_file(path)


def read_model(folder: Path) -> dict[str, Tensor]:
    """The tensors of a finished run's ``model.safetensors``; those named ``noise.…`` are the noise model's state.

    Raises:
        RunError: the run is not finished, its file is damaged, or its weights are not finite.
    """
    path = folder / MODEL
    if (folder / MARK).is_file() and not path.is_file():
        raise RunError(f"{folder}: the training of this run diverged, see {MARK}. Train again in another folder.")
    if not path.is_file():
        raise RunError(f"{folder}: the run is not finished, {MODEL} is missing. Continue it with --resume.")
    tensors = read_tensors(path)
    for name, value in tensors.items():
        if value.is_floating_point() and not name.startswith("noise.") and not bool(value.isfinite().all()):
            raise RunError(f"{path}: expected finite weights, got others in {name!r}. Train again with a smaller --lr.")
    return tensors


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The checkpoint from which ``--resume`` continues: tensors and plain containers, nothing that could run code.

    Raises:
        RunError: the file is damaged, or contains anything else.
    """
    with opened(path, WHOLE, remedy=RESTART):
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
        except OSError:
            raise
        except Exception:  # torch's own text advises to load it without care
            raise ValueError("a damaged file, or one of another program") from None
        for part, kind in PARTS.items():
            if not isinstance(content[part], kind):
                raise TypeError(f"one with other content in {part!r}")
        return cast(dict[str, Any], content)


WHOLE = "the whole checkpoint of this run"
RESTART = "Delete it and --resume trains from the start."
PARTS: Mapping[str, type] = {"state_dict": dict, "loops": dict, "callbacks": dict, "optimizer_states": list}


def read_history(folder: Path) -> pd.DataFrame:
    """The run's ``history.csv``, one row per epoch.

    Raises:
        RunError: the file is missing, or is not a table with numbers for ``epoch`` and ``seconds``.
    """
    path = folder / "history.csv"
    with opened(path, "the history of a run"):
        table = pd.read_csv(path)
        for name in ("epoch", "seconds"):
            if not pd.api.types.is_numeric_dtype(table[name].dtype):
                raise ValueError(f"text in column {name!r}")
        return table


def _checked(content: Any, path: Path) -> dict[str, Any]:
    """A mapping of a format that this version knows; files without a version have the first one."""
    if not isinstance(content, dict):
        raise TypeError(f"a {type(content).__name__}")
    version = content.get("format_version", FORMAT_VERSION)
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ValueError(f"format_version {version!r}")
    if version > FORMAT_VERSION:
        raise RunError(
            f"{path}: expected format_version {FORMAT_VERSION} or less, got {version}. It was written by a newer "
            "steadfit: update this one."
        )
    return content


def _fact(error: Exception) -> str:
    """An exception in one line, for "got …"."""
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark
        return f"{error.problem}{f' in line {mark.line + 1}' if mark else ''}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, KeyError):
        return f"one without {error.args[0]!r}"
    text = " ".join(str(error).split()) or type(error).__name__
    return (text if len(text) <= 300 else f"{text[:300]}…").rstrip(".")


def describe(annotations: Annotations, settings: Settings, noise: NoiseModel | None = None) -> dict[str, Any]:
    """The content of config.yaml: what is needed to understand, repeat and open the run.

    Args:
        annotations: the checked table.
        settings: the settings of the training.
        noise: a custom noise model; None: the one that the settings name.
    """
    content = {
        "format_version": FORMAT_VERSION,
        "steadfit": steadfit.__version__,
        "torch": str(torch.__version__),
        "data": os.path.abspath(annotations.path),
        **({"format": annotations.format} if annotations.format else {}),
        **({"root": os.path.abspath(annotations.root)} if annotations.at is not None else {}),
        "images": annotations.images is not None,
        "size": list(frame_of(annotations, settings)),
        "settings": settings.to_dict(),
        "schema": annotations.schema.to_dict(),
        "fingerprint": fingerprint(annotations),
    }
    return content if noise is None else content | {"noise_model": repr(noise)}


def frame_of(annotations: Annotations, settings: Settings) -> tuple[int, int]:
    """Height and width of the network's input in px: those of the settings, or the images' own size."""
    return native_size(annotations) if settings.frame is None else settings.frame


def write_config(out: Path, content: dict[str, Any]) -> None:
    """Write a run's ``config.yaml``, atomically.

    Args:
        out: the run folder.
        content: what :func:`describe` gives.
    """
    write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), out / CONFIG)


_LATER = ("box_fit", "group", "exif", "coordinates", "origin", "missing", "categories", "impute", "medians")
"""Fields of a schema whose defaults are left out of fingerprints, so that runs from before them can be continued."""


def fingerprint(annotations: Annotations) -> str:
    """A short hash of rows, splits, labels, features and what they mean.

    The pixels are included only where they came as one array.
    """
    usual, meaning = Schema().to_dict(), annotations.schema.to_dict()
    meaning = {key: value for key, value in meaning.items() if key not in _LATER or value != usual[key]}
    meaning["visibility"] = {"auto": "occluded"}.get(meaning["visibility"], meaning["visibility"])
    digest = hashlib.sha256(json.dumps(meaning, sort_keys=True).encode())
    digest.update(json.dumps([annotations.images, annotations.split.tolist()]).encode())
    for array in (annotations.target + 0.0, annotations.features, annotations.size):
        digest.update(b"-" if array is None else np.where(np.isnan(array), np.nan, array).tobytes())
    if annotations.box is not None:
        digest.update(annotations.box.tobytes())
    if annotations.pixels is not None:
        digest.update(annotations.pixels.numpy().tobytes())
    return digest.hexdigest()[:16]


def read_config(folder: Path) -> tuple[Settings, dict[str, Any]]:
    """Settings and content of the ``config.yaml`` of a run or a cascade.

    Raises:
        RunError: the file is missing, damaged, or belongs to a run of another task.
    """
    config = open_config(folder)
    if (task := config.get("task")) not in (None, CASCADE):
        raise RunError(
            f"{folder / CONFIG}: expected the run of one network or a cascade, got one of task {task!r}. Another "
            "steadfit wrote it: train again in another folder."
        )
    with opened(folder / CONFIG, "the configuration of a run"):
        if not isinstance(config["images"], bool):
            raise TypeError(f"images: {config['images']!r}")
        if not (isinstance(config["size"], list) and [type(side) for side in config["size"]] == [int, int]):
            raise TypeError(f"size: {config['size']!r}")
        Schema.from_dict(config["schema"])
        return Settings.from_dict(config["settings"]), config
