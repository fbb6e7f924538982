"""Groups of rows that splits must not divide, and the draw of the splits that a source does not give."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from steadfit.data.tables.annotations import Annotations
from steadfit.data.tables.duplicates import place_of
from steadfit.data.tables.identity import same_key
from steadfit.data.tables.source import Source
from steadfit.data.tables.splits import SPLITS, draw_class_split, draw_split
from steadfit.data.tables.together import can_be_drawn, originals, together
from steadfit.errors import DataWarning

Rows = npt.NDArray[np.int64]


def drawn_split(
    annotations: Annotations,
    before: npt.NDArray[np.str_] | None,
    keys: Sequence[str],
    *,
    seed: int,
    val_share: float,
    test_share: float,
    quiet: bool,
) -> npt.NDArray[np.str_]:
    """The split of every row, bad or not: it does not depend on what is skipped, so that no test row is trained on.

    Args:
        annotations: the rows.
        before: (N,) the splits that are given; None for none.
        keys: N hashes of what the network sees.
        seed: the seed of the draw.
        val_share: as for :func:`steadfit.data.load_annotations`.
        test_share: as for :func:`steadfit.data.load_annotations`.
        quiet: whether nothing is said where there are too few groups to draw by.
    """
    group = drawn_together(annotations, keys, quiet=quiet or before is not None)
    if annotations.schema.classes:
        return draw_class_split(before, annotations.label, group, seed=seed, val_share=val_share, test_share=test_share)
    return draw_split(before, group, seed=seed, val_share=val_share, test_share=test_share)


def drawn_together(annotations: Annotations, keys: Sequence[str], *, quiet: bool) -> Rows:
    """The rows that are drawn as one: copies, rows of one image, and of one group.

    A table with too few different rows of features to split is drawn row by row, and one with too few groups image by
    image.

    Args:
        annotations: the rows.
        keys: N hashes of what the network sees.
        quiet: whether nothing is said where there are too few groups.

    Warns:
        DataWarning: there are too few groups.
    """
    images = annotations.images
    if images is None and annotations.group is None:
        group = same_key(keys)
        return np.arange(len(group)) if len(np.unique(group)) < len(SPLITS) else group
    alike = together(keys, [] if images is None else place_of(images)) if images is not None else same_key(keys)
    if annotations.group is None:
        return alike
    group = together(alike.astype(np.str_), annotations.group)
    if can_be_drawn(group):
        return group
    if not quiet:
        count = len(np.unique(group))
        which = "there is only one group" if count == 1 else f"there are only {count} groups"
        warnings.warn(
            f"{annotations.path}: {which} (video, person), or most rows are of one, so splits are drawn image by "
            "image and test images resemble training images. Give a split of your own for an error that holds for new "
            "groups.",
            DataWarning,
            stacklevel=5,
        )
    return alike


def groups_of(source: Source, images: Sequence[str] | None) -> npt.NDArray[np.str_] | None:
    """What belongs together apart from images: by a column, by the format, or by the names of augmented copies.

    Args:
        source: the source.
        images: N paths; None for a table of features.

    Returns:
        (N,) words, empty for a row that belongs to no group; None where there are no groups.
    """
    column = source.schema.group
    words = source.cells.text(column) if column is not None else source.group
    copies = originals(images or ())
    if words is None or not any(copies):
        known = words if words is not None else copies if any(copies) else None
        return None if known is None else np.array([word.strip() for word in known], dtype=np.str_)
    return np.array([words[row] or copies[row] for row in together(words, copies)], dtype=np.str_)
