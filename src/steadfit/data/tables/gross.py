"""The warning about labels that are too far from all others to be measurements."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np
import numpy.typing as npt
import torch

from steadfit.core.scale import gross
from steadfit.data.tables.annotations import Annotations
from steadfit.errors import DataWarning

SHOWN = 3
"""The number of labels that the warning lists."""


def warn_gross(annotations: Annotations) -> None:
    """Warn once about gross numbers among the training labels, comparing each coordinate with its own column.

    A point counts once, in whichever of its coordinates it is gross. Classes have no gross numbers.

    Args:
        annotations: the checked table; with ``sides: observer`` a column's name is that after the exchange of sides.

    Warns:
        DataWarning: some labels are gross, see :func:`steadfit.core.scale.gross`; names the file, and line and columns
            of the first ones.
    """
    rows = annotations.rows("train")
    if annotations.schema.classes or not len(rows):
        return
    found = gross(torch.from_numpy(annotations.target[rows]))
    if not found.count:
        return
    mask = found.mask.any(dim=-1)
    labels = dataclasses.replace(found, mask=mask, count=int(mask.sum()))
    shown = [
        _told(annotations, int(rows[row]), k, found.mask[row, k].numpy()) for row, k in mask.nonzero()[:SHOWN].tolist()
    ]
    shown += [f"and {labels.count - SHOWN:,} more"] if labels.count > SHOWN else []
    warnings.warn(
        f"{annotations.path}: {labels} of their column ({'; '.join(shown)}). "
        "Empty the cells of labels that do not exist, and correct the others.",
        DataWarning,
        stacklevel=3,
    )


def _told(annotations: Annotations, row: int, k: int, axes: npt.NDArray[np.bool_]) -> str:
    """Line, columns and values of label k in the axes where it is gross, as text."""
    columns = np.reshape(annotations.schema.columns, (-1, annotations.schema.dims))[k]
    cells = zip(columns[axes], annotations.target[row, k, axes], strict=True)
    return f"line {annotations.line[row]}, " + ", ".join(
        f"{annotations.named(name)} = {value:.10g}" for name, value in cells
    )
