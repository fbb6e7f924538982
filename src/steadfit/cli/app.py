"""The command line: every command collects its options and calls one function of :mod:`steadfit.recipes`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from typer import Context, Option

import steadfit
from steadfit._console import say
from steadfit.cli.annotating import check, convert, corrupt
from steadfit.cli.errors import EXIT_CODES, Commands
from steadfit.cli.options import (
    COMPARED_LOSSES,
    COMPARED_NOISES,
    CalibratedViews,
    ClassRuns,
    Columns,
    Coverage,
    Data,
    Device,
    ErrorOf,
    Failure,
    Hardware,
    HeldOut,
    Inputs,
    Json,
    Label,
    Length,
    ListsFormats,
    Losses,
    Measure,
    Methods,
    NoiseOf,
    Out,
    Overlays,
    Pck,
    Pcp,
    PerPoint,
    Reading,
    RunFolder,
    Runs,
    Seed,
    SkipBad,
    Split,
    Table,
    Task,
    TaskOf,
    Truth,
    TwoMethods,
    Views,
    Weigh,
    Weighing,
    Within,
    columns,
    options_of,
    reading,
)
from steadfit.cli.settings import (
    CASCADES_ONLY,
    class_settings,
    compared_settings,
    fine_settings,
    network_settings,
    refuse,
    words,
)
from steadfit.cli.training import Staging, Training, staging, training

app = typer.Typer(
    cls=Commands,
    help="Train regression networks on labels that are partly wrong, and find out which labels are wrong.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
console = Console()


def _show_version(wanted: bool) -> None:
    if wanted:
        say(console, f"steadfit {steadfit.__version__}")
        raise typer.Exit


@app.callback()
def version(
    show: Annotated[
        bool, Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Options of the program itself."""


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


app.command(cls=ListsFormats)(check)


@app.command()
@options_of(schema=columns, source=reading, settings=training, stages=staging)
def fit(
    ctx: Context,
    table: Data,
    schema: Columns,
    source: Reading,
    settings: Training,
    stages: Staging,
    task: TaskOf = Task.regression,
    noise: NoiseOf = "gum",
    out: Out = Path("run"),
    resume: Annotated[bool, Option("--resume", help="Continue a stopped run to the same result.")] = False,
    skip_bad: SkipBad = False,
    seed: Seed = 0,
    device: Hardware = Device.auto,
    truth: Truth = None,
    label: Label = None,
) -> None:
    """Train in spite of wrong labels, and list the labels that are suspect.

    The run folder gets the model, metrics.json, history.csv, trust.parquet
    (every label), suspects.csv (worst first) and report.html; for
    classification predictions.parquet (every image) and hardest.csv instead.
    In Python: steadfit.load(folder).predict(images)
    """
    from steadfit import recipes

    if not stages["cascade"]:
        refuse(ctx, *CASCADES_ONLY, where="without --cascade")
    if task is Task.classification:
        refuse(ctx, "cascade", where="with --task classification")
        given = class_settings(ctx, settings, seed=seed)
        recipes.check_start([out], resume=resume, device=device.value)
        classes = recipes.open_classes(
            table, label=label, format=source["format"], exif=schema["exif"], console=console, skip_bad=skip_bad,
            seed=seed, framing=given.framing,
        )  # fmt: skip
        recipes.fit_run(classes, given, out, resume=resume, device=device.value, console=console)
        return
    chosen = network_settings(ctx, settings, noise=noise, seed=seed, fine=stages["fine"])
    fine = fine_settings(chosen, stages["fine"])
    recipes.check_start([out], resume=resume, device=device.value)
    annotations = recipes.open_table(
        table, schema, **source, console=console, skip_bad=skip_bad, seed=seed, framing=chosen.framing
    )
    wrong = None if truth is None else recipes.read_truth(truth, annotations)
    if stages["cascade"]:
        recipes.fit_cascade_run(
            annotations, chosen, fine, out, regions=recipes.open_regions(stages["regions"], annotations),
            placing=stages["placing"], resume=resume, device=device.value, console=console, truth=wrong,
        )  # fmt: skip
        return
    recipes.fit_run(annotations, chosen, out, resume=resume, device=device.value, console=console, truth=wrong)


@app.command()
@options_of(schema=columns, source=reading, settings=training)
def compare(
    ctx: Context,
    table: Data,
    schema: Columns,
    source: Reading,
    settings: Training,
    task: TaskOf = Task.regression,
    methods: Methods = None,
    losses: Losses = None,
    seeds: ClassRuns = 1,
    out: Out = Path("comparison"),
    resume: Annotated[bool, Option("--resume", help="Continue a stopped comparison.")] = False,
    skip_bad: SkipBad = False,
    seed: Seed = 0,
    device: Hardware = Device.auto,
    truth: Truth = None,
    label: Label = None,
) -> None:
    """Train several noise models, or losses, on one table and compare them on its test rows, with stars.

    For a heatmap network every loss is trained under every noise model
    (anchor+gum), for classification with every seed (anchor-0).
    """
    from steadfit import recipes

    names = words(losses or "")
    if losses is not None:
        refuse(ctx, "loss", where="with --losses")
    if task is Task.classification:
        refuse(ctx, "loss", where="with several classifiers, which --losses names")
        names = names or list(COMPARED_LOSSES)
        recipes.check_losses(names, seeds)
        given = class_settings(ctx, settings, seed=seed, losses=names)
        classes = recipes.open_classes(
            table, label=label, format=source["format"], exif=schema["exif"], console=console, skip_bad=skip_bad,
            seed=seed, framing=given.framing,
        )  # fmt: skip
        recipes.compare_losses(
            classes, names, given, out, seeds=seeds, resume=resume, device=device.value, console=console
        )
        return
    noises = words(methods) if methods is not None else ["gum"] if names else list(COMPARED_NOISES)
    chosen = compared_settings(ctx, settings, noises, seed=seed, losses=names)
    runs = recipes.variants(noises, names, chosen)
    recipes.check_start([out / "runs" / name for name in runs], resume=resume, device=device.value)
    annotations = recipes.open_table(
        table, schema, **source, console=console, skip_bad=skip_bad, seed=seed, need_splits=("train", "val", "test"),
        framing=chosen.framing,
    )  # fmt: skip
    wrong = None if truth is None else recipes.read_truth(truth, annotations)
    recipes.compare(
        annotations, noises, chosen, out, losses=names, truth=wrong, resume=resume, device=device.value, console=console
    )


@app.command()
@options_of(schema=columns, source=reading, settings=training)
def convergence(
    ctx: Context,
    table: Table,
    schema: Columns,
    source: Reading,
    settings: Training,
    methods: TwoMethods = "l2,tukey",
    runs: Runs = 3,
    measure: ErrorOf = Measure.median,
    within: Within = 0.0,
    out: Out = Path("convergence"),
    resume: Annotated[bool, Option("--resume", help="Continue a stopped study.")] = False,
    skip_bad: SkipBad = False,
    seed: Seed = 0,
    device: Hardware = Device.auto,
) -> None:
    """How much sooner does one noise model reach the best error of another? Epochs and seconds, over several seeds.

    Trains both on one table and measures the validation error after every epoch.
    """
    from steadfit import recipes

    names = words(methods)
    chosen = compared_settings(ctx, settings, names, seed=seed)
    recipes.check_study(names, runs, measure.value, within)
    folders = [out / "runs" / f"{name}-{seed + k}" for k in range(runs) for name in names]
    recipes.check_start(folders, resume=resume, device=device.value)
    annotations = recipes.open_table(
        table, schema, **source, console=console, skip_bad=skip_bad, seed=seed, framing=chosen.framing
    )
    recipes.convergence(
        annotations, names, chosen, out, seeds=runs, measure=measure.value, within=within, resume=resume,
        device=device.value, console=console,
    )  # fmt: skip


@app.command()
@options_of(source=reading)
def predict(
    ctx: Context,
    run: RunFolder,
    inputs: Inputs,
    source: Reading,
    out: Out = Path("predictions"),
    overlays: Overlays = 24,
    view: Views = None,
    coverage: Coverage = None,
    to: Annotated[
        str | None,
        Option("--to", help="Also write the points as annotations of this format.", metavar="NAME", show_default=False),
    ] = None,
    skip_bad: SkipBad = False,
) -> None:
    """Predict with a trained run: a CSV, and pictures with the points drawn in.

    Runs that predict distributions also write covariances, drawn as ellipses.
    Classifiers write the two most probable classes of each image.
    """
    from steadfit import recipes

    if recipes.has_classes(run):
        refuse(ctx, "view", "coverage", "overlays", "to", where="with a classifier")
    views = [one.value for one in view or []]
    written = recipes.predict_to(
        run, inputs, out, overlays=overlays, views=views, coverage=coverage, skip_bad=skip_bad, to=to,
        console=console, **source,
    )  # fmt: skip
    say(console, f"Predictions: {written}")


@app.command()
@options_of(source=reading)
def evaluate(
    ctx: Context,
    run: RunFolder,
    table: Data,
    source: Reading,
    split: Annotated[Split, Option(help="Rows to measure on.")] = Split.test,
    threshold: Failure = 0.05,
    pck: Pck = 0.2,
    pcp: Pcp = 0.5,
    view: Views = None,
    normalizer: Length = None,
    label: Label = None,
    skip_bad: SkipBad = False,
    out: Json = None,
) -> None:
    """Measure a trained run on a table: MAE, RMSE, point error, failure rate, PCK; for a classifier top-1 and top-5.

    Points with a normalising length have PCK@alpha (--pck) for each, its area
    from 0 to alpha, swaps of left and right, and, with heatmaps, double counts.
    Bodies of 14 joints have PCP (--pcp) of ten parts, strict and loose.
    """
    from steadfit import recipes

    if recipes.has_classes(run):
        refuse(ctx, "threshold", "pck", "pcp", "view", "normalizer", where="with a classifier")
    else:
        refuse(ctx, "label", where="with a run on points or numbers")
    recipes.evaluate_run(
        run, table, split=split.value, threshold=threshold, alpha=pck, pcp=pcp,
        views=[one.value for one in view or []], normalizer=normalizer, label=label, skip_bad=skip_bad, out=out,
        console=console, **source,
    )  # fmt: skip


@app.command()
@options_of(source=reading)
def calibrate(
    run: RunFolder,
    source: Reading,
    table: HeldOut = None,
    split: Annotated[Split, Option(help="Rows to calibrate on.")] = Split.val,
    view: CalibratedViews = None,
    per_point: PerPoint = False,
    weigh: Weighing = Weigh.auto,
) -> None:
    """Calibrate predicted distributions: a temperature and conformal radii from labels that were not trained on.

    Writes calibration.json, .parquet, .csv and .png into the run folder;
    'predict' uses them from then on, 'predict --coverage 0.9' adds regions.
    """
    from steadfit import recipes

    recipes.calibrate_run(
        run, table, split=split.value, views=[one.value for one in view or []], per_point=per_point,
        weigh=weigh.value, console=console, **source,
    )  # fmt: skip


app.command()(corrupt)
app.command(cls=ListsFormats)(convert)


def main() -> None:
    """Run the command line."""
    app(prog_name="steadfit")


if __name__ == "__main__":
    main()
