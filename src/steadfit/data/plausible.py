"""Labels whose place cannot be what was meant: one pass over points in images, with a remedy for each finding.

What is found is only reported: no label is changed.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from steadfit.data.tables.annotations import Annotations
from steadfit.errors import DataWarning

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

FEWEST = 5
"""The least number of rows, or of labels of a point, about which anything is said."""
LOOKED_AT = 500_000
"""Labels that are looked at; in larger sets evenly spaced rows represent all."""
SHOWN = 5
"""Names that a sentence lists."""
MARKS = (0.0, -1.0, -9.0, -99.0, -999.0, -9999.0, 999.0, 9999.0)
"""Coordinates that stand for "missing" so often that two rows with a label at such a place are told."""


@dataclass(frozen=True)
class Labels:
    """Points in images, as the findings see them.

    Args:
        xy: (N, K, 2), NaN = not annotated.
        size: (N, 2) width and height of the images in px, NaN for unknown.
        names: K names.
        in_table: whether they come from a table of columns.
        told: values that are known to look like "missing".
        learned: whether the labels are to be learned, so that each point must have some.
    """

    xy: Floats
    size: Floats
    names: tuple[str, ...]
    in_table: bool = True
    told: tuple[float, ...] = ()

    @cached_property
    def given(self) -> Flags:
        """Which labels (N, K) there are."""
        return ~np.isnan(self.xy[:, :, 0])

    def some(self) -> Labels:
        """Evenly spaced rows, no more than can be looked at quickly."""
        step = max(1, -(-self.xy[:, :, 0].size // LOOKED_AT))
        return dataclasses.replace(self, xy=self.xy[::step], size=self.size[::step])

    def listed(self, points: Sequence[int]) -> str:
        """The names of some points."""
        shown = ", ".join(self.names[k] for k in points[:SHOWN])
        return shown + (f" and {len(points) - SHOWN} more" if len(points) > SHOWN else "")


def warn_implausible(annotations: Annotations, *, told: Sequence[float] = (), learned: bool = True) -> None:
    """Warn about points in images that seem to be misread; classes, numbers and tables of features pass.

    Args:
        annotations: the checked rows.
        told: values about which another warning says that they may mean "missing".
        learned: whether the labels are to be learned, so that each point must have some.

    Warns:
        DataWarning: one for each finding, with what to do.
    """
    for sentence in implausible(annotations, told=told, learned=learned):
        warnings.warn(f"{annotations.path}: {sentence}", DataWarning, stacklevel=4)


def implausible(annotations: Annotations, *, told: Sequence[float] = (), learned: bool = True) -> list[str]:
    """What seems to be wrong with points in images, one sentence or two for each finding, with its remedy.

    Args:
        annotations: the checked rows.
        told: values that are known to look like "missing".
        learned: whether the labels are to be learned, so that each point must have some.
    """
    if annotations.images is None or not annotations.schema.has_points or np.isnan(annotations.target).all():
        return []
    size = np.full((len(annotations), 2), np.nan) if annotations.size is None else annotations.size
    in_table = annotations.format in ("", "csv", "parquet")
    labels = Labels(annotations.target, size, annotations.schema.target_names, in_table, tuple(told))
    some = labels.some()
    points = [look for look in POINTS if learned or look is not never]
    found = [next((text for look in PLACES if (text := look(some))), None), *(look(labels) for look in points)]
    return [text for text in found if text]


def shares(labels: Labels) -> str | None:
    """Whether coordinates are shares of the images' sides, 0 to 1."""
    xy, size = _sized(labels)
    if not len(xy) or np.median(size) < 16 or _within(xy, -0.01, 1.01) < 0.95:
        return None
    return (
        f"{_percent(_within(xy, -0.01, 1.01))} of the coordinates are between 0 and 1, in images of {_sizes(size)}. If "
        "these are shares of width and height, say so with --coordinates shares (coordinates: shares)."
    )


def centred(labels: Labels) -> str | None:
    """Whether coordinates are from -1 to 1, with 0 in the middle of the image."""
    xy, size = _sized(labels)
    if len(xy) < FEWEST or np.median(size) < 16 or _within(xy, -1.01, 1.01) < 0.95 or _within(xy, -1.01, -0.05) < 0.05:
        return None
    return (
        f"{_percent(_within(xy, -1.01, 1.01))} of the coordinates are between -1 and 1, in images of {_sizes(size)}. "
        "If these are shares with 0 in the middle of the image, make pixels of them: x = (share + 1) * width / 2 for "
        "-1 to 1, x = (share + 0.5) * width for -0.5 to 0.5, and y with the height."
    )


def upward(labels: Labels) -> str | None:
    """Whether y is negative where it should be positive, because it points up."""
    xy, size = _sized(labels)
    away, mirrored = (_share(_outside(xy * factor, size), xy) for factor in ([1, 1], [1, -1]))
    if len(xy) < FEWEST or away < 0.5 or mirrored > 0.1:
        return None
    return (
        f"{_percent(away)} of the labels are above their images, and inside with -y instead of y. Pixels are counted "
        "downwards, from the top row: change the sign of y."
    )


def percents(labels: Labels) -> str | None:
    """Whether coordinates are percentages of the images' sides: from 0 to 100 in images that are much larger."""
    xy, size = _sized(labels)
    large = len(xy) >= FEWEST and (size.min(axis=1) >= 200).mean() > 0.95
    if not large or _within(xy, -1, 101) < 0.99 or min(_reach(xy)) < 50:
        return None
    return (
        f"the coordinates are between 0 and 100, in images of {_sizes(size)}. If these are percentages of width and "
        "height, say so with --coordinates percent (coordinates: percent)."
    )


def exchanged(labels: Labels) -> str | None:
    """Whether points that are outside their images are inside once x and y are exchanged."""
    xy, size = _sized(labels)
    outside, turned = _outside(xy, size), _outside(xy[:, :, ::-1], size)
    rows, share = int(outside.any(axis=1).sum()), _share(outside, xy)
    if rows < FEWEST or share < 0.02 or _share(turned, xy) > 0.1 * share:
        return None
    return (
        f"{_percent(share)} of the labels are outside their images, and inside with x and y exchanged. If the images "
        "carry an EXIF orientation, read them the other way (--exif); otherwise exchange x and y in the "
        f"{'columns of the table' if labels.in_table else 'file'}."
    )


def outside(labels: Labels) -> str | None:
    """Whether many rows have most of their labels outside their images."""
    xy, size = _sized(labels)
    away, given = _outside(xy, size), ~np.isnan(xy[:, :, 0])
    most = 2 * away.sum(axis=1) > given.sum(axis=1)
    if int(most.sum()) < FEWEST or most.mean() <= 0.2:
        return None
    across, down = (float(np.nanpercentile(xy[:, :, d] / size[:, None, d], 95)) for d in (0, 1))
    reach = f"The labels reach {across:.1f} times the width and {down:.1f} times the height of their images. "
    return (
        f"in {_percent(most.mean())} of the rows most labels are outside their image. "
        f"{reach if min(across, down) > 1.2 else ''}Were they made on images of another size, or do the paths lead to "
        "other images? Scale the labels, or name the folder of the images they were made on with --images."
    )


def one_corner(labels: Labels) -> str | None:
    """Whether no label is in the right or the lower half of any image, though images have several sizes or points."""
    xy, size = _sized(labels)
    if len(xy) < 20 or xy.shape[1] < 2 or np.median(size) < 64:
        return None
    relative = xy / size[:, None, :]
    low, high = (np.nanpercentile(relative, q, axis=(0, 1)) for q in (1, 99.5))
    if (high > 0.52).any() or (low > 0.15).any():
        return None
    return (
        f"no label is in the right or lower half of its image: they end at {_percent(float(high[0]))} of the width and "
        f"{_percent(float(high[1]))} of the height. Were they made on smaller images? Then scale the labels, or name "
        "the folder of the images they were made on with --images."
    )


def repeated(labels: Labels) -> str | None:
    """Whether one exact place, such as (-1, -1), is that of a point in many rows, far from all other labels."""
    some = labels.some().xy.copy()
    still = list(_constant(labels))
    some[:, still] = np.nan
    place, rows = _frequent(some)
    enough = [
        count >= (2 if _is_mark(at) else max(FEWEST, 0.01 * len(some))) for at, count in zip(place, rows, strict=True)
    ]
    many = [at for at, count, told in zip(place, rows, enough, strict=True) if told and _is_alone(some, at, count)]
    found = [at for at in many if not np.isin(at, labels.told).all()]
    if not found:
        return None
    at = (labels.xy == found[0]).all(axis=2)  # (N, K)
    at[:, still] = False
    x, y = (f"{value:g}" for value in found[0])
    remedy = f"--missing {x}" if x == y else f"--missing {x},{y}"
    told = f"(for tables {remedy}, missing: [{', '.join(dict.fromkeys((x, y)))}])"
    return (
        f"{_percent(at.any(axis=1).mean())} of the rows ({int(at.any(axis=1).sum()):,}) have a label at exactly "
        f"({x}, {y}), of {labels.listed(np.flatnonzero(at.any(axis=0)).tolist())}{_others(found[1:])}. If this stands "
        f"for a missing label, say so {told}, or empty these labels."
    )


def one_spot(labels: Labels) -> str | None:
    """Whether all labels of a row are at the same place, in many rows."""
    some = labels.some()
    xy = some.xy[some.given.sum(axis=1) > 1]
    if len(xy) < FEWEST:
        return None
    same = (np.nanmax(xy, axis=1) == np.nanmin(xy, axis=1)).all(axis=1)
    if same.mean() < 0.05 or int(same.sum()) < FEWEST:
        return None
    return (
        f"in {_percent(same.mean())} of the rows with several labels all of them are at one place. Empty labels that "
        "do not exist, or leave these rows out."
    )


def constant(labels: Labels) -> str | None:
    """Whether a point is at the same place in all rows."""
    found = _constant(labels)
    if not found:
        return None
    x, y = next(iter(found.values()))
    have = "has its" if len(found) == 1 else "have their"
    return (
        f"{labels.listed(list(found))} {have} label at the same place, such as ({x:g}, {y:g}), in all rows. There is "
        f"nothing to learn. {_leave_out(labels)}"
    )


def twins(labels: Labels) -> str | None:
    """Whether two points always have the same labels, as when a column is there twice."""
    first: dict[bytes, int] = {}
    given = labels.given.sum(axis=0)
    for k in np.flatnonzero(given >= FEWEST).tolist():
        earlier = first.setdefault(np.ascontiguousarray(labels.xy[:, k]).tobytes(), k)
        if earlier != k:
            return (
                f"{labels.names[earlier]} and {labels.names[k]} have the same labels in all rows. Is a column there "
                f"twice? {_leave_out(labels)}"
            )
    return None


def never(labels: Labels) -> str | None:
    """Whether a point has no label at all."""
    absent = np.flatnonzero(~labels.given.any(axis=0)).tolist()
    if not absent:
        return None
    have = "has" if len(absent) == 1 else "have"
    return f"{labels.listed(absent)} {have} no label in any row. {_leave_out(labels)}"


PLACES: tuple[Callable[[Labels], str | None], ...] = (shares, centred, percents, exchanged, upward, outside, one_corner)
"""Findings about how coordinates are meant; the first one that applies explains the others."""
POINTS: tuple[Callable[[Labels], str | None], ...] = (repeated, one_spot, constant, twins, never)
"""Findings about single points, each for itself."""


def _sized(labels: Labels) -> tuple[Floats, Floats]:
    """The labels and sizes of rows that have both."""
    rows = labels.given.any(axis=1) & (labels.size > 0).all(axis=1)
    return labels.xy[rows], labels.size[rows]


def _within(xy: Floats, low: float, high: float) -> float:
    """The share of coordinates in an interval."""
    known = xy[~np.isnan(xy)]
    return float(((known >= low) & (known <= high)).mean()) if known.size else 0.0


def _reach(xy: Floats) -> tuple[float, float]:
    """The extent of the labels in x and y, without the outermost 1 % on each side."""
    low, high = (np.nanpercentile(xy, q, axis=(0, 1)) for q in (1, 99))
    return float(high[0] - low[0]), float(high[1] - low[1])


def _outside(xy: Floats, size: Floats) -> Flags:
    """Which labels (N, K) are outside their images, by more than a pixel and 1 % of the side."""
    edge = (1 + 0.01 * size)[:, None, :]
    return np.asarray(((xy < -0.5 - edge) | (xy > size[:, None, :] - 0.5 + edge)).any(axis=2), dtype=np.bool_)


def _share(flags: Flags, xy: Floats) -> float:
    return float(flags.sum() / max(int((~np.isnan(xy[:, :, 0])).sum()), 1))


def _frequent(xy: Floats) -> tuple[Floats, list[int]]:
    """Places (M, 2) that labels share, frequent first, and the numbers of their rows.

    These are places of at least 1 % of the rows, and those of ``MARKS``.
    """
    plain = np.where(np.isnan(xy[:, :, :1]), np.nan, xy)
    code = plain[:, :, 0] + 1j * plain[:, :, 1]  # (N, K)
    values, counts = np.unique(code[~np.isnan(code)], return_counts=True)
    marked = (values.real == values.imag) & np.isin(values.real, MARKS)
    likely = values[(counts >= 2) & (marked | (counts >= 0.01 * len(xy)))]
    likely = likely[np.argsort(~np.isin(likely, values[marked]), kind="stable")][:200]
    rows = [(int((code == value).any(axis=1).sum()), value) for value in likely]
    kept = sorted(rows, key=lambda one: -one[0])
    place = np.array([(value.real, value.imag) for _, value in kept], dtype=np.float64).reshape(-1, 2)
    return place, [count for count, _ in kept]


def _is_alone(xy: Floats, place: Floats, count: int) -> bool:
    """Whether a place is a mark rather than a position: few labels are near it, and its rows are no copies."""
    low, high = (np.nanpercentile(xy, q, axis=(0, 1)) for q in (5, 95))
    extent = float((high - low).max())
    radius = max(0.03 * extent, 1.5 if extent > 3 else 0.0)
    at = (xy == place).all(axis=2)
    near = (np.abs(xy - place) <= radius).all(axis=2) & ~at
    return int(near.sum()) * 3 <= count and not _are_copies(xy[at.any(axis=1)], place)


def _is_mark(place: Floats) -> bool:
    """Whether a place is one that often stands for "missing", such as (-1, -1)."""
    return bool(place[0] == place[1] and np.isin(place[0], MARKS))


def _are_copies(xy: Floats, place: Floats) -> bool:
    """Whether rows have all their labels in common, and not only at one place."""
    others = ~(xy == place).all(axis=2) & ~np.isnan(xy[:, :, 0])
    return bool(others.any()) and bool(((xy == xy[:1]) | (np.isnan(xy) & np.isnan(xy[:1]))).all())


def _constant(labels: Labels) -> dict[int, Floats]:
    """The points whose labels are all at one place, and this place."""
    found = {}
    for k in np.flatnonzero(labels.given.sum(axis=0) >= FEWEST).tolist():
        first, whole = labels.xy[labels.given[:, k].argmax(), k], labels.xy[:, k]
        if (whole[:1000][labels.given[:1000, k]] == first).all() and (whole[labels.given[:, k]] == first).all():
            found[k] = first
    return found


def _leave_out(labels: Labels) -> str:
    remedy = "Remove their columns from the table" if labels.in_table else "Choose the other points with --points"
    return f"{remedy}{'' if labels.in_table else ' (points=...)'}, or correct the labels."


def _others(places: Sequence[Floats]) -> str:
    shown = ", ".join(f"({x:g}, {y:g})" for x, y in places[:SHOWN])
    return f"; others at {shown}" if shown else ""


def _sizes(size: Floats) -> str:
    """The sizes of images, as text: the one, or the median."""
    width, height = np.median(size, axis=0)
    return f"{'' if (size == size[:1]).all() else 'about '}{width:.0f} x {height:.0f} px"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
