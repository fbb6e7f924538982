"""The lines of .pts files, and the images that belong to the files."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, DecimalException, localcontext
from pathlib import Path, PurePosixPath

import numpy as np

from steadfit.data.formats import expect
from steadfit.data.formats.documents import text_at
from steadfit.data.formats.expect import Misfit
from steadfit.data.formats.folders import files_below, images_in, in_file
from steadfit.data.formats.instances import Floats
from steadfit.data.formats.roots import checked_folder, folders_in
from steadfit.data.tables.cells import shorten
from steadfit.data.tables.problems import Problem
from steadfit.errors import DataError

_PLAIN = re.compile(r"\s*version\s*:\s*\S+\s+n_points\s*:\s*(\d+)\s*\{([\s\d.eE+-]*)\}\s*")
_FRACTION = re.compile(r"\.(\d*)")
_COMMENTS = ("#", "//")
_FURTHER = re.compile(r"(.+)_\d+")
_DECIMALS = 15


@dataclass(frozen=True)
class Shape:
    """The points of one file.

    Args:
        name: the path of the file relative to the folder that is read, with ``/``.
        xy: (K, 2) in px, the centre of the first pixel is (0, 0); NaN for missing points.
        lines: the number of the line of each point, from 0; empty where the file is as usual.
    """

    name: str
    xy: Floats
    lines: Sequence[int] = ()


def read_files(path: Path) -> tuple[list[Shape], list[Problem], list[str]]:
    """The points of all files of a folder, or of one file, what is wrong with the others, and what is odd.

    Files with another number of points than most are among the problems.

    Args:
        path: the folder or file.

    Raises:
        DataError: there is no such file, or none is good.
    """
    names = list(files_below(path, ".pts")) if path.is_dir() else [path.name]
    if not names:
        raise DataError(f"{path}: expected .pts files, got none.")
    shapes: list[Shape] = []
    problems = []
    for number, name in enumerate(names, start=1):
        file = path / name if path.is_dir() else path
        try:
            with in_file(file):
                shapes.append(parsed(name, text_at(file)))
        except Misfit as error:
            problems.append(Problem(str(file), number, None, error.reason, error.where))
    if not shapes:
        raise DataError(f"{path}: expected points, got none. The first problem: {problems[0]}")
    count, most = Counter(len(shape.xy) for shape in shapes).most_common(1)[0]
    for number, shape in enumerate(shapes, start=1):
        if len(shape.xy) != count:
            reason = f"expected {count} points as in {most} of {len(shapes)} files, got {len(shape.xy)}."
            problems.append(Problem(str(path / shape.name), number, None, reason, "n_points"))
    return [shape for shape in shapes if len(shape.xy) == count], problems, []


def parsed(name: str, text: str) -> Shape:
    """The points of one file.

    Args:
        name: its path.
        text: its content.

    Raises:
        Misfit: it is not as expected.
    """
    plain = _PLAIN.fullmatch(text)
    if plain and len(numbers := plain[2].split()) == 2 * int(plain[1][:9]) > 0:
        try:
            found = from_zero(numbers).reshape(-1, 2)
            if np.isfinite(found).all():
                return Shape(name, found)
        except ValueError:
            pass
    return _by_line(name, text)


def from_zero(numbers: Sequence[str]) -> Floats:
    """Coordinates that count from 1, as numbers that count from 0, correctly rounded.

    The difference of the rounded number and 1 would have other last digits than the difference in the file's decimals.

    Args:
        numbers: text.

    >>> from_zero(["1.1", "743.224"]).tolist(), 1.1 - 1
    ([0.1, 742.224], 0.10000000000000009)
    """
    value = np.array(numbers, dtype=np.float64)
    joined = " ".join(numbers).lower()
    places = max(map(len, _FRACTION.findall(joined)), default=0)
    scale = 10.0 ** min(places, _DECIMALS)
    plain = places <= _DECIMALS and "e" not in joined
    if plain and np.abs(value).max(initial=0) * scale < 2.0**50:
        return np.asarray((np.rint(value * scale) - scale) / scale)  # whole numbers, divided once
    return np.array([_one_less(word) for word in numbers])


def _one_less(number: str) -> float:
    try:
        return float(Decimal(number) - 1)
    except DecimalException:  # an exponent beyond those of decimals
        return float(number) - 1


def from_one(value: float) -> str:
    """A coordinate that counts from 0, as text of one that counts from 1; :func:`from_zero` gives the same number.

    >>> from_one(0.1), from_one(742.224), from_one(float("nan"))
    ('1.1', '743.224', 'nan')
    """
    with localcontext(prec=60):
        return format(Decimal(repr(float(value))) + 1, "f") if np.isfinite(value) else "nan"


def _by_line(name: str, text: str) -> Shape:
    """The points line by line, with comments, empty lines and missing points, or what is wrong with them."""
    count, inside, closed = None, False, False
    points, lines = [], []
    for number, line in enumerate(text.splitlines()):
        where, content = f"line {number + 1}", line.strip()
        if not content or content.startswith(_COMMENTS):
            continue
        key, _, value = content.partition(":")
        if closed:
            raise Misfit(f"expected nothing after '}}', got {shorten(content)}.", where)
        if content in ("{", "}"):
            if inside == (content == "{"):
                raise Misfit(f"expected '{{', points, and '}}', got {content!r} too early.", where)
            inside, closed = content == "{", content == "}"
        elif inside:
            points.append(_point(content, where))
            lines.append(number)
        elif key.strip() == "n_points":
            count = expect.whole(value.strip(), where)
        elif not value:
            raise Misfit(f"expected 'version', 'n_points' or '{{', got {shorten(content)}.", where)
    if not closed:
        raise Misfit(f"expected '}}' at the end, got the end of the file after {len(points)} points.", "end")
    if not points or (count is not None and len(points) != count):
        wanted = "points" if count is None else f"{count} points, as n_points says"
        raise Misfit(f"expected {wanted}, got {len(points)}.", "n_points")
    return Shape(name, np.array(points), lines)


def _point(content: str, where: str) -> tuple[float, float]:
    numbers = [expect.number(word, where, missing=True) for word in content.split()]
    if len(numbers) != 2:
        raise Misfit(f"expected x and y, got {len(numbers)} values.", where)
    if np.isnan(numbers).any():
        return np.nan, np.nan
    x, y = from_zero(content.split()).tolist()
    return x, y


def replaced(text: str, shape: Shape, lines: Mapping[int, str]) -> str:
    """The text of a file with other lines for some points; everything else stays.

    Args:
        text: the content.
        shape: its points.
        lines: the new line of each point that changes, by its place from 0.
    """
    places = shape.lines or _by_line(shape.name, text).lines
    found = text.splitlines(keepends=True)
    for place, line in lines.items():
        old = found[places[place]]
        found[places[place]] = line + old[len(old.rstrip("\r\n")) :]
    return "".join(found)


def images_of_files(path: Path, names: Sequence[str], images: Path | None) -> tuple[Path, list[str], list[str]]:
    """The folder of the images, the path in it of the image of each file, and a note on those that are not there.

    Args:
        path: the folder or file that is read.
        names: the paths of the files, relative to it.
        images: the folder of the images; None: looked for.

    Raises:
        DataError: the given folder is none.
    """
    here = path if path.is_dir() else path.parent
    base = here if images is None else checked_folder(images)
    stems: dict[str, set[str]] = {}
    for name in names:
        stems.setdefault(os.path.dirname(name), set()).add(_stem(name))
    folders = {folder: _folder_of(folder, some, base) for folder, some in stems.items()}
    lifted = False
    if images is None and not any(inside for _, inside in folders.values()):  # images may be beside the folder
        above, own = here.resolve().parent, here.resolve().name
        beside = {folder: _folder_of(f"{own}/{folder}", some, above) for folder, some in stems.items()}
        lifted = any(inside for _, inside in beside.values())
        base, folders = (above, beside) if lifted else (base, folders)
    found = [_image_of(name, *folders[os.path.dirname(name)]) for name in names]
    suffixes = Counter(os.path.splitext(name)[1] for name, known in found if known)
    usual = suffixes.most_common(1)[0][0] if suffixes else ".jpg"
    unknown = sum(not known for _, known in found)
    note = f"{unknown} of {len(names)} files have no image of their name; it is taken to end in {usual}."
    return base, [name if known else name + usual for name, known in found], [note] * bool(unknown)


def _folder_of(folder: str, stems: Collection[str], base: Path) -> tuple[str, Mapping[str, str]]:
    """The folder with the images of the files of one folder, relative to the base, and its images by name.

    It is the first of these with the most of them: the folder itself, those in it, the base, those beside the folder.
    """
    plain = os.path.normpath(folder or ".")
    above = os.path.dirname(plain)
    beside = [os.path.join(above, name) for name in folders_in(base / above)]
    within = [os.path.join(plain, name) for name in folders_in(base / plain)]
    best, most = (plain, dict[str, str]()), 0
    for one in dict.fromkeys([plain, *within, ".", *beside]):
        found = images_in(base / one)
        count = sum(stem in found for stem in stems)
        if count > most:
            best, most = (one, found), count
    return best


def _stem(name: str) -> str:
    return os.path.basename(name)[: -len(".pts")].lower()


def _image_of(name: str, folder: str, images: Mapping[str, str]) -> tuple[str, bool]:
    """The path of the image of a file and whether it is there; without suffix where it is not."""
    stem = os.path.basename(name)[: -len(".pts")]
    further = _FURTHER.fullmatch(stem)
    found = images.get(stem.lower()) or (images.get(further[1].lower()) if further else None)
    place = PurePosixPath(folder.replace(os.sep, "/"))
    return str(place / (found or stem)), found is not None
