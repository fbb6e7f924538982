"""The commands on annotations themselves, in which nothing is trained: check, corrupt, convert."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from typer import Argument, Option

from steadfit._console import say
from steadfit.cli.options import (
    Columns,
    Data,
    Kind,
    Label,
    Out,
    Reading,
    Seed,
    SkipBad,
    Table,
    Task,
    TaskOf,
    columns,
    options_of,
    reading,
)
from steadfit.cli.settings import words

console = Console()


@options_of(schema=columns, source=reading)
def check(
    table: Data,
    schema: Columns,
    source: Reading,
    task: TaskOf = Task.regression,
    label: Label = None,
    sheet: Annotated[int, Option(help="Images on the contact sheet.", min=0, metavar="N")] = 24,
    skip_bad: SkipBad = False,
    seed: Seed = 0,
    out: Out = Path("check"),
) -> None:
    """See how annotations are understood before an hour of training: facts, everything wrong, and a contact sheet.

    Look at contact_sheet.png: are the points where their names say? The exit
    code is 1 if something would stop 'fit'; all of it is listed.
    """
    from steadfit import recipes

    good = recipes.check(
        table, out, options=schema, classes=task is Task.classification, label=label, sheet=sheet, skip_bad=skip_bad,
        seed=seed, console=console, **source,
    )  # fmt: skip
    if not good:
        raise typer.Exit(1)


@options_of(schema=columns, source=reading)
def corrupt(
    table: Table,
    schema: Columns,
    source: Reading,
    kind: Annotated[Kind, Option(help="How labels are made wrong.", show_default=False)],
    share: Annotated[float, Option(help="Share of wrong labels, 0 to 1.", min=0, max=1, show_default=False)],
    out: Out = Path("corrupted"),
    seed: Seed = 0,
    splits: Annotated[str, Option(help="Parts of the table to corrupt.")] = "train,val",
    width: Annotated[float | None, Option(help="ngo, l_ugo, g_ugo: crop width; default: each image's own.")] = None,
    std: Annotated[float | None, Option(help="gaussian: standard deviation of the errors.")] = None,
    skip_bad: SkipBad = False,
) -> None:
    """Write a copy of a data set with labels made wrong on purpose, and the truth (truth.csv)."""
    from steadfit import recipes

    annotations = recipes.open_table(
        table, schema, **source, console=console, seed=seed, skip_bad=skip_bad, need_splits=("train",)
    )
    parts = words(splits)
    written, wrong = recipes.corrupt_dataset(
        annotations, out, kind=kind.value, share=share, seed=seed, splits=parts, width=width, std=std
    )
    say(console, f"{written}: {wrong:.1%} of the labels in {' and '.join(parts)} are wrong.")


@options_of(schema=columns, source=reading)
def convert(
    table: Table,
    out: Annotated[Path, Argument(help="File or folder to write, as the format has it.", show_default=False)],
    schema: Columns,
    source: Reading,
    to: Annotated[str, Option("--to", help="Format to write.", metavar="NAME", show_default=False)],
    copy_images: Annotated[bool, Option("--copy-images", help="Copy the images along.")] = False,
    overwrite: Annotated[bool, Option("--overwrite", help="Replace what is there.")] = False,
    skip_bad: SkipBad = False,
) -> None:
    """Write annotations in another format, and say what it cannot carry.

    Images need not be there, except for formats that divide by their sizes.
    """
    from steadfit import recipes

    recipes.convert(
        table, out, to=to, options=schema, copy_images=copy_images, overwrite=overwrite, skip_bad=skip_bad,
        console=console, **source,
    )  # fmt: skip
