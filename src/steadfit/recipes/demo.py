"""The demo: drawn faces, 30 % wrong labels, four noise models, in a few minutes."""

from __future__ import annotations

import tempfile
from pathlib import Path

from rich.console import Console

from steadfit._console import say
from steadfit.data.drawn.synthetic import write_dataset
from steadfit.recipes.compare import Result, compare
from steadfit.recipes.corrupt import corrupt_dataset
from steadfit.recipes.opening import check_start, open_table, read_truth
from steadfit.reports.values import percent
from steadfit.training import Settings

METHODS = ("l2", "huber", "tukey", "gum")
SHARE = 0.3


def demo(
    out: str | Path,
    *,
    seed: int = 0,
    epochs: int = 20,
    n_train: int = 4000,
    console: Console | None = None,
    device: str = "auto",
) -> dict[str, Result]:
    """Draw a data set, make 30 % of its training and validation labels wrong, and compare four noise models.

    Writes ``clean/`` and ``wrong30/`` (data sets, the latter with the truth) and ``comparison/`` with the runs, tables,
    pictures and ``report.html``.

    Args:
        out: the folder of the demo.
        seed: the seed of the drawing, the wrong labels and the training.
        epochs: the number of passes over the training set.
        n_train: the number of training images.
        console: where progress and results are shown; None: nowhere.
        device: the device to compute on; ``"auto"``: a GPU if there is one.

    Returns:
        The result of :func:`~steadfit.recipes.compare`.
    """
    out, wrong = Path(out), Path(out) / "wrong30"
    check_start([], resume=True, device=device)
    if not wrong.exists():
        _draw(out, wrong, n_train, seed, console)
    settings = Settings(epochs=epochs, seed=seed)
    annotations = open_table(wrong, console=console, need_splits=("train", "val", "test"), framing=settings.framing)
    return compare(
        annotations,
        METHODS,
        settings,
        out / "comparison",
        truth=read_truth(wrong / "truth.csv", annotations),
        resume=True,
        device=device,
        console=console,
        title=f"Four noise models, {percent(SHARE, 0)} of the training labels wrong",
    )


def _draw(out: Path, wrong: Path, n_train: int, seed: int, console: Console | None) -> None:
    """Draw the right data set, and make the wrong one, which gets its name when it is complete."""
    counts = {"n_train": n_train, "n_val": n_train // 10, "n_test": n_train // 4}
    if console is not None:
        say(console, f"Drawing {sum(counts.values())} faces with 7 landmarks each …")
    clean = write_dataset(out / "clean", **counts, size=64, seed=seed)
    with tempfile.TemporaryDirectory(prefix=".wrong30-", dir=out) as folder:
        _, share = corrupt_dataset(open_table(clean), Path(folder) / "data", kind="l_ugo", share=SHARE, seed=seed)
        (Path(folder) / "data").rename(wrong)
    if console is not None:
        text = f"{percent(share, 0)} of the training and validation labels are now wrong; the test labels are right."
        say(console, text)
