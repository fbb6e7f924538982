"""The meaning of a table's columns: points, scalar targets, mirror pairs, the normalising length, units."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from steadfit.data.images.decoding import EXIF
from steadfit.data.tables.options import NAME_LISTS, PAIR_LISTS, coerce, did_you_mean, names_of, parse_pairs, wrong
from steadfit.errors import DataError

__all__ = ["Schema", "parse_pairs"]

AXES = "xy"
"""The axes of points: point k is in the columns ``x{k}``, ``y{k}``."""
VISIBILITIES = ("auto", "occluded", "missing", "codes")
COORDINATES = ("pixels", "shares", "percent")
_POINT_COLUMN = re.compile(rf"[{AXES}](0|[1-9]\d*)")


@dataclass(frozen=True, kw_only=True)
class Schema:
    """What the columns of a table mean.

    A table has points (K points in D = 2) or scalar targets (K targets in D = 1), never both.

    Args:
        points: names of the K points; point k is in columns ``x{k}``, ``y{k}`` and, if there, ``v{k}``.
        targets: scalar target columns.
        classes: names of the classes where the one target is a class, in the order of their numbers; empty for numbers.
        features: feature columns of a table without images; empty for every other numeric column.
        categories: those features that are words; each of their values becomes a feature, ``colour=red``.
        impute: whether missing features are filled with the column's median, which a feature ``height (missing)``
            flags; else they are errors.
        medians: the medians with the names of the columns, filled in when training data are read.
        missing: numbers that mean "missing" in targets and features, such as -200; for a point, in both coordinates.
        pairs: left and right points that mirroring swaps, as indices; without pairs nothing is mirrored.
        limbs: points to join by a line in pictures, as indices.
        normalizer: the normalising length: a number in the units, a column, or the two points whose distance it is.
        units: what the targets are measured in; px means pixels of the stored image. Empty for no unit, which for
            points in images becomes px when a table is read.
        visibility: what v = 0 with coordinates given means, ``"occluded"`` (annotated), ``"missing"``, or ``"auto"``:
            missing at exactly (0, 0), elsewhere occluded; in a column without any 2, 1 is a visible point.
            ``"codes"``: exactly 0 missing, 1 occluded, 2 visible.
        coordinates: what the coordinates of points count: ``"pixels"``; ``"shares"`` of the image's width and height, 0
            to 1, so that x is share * width px; ``"percent"`` of them, 0 to 100. Boxes and lengths stay in px.
        origin: the coordinates of the centre of the first pixel in the table, 0 or, where pixels are counted from 1, 1.
        sides: ``"person"``, left and right as annotated; ``"observer"``, exchanged where a person's first sides lie
            farther right in the image than the second ones (:func:`~steadfit.data.observer_centric`), so that
            every pair has to name the same side first.
        image: the column of image paths; an empty name for a table read without its images.
        split: the column of ``train``, ``val`` and ``test``.
        group: the column of what must not be divided by splits, such as a person or a video; None for no such column.
            Rows of one image always stay together.
        box: the part of an image that the network sees: four columns for left, top, width and height in px of the
            stored image, ``"points"`` for a box around the annotated points, None for the whole image.
        box_margin: for ``"points"``, what is added on each side: a share of the box's longer side, or a pair
            (horizontal, vertical) in px.
        box_fit: how the box comes into the frame: ``"inside"``, in its own aspect, with what lies around it;
            ``"stretch"``, width and height scaled apart so that it fills the frame (without a box: the image).
        exif: how images that carry an EXIF orientation are read: ``"honour"``, as annotation tools show them;
            ``"ignore"``, as they are stored. Sizes, points and boxes are those of the image as it is read.

    Raises:
        DataError: pairs or limbs out of range, a point in two pairs, a name twice, points together with targets,
            classes without their one target.

    >>> schema = Schema(points=("left_eye", "right_eye", "nose"), pairs=((0, 1),))
    >>> schema.columns, schema.permutation
    (('x0', 'y0', 'x1', 'y1', 'x2', 'y2'), (1, 0, 2))
    """

    points: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    impute: bool = False
    medians: tuple[tuple[str, float], ...] = ()
    missing: tuple[float, ...] = ()
    pairs: tuple[tuple[int, int], ...] = ()
    limbs: tuple[tuple[int, int], ...] = ()
    normalizer: float | str | tuple[int, int] | None = None
    units: str = ""
    visibility: str = "auto"
    coordinates: str = "pixels"
    origin: int = 0
    sides: str = "person"
    image: str = "image"
    split: str = "split"
    group: str | None = None
    box: str | tuple[str, ...] | None = None
    box_margin: float | tuple[float, float] = 0.25
    box_fit: str = "inside"
    exif: str = "honour"

    def __post_init__(self) -> None:
        if self.points and self.targets:
            raise wrong(f"points or targets, got {len(self.points)} points and {len(self.targets)} targets")
        if self.classes and (len(self.targets) != 1 or len(self.classes) < 2):
            raise wrong(
                f"one target and at least two names for classes, got {len(self.targets)} targets and "
                f"{len(self.classes)} names"
            )
        if self.visibility not in VISIBILITIES:
            raise wrong(f"visibility {', '.join(map(repr, VISIBILITIES))}, got {self.visibility!r}")
        _check_coordinates(self)
        if self.sides not in ("person", "observer"):
            raise wrong(f"sides 'person' or 'observer', got {self.sides!r}")
        if self.exif not in EXIF:
            raise wrong(f"exif 'honour' or 'ignore', got {self.exif!r}")
        for key in NAME_LISTS:
            _check_names(key, getattr(self, key))
        for key in PAIR_LISTS:
            _check_indices(key, getattr(self, key), len(self.points))
        _check_disjoint(self.pairs)
        _check_normalizer(self.normalizer, len(self.points))
        _check_box(self)

    @property
    def n_targets(self) -> int:
        """K, the number of points or of scalar targets."""
        return len(self.points) or len(self.targets)

    @property
    def axes(self) -> str:
        """The letters of a point's coordinates, as in its columns; none for numbers and classes."""
        return AXES if self.has_points else ""

    @property
    def dims(self) -> int:
        """D, 2 for points and 1 for scalars."""
        return len(self.axes) or 1

    @property
    def has_points(self) -> bool:
        """Whether the targets are points in the plane, rather than numbers or classes."""
        return not self.targets

    @property
    def target_names(self) -> tuple[str, ...]:
        """Names of the K targets."""
        return self.points or self.targets

    @property
    def columns(self) -> tuple[str, ...]:
        """The K * D target columns in order: ``x0, y0, x1, ...`` or the scalar columns."""
        return self.targets or tuple(f"{axis}{k}" for k in range(len(self.points)) for axis in self.axes)

    @property
    def box_columns(self) -> tuple[str, ...]:
        """The four columns of the box; none where it is not read from columns."""
        return self.box if isinstance(self.box, tuple) else ()

    @property
    def permutation(self) -> tuple[int, ...]:
        """The permutation of mirroring: afterwards target k is the former target ``permutation[k]``."""
        order = list(range(self.n_targets))
        for left, right in self.pairs:
            order[left], order[right] = right, left
        return tuple(order)

    def to_dict(self) -> dict[str, Any]:
        """Plain containers, for YAML or JSON; ``from_dict`` reads them back."""
        return {key: _plain(value) for key, value in dataclasses.asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Schema:
        """A schema from plain containers or option strings; points in pairs may be names or indices."""
        return cls().with_options(**values)

    @classmethod
    def from_yaml(cls, path: str | Path) -> Schema:
        """Read a ``dataset.yaml``.

        Raises:
            DataError: the file is not a mapping, has an unknown key (the nearest known one is named) or a wrong value.
        """
        values = _read_keys(Path(path))
        try:
            return cls.from_dict(values)
        except DataError as error:
            raise DataError(f"{path}: {error}") from None

    def to_yaml(self) -> str:
        """The content of a ``dataset.yaml``: everything that differs from the defaults; empty where nothing does."""
        usual = Schema().to_dict()
        about = {key: value for key, value in self.to_dict().items() if value != usual[key]}
        return yaml.safe_dump(about, sort_keys=False, allow_unicode=True, default_flow_style=None) if about else ""

    @classmethod
    def discover(cls, table: str | Path) -> Schema:
        """The ``dataset.yaml`` next to a table (or in a folder), or an empty schema without one."""
        table = Path(table)
        path = (table if table.is_dir() else table.parent) / "dataset.yaml"
        return cls.from_yaml(path) if path.is_file() else cls()

    def with_options(self, **overrides: Any) -> Schema:
        """A copy with the options that are not None, given as values or as strings like ``"0-1,3-4"``."""
        known = [field.name for field in dataclasses.fields(self)]
        for key in overrides:
            if key not in known:
                raise wrong(f"a known key, got {key!r}", did_you_mean(key, known))
        given = {key: value for key, value in overrides.items() if value is not None}
        points = names_of("points", given["points"]) if "points" in given else self.points
        return dataclasses.replace(self, **{key: coerce(key, value, points) for key, value in given.items()})

    def renumbered(self, points: Sequence[str]) -> Schema:
        """The same schema for a table whose points have the same names in another order, or only some of them.

        Pairs and limbs of points that are left out are left out, too; so is a normalising length between them.
        """
        place = {self.points.index(name): new for new, name in enumerate(points)}

        def moved(pairs: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
            return tuple((place[first], place[second]) for first, second in pairs if {first, second} <= set(place))

        between = isinstance(self.normalizer, tuple)
        normalizer = next(iter(moved([self.normalizer])), None) if between else self.normalizer  # type: ignore[list-item]
        return dataclasses.replace(
            self, points=tuple(points), pairs=moved(self.pairs), limbs=moved(self.limbs), normalizer=normalizer
        )

    @property
    def has_names(self) -> bool:
        """Whether its points have names, and not only the numbers of their columns."""
        return bool(self.points) and self.points != tuple(str(k) for k in range(len(self.points)))

    def with_discovered_points(self, columns: Collection[str]) -> Schema:
        """Columns ``x0, y0, x1, ...`` are the points where neither points nor targets are named."""
        if self.n_targets:
            return self
        numbers = {int(match[1]) for name in columns if (match := _POINT_COLUMN.fullmatch(name))}
        if not any(all(f"{axis}{k}" in columns for axis in AXES) for k in numbers):
            return self
        return dataclasses.replace(self, points=tuple(str(k) for k in range(max(numbers) + 1)))


def _check_names(key: str, names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise wrong(f"{key} of different names, got {name!r} {names.count(name)} times")


def _check_indices(key: str, pairs: Sequence[tuple[int, int]], count: int) -> None:
    for pair in pairs:
        if pair[0] == pair[1]:
            raise wrong(f"{key} of two different points, got {pair}")
        if count and not all(0 <= end < count for end in pair):  # points not known yet: checked when they are
            raise wrong(f"{key} of points 0 to {count - 1}, got {pair}")


def _check_disjoint(pairs: Sequence[tuple[int, int]]) -> None:
    ends = [end for pair in pairs for end in pair]
    for end in ends:
        if ends.count(end) > 1:
            raise wrong(f"every point in at most one of pairs, got point {end} in {ends.count(end)}")


def _check_normalizer(value: float | str | tuple[int, int] | None, count: int) -> None:
    if isinstance(value, tuple):
        _check_indices("normalizer", [value], count)
    elif isinstance(value, float | int) and not (math.isfinite(value) and value > 0):
        raise wrong(f"normalizer > 0 and finite, got {value}")


def _check_coordinates(schema: Schema) -> None:
    if schema.coordinates not in COORDINATES:
        raise wrong(f"coordinates {', '.join(map(repr, COORDINATES))}, got {schema.coordinates!r}")
    if schema.origin not in (0, 1):
        raise wrong(f"origin 0 or 1, got {schema.origin!r}")
    if schema.origin and schema.coordinates != "pixels":
        raise wrong(f"pixels for an origin of 1, got coordinates {schema.coordinates!r}")
    if schema.targets and (schema.origin or schema.coordinates != "pixels"):
        raise wrong(f"points for coordinates and origin, got {len(schema.targets)} scalar targets")


def _check_box(schema: Schema) -> None:
    box, margin = schema.box, schema.box_margin
    margins = margin if isinstance(margin, tuple) else (margin,)
    if box is not None and box != "points" and not (isinstance(box, tuple) and len(set(box)) == 4):
        raise wrong(f"box to be 'points' or four columns (left, top, width, height), got {box!r}")
    if box == "points" and schema.targets:
        raise wrong(f"points for a box around them, got {len(schema.targets)} scalar targets")
    if not all(math.isfinite(value) and value >= 0 for value in margins):
        raise wrong(f"box_margin >= 0 and finite, got {margin}")
    if schema.box_fit not in ("inside", "stretch"):
        raise wrong(f"box_fit 'inside' or 'stretch', got {schema.box_fit!r}")


def read_yaml(path: Path) -> Any:
    """The content of a YAML file.

    Raises:
        DataError: the file cannot be read or is not YAML; names file and line.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: expected a readable UTF-8 file, got {error}.") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise DataError(
            f"{path}{line}: expected YAML, got a syntax error: {getattr(error, 'problem', error)}."
        ) from None


def _read_keys(path: Path) -> dict[str, Any]:
    values = read_yaml(path)
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise DataError(f"{path}: expected keys and values such as 'points: [left_eye, right_eye]', got {values!r}.")
    return values


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, tuple) else value
