"""The figures of docs/cascade.md: where crops lie, and what a trained cascade sees in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from steadfit.data import Region, crop_errors, load_annotations, read_image
from steadfit.data.drawn.synthetic import POINTS, draw_faces
from steadfit.data.regions import extremes
from steadfit.recipes.panels import shown_rows
from steadfit.reports.axes import picture
from steadfit.reports.cascade_crops import crop_figure
from steadfit.reports.palette import INK, REGIONS
from steadfit.reports.style import house_style, new_figure
from steadfit.training import default_regions, load_cascade

Floats = NDArray[np.float64]
SIZE, FACE, SPREAD = 320, 3, 0.025  # px of a face; which one; the estimates' deviation in parts of the side
DRAWN, WILD = 25, ((900.0, 40.0), (60.0, -5000.0), (np.nan, np.nan))


def cascade(run: Path, data: Path) -> Figure:
    """Two test images as a trained cascade sees them."""
    found, annotations = load_cascade(run), load_annotations(data)
    rows = shown_rows(annotations)
    assert rows is not None  # the demo has test images
    some = annotations.take(rows[:2])
    first, both = found.judge_stages(some)
    points = {region.name: both.predicted[:, list(region.points)] for region in found.regions}
    pictures = [read_image(some.root / name, 3) for name in some.images or ()]
    return crop_figure(pictures, first.predicted, found.crops(first.predicted, some), points).figure


@house_style()
def cascade_rule() -> Figure:
    """The rule of a crop, crops of an estimate, crops as training draws them, crops of estimates gone wild.

    The estimates are labels with drawn errors, of no network.
    """
    images, labels = draw_faces(FACE + 1, size=SIZE, seed=1)
    image, points = images[FACE], labels[FACE]
    estimates = points + SPREAD * SIZE * np.random.default_rng(0).normal(size=(DRAWN, *points.shape))  # (E, K, 2)
    regions = default_regions(POINTS)
    figure = new_figure(11.5, 3.4)
    panels = figure.subplots(1, 4)
    for axes in panels:
        picture(axes, image)
    _rule(panels[0], regions[0], estimates[0])
    _placed(panels[1], regions, estimates[0])
    _jittered(panels[2], regions[0], points, estimates)
    _wild(panels[3], regions[0], estimates[0])
    return figure


def _rule(axes: Axes, region: Region, estimate: Floats) -> None:
    """All points' box, the anchors' box, and the square about its centre."""
    boxes = [
        np.concatenate([low[0], high[0] - low[0]])
        for low, high in map(extremes, (estimate[None], _of(region, estimate)))
    ]
    for box, line in zip(boxes, (":", "--"), strict=True):
        _frame(axes, box, INK, line, 1.2)
    _frame(axes, _box(region, estimate), REGIONS[0])
    _points(axes, estimate)
    axes.set_title(f"the rule: {region.name}")


def _placed(axes: Axes, regions: tuple[Region, ...], estimate: Floats) -> None:
    for region, colour in zip(regions, REGIONS, strict=False):
        _frame(axes, _box(region, estimate), colour)
    _points(axes, estimate)
    axes.set_title("an estimate's crops")


def _jittered(axes: Axes, region: Region, points: Floats, estimates: Floats) -> None:
    """The crop of the labels, and that crop misplaced by the errors of the estimates' crops."""
    wanted = _box(region, points)
    placed = np.stack([_box(region, estimate) for estimate in estimates])
    for across, down, log in crop_errors(placed, np.broadcast_to(wanted, placed.shape)):
        side = wanted[2] * np.exp(log)
        centre = wanted[:2] + (wanted[2:] - 1) / 2 + wanted[2] * np.array([across, down])
        _frame(axes, np.array([*(centre - (side - 1) / 2), side, side]), REGIONS[0], width=0.7)
    _frame(axes, wanted, REGIONS[3])
    axes.set_title("crops as training draws them")


def _wild(axes: Axes, region: Region, estimate: Floats) -> None:
    """An eye far outside, both, and an estimate that is none."""
    cases = [estimate.copy() for _ in WILD]
    cases[0][0], cases[1][[0, 1]], cases[2][:] = WILD
    for case, colour in zip(cases, REGIONS, strict=False):
        _frame(axes, _box(region, case), colour)
    axes.set(xlim=(-0.55 * SIZE, 1.55 * SIZE), ylim=(1.55 * SIZE, -0.55 * SIZE))
    axes.set_title("of wild estimates")


def _of(region: Region, estimate: Floats) -> Floats:
    return estimate[None, list(region.anchors or region.points)]


def _box(region: Region, estimate: Floats) -> Floats:
    """The crop (4,) of one estimate (K, 2)."""
    box: Floats = region.boxes(estimate[None], np.full((1, 2), float(SIZE)))[0]
    return box


def _frame(axes: Axes, box: Floats, colour: str, line: str = "-", width: float = 2.0) -> None:
    x, y, across, down = box
    axes.add_patch(Rectangle((x - 0.5, y - 0.5), across, down, fill=False, ec=colour, ls=line, lw=width))


def _points(axes: Axes, estimate: Floats) -> None:
    axes.scatter(*estimate.T, s=14, c="#FFFFFF", edgecolors="#111111", linewidths=0.6, zorder=3)
