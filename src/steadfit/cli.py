"""The command line: every command collects its options and calls one function of :mod:`steadfit.recipes`."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from typer import Argument, Option
from typer.core import TyperGroup

from steadfit.cli_options import (
    Columns,
    Device,
    Hardware,
    Kind,
    Length,
    Noise,
    Out,
    RunFolder,
    Seed,
    SkipBad,
    Split,
    Table,
    Training,
    Truth,
    View,
    Weigh,
    columns,
    options_of,
    training,
)
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

    recipes.calibrate_run(
        run, table, split=split.value, views=[one.value for one in view or []], per_point=per_point,
        weigh=weigh.value, console=console,
    )  # fmt: skip


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
