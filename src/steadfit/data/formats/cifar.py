"""CIFAR-10 and CIFAR-100 in their authors' binary version: records of label bytes and 3 x 32 x 32 pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from steadfit import _checks
from steadfit.data.tables.cells import Cells, RawTable
from steadfit.data.tables.schema import Schema
from steadfit.data.tables.source import Source
from steadfit.errors import DataError

SIDE = 32
_PIXELS = 3 * SIDE * SIDE


@dataclass(frozen=True)
class Layout:
    """How one of the two sets is stored.

    Args:
        title: the set's name.
        files: for each file name the split and the number of records.
        labels: for each label byte in front of the pixels its name and the file with its classes, in order; the last
            one is the set's own label.
        counts: the number of classes of each label.
    """

    title: str
    files: dict[str, tuple[str, int]]
    labels: dict[str, str]
    counts: dict[str, int]

    @property
    def record(self) -> int:
        """The number of bytes of one image with its labels."""
        return len(self.labels) + _PIXELS


CIFAR10 = Layout(
    "CIFAR-10",
    {f"data_batch_{i}.bin": ("train", 10_000) for i in range(1, 6)} | {"test_batch.bin": ("test", 10_000)},
    {"label": "batches.meta.txt"},
    {"label": 10},
)
CIFAR100 = Layout(
    "CIFAR-100",
    {"train.bin": ("train", 50_000), "test.bin": ("test", 10_000)},
    {"coarse": "coarse_label_names.txt", "fine": "fine_label_names.txt"},
    {"coarse": 20, "fine": 100},
)


def layout_of(folder: Path) -> Layout | None:
    """The layout of the set whose data files a folder contains; None for neither.

    Raises:
        DataError: the folder is the sets' Python version, whose files are pickles.
    """
    for layout in (CIFAR10, CIFAR100):
        if any((folder / name).is_file() for name in layout.files):
            return layout
        if all((folder / Path(name).stem).is_file() for name in layout.files):
            raise DataError(
                f"{folder}: expected {layout.title}'s binary version, got the Python version. Its files are pickles, "
                f"which can run any program when they are opened. Download the binary version from the set's page."
            )
    return None


def is_one(folder: Path) -> bool:
    """Whether a path is the folder of one of the two sets.

    Raises:
        DataError: the folder is the sets' Python version, whose files are pickles.
    """
    return folder.is_dir() and layout_of(folder) is not None


def read(folder: Path, schema: Schema | None = None) -> Source:
    """CIFAR-10 or CIFAR-100 from the folder of its binary version, with the authors' training and test images.

    Args:
        folder: ``cifar-10-batches-bin`` or ``cifar-100-binary``, unpacked.
        schema: its target chooses among CIFAR-100's labels: ``"fine"`` (100 classes) or ``"coarse"`` (20). None:
            ``"fine"``.

    Returns:
        The images in the files' order, with their pixels; ``line`` is the record's number in its file, from 1.

    Raises:
        DataError: a missing or truncated file, a label out of range, a missing name.
        ValueError: a label that the set does not have.

    References:
        Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009; the sets' page describes the format.
    """
    layout = layout_of(folder)
    if layout is None:
        raise DataError(f"{folder}: expected {' or '.join((*CIFAR10.files, *CIFAR100.files))}, got none of them.")
    chosen = schema.targets[0] if schema is not None and schema.targets else [*layout.labels][-1]
    _checks.one_of("cifar.read", "label", chosen, tuple(layout.labels))
    parts = [_records(folder / name, layout, count) for name, (_, count) in layout.files.items()]
    place = [*layout.labels].index(chosen)
    names = _names(folder / layout.labels[chosen], layout.counts[chosen])
    for file, part in zip(layout.files, parts, strict=True):
        _check_labels(folder / file, part[:, place], len(names))
    counts = [len(part) for part in parts]
    records = np.concatenate(parts)
    splits = [split for split, _ in layout.files.values()]
    places = [
        (file, record) for file, count in zip(layout.files, counts, strict=True) for record in range(1, count + 1)
    ]
    cells: dict[str, Cells] = {
        "image": [f"{file}:{record}" for file, record in places],
        "label": records[:, place].astype(np.float64),
        "split": np.repeat(splits, counts).tolist(),
    }
    line = np.array([record for _, record in places], dtype=np.int64)
    table = RawTable(path=folder, cells=cells, line=line, row=np.arange(len(records)))
    return Source(table, Schema(targets=("label",), classes=names), folder, _pixels(records, len(layout.labels)))


def _records(path: Path, layout: Layout, count: int) -> np.ndarray:
    """The records of one file, (count, labels + pixels) uint8."""
    if not path.is_file():
        raise DataError(f"{path}: expected a file of {layout.title}'s binary version, got none. Unpack it again.")
    wanted, found = count * layout.record, path.stat().st_size
    if found != wanted:
        raise DataError(
            f"{path}: expected {count} records of {layout.record} bytes, {wanted} in all, got {found} bytes. "
            "Download and unpack it again."
        )
    return np.fromfile(path, dtype=np.uint8).reshape(count, layout.record)


def _names(path: Path, count: int) -> tuple[str, ...]:
    try:
        names = tuple(line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: expected the {count} classes' names, got {error}.") from None
    if len(names) != count or len(set(names)) != count:
        raise DataError(f"{path}: expected {count} different names, one per line, got {len(set(names))}.")
    return names


def _check_labels(path: Path, label: np.ndarray, count: int) -> None:
    if wrong := np.flatnonzero(label >= count).tolist():
        raise DataError(
            f"{path}, record {wrong[0] + 1}: expected a label below {count}, got {label[wrong[0]]}. The file is "
            "damaged or of another set."
        )


def _pixels(records: np.ndarray, labels: int) -> Tensor:
    """The pixels (N, 3, 32, 32), in the records' own order of colours, rows and columns."""
    return torch.from_numpy(np.ascontiguousarray(records[:, labels:])).view(-1, 3, SIDE, SIDE)


def describe_files(layouts: Sequence[Layout] = (CIFAR10, CIFAR100)) -> str:
    """The files by which a set is recognised, for messages."""
    return ", ".join(f"{layout.title}'s {next(iter(layout.files))}" for layout in layouts)
