"""Annotations from one format into another."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from steadfit._console import say
from steadfit._files import shown_path
from steadfit.data import WRITERS, read_annotations, read_source, write
from steadfit.errors import ConfigError
from steadfit.recipes.opening import as_options


def convert(
    path: str | Path,
    out: str | Path,
    *,
    to: str,
    options: Mapping[str, Any] | None = None,
    format: str | None = None,
    images: str | Path | None = None,
    copy_images: bool = False,
    overwrite: bool = False,
    skip_bad: bool = False,
    console: Console | None = None,
) -> Path:
    """Write annotations in another format.

    Args:
        path: a file or folder of annotations in any format.
        out: the file or folder to write, as the format has it.
        to: the name of the format to write.
        options: what the annotations mean, by the names of the options; None values are ignored.
        format: the name of the format that is read; None: found by content.
        images: the folder of the images; None: what the format specifies.
        copy_images: whether the images are copied along.
        overwrite: whether what is at ``out`` may be replaced.
        skip_bad: whether bad rows are left out, with a warning.
        console: where the result is shown; None: nowhere.

    Returns:
        The path that the commands take.

    Raises:
        ConfigError: a format that is not written, or something is at ``out``.
        DataError: the annotations cannot be read, or the format cannot describe them.

    Warns:
        DataWarning: what the format does not carry, and anything odd in the annotations.
    """
    out = Path(out)
    if to not in WRITERS:
        raise ConfigError(f"--to: expected one of {', '.join(WRITERS)}, got {to!r}.")
    occupied = out.is_file() or (out.is_dir() and any(out.iterdir()))
    if occupied and not overwrite:
        raise ConfigError(f"{out}: expected nothing there yet, got files. Choose another place, or --overwrite.")
    with as_options(path, options):
        source = read_source(path, options=options, format=format, images=images)
        data = read_annotations(source, skip_bad=skip_bad)
    written = write(data, out, format=to, copy_images=copy_images)
    if console is not None:
        count = 0 if data.images is None else len(set(data.images))
        from_images = f" of {count} images" if count else ""
        say(console, f"{written}: {len(data)} rows{from_images} as {to}.")
        if count and not copy_images:
            say(console, f"The images stay where they are: read it with --images {shown_path(data.root)}")
    return written
