"""What runs say of the poses of test images: measures, tables, tests and PCP curves over seeds and methods."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from paired import Pair, compared, corrected, spread
from steadfit.data import Annotations
from steadfit.evaluation.measures import errors, keypoints, poses
from steadfit.metrics import body_parts, part_errors, pcp_curve, per_image_error
from steadfit.metrics.thresholds import PCK_ALPHA, PCP_ALPHA
from steadfit.reports.axes import threshold_axes
from steadfit.reports.keypoint_tables import Measure, part_groups, share_frame
from steadfit.reports.methods import MARKS
from steadfit.reports.palette import FAINT
from steadfit.reports.style import house_style, legend_above, new_figure
from steadfit.reports.values import DASH, p_value
from tables import to_markdown

LABELS = {"l2": "L2", "tukey": "Tukey", "gum": "GUM"}
CASCADE, FLOOR = " + cascade", "median pose"
METHODS = tuple(label + tail for label in LABELS.values() for tail in ("", CASCADE))
AGAINST_L2 = {label + tail: f"L2{tail}" for tail in ("", CASCADE) for label in ("Tukey", "GUM")}
WITH_CASCADE = {label + CASCADE: label for label in LABELS.values()}
AGAINST_FLOOR = dict.fromkeys(LABELS.values(), FLOOR)
STRICT = Measure("pcp", "pcp_by_part")
SHOWN = {"strict PCP": "pcp", "loose PCP": "pcp_loose", f"PCK@{PCK_ALPHA:g}": "pck"}


@dataclasses.dataclass(frozen=True)
class Estimate:
    """What a run says of the test images of one set, by its first stage alone or by the cascade."""

    about: dict[str, str]  # network, trained on, tested on, labels
    noise: str
    cascade: bool
    seed: int
    predicted: np.ndarray  # (N, K, 2) px
    test: Annotations  # with the length of the torso
    floor: np.ndarray  # (N, K, 2) px, the median training pose

    @property
    def method(self) -> str:
        return LABELS[self.noise] + (CASCADE if self.cascade else "")

    @property
    def labels(self) -> torch.Tensor:
        return torch.from_numpy(self.test.target)

    def errors(self, floor: bool = False) -> np.ndarray:
        """Mean error of each image, (N,) px; or that of the median pose."""
        found: np.ndarray = per_image_error(self._points(floor), self.labels).numpy()
        return found

    def misses(self, floor: bool = False) -> np.ndarray:
        """Share of each image's parts that are wrong, (N,); a part without length is not judged."""
        error = part_errors(self._points(floor), self.labels, body_parts(self.test.schema.points))
        found: np.ndarray = ((error > PCP_ALPHA).sum(dim=1) / (~error.isnan()).sum(dim=1)).double().numpy()
        return found

    def curve(self, alphas: Sequence[float], floor: bool = False) -> np.ndarray:
        """Strict PCP over its threshold."""
        parts = body_parts(self.test.schema.points)
        found: np.ndarray = pcp_curve(self._points(floor), self.labels, parts, alphas).numpy()
        return found

    def measures(self, floor: bool = False) -> dict[str, Any]:
        """MPE in px; PCP and PCK, over all and by part, as shares."""
        points = self._points(floor).numpy()
        found = keypoints(points, self.test, alpha=PCK_ALPHA) | poses(points, self.test, alpha=PCP_ALPHA)
        return found | {"mpe": errors(points, self.test)["point_error"]}

    def row(self) -> dict[str, Any]:
        """A line of a CSV file."""
        found = self.measures()
        row: dict[str, Any] = self.about | {"noise": self.noise, "cascade": self.cascade, "seed": self.seed}
        row |= {"MPE (px)": found["mpe"]} | {f"{name} (%)": 100 * found[key] for name, key in SHOWN.items()}
        return row | {f"{name} (%)": 100 * share for name, share in found["pcp_by_part"].items()}

    def _points(self, floor: bool) -> torch.Tensor:
        return torch.from_numpy(self.floor if floor else self.predicted)


def groups(found: Sequence[Estimate]) -> list[list[Estimate]]:
    """Estimates that differ in noise model, stage and seed only, in the order in which they come."""
    grouped: dict[tuple[str, ...], list[Estimate]] = {}
    for one in found:
        grouped.setdefault(tuple(one.about.values()), []).append(one)
    return list(grouped.values())


def pairs(found: Sequence[Estimate], methods: Mapping[str, str], measure: str = "errors") -> list[Pair]:
    """Every method against its reference, in every group."""

    def by_seed(group: list[Estimate], method: str) -> dict[int, np.ndarray]:
        if method == FLOOR:
            return {one.seed: getattr(one, measure)(floor=True) for one in group}
        return {one.seed: getattr(one, measure)() for one in group if one.method == method}

    return corrected(
        pair
        for group in groups(found)
        for method, reference in methods.items()
        for pair in compared(
            group[0].about | {"method": method, "against": reference}, by_seed(group, reference), by_seed(group, method)
        )
    )


def tests(title: str, found: Sequence[Estimate], methods: Mapping[str, str]) -> list[str]:
    """A table of :func:`pairs`, by error and by parts."""
    rows = [
        dict(error.about)
        | {"MPE": f"{100 * error.change:+.1f} %", "by seed": error.by_seed, "p (Holm)": p_value(error.p)}
        | {"strict PCP": f"{-100 * np.diff(parts.means.mean(axis=0))[0]:+.1f}", "p of PCP": p_value(parts.p)}
        for error, parts in zip(*(pairs(found, methods, what) for what in ("errors", "misses")), strict=True)
    ]
    frame = pd.DataFrame(rows)
    same = [name for name in (found[0].about if rows else ()) if frame[name].nunique() == 1]
    why = "Changes: of MPE, and of strict PCP in points, tested in the same way."
    return [f"## {title}", "", why, "", to_markdown(frame.drop(columns=same)), ""] if rows else []


def table(group: Sequence[Estimate], what: str = "") -> list[str]:
    """MPE, strict PCP of every part and over all, loose PCP and PCK of one group; ``what`` begins its title."""
    seeds = {method: [one.measures() for one in group if one.method == method] for method in METHODS}
    seeds = {method: each for method, each in seeds.items() if each} | {FLOOR: [group[0].measures(floor=True)]}
    parts = body_parts(group[0].test.schema.points)
    results: dict[str, dict[str, Any]] = {
        method: {key: np.array([one[key] for one in each]) for key in ("mpe", *SHOWN.values())}
        | {"pcp_by_part": {part.name: [one["pcp_by_part"][part.name] for one in each] for part in parts}}
        for method, each in seeds.items()
    }
    frame = share_frame(results, part_groups(parts), STRICT).rename(columns={"Mean": "strict PCP"})
    frame.insert(1, "MPE (px)", [spread(result["mpe"], 2) for result in results.values()])
    for name in list(SHOWN)[1:]:
        frame[name] = [spread(100 * result[SHOWN[name]]) for result in results.values()]
    frame["seeds"] = [DASH if method == FLOOR else str(len(each)) for method, each in seeds.items()]
    about = group[0].about
    title = f"{what}trained on {about['trained on']}, tested on {about['tested on']} ({len(group[0].test):,} images)"
    return [f"## {title[:1].upper()}{title[1:]}", "", "Of each part strict PCP.", "", to_markdown(frame), ""]


@house_style()
def pcp_figure(found: Sequence[Estimate]) -> Figure:
    """Strict PCP over its threshold, a panel for each group."""
    grouped = groups(found)
    rows, alphas = -(-len(grouped) // 2), torch.linspace(0, 1, 101).tolist()
    figure = new_figure(10.0, 0.4 + 4.0 * rows)
    panels = figure.subplots(rows, 2, squeeze=False).ravel()
    for axes, group in zip(panels, grouped, strict=False):
        _curves(axes, group, alphas)
        threshold_axes(axes, alphas, alpha=PCP_ALPHA, unit="share of each part's own length", what="parts")
        axes.set(title=f"trained on {group[0].about['trained on']}, tested on {group[0].about['tested on']}")
    for axes in panels[len(grouped) :]:
        axes.remove()
    drawn = {(one.noise, one.cascade) for one in found}
    kinds = [(noise, cascade) for noise in LABELS for cascade in (False, True) if (noise, cascade) in drawn]
    handles = [
        Line2D([], [], color=MARKS[noise].colour, ls=_line(cascade), label=LABELS[noise] + (CASCADE if cascade else ""))
        for noise, cascade in kinds
    ]
    legend_above(figure, [*handles, Line2D([], [], color=FAINT, ls=":", label=FLOOR)])
    return figure


def _curves(axes: Axes, group: Sequence[Estimate], alphas: Sequence[float]) -> None:
    """Means over the seeds in bands to the extremes."""
    axes.plot(alphas, group[0].curve(alphas, floor=True), color=FAINT, ls=":")
    for method in METHODS:
        members = [one for one in group if one.method == method]
        if members:
            each, colour = np.stack([one.curve(alphas) for one in members]), MARKS[members[0].noise].colour
            axes.plot(alphas, each.mean(axis=0), color=colour, ls=_line(members[0].cascade))
            axes.fill_between(alphas, each.min(axis=0), each.max(axis=0), color=colour, alpha=0.16, lw=0)


def _line(cascade: bool) -> str:
    return "-" if cascade else "--"
