"""The check of annotations before anything is trained: what was understood, what is wrong, a sheet of images."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from steadfit._console import say, visible
from steadfit._files import write_json
from steadfit.data import Annotations, read_annotations, read_image, read_source
from steadfit.data.images.kinds import kinds
from steadfit.data.learnable import obstacles
from steadfit.data.tables.annotations import OCCLUDED
from steadfit.data.tables.sentinels import warn_spikes
from steadfit.errors import ConfigError, DataError, DataWarning
from steadfit.recipes.opening import open_classes, open_table
from steadfit.reports.brief import counted, listed
from steadfit.reports.contact_sheet import Tile, contact_sheet, target_histograms
from steadfit.reports.style import save
from steadfit.reports.understood import facts_of, told_facts

FORMAT_VERSION = 1
NO_IMAGE = ("expected an image", "expected the path of an image", "expected a readable image", "expected a whole image")
"""The beginnings of what is said about images that cannot be used."""


def check(
    path: str | Path,
    out: str | Path,
    *,
    options: dict[str, Any] | None = None,
    format: str | None = None,
    images: str | Path | None = None,
    classes: bool = False,
    label: str | None = None,
    sheet: int = 24,
    skip_bad: bool = False,
    seed: int = 0,
    console: Console | None = None,
) -> bool:
    """Read all annotations and images, tell how they were understood, and draw some of them.

    ``out`` gets ``check.json``, and ``contact_sheet.png`` with images and their labels, or ``targets.png`` with
    histograms for a table of features. Bad rows do not stop the check: all of them are listed.

    Args:
        path: a file or folder of annotations in any format.
        out: the folder for what is written.
        options: what the annotations mean, by the names of the options; None values are ignored.
        format: the name of the format; None: found by content.
        images: the folder of the images; None: what the format specifies.
        classes: whether labels are classes.
        label: the column of the classes; None: ``label`` or ``class``.
        sheet: the number of images on the sheet.
        skip_bad: whether bad rows are accepted, because they will be left out.
        seed: the seed of splits that are drawn, and of the images on the sheet.
        console: where the facts are shown; None: nowhere.

    Returns:
        Whether nothing would stop a training.

    Raises:
        DataError: the annotations cannot be read at all.
        ConfigError: options that have no meaning.
    """
    out = Path(out)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DataWarning)
        annotations = _opened(path, options, format, images, classes, label, seed, console)
        if annotations.images is None or not annotations.schema.has_points:
            warn_spikes(annotations)
        stopping = obstacles(annotations) if len(annotations) or skip_bad else []  # else it follows from the rows
        shown = annotations if len(annotations) else _undecoded(path, options, format, images, classes, annotations)
    told = list(dict.fromkeys(str(one.message) for one in caught if issubclass(one.category, DataWarning)))
    told = [text for text in told if " left out. The first: " not in text]  # these are the problems
    problems = [str(problem) for problem in annotations.skipped]
    errors = ([] if skip_bad else problems) + stopping
    found = " (as told)" if format else " (found by content)"
    facts = {"format_version": FORMAT_VERSION, **facts_of(shown), "found": found, **_of_files(shown)}
    facts |= {"bad_images": sum(problem.reason.startswith(NO_IMAGE) for problem in annotations.skipped)}
    facts |= {"warnings": told, "problems": problems, "errors": errors}
    write_json(facts, out / "check.json")
    drawn = _draw(annotations, out, sheet, seed)
    if console is not None:
        _tell(facts, console)
        say(console, f"Facts: {out / 'check.json'}" + (f"\nLook at {drawn}" if drawn else ""))
        say(console, _verdict(errors, of_rows=bool(problems) and not skip_bad), style="bold")
    return not errors


def _opened(
    path: str | Path,
    options: dict[str, Any] | None,
    format: str | None,
    images: str | Path | None,
    classes: bool,
    label: str | None,
    seed: int,
    console: Console | None,
) -> Annotations:
    if not classes:
        return open_table(
            path, options, format=format, images=images, console=console, skip_bad=True, seed=seed, need_splits=()
        )
    given = [name for name, value in (options or {}).items() if value is not None]
    if given or images is not None:
        names = ", ".join("--" + name.replace("_", "-") for name in [*given, *(["images"] if images else [])])
        raise ConfigError(f"{names}: expected no such options with --task classification, which needs none of them.")
    return open_classes(path, label=label, format=format, seed=seed, skip_bad=True, console=console)


def _undecoded(
    path: str | Path,
    options: dict[str, Any] | None,
    format: str | None,
    images: str | Path | None,
    classes: bool,
    empty: Annotations,
) -> Annotations:
    """What the annotations say where no row is good, because the images are not there for example."""
    if classes:
        return empty
    try:
        return read_annotations(read_source(path, options=options, format=format, images=images), skip_bad=True)
    except DataError:
        return empty


def _of_files(annotations: Annotations) -> dict[str, Any]:
    """Depth, colour and orientation of the image files."""
    if annotations.images is None or annotations.pixels is not None:
        return {}
    counts, turned = kinds(annotations.root, dict.fromkeys(annotations.images))
    told = ", ".join(f"{number} {kind}" for kind, number in counts.most_common())
    return {"kinds": told, "turned": turned}


def _tell(facts: Mapping[str, Any], console: Console) -> None:
    told = {word: text for word, text in told_facts(facts).items() if text}
    if facts.get("turned"):
        told["turned"] = f"{len(facts['turned'])} images have an EXIF orientation, the first is {facts['turned'][0]}"
    if console.is_terminal:
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True, style="bold")
        table.add_column(overflow="fold")
        for word, text in told.items():
            table.add_row(Text(word), Text(visible(text)))
        say(console, table)
    else:
        for word, text in told.items():
            say(console, f"{word}: {text}")
    for head, key in (("note", "notes"), ("warning", "warnings"), ("problem", "problems")):
        for line in listed(head, facts[key]):
            say(console, line)
    known = set(facts["problems"])
    for line in listed("error", [text for text in facts["errors"] if text not in known]):
        say(console, line)


def _verdict(errors: list[str], *, of_rows: bool) -> str:
    if not errors:
        return "Nothing here would stop 'steadfit fit'."
    skip = " --skip-bad leaves out rows with problems." if of_rows else ""
    return f"{counted(len(errors), 'error')} would stop 'steadfit fit'.{skip}"


def _draw(annotations: Annotations, out: Path, sheet: int, seed: int) -> Path | None:
    """Write the sheet, or histograms; returns the file, None where there is nothing to draw."""
    schema = annotations.schema
    if annotations.images is None:
        if schema.targets and len(annotations) and not schema.classes:
            return save(target_histograms(schema.targets, annotations.target[:, :, 0]), out / "targets.png", dpi=100)
        return None
    tiles = [_tile(annotations, row) for row in _rows(annotations, sheet, seed)]
    if not tiles:
        return None
    names, pairs, limbs = (schema.target_names, schema.pairs, schema.limbs) if schema.has_points else ((), (), ())
    return save(contact_sheet(tiles, names, pairs=pairs, limbs=limbs), out / "contact_sheet.png", dpi=110)


def _rows(annotations: Annotations, sheet: int, seed: int) -> list[int]:
    """Some rows with labels, of as many images as possible, in their order."""
    labelled = np.flatnonzero(~np.isnan(annotations.target).all(axis=(1, 2)))
    order = np.random.default_rng(seed).permutation(labelled).tolist()
    first: dict[str, int] = {}
    for row in order:
        first.setdefault((annotations.images or ())[row], row)
    chosen = list(first.values())[:sheet]
    rest = [row for row in order if row not in set(chosen)][: sheet - len(chosen)]
    return sorted([*chosen, *rest])


def _tile(annotations: Annotations, row: int) -> Tile:
    schema, name = annotations.schema, (annotations.images or ())[row]
    place = f"line {annotations.line[row]}" if annotations.at is None else str(annotations.at[row])
    caption = f"{os.path.basename(name)[-24:]}, {place.rpartition(', ')[2]}"  # without the file of the row
    if schema.classes:
        return Tile(_image(annotations, row), f"{schema.classes[annotations.label[row]]}, {caption}")
    if not schema.has_points:
        values = zip(schema.targets, annotations.target[row, :, 0], strict=True)
        return Tile(_image(annotations, row), ", ".join(f"{name} {value:.4g}" for name, value in values)[:60])
    hidden = None if annotations.visible is None else annotations.visible[row] == OCCLUDED
    box = None if annotations.box is None else annotations.box[row]
    return Tile(_image(annotations, row), caption, annotations.target[row], hidden, box)


def _image(annotations: Annotations, row: int) -> Any:
    if annotations.pixels is not None:
        return annotations.pixels[row].permute(1, 2, 0).numpy()
    try:
        return read_image(annotations.root / (annotations.images or ())[row], 3, annotations.schema.exif)
    except DataError:  # it was readable a moment ago
        return np.zeros((8, 8, 3), dtype=np.uint8)
