"""Regions of a pose or a face: their points, and the rule by which an estimate of all points places their crops."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from steadfit.data.images.frame import whole_image
from steadfit.data.tables.annotations import Annotations
from steadfit.data.tables.schema import Schema, read_yaml
from steadfit.errors import DataError

Floats = npt.NDArray[np.float64]

SMALLEST = 0.05
"""The least side of a crop, as a share of the longer side of what the first stage sees."""
CROP_COLUMNS = ("crop_left", "crop_top", "crop_width", "crop_height")
"""The box columns of a region's schema, by which its run knows that it sees a part of each image."""


@dataclass(frozen=True, kw_only=True)
class Region:
    """A named subset of the points, and the rule for its crop.

        side = max(longer side of the anchors' box, least · longer side of all points' box) · (1 + 2 margin)

    The crop is a square about the centre of the anchors' box; both boxes are those of an estimate of the points. A wild
    estimate cannot make a wild crop: the crop's centre stays inside what the first stage saw, and its side does not
    exceed the longer side of that.

    Args:
        name: a word for files and tables: letters, digits, ``-`` and ``_``.
        points: indices of the points that are regressed from the crop.
        anchors: indices of the points whose estimate places the crop; empty: ``points``.
        least: the least extent of the anchors, as a share of the whole pose's; a single point has no extent itself.
        margin: what is added on each side, as a share of the extent.

    Raises:
        ValueError: a name that cannot name a file, no points, a point twice, least or margin out of range.

    >>> region = Region(name="eyes", points=(0, 1), least=0.0, margin=0.5)
    >>> estimate = np.array([[[10.0, 20.0], [20.0, 20.0], [15.0, 40.0]]])
    >>> region.boxes(estimate, np.array([[64.0, 64.0]])).tolist()  # 10 px and half of it on each side, about (15, 20)
    [[5.5, 10.5, 20.0, 20.0]]
    """

    name: str
    points: tuple[int, ...]
    anchors: tuple[int, ...] = ()
    least: float = 0.3
    margin: float = 0.25

    def __post_init__(self) -> None:
        if not self.name or not all(c.isalnum() or c in "-_" for c in self.name):
            raise ValueError(f"Region: expected a name of letters, digits, '-' and '_', got {self.name!r}.")
        if not self.points:
            raise ValueError(f"Region: expected points in region {self.name!r}, got none.")
        for what, indices in (("points", self.points), ("anchors", self.anchors)):
            if len(set(indices)) != len(indices) or any(k < 0 for k in indices):
                raise ValueError(f"Region: expected different {what} >= 0 in region {self.name!r}, got {indices}.")
        for what, value in (("least", self.least), ("margin", self.margin)):
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"Region: expected {what} >= 0 in region {self.name!r}, got {value}.")

    def boxes(self, estimate: Floats, size: Floats, within: Floats | None = None) -> Floats:
        """The crops that an estimate of all points places.

        Args:
            estimate: (N, K, 2) in px of the stored images. A point that is not finite is left out; without any anchor
                the crop is all that the first stage saw.
            size: (N, 2), width and height of the images in px.
            within: (N, 4), what the first stage saw of each image; None: the whole image.

        Returns:
            (N, 4) left, top, width, height in px, finite for any estimate; a crop may reach beyond its image, whose
            edge is repeated there.

        Raises:
            ValueError: an estimate without one of the region's points.
        """
        anchors = self.anchors or self.points
        if estimate.ndim != 3 or estimate.shape[2] != 2 or estimate.shape[1] <= max(*self.points, *anchors):
            raise ValueError(
                f"Region.boxes: expected estimates (N, {max(*self.points, *anchors) + 1} or more, 2) for region "
                f"{self.name!r}, got {estimate.shape}."
            )
        seen = whole_image(size) if within is None else within
        first, last = seen[:, :2], seen[:, :2] + seen[:, 2:] - 1
        longest = seen[:, 2:].max(axis=1)  # (N,)
        low, high = extremes(estimate[:, list(anchors)])
        side = self._side(high - low, estimate)
        there = np.isfinite(low).all(axis=1) & np.isfinite(high).all(axis=1) & np.isfinite(side)
        with np.errstate(invalid="ignore"):
            centre = np.clip(low + (high - low) / 2, first, last)
        centre = np.where(there[:, None], centre, (first + last) / 2)
        side = np.where(there, np.clip(np.where(there, side, 0.0), SMALLEST * longest, longest), longest)
        return np.column_stack([centre - (side[:, None] - 1) / 2, side, side])

    def _side(self, extent: Floats, estimate: Floats) -> Floats:
        """The sides (N,) in px; NaN or infinite where nothing was estimated."""
        low, high = extremes(estimate)
        with np.errstate(invalid="ignore", over="ignore"):
            whole = (high - low).max(axis=1)
            side: Floats = np.maximum(extent.max(axis=1), self.least * whole) * (1 + 2 * self.margin)
        return side

    def part(self, annotations: Annotations, boxes: Floats) -> Annotations:
        """The table of this region alone: its points as targets, its crops as boxes.

        Args:
            annotations: the table of all points.
            boxes: (N, 4) left, top, width, height of the crops in px.
        """
        kept = list(self.points)
        visible = None if annotations.visible is None else annotations.visible[:, kept]
        return dataclasses.replace(
            annotations,
            schema=self.schema(annotations.schema),
            target=annotations.target[:, kept],
            visible=visible,
            box=boxes,
        )

    def schema(self, whole: Schema) -> Schema:
        """The schema of this region's table.

        Left and right are only exchanged in a region that has both points of every pair: a mirrored left knee is not a
        left knee.

        Args:
            whole: the schema of all points.
        """
        place = {point: k for k, point in enumerate(self.points)}
        inside = [pair for pair in whole.pairs if any(end in place for end in pair)]
        whole_pairs = all(end in place for pair in inside for end in pair)
        return dataclasses.replace(
            whole,
            points=tuple(whole.points[k] for k in self.points),
            pairs=tuple((place[a], place[b]) for a, b in inside) if whole_pairs else (),
            limbs=tuple((place[a], place[b]) for a, b in whole.limbs if a in place and b in place),
            normalizer=None,
            box=CROP_COLUMNS,
            box_fit="inside",
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain containers, for YAML."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in vars(self).items()}


def extremes(points: Floats) -> tuple[Floats, Floats]:
    """Least and greatest coordinates (N, 2) of points (N, K, 2).

    Points that are not finite are left out; without any other point the extremes are infinite.
    """
    known = np.isfinite(points).all(axis=2, keepdims=True)
    return np.where(known, points, np.inf).min(axis=1), np.where(known, points, -np.inf).max(axis=1)


def read_regions(path: str | Path, names: Sequence[str]) -> tuple[Region, ...]:
    """Regions from a YAML file.

    Each region has a name, and its points (by name or index) or a mapping with points, anchors, least, margin::

        eyes: [left_eye, right_eye]
        mouth: {points: [3, 4], margin: 0.5}

    Args:
        path: the file.
        names: the K points' names.

    Raises:
        DataError: anything else; names the file and the region.
    """
    found = read_yaml(Path(path))
    if not isinstance(found, dict) or not found:
        raise DataError(f"{path}: expected names of regions and their points, such as 'eyes: [0, 1]', got {found!r}.")
    return tuple(_region(path, str(name), value, names) for name, value in found.items())


def regions_of(values: Sequence[Mapping[str, Any]]) -> tuple[Region, ...]:
    """Regions from plain containers, as :meth:`Region.to_dict` gives them."""
    return tuple(
        Region(
            name=one["name"],
            points=tuple(one["points"]),
            anchors=tuple(one["anchors"]),
            least=one["least"],
            margin=one["margin"],
        )
        for one in values
    )


def _region(path: str | Path, name: str, value: Any, names: Sequence[str]) -> Region:
    given = value if isinstance(value, dict) else {"points": value}
    known = {field.name for field in dataclasses.fields(Region)} - {"name"}
    if unknown := sorted(map(str, set(given) - known)):
        raise DataError(f"{path}, region {name!r}: expected {', '.join(sorted(known))}, got {unknown[0]!r}.")
    try:
        values: dict[str, Any] = {"points": ()}
        values |= {key: _indices(given[key], names) for key in ("points", "anchors") if key in given}
        values |= {key: _number(key, given[key]) for key in ("least", "margin") if key in given}
        return Region(name=name, **values)
    except (TypeError, ValueError) as error:
        raise DataError(f"{path}, region {name!r}: {str(error).removeprefix('Region: ')}") from None


def _number(key: str, value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"expected {key} to be a number, got {value!r}.")
    return float(value)


def _indices(value: Any, names: Sequence[str]) -> tuple[int, ...]:
    if not isinstance(value, list):
        raise TypeError(f"expected a list of points, got {value!r}.")
    return tuple(_index(item, names) for item in value)


def _index(item: Any, names: Sequence[str]) -> int:
    if item in names:
        return names.index(item)
    if isinstance(item, int) and not isinstance(item, bool) and 0 <= item < len(names):
        return item
    raise ValueError(f"expected points' names or 0 to {len(names) - 1}, got {item!r}.")
