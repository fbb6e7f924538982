"""How long images take in a run of two epochs: decoded for each purpose, or once for all of them.

    python benchmarks/decode_once.py             # lfw_net and lsp, about three minutes

``apart`` opens the table and trains with ``cache="off"``, and so decodes an image for the check, for every epoch and
for the judgement. ``cached`` keeps the frames of the training only. ``once`` is what the command line does: the check
makes the frames, and training and judgement take them. The network is a linear layer on the frame, so that the images
are most of the work. The variants alternate, and the ratio is that of the medians.

Needs the folders ``lfw_net`` and ``lsp`` in $STEADFIT_DATA (default ~/.cache/steadfit-data). Results go to
benchmarks/results/decode_once.md.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import cv2
import torch
from torch import nn

from steadfit import __version__
from steadfit._files import write_text
from steadfit.data import Annotations, Schema, load_annotations
from steadfit.training import Settings, fit
from sweep import DATA

RESULTS = Path(__file__).parent / "results"
SIZE, EPOCHS = 48, 2
VARIANTS = ("apart", "cached", "once")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    lines = [
        "# Images decoded once",
        "",
        f"- command: `python benchmarks/decode_once.py --repeats {repeats}`",
        f"- versions: steadfit {__version__}, torch {torch.__version__}, Python {platform.python_version()}",
        f"- {EPOCHS} epochs of a linear layer on {SIZE} px grey frames, one thread",
        f"- medians of {repeats} alternating runs",
        "",
        "| data | images | variant | images decoded | seconds | ratio to apart |",
        "|:--|--:|:--|--:|--:|--:|",
    ]
    start = time.perf_counter()
    for name in ("lfw_net", "lsp"):
        if not (DATA / name).is_dir():
            sys.exit(f"decode_once: no {name} in {DATA} ($STEADFIT_DATA).")
        seconds: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
        decoded, count = {}, 0
        for _ in range(repeats):
            for variant in VARIANTS:
                took, decoded[variant], count = measured(lambda name=name, variant=variant: run(DATA / name, variant))
                seconds[variant].append(took)
        middle = {variant: statistics.median(took) for variant, took in seconds.items()}
        for variant in VARIANTS:
            row = (name, f"{count:,}", variant, f"{decoded[variant]:,}", f"{middle[variant]:.1f}")
            lines.append("| " + " | ".join(row) + f" | {middle[variant] / middle['apart']:.2f} |")
            print(lines[-1], flush=True)
    lines.insert(6, f"- duration: {(time.perf_counter() - start) / 60:.1f} min")
    write_text("\n".join(lines) + "\n", RESULTS / "decode_once.md")


def measured(job: Callable[[], int]) -> tuple[float, int, int]:
    """Seconds, images decoded and the number of images of a job."""
    with mock.patch.object(cv2, "imdecode", wraps=cv2.imdecode) as decoder:
        start = time.perf_counter()
        count = job()
        return time.perf_counter() - start, decoder.call_count, count


def run(folder: Path, variant: str) -> int:
    """Check, train and judge; the number of images."""
    settings = Settings(
        noise="l2",
        network="linear",
        size=SIZE,
        epochs=EPOCHS,
        batch_size=64,
        cache="off" if variant == "apart" else "on",
    )
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as out:
        warnings.simplefilter("ignore")  # copies of images, which the data sets have
        annotations: Annotations = load_annotations(
            folder, Schema.discover(folder), framing=settings.framing if variant == "once" else None
        )
        network = nn.Sequential(nn.Flatten(), nn.Linear(SIZE * SIZE, annotations.target[0].size))
        fit(annotations, settings, Path(out) / "run", network=network, device="cpu").judge(annotations)
    return len(annotations)


if __name__ == "__main__":
    main()
