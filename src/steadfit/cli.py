"""The command line: every command collects its options and calls one function of :mod:`steadfit.recipes`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from typer import Argument, Context, Option

from steadfit.cli_errors import EXIT_CODES, Commands
from steadfit.cli_options import (
    Columns,
    Data,
    Hardware,
    Label,
    Length,
    NoiseOf,
    Out,
    RunFolder,
    Seed,
    SkipBad,
    Staging,
    Table,
    TaskOf,
    Training,
    Truth,
    Views,
    columns,
    options_of,
    staging,
    training,
)
from steadfit.cli_words import (
    CLASS_LOSSES,
    CLASSIFIED,
    COMPARED_LOSSES,
    COMPARED_NOISES,
    FOR_CASCADES,
    FOR_CLASSIFICATION,
    FOR_HEATMAPS,
    FOR_REGRESSION,
    HEATMAP_LOSSES,
    Device,
    Kind,
    Measure,
    Noise,
    Split,
    Task,
    View,
    Weigh,
)
from steadfit.errors import ConfigError

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
@options_of(schema=columns, settings=training, stages=staging)
def fit(
    ctx: Context,
    table: Data,
    schema: Columns,
    settings: Training,
    stages: Staging,
    task: TaskOf = Task.regression,
    noise: NoiseOf = Noise.gum,
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
    (every label), suspects.csv (worst first) and report.html; of
    classification predictions.parquet (every image) and hardest.csv instead.
    In Python: steadfit.load(folder).predict(images)
    """
    from steadfit import recipes

    if not stages["cascade"]:
        _check_options(ctx, *FOR_CASCADES, what="one network; add --cascade")
    if task is Task.classification:
        _check_options(ctx, "cascade", what="--task classification")
        given = _classifier_settings(ctx, settings, seed)
        _check_loss(ctx, given.loss)
        recipes.check_start([out], resume=resume, device=device.value)
        classes = recipes.open_classes(table, label=label, console=console, skip_bad=skip_bad, seed=seed)
        recipes.fit_classifier(classes, given, out, resume=resume, device=device.value, console=console)
        return
    chosen = _settings(ctx, noise=noise.value, seed=seed, **settings)
    _check_loss(ctx, chosen.loss)
    recipes.check_start([out], resume=resume, device=device.value)
    annotations = recipes.open_table(table, schema, console=console, skip_bad=skip_bad, seed=seed)
    wrong = None if truth is None else recipes.read_truth(truth, annotations)
    if stages["cascade"]:
        recipes.fit_cascade_run(
            annotations, chosen, _fine(chosen, stages["fine"]), out, placing=stages["placing"],
            regions=recipes.open_regions(stages["regions"], annotations), resume=resume, device=device.value,
            console=console, truth=wrong,
        )  # fmt: skip
        return
    recipes.fit_run(annotations, chosen, out, resume=resume, device=device.value, console=console, truth=wrong)


@app.command()
@options_of(schema=columns, settings=training)
def compare(
    ctx: Context,
    table: Data,
    schema: Columns,
    settings: Training,
    task: TaskOf = Task.regression,
    methods: Annotated[
        str | None,
        Option(
            help="Noise models, separated by commas.",
            metavar="NAMES",
            show_default=f"{','.join(COMPARED_NOISES)}; gum with --losses",
        ),
    ] = None,
    losses: Annotated[
        str | None,
        Option(
            help=f"Losses, separated by commas. Of heatmap networks: {', '.join(HEATMAP_LOSSES)}. Of classification: "
            f"{', '.join(CLASS_LOSSES)}.",
            metavar="NAMES",
            show_default=f"that of --loss; classification: {','.join(COMPARED_LOSSES)}",
        ),
    ] = None,
    seeds: Annotated[int, Option(help="Of classification: runs of each loss, from --seed on.", min=1, metavar="N")] = 1,
    out: Out = Path("comparison"),
    resume: Annotated[bool, Option("--resume", help="Continue a stopped comparison.")] = False,
    skip_bad: SkipBad = False,
    seed: Seed = 0,
    device: Hardware = Device.auto,
    truth: Truth = None,
    label: Label = None,
) -> None:
    """Train several noise models, or losses, on one table and compare them on its test rows, with stars.

    Of a heatmap network every loss is trained under every noise model
    (anchor+gum), of classification with every seed (anchor-0).
    """
    from steadfit import recipes

    names = _words(losses or "")
    if losses is not None:
        _check_options(ctx, "loss", what="--losses")
    if task is Task.classification:
        _check_options(ctx, "loss", what="several classifiers, which --losses names")
        given = _classifier_settings(ctx, settings, seed)
        names = names or list(COMPARED_LOSSES)
        recipes.check_losses(names, seeds)
        classes = recipes.open_classes(table, label=label, console=console, skip_bad=skip_bad, seed=seed)
        recipes.compare_losses(
            classes, names, given, out, seeds=seeds, resume=resume, device=device.value, console=console
        )
        return
    noises = _words(methods) if methods is not None else ["gum"] if names else list(COMPARED_NOISES)
    chosen = _settings(ctx, seed=seed, **settings)
    runs = recipes.variants(noises, names, chosen)
    recipes.check_start([out / "runs" / name for name in runs], resume=resume, device=device.value)
    annotations = recipes.open_table(
        table, schema, console=console, skip_bad=skip_bad, seed=seed, need_splits=("train", "val", "test")
    )
    wrong = None if truth is None else recipes.read_truth(truth, annotations)
    recipes.compare(
        annotations, noises, chosen, out, losses=names, truth=wrong, resume=resume, device=device.value, console=console
    )


@app.command()
@options_of(schema=columns, settings=training)
def convergence(
    ctx: Context,
    table: Table,
    schema: Columns,
    settings: Training,
    methods: Annotated[
        str, Option(help="Two noise models, separated by a comma; the first is the reference.", metavar="NAMES")
    ] = "l2,tukey",
    runs: Annotated[int, Option("--seeds", help="Runs of each noise model, from --seed on.", min=1, metavar="N")] = 3,
    measure: Annotated[
        Measure, Option(help="Of the validation labels' errors. Some of these labels may be wrong, too: median.")
    ] = Measure.median,
    within: Annotated[
        float, Option(help="Reached is also what is above the best by less than this share of it.", min=0, metavar="X")
    ] = 0.0,
    out: Out = Path("convergence"),
    resume: Annotated[bool, Option("--resume", help="Continue a stopped study.")] = False,
    skip_bad: SkipBad = False,
    seed: Seed = 0,
    device: Hardware = Device.auto,
) -> None:
    """How much sooner is one noise model where another one's best is? Epochs and seconds, over several seeds.

    Trains both on one table and looks at the validation error after every epoch.
    """
    from steadfit import recipes

    names = _words(methods)
    chosen = _settings(ctx, seed=seed, **settings)
    _check_loss(ctx, chosen.loss)
    recipes.check_study(names, runs, measure.value, within)
    folders = [out / "runs" / f"{name}-{seed + k}" for k in range(runs) for name in names]
    recipes.check_start(folders, resume=resume, device=device.value)
    annotations = recipes.open_table(table, schema, console=console, skip_bad=skip_bad, seed=seed)
    recipes.convergence(
        annotations, names, chosen, out, seeds=runs, measure=measure.value, within=within, resume=resume,
        device=device.value, console=console,
    )  # fmt: skip


@app.command()
def predict(
    ctx: Context,
    run: RunFolder,
    inputs: Annotated[
        Path,
        Argument(help="An image, a folder of images, or (not of classification) a table.", show_default=False),
    ],
    out: Out = Path("predictions"),
    overlays: Annotated[int, Option(help="Draw the first so many images; -1 for all.", min=-1)] = 24,
    view: Views = None,
    coverage: Annotated[
        float | None,
        Option(
            help="Regions that hold the target with this probability, such as 0.9 (after 'calibrate').",
            show_default=False,
        ),
    ] = None,
    skip_bad: SkipBad = False,
) -> None:
    """Predict with a trained run: a CSV, and pictures with the points drawn in.

    Runs that predict distributions also give covariances, drawn as ellipses.
    Classifiers give the two most probable classes of each image.
    """
    from steadfit import recipes

    if recipes.is_classifier(run):
        _check_options(ctx, "view", "coverage", "overlays", what="a classifier")
        _say(f"Predictions: {recipes.predict_classes(run, inputs, out, skip_bad=skip_bad)}")
        return
    views = [one.value for one in view or []]
    written = recipes.predict_to(
        run, inputs, out, overlays=overlays, views=views, coverage=coverage, skip_bad=skip_bad, console=console
    )
    _say(f"Predictions: {written}")


@app.command()
def evaluate(
    ctx: Context,
    run: RunFolder,
    table: Data,
    split: Annotated[Split, Option(help="Which rows.")] = Split.test,
    threshold: Annotated[
        float, Option(help="Failure: an error above this share of the normalising length.", metavar="X")
    ] = 0.05,
    pck: Annotated[
        float, Option(help="PCK: the share of points within this share of the normalising length.", metavar="X")
    ] = 0.2,
    pcp: Annotated[
        float, Option(help="PCP: the share of a body's parts with ends within this share of the part.", metavar="X")
    ] = 0.5,
    view: Views = None,
    normalizer: Length = None,
    label: Label = None,
    skip_bad: SkipBad = False,
    out: Annotated[
        Path | None, Option("--out", "-o", help="Write the numbers there, as JSON.", show_default=False)
    ] = None,
) -> None:
    """Measure a trained run on a table: MAE, RMSE, point error, failure rate and PCK; of a classifier top-1 and top-5.

    Points with a normalising length have PCK@alpha (--pck) for each, its area
    from 0 to alpha, swaps of left and right, and, of heatmaps, double counts.
    Bodies of 14 joints have PCP (--pcp) of ten parts, strict and loose.
    """
    from steadfit import recipes

    if recipes.is_classifier(run):
        _check_options(ctx, "threshold", "pck", "pcp", "view", "normalizer", what="a classifier")
        recipes.evaluate_classifier(
            run, table, split=split.value, label=label, skip_bad=skip_bad, out=out, console=console
        )
        return
    _check_options(ctx, *FOR_CLASSIFICATION, what="a regression run")
    recipes.evaluate_run(
        run, table, split=split.value, threshold=threshold, alpha=pck, pcp=pcp,
        views=[one.value for one in view or []], normalizer=normalizer, skip_bad=skip_bad, out=out, console=console,
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


def _given(ctx: Context, *names: str) -> list[str]:
    """Which of these options the user has written."""
    sources = {name: ctx.get_parameter_source(name) for name in names}
    return [name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"]


def _check_options(ctx: Context, *names: str, what: str) -> None:
    """Raises ConfigError for an option that the user has written and that does nothing here."""
    if found := _given(ctx, *names):
        raise ConfigError(f"--{found[0].replace('_', '-')}: has no meaning with {what}. Leave it out.")


def _check_loss(ctx: Context, loss: str) -> None:
    """Raises ConfigError for gamma or margin with a loss that has none."""
    takes = ("gamma", "margin") if loss.startswith("anchor") else ("gamma",) if loss == "focal" else ()
    _check_options(ctx, *(name for name in ("gamma", "margin") if name not in takes), what=f"--loss {loss}")


def _settings(ctx: Context, **values: Any) -> Any:
    from steadfit.networks import HEATMAP_NETWORKS
    from steadfit.training import Settings

    _check_options(ctx, *FOR_CLASSIFICATION, what="--task regression")
    if (found := _given(ctx, *FOR_HEATMAPS)) and values["network"] not in HEATMAP_NETWORKS:
        raise ConfigError(
            f"--{found[0]}: expected a heatmap network ({', '.join(HEATMAP_NETWORKS)}) or --task classification, "
            f"got --network {values['network']}. Coordinates are trained by their noise model."
        )
    with _readable_errors("Settings"):
        return Settings(**values)


def _fine(coarse: Any, given: dict[str, Any]) -> Any:
    """The settings of the second stage: the first one's, but for what is given."""
    with _readable_errors("Settings"):
        return dataclasses.replace(coarse, **given)


def _classifier_settings(ctx: Context, settings: dict[str, Any], seed: int) -> Any:
    from steadfit.training.classification import ClassifierSettings

    _check_options(ctx, *FOR_REGRESSION, what="--task classification")
    values = {name: settings[name] for name in CLASSIFIED if name in settings} | {"augment": settings["mirror"]}
    unset = {"network": "default", "head": "auto"}
    values |= {name: settings[name] for name, word in unset.items() if settings[name] != word}
    with _readable_errors("ClassifierSettings"):
        return ClassifierSettings(**values, seed=seed)


@contextmanager
def _readable_errors(who: str) -> Iterator[None]:
    """What settings object to becomes a ConfigError about the options."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise ConfigError(str(error).removeprefix(f"{who}: ")) from None


def main() -> None:
    """Run the command line."""
    app(prog_name="steadfit")


if __name__ == "__main__":
    main()
