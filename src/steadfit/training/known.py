"""The rows that a run was trained on, stored in its folder, so that any other table can be compared with them."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from steadfit._files import atomic_path
from steadfit.data import Annotations, place_keys
from steadfit.errors import DataWarning, RunError

FILE = "rows.parquet"
Words = npt.NDArray[np.str_]


@dataclass(frozen=True)
class KnownRows:
    """The rows of a run with their splits.

    A row is identified by what the network sees of it: by its image (the file's bytes, or its absolute path), or by its
    features. It stays the same row in another order, with further columns, or with a corrected label.

    Args:
        split: the split (``train``, ``val`` or ``test``) by key of bytes, path or features. Where copies are in several
            splits it is the one nearest to training.
    """

    split: Mapping[str, str]

    @classmethod
    def load(cls, folder: Path) -> KnownRows:
        """Read what :func:`write_rows` wrote into a run folder; without the file no row is known.

        Raises:
            RunError: the file is damaged.
        """
        path = folder / FILE
        if not path.is_file():
            return cls({})
        try:
            frame = pd.read_parquet(path)
            by_split = {word: frame[frame["split"] == word] for word in ("test", "val", "train")}
            keys = {key: word for word, part in by_split.items() for name in ("place", "key") for key in part[name]}
        except (OSError, KeyError, ValueError) as error:  # pyarrow's own errors are ValueErrors
            raise RunError(f"{path}: expected the rows of the run, got {error}.") from None
        keys.pop("", None)
        return cls(keys)

    def of(self, annotations: Annotations) -> Words:
        """The split that each row had in the run, (N,); empty for a row that the run does not know."""
        found = [self.split.get(key, "") or self.split.get(place, "") for key, place in _keys(annotations)]
        return np.array(found, dtype="<U5")


def write_rows(annotations: Annotations, folder: Path) -> None:
    """Write the keys and splits of all rows of a table into a run folder."""
    keys = pd.DataFrame(_keys(annotations), columns=["key", "place"], dtype=str)
    with atomic_path(folder / FILE) as path:
        keys.assign(split=annotations.split.astype(object)).to_parquet(path, index=False)


def as_in_run(annotations: Annotations, folder: Path) -> tuple[Annotations, Words]:
    """A table with the run's splits where it has none itself, and the split that each row had in the run.

    Rows that the run does not know were not trained on: in a table without splits they are test rows.

    Args:
        annotations: the table.
        folder: the run folder.

    Returns:
        The table, and (N,) the split that each row had in the run; empty for new rows.

    Warns:
        DataWarning: some rows of a table without splits are new to the run, with their number.
    """
    before = KnownRows.load(folder).of(annotations)
    drawn = annotations.drawn
    if drawn is None or not drawn.any():
        return annotations, before
    split = np.where(drawn & (before != ""), before, annotations.split)
    new = before == ""
    if drawn.all() and new.any():
        split[new] = "test"
        warnings.warn(f"{annotations.path}: {_counted(int(new.sum()), len(new))}", DataWarning, stacklevel=3)
    return dataclasses.replace(annotations, split=split), before


def warn_trained(who: str, annotations: Annotations, before: Words) -> None:
    """Warn where rows of a table are among those that the run was trained on.

    Args:
        who: the command, for the message.
        annotations: the table.
        before: (N,) the split that each row had in the run; empty for new rows.
    """
    trained = int((before == "train").sum())
    if trained:
        warnings.warn(
            f"{annotations.path}: {trained} of the {len(before)} rows were trained on. What {who} finds on them says "
            "nothing about new rows.",
            DataWarning,
            stacklevel=3,
        )


def _counted(new: int, rows: int) -> str:
    if new == rows:
        return f"none of the {rows} rows is known to the run. All of them count as test rows."
    return (
        f"{rows - new} of the {rows} rows are the run's own and keep its splits. The other {new} are new to it and "
        "count as test rows."
    )


def _keys(annotations: Annotations) -> list[tuple[str, str]]:
    """The keys of bytes and place of each row; empty where there is none."""
    count, images = len(annotations), annotations.images
    places = [""] * count if images is None else place_keys(annotations.root, images)
    keys = [""] * count if annotations.key is None else annotations.key.tolist()
    return list(zip(keys, places, strict=True))
