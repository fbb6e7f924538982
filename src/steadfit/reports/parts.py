"""PCP of every part as a table and as figures, the left and the right of a person as one column.

``results`` is that of `steadfit.reports.joints` with ``pcp`` (strict), ``pcp_by_part`` (the name of a part to its
share) and ``pcp_loose``; shares are in [0, 1].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from steadfit.metrics import Part
from steadfit.reports.joints import Groups, Measure, Results, joint_groups, pck_frame, pck_table
from steadfit.reports.methods import marks
from steadfit.reports.poses import pck_joints, share_curves, threshold_axes
from steadfit.reports.style import INK, house_style, method_handles, new_figure
from steadfit.reports.values import bracketed, percent, short

PCP_KEYS = Measure("pcp", "pcp_by_part", {"Loose": "pcp_loose"})
LOOSE = ":"  # the line of loose PCP, under the solid one of strict PCP


def part_groups(parts: Sequence[Part]) -> dict[str, tuple[str, ...]]:
    """The columns of a table of parts: left and right as one, in the order of ``parts``.

    >>> part_groups([Part("head", (0,), (1,)), Part("left_shin", (2,), (3,)), Part("right_shin", (4,), (5,))])
    {'Head': ('head',), 'Shin': ('left_shin', 'right_shin')}
    """
    names = [part.name for part in parts]
    partner = {name: f"right_{name.removeprefix('left_')}" for name in names if name.startswith("left_")}
    pairs = [(names.index(left), names.index(right)) for left, right in partner.items() if right in names]
    return joint_groups(names, pairs, head=())


def pcp_frame(results: Results, groups: Groups) -> pd.DataFrame:
    """Strict PCP in per cent as text cells, one row per method, indexed by the method's name.

    A column is the plain mean of its parts' shares; ``Mean`` is the share of all judged parts, and with several seeds
    carries their standard deviation; ``Loose`` is the same of loose PCP. What a method does not have is a dash.

    Args:
        results: method to its shares, see above.
        groups: column to the names of its parts, from `part_groups`.
    """
    return pck_frame(results, groups, keys=PCP_KEYS)


def pcp_table(results: Results, groups: Groups, *, title: str = "", measure: str = "strict PCP@.5") -> Table:
    """`pcp_frame` for the terminal; the highest of each column is bold.

    Args:
        results: method to its shares, see above.
        groups: column to the names of its parts, from `part_groups`.
        title: a line above the table.
        measure: what is measured.
    """
    return pck_table(results, groups, title=title, measure=measure, keys=PCP_KEYS)


def pcp_parts(results: Results, groups: Groups, *, measure: str = "strict PCP@.5") -> Figure:
    """Strict PCP of every part for several methods, with the share of all parts at the right.

    Args:
        results: method to ``pcp`` and ``pcp_by_part``; whiskers reach from the lowest to the highest seed.
        groups: column to the names of its parts, from `part_groups`.
        measure: what is measured.
    """
    return pck_joints(results, groups, measure=measure, keys=PCP_KEYS)


def body_table(found: Mapping[str, Any], unit: str) -> Table:
    """One run's joints and parts side by side for the terminal: mean errors and PCK of joints, strict PCP of parts.

    Args:
        found: ``point_error_by_point`` in ``unit``, ``pcp_by_part`` and, where there is a length, ``pck_by_point``; the
            thresholds ``pcp_alpha`` and ``alpha``.
        unit: what the errors are measured in.
    """
    shares = found.get("pck_by_point")
    pck = [] if shares is None else [f"PCK@{found['alpha']:g}"]
    table = Table(box=SIMPLE_HEAD, padding=(0, 0, 0, 2), pad_edge=False)
    for head in ("joint", f"error{bracketed(unit)}", *pck, "part", f"strict PCP@{found['pcp_alpha']:g}"):
        table.add_column(Text(head), justify="left" if head in ("joint", "part") else "right", no_wrap=True)
    joints = [
        (name, short(error), *([] if shares is None else [percent(shares[name])]))
        for name, error in found["point_error_by_point"].items()
    ]
    parts = [(name.replace("_", " "), percent(share)) for name, share in found["pcp_by_part"].items()]
    for joint, part in zip_longest(joints, parts, fillvalue=("", "")):
        table.add_row(*(Text(cell) for cell in (*joint, *part)))
    return table


@house_style()
def pcp_curves(
    strict: Mapping[str, ArrayLike],
    alphas: ArrayLike,
    *,
    loose: Mapping[str, ArrayLike] | None = None,
    alpha: float | None = None,
) -> Figure:
    """PCP over its threshold: strict as solid lines, loose as dotted ones above them.

    Args:
        strict: method to ``(A,)`` of `steadfit.metrics.pcp_curve`, or ``(S, A)`` over seeds: their mean and, as a
            band, lowest and highest.
        alphas: ``(A,)`` thresholds.
        loose: the same of loose PCP.
        alpha: the threshold of the tables: a dashed line.
    """
    figure = new_figure(7.0, 4.6)
    axes = figure.subplots()
    if loose is not None:
        share_curves(axes, loose, alphas, line=LOOSE)
    share_curves(axes, strict, alphas)
    threshold_axes(axes, alphas, alpha=alpha, unit="share of each part's own length", what="parts")
    kinds = [] if loose is None else [Line2D([], [], color=INK, ls=LOOSE, label="loose")]
    axes.legend(loc="lower right", handles=[*method_handles(marks(strict)), *kinds])
    return figure
