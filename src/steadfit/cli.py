"""The command line: every command collects its options and calls one function of :mod:`steadfit.recipes`."""

from __future__ import annotations

import functools
import inspect
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeAlias

import typer
from rich.console import Console
from typer import Argument, Option
from typer.core import TyperGroup

from steadfit.errors import ConfigError, ConvergenceWarning, DataError, DataWarning, RunError, SteadfitError

EXIT_CODES = (
    "Exit codes: 0 done; 2 wrong usage or contradicting options; 3 the data cannot be used (one message names file, "
    "line and column); 4 the run folder does not fit; 130 interrupted; 1 anything else. Errors go to standard error."
)


class Commands(TyperGroup):
    """What a user can mend becomes one message on standard error and an exit code; everything else a traceback."""

    def invoke(self, ctx: Any) -> Any:
        with _readable_warnings():
            try:
                return super().invoke(ctx)
            except SteadfitError as error:
                codes = {ConfigError: 2, DataError: 3, RunError: 4}
                _stop(f"error: {error}", next((code for kind, code in codes.items() if isinstance(error, kind)), 1))
            except BrokenPipeError:
                raise
            except OSError as error:
                _stop(f"error: {error.filename or 'system'}: {error.strerror or error}", 1)
            except KeyboardInterrupt:
                _interrupted(ctx)
            except SystemExit as error:  # what Lightning makes of Ctrl-C
                if isinstance(error.__context__, KeyboardInterrupt):
                    _interrupted(ctx)
                raise


def _stop(message: str, code: int) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(code) from None


def _interrupted(ctx: Any) -> NoReturn:
    hints = {
        "fit": "Continue with --resume.",
        "compare": "Continue with --resume.",
        "demo": "The same command continues.",
    }
    _stop(f"interrupted. {hints.get(ctx.invoked_subcommand, '')}".strip(), 130)


@contextmanager
def _readable_warnings() -> Iterator[None]:
    """Warnings about the user's data, each once and in words; those of other packages only with ``python -W``."""
    told: set[str] = set()

    def show(message: Warning | str, *_args: Any, **_kw: Any) -> None:
        if str(message) not in told:
            told.add(str(message))
            typer.echo(f"warning: {message}", err=True)

    with warnings.catch_warnings():
        if not sys.warnoptions:
            warnings.simplefilter("ignore")
        for category in (DataWarning, ConvergenceWarning):
            warnings.simplefilter("always", category)
        warnings.showwarning = show
        yield


app = typer.Typer(
    cls=Commands,
    help="Train regression networks on labels that are partly wrong, and find out which labels are wrong.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
console = Console()

# The words are repeated here, for --help must not import torch; a test compares them with the library's.
Noise = StrEnum(
    "Noise",
    {
        "l2": "l2",
        "l1": "l1",
        "huber": "huber",
        "tukey": "tukey",
        "gum": "gum",
        "predicted_gauss": "predicted-gauss",
        "predicted_laplace": "predicted-laplace",
        "predicted_huber": "predicted-huber",
        "predicted_charbonnier": "predicted-charbonnier",
        "predicted_mixture": "predicted-mixture",
    },
)
Covariance = StrEnum("Covariance", ["identity", "diagonal", "full"])
Location = StrEnum("Location", ["nu", "mu"])
Network = StrEnum("Network", ["default", "compact", "resnet18", "resnet50", "resnet101"])
Head = StrEnum("Head", ["auto", "depthwise", "average", "flatten"])
View = StrEnum("View", ["mirror"])
Weigh = StrEnum("Weigh", ["auto", "estimate", "none"])
Unit = StrEnum("Unit", ["sample", "point", "coordinate"])
ProtocolName = StrEnum("ProtocolName", ["steady", "paper", "staged"])
Residuals = StrEnum("Residuals", ["pass", "epoch"])
Kind = StrEnum("Kind", ["ngo", "l_ugo", "g_ugo", "swap", "gaussian", "symmetric"])
Split = StrEnum("Split", ["train", "val", "test", "all"])
Device = StrEnum("Device", ["auto", "cpu", "cuda", "mps"])
Visibility = StrEnum("Visibility", ["occluded", "missing"])

DATA, TRAINING, NETWORK = "What the columns mean (overrides dataset.yaml)", "Training", "Network and noise model"
MEANING: dict[str, Any] = {"rich_help_panel": DATA, "show_default": False}
TRAIN: dict[str, Any] = {"rich_help_panel": TRAINING}
MODEL: dict[str, Any] = {"rich_help_panel": NETWORK}

Table = Annotated[Path, Argument(help="CSV or Parquet table, or a folder with annotations.csv.", show_default=False)]
RunFolder = Annotated[Path, Argument(help="A run folder.", show_default=False)]
Out = Annotated[Path, Option("--out", "-o", help="Folder for everything that is written.")]
Seed = Annotated[int, Option(help="Of initial weights, order, mirroring and drawn splits.", min=0, max=2**32 - 1)]
Hardware = Annotated[Device, Option("--device", help="Where to compute; auto takes a GPU if there is one.")]
SkipBad = Annotated[bool, Option("--skip-bad", help="Leave bad rows out, and list them, instead of stopping.")]
Truth = Annotated[
    Path | None, Option(help="truth.csv of 'steadfit corrupt': scores the suspects.", exists=True, dir_okay=False)
]
Length = Annotated[
    str | None, Option(help="Normalising length of failures: a number, a column, or two points 0-1.", **MEANING)
]


def columns(
    points: Annotated[str | None, Option(help="Names of the points: left_eye,right_eye,…", **MEANING)] = None,
    targets: Annotated[str | None, Option(help="Scalar target columns instead of points: age,yaw", **MEANING)] = None,
    features: Annotated[str | None, Option(help="Feature columns of a table without images.", **MEANING)] = None,
    pairs: Annotated[
        str | None, Option(help="Left/right points that mirroring swaps: 0-1,3-4 or names.", **MEANING)
    ] = None,
    normalizer: Length = None,
    units: Annotated[str | None, Option(help="Unit of the targets; px without it.", **MEANING)] = None,
    visibility: Annotated[
        Visibility | None,
        Option(help="What v = 0 with coordinates means: annotated though occluded, or missing.", **MEANING),
    ] = None,
    box: Annotated[
        str | None,
        Option(help="What the network sees: columns left,top,width,height, or 'points': a box around them.", **MEANING),
    ] = None,
) -> dict[str, Any]:
    """What the columns mean."""
    named = {"points": points, "targets": targets, "features": features, "pairs": pairs, "normalizer": normalizer}
    return named | {"box": box, "units": units, "visibility": None if visibility is None else visibility.value}


def training(
    epochs: Annotated[int, Option(help="Passes over the training set.", min=1, **TRAIN)] = 30,
    batch_size: Annotated[int, Option(help="Samples a step.", min=2, **TRAIN)] = 64,
    lr: Annotated[float | None, Option(help="Largest step size; the protocol's own without it.", **TRAIN)] = None,
    size: Annotated[int, Option(help="Side of the network's input in px.", min=16, **TRAIN)] = 48,
    color: Annotated[bool, Option("--color/--grey", help="Colour or grey input.", **TRAIN)] = False,
    mirror: Annotated[bool, Option(help="Mirror half of the training images (needs pairs).", **TRAIN)] = True,
    unit: Annotated[Unit, Option(help="gum: what is right or wrong as a whole.", **MODEL)] = Unit.point,
    covariance: Annotated[
        Covariance, Option(help="predicted-*: the shape of the predicted covariances.", **MODEL)
    ] = Covariance.full,
    location: Annotated[
        Location, Option(help="predicted-*: nu (the mean is A^-1 nu) or mu (the mean).", **MODEL)
    ] = Location.nu,
    network: Annotated[
        Network, Option(help="default: compact for images, an MLP for features.", **MODEL)
    ] = Network.default,
    head: Annotated[Head, Option(help="What pools the last map; auto: the network's own.", **MODEL)] = Head.auto,
    weights: Annotated[
        str | None, Option(help="Start from a file of weights (.safetensors, .pth), or 'imagenet' (ResNets).", **MODEL)
    ] = None,
    protocol: Annotated[
        ProtocolName,
        Option(
            help="steady: one cycle, refit after every epoch. paper: DeepGUM's Algorithm 1 (L2, rounds). "
            "staged: the Huber distribution's (head first, falling steps; for pre-trained networks).",
            **TRAIN,
        ),
    ] = ProtocolName.steady,
    residuals: Annotated[
        Residuals,
        Option(help="What refits see: a forward pass over the training set, or what the epoch saw.", **TRAIN),
    ] = Residuals["pass"],
    patience: Annotated[
        int | None,
        Option(help="Stop after so many epochs without a lower validation loss; 0: never.", min=0, **TRAIN),
    ] = None,
    warp: Annotated[
        bool,
        Option("--warp", help="Turn, scale, stretch, tilt, shift training images at random (slower epochs).", **TRAIN),
    ] = False,
    workers: Annotated[int, Option(help="Processes that read images.", min=0, **TRAIN)] = 0,
) -> dict[str, Any]:
    """The settings that all commands which train have in common."""
    values: dict[str, Any] = {
        "epochs": epochs,
        "batch_size": batch_size,
        "lr": lr,
        "size": size,
        "channels": 3 if color else 1,
    }
    values |= {"mirror": mirror, "unit": unit.value, "protocol": protocol.value, "residuals": residuals.value}
    values |= {"covariance": covariance.value, "location": location.value, "network": network.value}
    return values | {"head": head.value, "weights": weights, "patience": patience, "warp": warp, "workers": workers}


def options_of(**groups: Callable[..., Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The command's argument of each name becomes the options of that function, which makes the argument of them."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        inner = {name: inspect.signature(group, eval_str=True).parameters for name, group in groups.items()}
        outer = inspect.signature(command, eval_str=True).parameters.values()
        flat = [option for own in outer for option in (inner[own.name].values() if own.name in groups else [own])]

        @functools.wraps(command)
        def run(**values: Any) -> None:
            made = {name: group(**{key: values.pop(key) for key in inner[name]}) for name, group in groups.items()}
            command(**values, **made)

        keyword = inspect.Parameter.KEYWORD_ONLY
        run.__signature__ = inspect.Signature([one.replace(kind=keyword) for one in flat])  # type: ignore[attr-defined]
        run.__annotations__ = {one.name: one.annotation for one in flat}
        return run

    return decorate


Columns: TypeAlias = dict[str, Any]
Training: TypeAlias = dict[str, Any]


@app.command()
def demo(
    out: Out = Path("demo"),
    seed: Seed = 0,
    epochs: Annotated[int, Option(help="Passes over the training set.", min=1)] = 20,
    device: Hardware = Device.auto,
    n_train: Annotated[int, Option(help="Training images to draw.", min=40, hidden=True)] = 4000,
) -> None:
    """See it work: drawn faces, 30 % of the labels wrong, four noise models (about three minutes)."""
    from steadfit import recipes

    recipes.demo(out, seed=seed, epochs=epochs, n_train=n_train, device=device.value, console=console)


@app.command()
@options_of(schema=columns, settings=training)
def fit(
    table: Table,
    schema: Columns,
    settings: Training,
    noise: Annotated[Noise, Option(help="The noise model: what training believes about label errors.")] = Noise.gum,
    out: Out = Path("run"),
    resume: Annotated[bool, Option("--resume", help="Continue a stopped run to the same result.")] = False,
    skip_bad: SkipBad = False,
    seed: Seed = 0,
    device: Hardware = Device.auto,
    truth: Truth = None,
) -> None:
    """Train in spite of wrong labels, and list the labels that are suspect.

    The run folder gets the model, metrics.json, history.csv, trust.parquet
    (every label), suspects.csv (worst first) and report.html.
    In Python: steadfit.load(folder).predict(images)
    """
    from steadfit import recipes

    chosen = _settings(noise=noise.value, seed=seed, **settings)
    recipes.check_start([out], resume=resume, device=device.value)
    annotations = recipes.open_table(table, schema, console=console, skip_bad=skip_bad, seed=seed)
    wrong = None if truth is None else recipes.read_truth(truth, annotations)
    recipes.fit_run(annotations, chosen, out, resume=resume, device=device.value, console=console, truth=wrong)


@app.command()
@options_of(schema=columns, settings=training)
def compare(
    table: Table,
    schema: Columns,
    settings: Training,
    methods: Annotated[str, Option(help="Noise models, separated by commas.")] = "l2,huber,tukey,gum",
    out: Out = Path("comparison"),
    resume: Annotated[bool, Option("--resume", help="Continue a stopped comparison.")] = False,
    skip_bad: SkipBad = False,
    seed: Seed = 0,
    device: Hardware = Device.auto,
    truth: Truth = None,
) -> None:
    """Train several noise models on one table and compare them on its test rows, with Wilcoxon stars."""
    from steadfit import recipes

    names, chosen = _words(methods), _settings(seed=seed, **settings)
    recipes.check_methods(names)
    recipes.check_start([out / "runs" / name for name in names], resume=resume, device=device.value)
    annotations = recipes.open_table(
        table, schema, console=console, skip_bad=skip_bad, seed=seed, need_splits=("train", "val", "test")
    )
    wrong = None if truth is None else recipes.read_truth(truth, annotations)
    recipes.compare(annotations, names, chosen, out, truth=wrong, resume=resume, device=device.value, console=console)


@app.command()
def predict(
    run: RunFolder,
    inputs: Annotated[Path, Argument(help="An image, a folder of images, or a table.", show_default=False)],
    out: Out = Path("predictions"),
    overlays: Annotated[int, Option(help="Draw the first so many images; -1 for all.", min=-1)] = 24,
    view: Annotated[
        list[View] | None, Option(help="Test-time augmentation: look at the mirrored image too.", show_default=False)
    ] = None,
    coverage: Annotated[
        float | None,
        Option(help="Regions that hold the target with this probability, such as 0.9 (after 'calibrate')."),
    ] = None,
    skip_bad: SkipBad = False,
) -> None:
    """Predict with a trained run: a CSV, and pictures with the points drawn in.

    Runs that predict distributions also give covariances, drawn as ellipses.
    """
    from steadfit import recipes

    views = [one.value for one in view or []]
    written = recipes.predict_to(
        run, inputs, out, overlays=overlays, views=views, coverage=coverage, skip_bad=skip_bad, console=console
    )
    _say(f"Predictions: {written}")


@app.command()
def evaluate(
    run: RunFolder,
    table: Table,
    split: Annotated[Split, Option(help="Which rows.")] = Split.test,
    threshold: Annotated[float, Option(help="Failure: an error above this share of the normalising length.")] = 0.05,
    normalizer: Length = None,
    skip_bad: SkipBad = False,
    out: Annotated[Path | None, Option("--out", "-o", help="Write the numbers there, as JSON.")] = None,
) -> None:
    """Measure a trained run on a table: MAE, RMSE, point error, failure rate."""
    from steadfit import recipes

    recipes.evaluate_run(
        run, table, split=split.value, threshold=threshold, normalizer=normalizer, skip_bad=skip_bad, out=out,
        console=console,
    )  # fmt: skip


@app.command()
def calibrate(
    run: RunFolder,
    table: Annotated[
        Path | None, Argument(help="Another table with labels that were not trained on.", show_default=False)
    ] = None,
    split: Annotated[Split, Option(help="Which rows to calibrate on.")] = Split.val,
    view: Annotated[
        list[View] | None, Option(help="Calibrate predictions that look at the mirrored image too.", show_default=False)
    ] = None,
    per_point: Annotated[bool, Option("--per-point", help="A temperature for each point.")] = False,
    weigh: Annotated[
        Weigh,
        Option(
            help="Count labels by their probability of being right. auto: the mixture's, for a run that has one; "
            "estimate: estimated from these labels; none: all in full."
        ),
    ] = Weigh.auto,
) -> None:
    """Make predicted distributions hold: a temperature and conformal radii from labels that were not trained on.

    Writes calibration.json, .parquet, .csv and .png into the run folder;
    'predict' uses them from then on, 'predict --coverage 0.9' gives regions.
    """
    from steadfit import recipes

    chosen: dict[str, Any] = {"split": split.value, "views": [one.value for one in view or []], "weigh": weigh.value}
    recipes.calibrate_run(run, table, per_point=per_point, console=console, **chosen)


@app.command()
@options_of(schema=columns)
def corrupt(
    table: Table,
    schema: Columns,
    kind: Annotated[Kind, Option(help="How labels are made wrong.", show_default=False)],
    share: Annotated[float, Option(help="Share of wrong labels, 0 to 1.", min=0, max=1, show_default=False)],
    out: Out = Path("corrupted"),
    seed: Seed = 0,
    splits: Annotated[str, Option(help="Parts of the table to corrupt.")] = "train,val",
    width: Annotated[float | None, Option(help="ngo, l_ugo, g_ugo: crop width; each image's own without it.")] = None,
    std: Annotated[float | None, Option(help="gaussian: standard deviation of the errors.")] = None,
    skip_bad: SkipBad = False,
) -> None:
    """Write a copy of a data set with labels made wrong on purpose, and the truth beside it (truth.csv)."""
    from steadfit import recipes

    annotations = recipes.open_table(
        table, schema, console=console, seed=seed, skip_bad=skip_bad, need_splits=("train",)
    )
    parts = _words(splits)
    written, wrong = recipes.corrupt_dataset(
        annotations, out, kind=kind.value, share=share, seed=seed, splits=parts, width=width, std=std
    )
    _say(f"{written}: {wrong:.1%} of the labels in {' and '.join(parts)} are wrong.")


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _say(text: str) -> None:
    console.print(text, soft_wrap=True, highlight=False, markup=False)


def _settings(**values: Any) -> Any:
    from steadfit.training import Settings

    try:
        return Settings(**values)
    except (TypeError, ValueError) as error:
        raise ConfigError(str(error).removeprefix("Settings: ")) from None


def main() -> None:
    """Run the command line."""
    app(prog_name="steadfit")


if __name__ == "__main__":
    main()
