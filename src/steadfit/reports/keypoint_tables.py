"""Shares of keypoints and body parts as tables, with the left and the right of a person as one column.

``results`` maps a method to its shares in [0, 1] as ``steadfit evaluate`` writes them: ``pck``, ``pck_by_point`` (a
share by the name of the point) and, where measured, ``pck_area``, ``swaps``, ``double``, ``double_right``, and for
bodies ``pcp``, ``pcp_loose``, ``pcp_by_part``. For several seeds each is a list instead of a number: tables then show
the mean with its standard deviation, figures the mean with whiskers from the lowest to the highest seed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

import numpy as np
import pandas as pd
from rich.table import Table

from steadfit.metrics import Part
from steadfit.reports.methods import marks
from steadfit.reports.terminal import text_table
from steadfit.reports.values import DASH, Array, Results, capital, percent, short, with_unit

Groups = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Measure:
    """The keys under which the results have a measure.

    Args:
        over_all: the key of the share over all points or parts.
        by_name: the key of the shares by name.
        further: the keys of further columns, by their titles.
    """

    over_all: str
    by_name: str
    further: Mapping[str, str] = field(default_factory=dict)


PCK = Measure("pck", "pck_by_point", {"AUC": "pck_area"})
PCP = Measure("pcp", "pcp_by_part", {"Loose": "pcp_loose"})  # strict; the loose one is for comparison
HEAD = ("head", "head_top", "neck", "upper_neck")
BODY = ("head", "neck", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
_SIDE = re.compile(r"^(?:left|right|[lr])[_\s-]+|[_\s-]+(?:left|right|[lr])$|^(?:left|right)|(?:left|right)$", re.I)


def joint_groups(
    names: Sequence[str], pairs: Sequence[tuple[int, int]] = (), *, head: Sequence[str] = HEAD
) -> dict[str, tuple[str, ...]]:
    """The columns of a pose table: left and right as one, head and neck as one, from the head down.

    Columns are named without left and right; what is not part of a person comes last, in the order of ``names``.

    Args:
        names: K names of the points.
        pairs: left and right points, as indices.
        head: names that are one column "Head", as in the published tables of LSP; empty keeps them apart.

    Returns:
        The names of the points of each column.

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
    return capital(text)


def part_groups(parts: Sequence[Part]) -> dict[str, tuple[str, ...]]:
    """The columns of a table of parts: left and right as one, in the order of ``parts``.

    >>> part_groups([Part("head", (0,), (1,)), Part("left_shin", (2,), (3,)), Part("right_shin", (4,), (5,))])
    {'Head': ('head',), 'Shin': ('left_shin', 'right_shin')}
    """
    names = [part.name for part in parts]
    partner = {name: f"right_{name.removeprefix('left_')}" for name in names if name.startswith("left_")}
    pairs = [(names.index(left), names.index(right)) for left, right in partner.items() if right in names]
    return joint_groups(names, pairs, head=())


def share_frame(results: Results, groups: Groups, measure: Measure = PCK) -> pd.DataFrame:
    """Shares in per cent as text cells, one row per method, indexed by the method's name.

    A column is the plain mean of its points' (or parts') shares, as in the published tables. ``Mean`` is the share of
    all annotated points (judged parts), with several seeds followed by their standard deviation. A further column is
    left out where no method has it. A share that a method does not have is a dash.

    Args:
        results: the shares of each method, as the module describes.
        groups: for each column the names of its points or parts, from :func:`joint_groups` or :func:`part_groups`.
        measure: where the shares are in the results.
    """
    rows = []
    for result, mark in zip(results.values(), marks(results).values(), strict=True):
        columns = {label: _cell(group_share(result, names, measure)) for label, names in groups.items()}
        ends = {"Mean": _with_spread(seeds(result, measure.over_all))}
        ends |= {label: _cell(seeds(result, key)) for label, key in measure.further.items()}
        rows.append({"method": mark.label, **columns, **ends})
    heads = ["method", *groups, "Mean", *measure.further]
    frame = pd.DataFrame(rows, index=list(results), columns=heads, dtype=object)
    return frame.drop(columns=[label for label in measure.further if (frame[label] == DASH).all()])


def share_table(results: Results, groups: Groups, measure: Measure = PCK, *, title: str = "", what: str = "") -> Table:
    """The cells of :func:`share_frame` for the terminal; the highest share of each column is bold.

    Args:
        results: the shares of each method, as the module describes.
        groups: for each column the names of its points or parts, from :func:`joint_groups` or :func:`part_groups`.
        measure: where the shares are in the results.
        title: a line above the table.
        what: what is measured, e.g. ``"PCK@.2 of the torso"``.
    """
    frame = share_frame(results, groups, measure)
    spread = "; ± is the standard deviation over seeds" if frame["Mean"].str.contains("±").any() else ""
    shown = frame.drop(columns="method").map(_shown)
    bold = (shown == shown.max()).reindex(columns=frame.columns, fill_value=False)
    return text_table(frame, title=title, caption=f"{what} in %{spread}".strip(), bold=bold, dense=True)


def body_table(found: Mapping[str, Any], unit: str) -> Table:
    """One run's joints and parts side by side for the terminal: mean errors and PCK of joints, strict PCP of parts.

    Args:
        found: ``point_error_by_point`` in ``unit``, ``pcp_by_part`` and, where there is a length, ``pck_by_point``; the
            thresholds ``pcp_alpha`` and ``alpha``.
        unit: the unit of the errors.
    """
    shares, errors = found.get("pck_by_point"), found["point_error_by_point"]
    joints = {"joint": list(errors), with_unit("error", unit): [short(error) for error in errors.values()]}
    joints |= {} if shares is None else {f"PCK@{found['alpha']:g}": [percent(shares[name]) for name in errors]}
    parts = {
        "part": [name.replace("_", " ") for name in found["pcp_by_part"]],
        f"strict PCP@{found['pcp_alpha']:g}": [percent(share) for share in found["pcp_by_part"].values()],
    }
    columns = joints | parts
    frame = pd.DataFrame(zip_longest(*columns.values(), fillvalue=""), columns=list(columns))
    return text_table(frame, left=("joint", "part"), gap=2)


def seeds(result: Mapping[str, Any], key: str) -> Array:
    """A share of each seed, (S,); one NaN where the method has none."""
    value = result.get(key)
    return np.atleast_1d(np.asarray(np.nan if value is None else value, dtype=np.float64))


def group_share(result: Mapping[str, Any], names: Sequence[str], measure: Measure = PCK) -> Array:
    """The plain mean over the named points or parts that have a share, (S,).

    Args:
        result: the shares of one method.
        names: the points or parts.
        measure: where the shares are in the result.
    """
    by_name = result.get(measure.by_name) or {}
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
