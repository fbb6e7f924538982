"""Opening data and run folders for a command: tables, classes, the truth, tables for a trained run."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from rich.console import Console
from rich.progress import Progress

from steadfit.data import (
    IMAGE_SUFFIXES,
    Annotations,
    Framing,
    Schema,
    folder_images,
    is_image,
    load_annotations,
    load_classes,
    refuse_archive,
    scan,
)
from steadfit.errors import ConfigError, DataError, DataWarning, SchemaError
from steadfit.training.folder import read_config
from steadfit.training.opening import Predictor
from steadfit.training.trainer import occupied

Flags = npt.NDArray[np.bool_]


def open_table(
    path: str | Path,
    options: dict[str, Any] | None = None,
    *,
    format: str | None = None,
    images: str | Path | None = None,
    console: Console | None = None,
    skip_bad: bool = False,
    seed: int = 0,
    need_splits: Collection[str] = ("train", "val"),
    framing: Framing | None = None,
) -> Annotations:
    """Read and check annotations, their meaning overridden by options, with a bar while images are checked.

    Annotations without test rows are accepted unless ``need_splits`` requires them.

    Args:
        path: a file or folder of annotations in any format.
        options: what they mean, by the names of the options; None values are ignored.
        format: the name of the format; None: found by content.
        images: the folder of the images; None: what the format specifies.
        console: where the bar is shown; None: nowhere.
        skip_bad: whether bad rows are left out, with a warning.
        seed: the seed of splits that are drawn.
        need_splits: the splits that must have rows.
        framing: how the network sees the images; then their frames are made while they are checked, see
            :func:`steadfit.data.load_annotations`. None: no frames.

    Raises:
        DataError: the table, its images or its ``dataset.yaml`` cannot be used.
        ConfigError: options that have no meaning.
    """
    with as_options(path, options), checking(console) as progress:
        return load_annotations(
            path,
            options=options,
            format=format,
            images=images,
            skip_bad=skip_bad,
            seed=seed,
            need_splits=need_splits,
            framing=framing,
            progress=progress,
        )


@contextmanager
def as_options(path: str | Path, options: Mapping[str, Any] | None) -> Iterator[None]:
    """Errors about the meaning of columns name the options that gave it, or the file.

    Args:
        path: the file or folder of annotations.
        options: the meaning, by the names of the options.

    Raises:
        ConfigError: options that have no meaning.
        DataError: a file that has none.
    """
    given = [name for name, value in (options or {}).items() if value is not None]
    try:
        yield
    except SchemaError as error:
        if given:
            raise ConfigError(f"{', '.join('--' + name.replace('_', '-') for name in given)}: {error.rule}") from None
        raise DataError(f"{path}: {error.rule}") from None


def open_classes(
    path: str | Path,
    *,
    label: str | None = None,
    format: str | None = None,
    exif: str | None = None,
    seed: int = 0,
    skip_bad: bool = False,
    framing: Framing | None = None,
    console: Console | None = None,
) -> Annotations:
    """Read and check images with classes, with a bar while images are checked; see :func:`steadfit.data.load_classes`.

    Args:
        path: a table, CIFAR's binary files, or folders of images named after their classes.
        label: the column of the classes; None: ``label`` or ``class``.
        format: the name of the format; None: found by content.
        exif: how images with an EXIF orientation are read; None: as the format says.
        seed: the seed of splits that are drawn.
        skip_bad: whether bad rows are left out, with a warning.
        framing: how the network sees the images; then their frames are made while they are checked. None: no frames.
        console: where the bar is shown; None: nowhere.

    Raises:
        DataError: something cannot be read.
        ConfigError: a label that CIFAR does not have.
    """
    with checking(console) as progress:
        try:
            return load_classes(
                path, label=label, format=format, exif=exif, seed=seed, skip_bad=skip_bad, framing=framing,
                progress=progress,
            )  # fmt: skip
        except (ConfigError, DataError):
            raise
        except ValueError as error:
            raise ConfigError(f"--label: {error}") from None


@contextmanager
def checking(console: Console | None) -> Iterator[Callable[[int, int], None] | None]:
    """A bar that advances while images are checked.

    Yields:
        A function of the number of checked images and the number of all images; None where there is no terminal.
    """
    if console is None or not console.is_terminal:
        yield None
        return
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("checking images", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def check_start(folders: Iterable[str | Path], *, resume: bool, device: str) -> None:
    """Check what is known before a table is read: whether the device exists and the run folders are free.

    Args:
        folders: the run folders.
        resume: whether runs in them are to be continued.
        device: the device to compute on.

    Raises:
        ConfigError: the device does not exist.
        RunError: a folder contains a run that is not to be continued.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("--device cuda: expected a GPU that PyTorch can use, got none. Use --device cpu or auto.")
    if device == "mps" and not torch.backends.mps.is_available():
        raise ConfigError("--device mps: expected Apple's Metal, got none. Use --device cpu or auto.")
    for folder in map(Path, folders):
        if not resume and (folder / "config.yaml").exists():
            raise occupied(folder)


def check_rows(annotations: Annotations) -> None:
    """Check that a table has enough to train on.

    Raises:
        DataError: there is only one training row.
    """
    if len(annotations.rows("train")) < 2:
        raise DataError(f"{annotations.path}: expected at least two training rows, got one.")


def read_truth(path: str | Path, annotations: Annotations) -> Flags:
    """The truth that ``steadfit corrupt`` wrote: (N, K), True where a label was made wrong.

    Args:
        path: the file truth.csv.
        annotations: the table to which it belongs.

    Raises:
        DataError: the file is not a truth file, or does not fit the table.
    """
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:  # pandas' own errors are ValueErrors
        raise DataError(f"{path}: expected the truth.csv of 'steadfit corrupt', got {error}.") from None
    columns = [f"wrong_{name}" for name in annotations.schema.target_names]
    if missing := [name for name in ("line", *columns) if name not in table]:
        raise DataError(
            f"{path}: expected the columns of a truth file for {annotations.path}, got none named {missing[0]!r}."
        )
    if twice := table["line"][table["line"].duplicated()].tolist():
        raise DataError(f"{path}: expected every line of the table once, got line {twice[0]} again.")
    by_line = table.set_index("line")[columns]
    if unknown := [int(line) for line in annotations.line if line not in by_line.index]:
        raise DataError(f"{path}: expected a row for every line of {annotations.path}, got none for line {unknown[0]}.")
    for name in columns:
        if not (known := by_line[name].isin((0, 1))).all():
            line = by_line.index[~known][0]
            raise DataError(f"{path}, column {name!r}: expected 0 or 1, got {by_line[name][line]} for line {line}.")
    return np.asarray(by_line.loc[annotations.line].to_numpy(dtype=bool))


def image_paths(inputs: str | Path, *, skip_bad: bool = False, other: str = "") -> list[Path]:
    """An image, or the images of a folder.

    Args:
        inputs: the image or the folder.
        skip_bad: whether images that cannot be read are left out, with a warning.
        other: what else was expected, for the message.

    Raises:
        DataError: there is no image.
    """
    inputs = Path(inputs)
    if not inputs.is_dir():
        refuse_archive(inputs)
    paths = folder_images(inputs) if inputs.is_dir() else [inputs]
    if skip_bad:
        paths = _readable(paths)
    if not paths:
        kinds = ", ".join(sorted(suffix[1:] for suffix in IMAGE_SUFFIXES))
        below = any(is_image(path) for path in inputs.glob("*/*")) if inputs.is_dir() else False
        hint = " Images in its subfolders are not read: name one of these." if below else ""
        raise DataError(f"{inputs}: expected images ({kinds}){other} in this folder, got none.{hint}")
    return paths


def _readable(paths: list[Path]) -> list[Path]:
    reasons = scan(None, [str(path) for path in paths]).reasons
    bad = [f"{path}: {reason}" for path, reason in zip(paths, reasons, strict=True) if reason]
    if bad:
        warnings.warn(f"left out {len(bad)} of {len(paths)} images:\n  " + "\n  ".join(bad), DataWarning, stacklevel=4)
    return [path for path, reason in zip(paths, reasons, strict=True) if not reason]


def open_for_run(
    run: Predictor,
    table: Path,
    schema: Schema,
    skip_bad: bool,
    *,
    format: str | None = None,
    images: str | Path | None = None,
) -> Annotations:
    """Annotations for a trained run, split with the run's seed; only what a prediction needs has to be there.

    Args:
        run: the run.
        table: the file or folder of annotations.
        schema: what they mean, usually the run's schema.
        skip_bad: whether bad rows are left out, with a warning.
        format: the name of the format; None: found by content.
        images: the folder of the images; None: what the format specifies.

    Raises:
        DataError: the table cannot be used, or is not of the kind on which the run was trained.
    """
    seed = run.settings.seed
    annotations = load_by_name(table, schema, skip_bad=skip_bad, seed=seed, format=format, images=images)
    if schema.box == "points" and (bare := int(np.isnan(annotations.target).all(axis=(1, 2)).sum())):
        warn_whole(table, bare, f"{'row has' if bare == 1 else 'rows have'} no points and so")
    if (annotations.images is not None) != run.takes_images:
        wanted, got = ("images", "features") if annotations.images is None else ("features", "images")
        raise DataError(f"{table}: expected {wanted}, which the run was trained on, got a table of {got}.")
    return annotations


def load_by_name(
    table: Path,
    schema: Schema,
    *,
    seed: int,
    skip_bad: bool = False,
    format: str | None = None,
    images: str | Path | None = None,
) -> Annotations:
    """Annotations with the points of a run's schema in their order, which are found by name.

    For a table the names are those of the ``dataset.yaml`` next to it; where it, or the run, has none, number k is
    point k. Without labels names don't matter.

    Args:
        table: the table.
        schema: what the columns mean.
        seed: the seed of splits that are drawn.
        skip_bad: whether bad rows are left out, with a warning.
        format: the name of the format; None: found by content.
        images: the folder of the images; None: what the format specifies.

    Raises:
        DataError: the table has points of other names, or labels and a ``dataset.yaml`` that is not one.
    """
    load = functools.partial(
        load_annotations, table, need_splits=(), skip_bad=skip_bad, seed=seed, format=format, images=images
    )
    try:
        names = Schema.discover(table).points
    except DataError:
        bare = load(schema)
        if not np.isnan(bare.target).all():
            raise
        return bare
    if not (schema.has_names and names):
        return load(schema)
    if odd := sorted(set(names) ^ set(schema.points)):
        raise DataError(
            f"{table}: expected the points of the run, {', '.join(schema.points)}, got {', '.join(names)} in its "
            f"dataset.yaml; {odd[0]!r} differs."
        )
    return load(schema.renumbered(names)).renumbered(schema.points)


def has_classes(run_folder: str | Path) -> bool:
    """Whether a run predicts classes.

    Args:
        run_folder: of the run.

    Raises:
        RunError: there is no run, or it is damaged.
    """
    return bool(read_config(Path(run_folder))[1]["schema"].get("classes"))


def warn_whole(inputs: Path, count: int, which: str) -> None:
    """Warn that a run on boxes sees images whole.

    Args:
        inputs: where the images are.
        count: the number of these images.
        which: the beginning of the reason, before "no box".
    """
    warnings.warn(
        f"{inputs}: {count} {which} no box. The run was trained on boxes and now sees these images whole.",
        DataWarning,
        stacklevel=4,
    )
