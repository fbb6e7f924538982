"""The demo: drawn faces, 30 % wrong labels, four noise models, in a few minutes."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from steadfit.data.synthetic import write_dataset
from steadfit.recipes.comparison import Result, compare
from steadfit.recipes.contaminate import corrupt_dataset
from steadfit.recipes.fitting import open_table, read_truth
from steadfit.training import Settings

METHODS = ("l2", "huber", "tukey", "gum")
SHARE = 0.3


def demo(
    out: str | Path,
    *,
    seed: int = 0,
    epochs: int = 12,
    n_train: int = 4000,
    console: Console | None = None,
    device: str = "auto",
) -> dict[str, Result]:
    """Draw a data set, make 30 % of its training and validation labels wrong, compare four noise models on right labels.

    Writes ``clean/`` and ``wrong30/`` (data sets, with the truth beside the wrong one), ``comparison/`` with the runs,
    tables, pictures and ``report.html``.
    """
    out, say = Path(out), (lambda *_a, **_k: None) if console is None else console.print
    wrong = out / "wrong30"
    if not (wrong / "annotations.csv").exists():
        say(f"Drawing {n_train + n_train // 10 + n_train // 4} faces with 7 landmarks each …")
        clean = write_dataset(
            out / "clean", n_train=n_train, n_val=n_train // 10, n_test=n_train // 4, size=64, seed=seed
        )
        _, share = corrupt_dataset(open_table(clean), wrong, kind="l_ugo", share=SHARE, seed=seed)
        say(f"{share:.0%} of the training labels are moved to a wrong place; the test labels are right.")
    annotations = open_table(wrong, console=console, need_splits=("train", "val", "test"))
    settings = Settings(epochs=epochs, seed=seed)
    return compare(
        annotations,
        METHODS,
        settings,
        out / "comparison",
        truth=read_truth(wrong / "truth.csv", annotations),
        resume=True,
        device=device,
        console=console,
        title=f"Four noise models, {SHARE:.0%} of the training labels wrong",
    )
