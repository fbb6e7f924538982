"""Splits: which rows train, validate and test, as the table specifies or drawn with a seed."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import numpy.typing as npt

from steadfit.data.tables.cells import RawTable, shorten
from steadfit.data.tables.problems import Problem

SPLITS = ("train", "val", "test")
SPLIT_WORDS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val", "test": "test"}

Rows = npt.NDArray[np.int64]
Words = npt.NDArray[np.str_]


def read_split(raw: RawTable, column: str) -> tuple[Words, list[Problem]]:
    """The split of N rows, and the rows whose split is an unknown word."""
    cells = raw.text(column)
    words = [SPLIT_WORDS.get(cell.strip().lower()) for cell in cells]
    problems = [
        raw.problem(row, column, f"expected train, val or test, got {shorten(cells[row])}.")
        for row, word in enumerate(words)
        if word is None
    ]
    return np.array([word or "train" for word in words], dtype="<U5"), problems


def draw_split(
    given: Words | None, group: Rows, *, seed: int, val_share: float, test_share: float
) -> npt.NDArray[np.str_]:
    """Complete the split of N rows.

    Without a split, test and validation rows are drawn; with one that has training rows but no validation rows, these
    are drawn from the training rows. Nothing is added to a given test split. Rows of one group (images with the same
    bytes, the same features) are drawn together, so that a network is not tested on a copy of a training row.

    Args:
        given: (N,) words of ``SPLITS``, or None.
        group: (N,), the group of each row.
        seed: the draw is a function of the seed and the groups.
        val_share: the share of the training rows (without a split: of all rows) drawn for validation.
        test_share: the share of all rows drawn for testing.

    Returns:
        (N,) words of ``SPLITS``.
    """
    rng = np.random.default_rng(seed)
    split = np.full(len(group), "train", dtype="<U5") if given is None else given.copy()
    if given is None:
        split[_draw(np.arange(len(group)), group, _count(test_share, len(group)), rng)] = "test"
    train = (split == "train").nonzero()[0]
    if not (split == "val").any():
        share_of = len(group) if given is None else len(train)
        split[_draw(train, group, _count(val_share, share_of), rng)] = "val"
    return split


def draw_class_split(
    given: Words | None, label: Rows, group: Rows, *, seed: int, val_share: float, test_share: float
) -> Words:
    """Complete the split of N rows with classes, class by class; see :func:`draw_split`.

    Args:
        given: (N,) words of ``SPLITS``, or None.
        label: (N,), the classes, -1 for none.
        group: (N,), the group of each row.
        seed: the seed of the test rows; the validation rows are drawn with the next one.
        val_share: the share of the training rows (without a split: of all rows) drawn for validation.
        test_share: the share of all rows drawn for testing.

    Returns:
        (N,) words of ``SPLITS``.
    """
    split = np.full(len(group), "train", dtype="<U5") if given is None else given.copy()
    if given is None and test_share > 0:
        split[draw_stratified(label, group, test_share, seed=seed)] = "test"
    if not (split == "val").any() and val_share > 0:
        train = (split == "train").nonzero()[0]
        share = val_share if given is not None else min(val_share * len(split) / max(len(train), 1), 1.0)
        split[train[draw_stratified(label[train], group[train], share, seed=seed + 1)]] = "val"
    return split


def draw_stratified(label: Rows, group: Rows, share: float, *, seed: int) -> Rows:
    """Some of N rows, from every class its share, drawn with a seed.

    round(share N) rows, at least one and never a whole class: each class gives the whole part of share n_c, the classes
    with the largest fractions one more. Where one of the rows of a group is drawn, all are.

    Args:
        label: (N,), the classes, -1 for none.
        group: (N,), the group of each row.
        share: in [0, 1].
        seed: >= 0.

    Returns:
        Row numbers, ascending.

    >>> label = np.repeat([0, 1], 50)
    >>> np.bincount(label[draw_stratified(label, np.arange(100), 0.1, seed=0)]).tolist()
    [5, 5]
    """
    rng = np.random.default_rng(seed)
    classes, inverse, counts = np.unique(label, return_inverse=True, return_counts=True)
    wanted = share * counts
    number = np.floor(wanted + 1e-9).astype(np.int64)
    rest = max(round(share * len(label)), 1) - int(number.sum()) if len(label) and share > 0 else 0
    order = np.lexsort((rng.permutation(len(classes)), -(wanted - number)))
    number[order[: max(rest, 0)]] += 1
    number = np.minimum(number, counts - 1)
    shuffled = rng.permutation(len(label))
    taken = [shuffled[inverse[shuffled] == k][: number[k]] for k in range(len(classes))]
    chosen = np.concatenate([*taken, np.empty(0, dtype=np.int64)])
    return np.isin(group, group[chosen]).nonzero()[0]


def drawn_rows(given: Words | None, count: int) -> npt.NDArray[np.bool_]:
    """The rows (count,) whose split :func:`draw_split` decides: all, or the training ones without validation rows."""
    if given is None:
        return np.ones(count, dtype=bool)
    return np.asarray((given == "train") & ~(given == "val").any(), dtype=bool)


def empty_splits(raw: RawTable, split: Words, column: str | None, need_splits: Collection[str]) -> list[Problem]:
    """A problem for each split that is needed and has no row.

    Args:
        raw: the table.
        split: (N,), the splits of the rows.
        column: the split column; None where there is none.
        need_splits: the splits that must have rows.
    """
    counts = ", ".join(f"{int((split == word).sum())} {word}" for word in SPLITS)
    return [
        raw.file_problem(column, f"expected rows of the split {word!r}, got none ({counts}).")
        for word in need_splits
        if not (split == word).any()
    ]


def _count(share: float, rows: int) -> int:
    return max(1, round(share * rows)) if share > 0 else 0


def _draw(rows: Rows, group: Rows, count: int, rng: np.random.Generator) -> Rows:
    """At least ``count`` of the rows, whole groups in random order; never all of them."""
    _, member = np.unique(group[rows], return_inverse=True)
    groups = int(member.max(initial=-1)) + 1
    rank = rng.permutation(groups)[member]  # (rows,) place of each row's group in the draw
    count = min(count, len(rows) - 1)
    if count < 1 or groups < 2:
        return rows[:0]
    last = min(int(np.sort(rank)[count - 1]), groups - 2)
    chosen: Rows = rows[rank <= last]
    return chosen
