"""The command line: every command collects its options and calls one function of :mod:`steadfit.recipes`."""

from __future__ import annotations

import sys
import warnings
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from typer import Argument, Option

from steadfit.errors import ConfigError, DataError, RunError, SteadfitError

EXIT_CODES = """Exit codes: 0 done; 2 wrong usage or contradicting options; 3 the data cannot be used (one message names
file, line and column); 4 the run folder does not fit; 130 interrupted; 1 anything else. Errors go to standard error."""

app = typer.Typer(
    help="Train regression networks on labels that are partly wrong, and find out which labels are wrong.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
console = Console()


class Noise(str, Enum):
    """The noise models."""

    l2 = "l2"
    l1 = "l1"
    huber = "huber"
    tukey = "tukey"
    gum = "gum"


class Unit(str, Enum):
    sample = "sample"
    point = "point"
    coordinate = "coordinate"


class ProtocolName(str, Enum):
    steady = "steady"
    paper = "paper"


class Kind(str, Enum):
    ngo = "ngo"
    l_ugo = "l_ugo"
    g_ugo = "g_ugo"
    swap = "swap"
    gaussian = "gaussian"
    symmetric = "symmetric"


class Split(str, Enum):
    train = "train"
    val = "val"
    test = "test"
    all = "all"


DATA, TRAINING = "What the columns mean (overrides dataset.yaml)", "Training"
Table = Annotated[Path, Argument(help="CSV or Parquet table, or a folder with annotations.csv.", show_default=False)]
Out = Annotated[Path, Option("--out", "-o", help="Folder for everything that is written.")]
Seed = Annotated[int, Option(help="Of initial weights, order, mirroring and drawn splits.", min=0)]
Device = Annotated[str, Option(help="auto, cpu, cuda or mps.")]
Points = Annotated[str | None, Option(help="Names of the points: left_eye,right_eye,…", rich_help_panel=DATA)]
Targets = Annotated[str | None, Option(help="Scalar target columns instead of points: age,yaw", rich_help_panel=DATA)]
Features = Annotated[
    str | None, Option(help="Feature columns of a table without images.", rich_help_panel=DATA)
]
Pairs = Annotated[
    str | None, Option(help="Left/right points that mirroring swaps: 0-1,3-4 or names.", rich_help_panel=DATA)
]
Normalizer = Annotated[
    str | None,
    Option(help="Normalising length of failures: a number, a column, or two points 0-1.", rich_help_panel=DATA),
]
Units = Annotated[str | None, Option(help="Unit of the targets [default: px].", rich_help_panel=DATA)]
Visibility = Annotated[
    str | None, Option(help="What v = 0 means: occluded (annotated) or missing.", rich_help_panel=DATA)
]
SkipBad = Annotated[bool, Option("--skip-bad", help="Leave bad rows out, and list them, instead of stopping.")]
Epochs = Annotated[int, Option(help="Passes over the training set.", min=1, rich_help_panel=TRAINING)]
BatchSize = Annotated[int, Option(help="Samples a step.", min=2, rich_help_panel=TRAINING)]
Rate = Annotated[float | None, Option(help="Largest step size [default: the protocol's].", rich_help_panel=TRAINING)]
Size = Annotated[int, Option(help="Side of the network's input in px.", min=16, rich_help_panel=TRAINING)]
Color = Annotated[bool, Option("--color/--grey", help="Colour or grey input.", rich_help_panel=TRAINING)]
Mirror = Annotated[bool, Option(help="Mirror half of the training images (needs pairs).", rich_help_panel=TRAINING)]
UnitOption = Annotated[
    Unit, Option(help="gum: what is right or wrong as a whole.", rich_help_panel=TRAINING)
]
ProtocolOption = Annotated[
    ProtocolName,
    Option(
        help="steady: L1 warm-up, EM after every epoch. paper: DeepGUM's Algorithm 1 (L2 first, rounds).",
        rich_help_panel=TRAINING,
    ),
]
Residuals = Annotated[
    str,
    Option(
        help="Residuals for the refit: pass (a forward pass over the training set) or epoch (those seen in training).",
        rich_help_panel=TRAINING,
    ),
]
Patience = Annotated[
    int | None,
    Option(help="Stop after so many epochs without a lower validation loss; 0: never.", min=0, rich_help_panel=TRAINING),
]
Workers = Annotated[int, Option(help="Processes that read images.", min=0, rich_help_panel=TRAINING)]
Truth = Annotated[Path | None, Option(help="truth.csv of 'steadfit corrupt': scores the suspects.", exists=True)]


@app.command()
def demo(
    out: Out = Path("demo"), seed: Seed = 0, epochs: Epochs = 12, device: Device = "auto"
) -> None:
    """See it work: drawn faces, 30 % of the labels wrong, four noise models (about three minutes)."""
    from steadfit import recipes

    recipes.demo(out, seed=seed, epochs=epochs, device=device, console=console)


@app.command()
def fit(
    table: Table,
    noise: Annotated[Noise, Option(help="The noise model: what training believes about label errors.")] = Noise.gum,
    out: Out = Path("run"),
    resume: Annotated[bool, Option("--resume", help="Continue a stopped run to the same result.")] = False,
    skip_bad: SkipBad = False,
    seed: Seed = 0,
    device: Device = "auto",
    truth: Truth = None,
    points: Points = None,
    targets: Targets = None,
    features: Features = None,
    pairs: Pairs = None,
    normalizer: Normalizer = None,
    units: Units = None,
    visibility: Visibility = None,
    epochs: Epochs = 30,
    batch_size: BatchSize = 64,
    lr: Rate = None,
    size: Size = 48,
    color: Color = False,
    mirror: Mirror = True,
    unit: UnitOption = Unit.point,
    protocol: ProtocolOption = ProtocolName.steady,
    residuals: Residuals = "pass",
    patience: Patience = None,
    workers: Workers = 0,
) -> None:
    """Train in spite of wrong labels, and list the labels that are suspect.

    The run folder gets the model, metrics.json, history.csv, trust.parquet (every label), suspects.csv (worst first) and
    report.html. Open it in Python with steadfit.load(folder).predict(images).
    """
    from steadfit import recipes

    settings = _settings(
        noise=noise.value, unit=unit.value, protocol=protocol.value, epochs=epochs, batch_size=batch_size, lr=lr,
        size=size, channels=3 if color else 1, mirror=mirror, seed=seed, residuals=residuals, patience=patience,
        workers=workers,
    )  # fmt: skip
    options = _options(points, targets, features, pairs, normalizer, units, visibility)
    annotations = recipes.open_table(table, options, console=console, skip_bad=skip_bad, seed=seed)
    recipes.fit_run(
        annotations, settings, out, resume=resume, device=device, console=console, truth=_truth(truth, annotations)
    )


@app.command()
def compare(
    table: Table,
    methods: Annotated[str, Option(help="Noise models, separated by commas.")] = "l2,huber,tukey,gum",
    out: Out = Path("comparison"),
    resume: Annotated[bool, Option("--resume", help="Continue a stopped comparison.")] = False,
    skip_bad: SkipBad = False,
    seed: Seed = 0,
    device: Device = "auto",
    truth: Truth = None,
    points: Points = None,
    targets: Targets = None,
    features: Features = None,
    pairs: Pairs = None,
    normalizer: Normalizer = None,
    units: Units = None,
    visibility: Visibility = None,
    epochs: Epochs = 30,
    batch_size: BatchSize = 64,
    lr: Rate = None,
    size: Size = 48,
    color: Color = False,
    mirror: Mirror = True,
    unit: UnitOption = Unit.point,
    protocol: ProtocolOption = ProtocolName.steady,
    workers: Workers = 0,
) -> None:
    """Train several noise models on one table and compare them on its test rows, with Wilcoxon stars."""
    from steadfit import recipes

    settings = _settings(
        unit=unit.value, protocol=protocol.value, epochs=epochs, batch_size=batch_size, lr=lr, size=size,
        channels=3 if color else 1, mirror=mirror, seed=seed, workers=workers,
    )  # fmt: skip
    names = [name.strip() for name in methods.split(",") if name.strip()]
    if unknown := [name for name in names if name not in {model.value for model in Noise}]:
        raise ConfigError(f"compare: expected noise models of {', '.join(m.value for m in Noise)}, got {unknown[0]!r}.")
    options = _options(points, targets, features, pairs, normalizer, units, visibility)
    annotations = recipes.open_table(
        table, options, console=console, skip_bad=skip_bad, seed=seed, need_splits=("train", "val", "test")
    )
    recipes.compare(
        annotations, names, settings, out, truth=_truth(truth, annotations), resume=resume, device=device, console=console
    )


@app.command()
def predict(
    run: Annotated[Path, Argument(help="A run folder.", show_default=False)],
    inputs: Annotated[Path, Argument(help="An image, a folder of images, or a table.", show_default=False)],
    out: Out = Path("predictions"),
    overlays: Annotated[int, Option(help="Draw the first so many images; -1 for all.", min=-1)] = 24,
) -> None:
    """Predict with a trained run: a CSV, and pictures with the points drawn in."""
    from steadfit import recipes

    written = recipes.predict_to(run, inputs, out, overlays=overlays, console=console)
    console.print(f"Predictions: {written}", soft_wrap=True, highlight=False)


@app.command()
def evaluate(
    run: Annotated[Path, Argument(help="A run folder.", show_default=False)],
    table: Table,
    split: Annotated[Split, Option(help="Which rows.")] = Split.test,
    threshold: Annotated[float, Option(help="Failure: an error above this share of the normalising length.")] = 0.05,
    out: Annotated[Path | None, Option("--out", "-o", help="Write the figures there, as JSON.")] = None,
) -> None:
    """Measure a trained run on a table: MAE, RMSE, point error, failure rate."""
    from steadfit import recipes

    for name, value in recipes.evaluate_run(run, table, split=split.value, threshold=threshold, out=out).items():
        console.print(f"{name:>14}  {value:.6g}", highlight=False)


@app.command()
def corrupt(
    table: Table,
    kind: Annotated[Kind, Option(help="How labels are made wrong.")],
    share: Annotated[float, Option(help="Share of wrong labels, 0 to 1.", min=0, max=1)],
    out: Out = Path("corrupted"),
    seed: Seed = 0,
    splits: Annotated[str, Option(help="Parts of the table to corrupt.")] = "train,val",
    width: Annotated[float | None, Option(help="ngo, l_ugo, g_ugo: crop width [default: each image's].")] = None,
    std: Annotated[float | None, Option(help="gaussian: standard deviation of the errors.")] = None,
    points: Points = None,
    targets: Targets = None,
    features: Features = None,
    pairs: Pairs = None,
    normalizer: Normalizer = None,
    units: Units = None,
    visibility: Visibility = None,
) -> None:
    """Write a copy of a data set with labels made wrong on purpose, and the truth beside it (truth.csv)."""
    from steadfit import recipes

    options = _options(points, targets, features, pairs, normalizer, units, visibility)
    annotations = recipes.open_table(table, options, console=console, seed=seed)
    parts = [part.strip() for part in splits.split(",")]
    written, wrong = recipes.corrupt_dataset(
        annotations, out, kind=kind.value, share=share, seed=seed, splits=parts, width=width, std=std
    )
    console.print(f"{written}: {wrong:.1%} of the labels in {' and '.join(parts)} are wrong.", soft_wrap=True)


def _settings(**values: Any) -> Any:
    from steadfit.training import Settings

    return Settings(**values)


def _options(
    points: str | None, targets: str | None, features: str | None, pairs: str | None, normalizer: str | None,
    units: str | None, visibility: str | None,
) -> dict[str, Any]:  # fmt: skip
    return {
        "points": points, "targets": targets, "features": features, "pairs": pairs, "normalizer": normalizer,
        "units": units, "visibility": visibility,
    }  # fmt: skip


def _truth(path: Path | None, annotations: Any) -> Any:
    from steadfit.recipes.fitting import read_truth

    return None if path is None else read_truth(path, annotations)


def main() -> None:
    """Run the command line; errors of the user's become one message and an exit code."""
    codes = {ConfigError: 2, DataError: 3, RunError: 4}
    warnings.showwarning = lambda message, *_args, **_kw: typer.echo(f"warning: {message}", err=True)
    try:
        app()
    except SteadfitError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(next((code for kind, code in codes.items() if isinstance(error, kind)), 1))
    except KeyboardInterrupt:
        typer.echo("interrupted; continue with --resume.", err=True)
        sys.exit(130)


if __name__ == "__main__":
    main()
