"""PCK of every joint, or PCP of every part, as a table, the left and the right of a person as one column.

``results`` maps a method to its shares in [0, 1] as `steadfit evaluate` writes them: ``pck``, ``pck_by_point`` (the
name of a point to its share) and, where measured, ``pck_area``, ``swaps``, ``double``, ``double_right``, and of bodies
``pcp``, ``pcp_loose``, ``pcp_by_part``. For several seeds each is a list instead of a number: tables then show the mean
with its standard deviation, figures the mean with whiskers from the lowest to the highest seed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from steadfit.reports.methods import marks
from steadfit.reports.values import DASH

Array = NDArray[np.float64]
Results = Mapping[str, Mapping[str, Any]]
Groups = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Measure:
    """Under which keys the results have a measure: over all, by name, and in further columns."""

    over_all: str
    by_name: str
    further: Mapping[str, str] = field(default_factory=dict)


PCK_KEYS = Measure("pck", "pck_by_point", {"AUC": "pck_area"})
HEAD = ("head", "head_top", "neck", "upper_neck")
BODY = ("head", "neck", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
_SIDE = re.compile(r"^(?:left|right|[lr])[_\s-]+|[_\s-]+(?:left|right|[lr])$|^(?:left|right)|(?:left|right)$", re.I)


def joint_groups(
    names: Sequence[str], pairs: Sequence[tuple[int, int]] = (), *, head: Sequence[str] = HEAD
) -> dict[str, tuple[str, ...]]:
    """The columns of a pose table: left and right as one, head and neck as one, from the head down.

    Args:
        names: K names of the points.
        pairs: left and right points, as indices.
        head: names that are one column "Head", as in the published tables of LSP; empty keeps them apart.

    Returns:
        Column to the names of its points. Columns are named without left and right; what is no part of a person comes
        last, in the order of ``names``.

    >>> joint_groups(["r_knee", "l_knee", "neck", "head_top"], [(0, 1)])
    {'Head': ('neck', 'head_top'), 'Knee': ('r_knee', 'l_knee')}
    """
    partner = {end: pair for pair in pairs for end in pair}
    groups: dict[str, tuple[str, ...]] = {}
    for k, name in enumerate(names):
        members = tuple(names[i] for i in sorted(partner.get(k, (k,))))
        label = "Head" if name.lower() in head else _column(members)
        groups[label] = tuple(dict.fromkeys((*groups.get(label, ()), *members)))
    rank = {part: i for i, part in enumerate(BODY)}
    return dict(sorted(groups.items(), key=lambda item: rank.get(item[0].lower(), len(BODY))))


def _column(names: Sequence[str]) -> str:
    """The name of a point, or of a pair without its sides."""
    bare = [_SIDE.sub("", name) or name for name in names] if len(names) > 1 else names
    text = " / ".join(dict.fromkeys(bare)).replace("_", " ")
    return text[:1].upper() + text[1:]


def pck_frame(results: Results, groups: Groups, *, keys: Measure = PCK_KEYS) -> pd.DataFrame:
    """PCK in per cent as text cells, one row per method, indexed by the method's name.

    A column is the plain mean of its points' shares, as in the published tables; ``Mean`` is ``pck``, the share of all
    annotated points, and with several seeds carries their standard deviation. ``AUC`` stands there if any method has a
    ``pck_area``. A share that a method does not have is a dash.

    Args:
        results: method to its shares, see above.
        groups: column to the names of its points, from `joint_groups`.
        keys: where in the results the shares are.
    """
    rows = []
    for result, mark in zip(results.values(), marks(results).values(), strict=True):
        columns = {label: _cell(joint_share(result, names, keys=keys)) for label, names in groups.items()}
        ends = {"Mean": _with_spread(seeds(result, keys.over_all))}
        ends |= {label: _cell(seeds(result, key)) for label, key in keys.further.items()}
        rows.append({"method": mark.label, **columns, **ends})
    frame = pd.DataFrame(rows, index=list(results), columns=["method", *groups, "Mean", *keys.further], dtype=object)
    return frame.drop(columns=[label for label in keys.further if (frame[label] == DASH).all()])


def pck_table(
    results: Results, groups: Groups, *, title: str = "", measure: str = "PCK", keys: Measure = PCK_KEYS
) -> Table:
    """`pck_frame` for the terminal; the highest of each column is bold.

    Args:
        results: method to its shares, see above.
        groups: column to the names of its points, from `joint_groups`.
        title: a line above the table.
        measure: what is measured, e.g. ``"PCK@.2 of the torso"``.
        keys: where in the results the shares are.
    """
    frame = pck_frame(results, groups, keys=keys)
    spread = "; ± is the standard deviation over seeds" if frame["Mean"].str.contains("±").any() else ""
    table = Table(
        title=Text(title) if title else None, caption=Text(f"{measure} in %{spread}"), title_justify="left",
        caption_justify="left", box=SIMPLE_HEAD, padding=0, pad_edge=False, collapse_padding=True,
    )  # fmt: skip
    columns = [str(name) for name in frame]
    for name in columns:
        table.add_column(Text(name), justify="left" if name == "method" else "right", no_wrap=True)
    best = [max((x for x in map(_shown, frame[name]) if not np.isnan(x)), default=np.nan) for name in columns]
    for row in frame.itertuples(index=False):
        cells = zip(columns, row, best, strict=True)
        table.add_row(*(Text(c, "bold" if name != "method" and _shown(c) == top else "") for name, c, top in cells))
    return table


def seeds(result: Mapping[str, Any], key: str) -> Array:
    """A share of each seed, (S,); one NaN where the method has none."""
    value = result.get(key)
    return np.atleast_1d(np.asarray(np.nan if value is None else value, dtype=np.float64))


def joint_share(result: Mapping[str, Any], names: Sequence[str], *, keys: Measure = PCK_KEYS) -> Array:
    """The plain mean over those of the named points that have a share, (S,)."""
    by_name = result.get(keys.by_name) or {}
    shares = np.stack(np.broadcast_arrays(*(seeds(by_name, name) for name in names)))  # (names, S)
    known = ~np.isnan(shares)
    total, count = np.where(known, shares, 0.0).sum(0), known.sum(0)
    return np.asarray(np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0), dtype=np.float64)


def _cell(share: Array) -> str:
    mean = float(share.mean())
    return DASH if np.isnan(mean) else f"{100 * mean:.1f}"


def _with_spread(share: Array) -> str:
    spread = f" ± {100 * share.std(ddof=1):.1f}" if share.size > 1 and np.isfinite(share).all() else ""
    return _cell(share) + spread


def _shown(cell: str) -> float:
    """The number that a cell shows, so that what looks equal is equal; NaN for a dash."""
    head = cell.split(" ")[0]
    return float(head) if re.fullmatch(r"\d+\.\d", head) else np.nan
