"""Random warps: images a second and core of the whole pipeline, beside bare decoding and one fixed affine warp.

    python benchmarks/warp.py             # everything: about two minutes on one core
    python benchmarks/warp.py --quick     # few images and repeats: does it run?

The bare side does cv2.imdecode and cv2.warpAffine (bilinear, edges repeated, fixed matrices) and nothing else. Ours is
``LabelledDataset.__getitems__`` with ``augment``: decode, check the size, RGB, draw the parameters, compose, halve the
source where it is more than twice too large, sample, channels first, map the points, swap left and right. Both decode
the same bytes, which lie in memory, to the same number of channels and sample to the same size; same process, one
thread, taking turns. CPU time is measured, so that other work on the machine counts for neither. The ratio is the bare
time over ours: 1 would be no cost at all.

Images are those of lfw_net (in $STEADFIT_DATA, or ~/.cache/steadfit-data) where it is there, and drawn faces as JPEG.

Results go to benchmarks/results/warp.md and warp.csv.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import shlex
import shutil
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch

from steadfit import __version__
from steadfit.data import LabelledDataset, Schema, Warp, load_annotations
from steadfit.data.drawn.synthetic import PAIRS, draw_faces

RESULTS = Path(__file__).parent / "results"
LFW = Path(os.environ.get("STEADFIT_DATA", Path.home() / ".cache" / "steadfit-data")) / "lfw_net"
FLAGS = {1: cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION, 3: cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION}
WARPS = {"all": Warp(), "affine": Warp(perspective=0)}
QUALITY, FACES = 90, 16
CASES = (
    (96, 48, 1),
    (96, 48, 3),
    (96, 224, 3),
    (250, 224, 3),
    (250, 224, 1),
    (380, 224, 3),
    (500, 224, 3),
    (500, 224, 1),
    (1000, 224, 3),
)


@dataclass(frozen=True)
class Timing:
    """Microseconds of CPU an image, medians over the repeats; the ratio is bare over ours, with its range."""

    images: str
    source: int
    frame: int
    channels: int
    warp: str
    bare: float
    ours: float
    ratio: float
    lowest: float
    highest: float


def dataset_of(
    source: int, frame: int, channels: int, count: int, seed: int, folder: Path
) -> tuple[str, LabelledDataset]:
    """The images' name and the data set, without warps."""
    if source == 96 and (LFW / "annotations.csv").is_file():
        table = pd.read_csv(LFW / "annotations.csv").head(count)
        columns = ["image", "split", *[name for name in table if name[0] in "xy" and name[1:].isdecimal()]]
        where, name, pairs = folder / "lfw_net.csv", "lfw_net", ((0, 1), (3, 4))
        for image in table["image"]:
            (folder / image).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(LFW / image, folder / image)
        table[columns].to_csv(where, index=False)
    else:
        where, name, pairs = folder / f"{source}.csv", "drawn", PAIRS
        drawn(where, source, count, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some images of lfw_net have the same bytes
        annotations = load_annotations(where, Schema(pairs=pairs), need_splits=())
    return name, LabelledDataset(annotations, size=frame, channels=channels)


def drawn(table: Path, size: int, count: int, seed: int) -> None:
    """``FACES`` different faces, each several times: drawing large ones takes long."""
    images, points = draw_faces(FACES, size=size, seed=seed)
    names = [f"{size}-{k}.jpg" for k in range(count)]
    for k, name in enumerate(names):
        cv2.imwrite(str(table.parent / name), images[k % FACES, ..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    points = points[np.arange(count) % FACES]
    columns = [f"{axis}{k}" for k in range(points.shape[1]) for axis in "xy"]
    pd.DataFrame(points.reshape(count, -1), columns=columns).assign(image=names, split="train").to_csv(
        table, index=False
    )


def bare_run(plain: LabelledDataset) -> Callable[[], None]:
    annotations = plain.annotations
    files = [np.fromfile(annotations.root / name, dtype=np.uint8) for name in annotations.images or ()]
    drawn, _ = WARPS["affine"].sample(torch.arange(len(plain)), plain.size, seed=1, epoch=0)
    matrices = list((drawn @ plain.frame.matrix(torch.arange(len(plain))))[:, :2].numpy())
    flag, (height, width) = FLAGS[plain.channels], plain.size

    def run() -> None:
        for data, matrix in zip(files, matrices, strict=True):
            image = cv2.imdecode(data, flag)
            cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    return run


def our_run(plain: LabelledDataset, warp: Warp, batch: int) -> Callable[[], None]:
    data = LabelledDataset(plain.annotations, size=plain.size, channels=plain.channels, cache=True, augment=warp)
    parts = torch.arange(len(data)).split(batch)
    epoch = iter(range(1 << 30))

    def run() -> None:
        data.set_epoch(next(epoch))
        for part in parts:
            data.__getitems__(part.tolist())

    return run


def compare(case: tuple[int, int, int], options: argparse.Namespace, folder: Path) -> list[Timing]:
    count = max(options.images // (1 + case[0] // 400), options.batch)
    name, plain = dataset_of(*case, count, options.seed, folder)
    runs = {"bare": bare_run(plain), **{key: our_run(plain, warp, options.batch) for key, warp in WARPS.items()}}
    found: dict[str, list[float]] = {key: [] for key in runs}
    for run in runs.values():
        run()  # warm-up, and the files into memory
    for repeat in range(options.repeats):
        for key in list(runs)[:: -1 if repeat % 2 else 1]:
            begin = time.process_time()
            runs[key]()
            found[key].append(1e6 * (time.process_time() - begin) / len(plain))
    timings = []
    for key in WARPS:
        ratios = [bare / ours for bare, ours in zip(found["bare"], found[key], strict=True)]
        middle = (statistics.median(found["bare"]), statistics.median(found[key]), statistics.median(ratios))
        timings.append(Timing(name, *case, key, *middle, min(ratios), max(ratios)))
    return timings


def markdown(timings: list[Timing], about: dict[str, str]) -> str:
    lines = ["# Random warps", "", *[f"- {key}: {value}" for key, value in about.items()], ""]
    lines += [
        "CPU time of one thread, same bytes, same process, taking turns; medians of the repeats. Bare is",
        "`cv2.imdecode` and `cv2.warpAffine` with fixed matrices. Ours is the whole pipeline: decode, draw the",
        'parameters, compose, sample, channels first, map and permute the points. "all" is `Warp()`, "affine" is',
        "`Warp(perspective=0)`. The ratio is the bare time over ours. Sources more than twice too large are halved",
        "first, which bare decoding and warping does not do: it aliases there.",
        "",
        "| images | source, px | frame, px | channels | warp | bare, µs | ours, µs | ours, images/s | ratio | range |",
        "|:--|--:|--:|--:|:--|--:|--:|--:|--:|:--|",
        *[
            f"| {t.images} | {t.source} | {t.frame} | {t.channels} | {t.warp} | {t.bare:.0f} | {t.ours:.0f} "
            f"| {1e6 / t.ours:,.0f} | {t.ratio:.2f} | {t.lowest:.2f} to {t.highest:.2f} |"
            for t in timings
        ],
        "",
    ]
    return "\n".join(lines)


def write_csv(path: Path, timings: list[Timing]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([field.name for field in fields(Timing)])
        for t in timings:
            writer.writerow([f"{v:.4g}" if isinstance(v, float) else v for v in asdict(t).values()])


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=512, help="images of a case, fewer of large ones (default 512)")
    parser.add_argument("--batch", type=int, default=64, help="images of a batch (default 64)")
    parser.add_argument("--repeats", type=int, default=9, help="timed repeats of every case (default 9)")
    parser.add_argument("--seed", type=int, default=0, help="of the drawn faces (default 0)")
    parser.add_argument("--quick", action="store_true", help="64 images, three repeats")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of warp.md and warp.csv")
    parser.add_argument("--note", default="", help="a remark for the results, such as what else the machine was doing")
    given = parser.parse_args()
    if given.quick:
        given.images, given.repeats = 64, 3
    return given


def main() -> None:
    options = arguments()
    begin = time.perf_counter()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    load = f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores" if hasattr(os, "getloadavg") else "unknown"
    timings: list[Timing] = []
    with tempfile.TemporaryDirectory() as folder:
        for case in CASES:
            timings += compare(case, options, Path(folder))
            print(*timings[-len(WARPS) :], sep="\n", flush=True)
    about = {
        "command": f"`{shlex.join(['python', 'benchmarks/warp.py', *sys.argv[1:]])}`",
        "versions": f"steadfit {__version__}, opencv {cv2.__version__}, torch {torch.__version__}, "
        f"numpy {np.__version__}, Python {platform.python_version()}",
        "images": f"{options.images} a case (fewer above 400 px), batches of {options.batch}, {options.repeats} "
        f"repeats; drawn faces are JPEG of quality {QUALITY}, seed {options.seed}",
        "load at the start": load,
        "duration": f"{(time.perf_counter() - begin) / 60:.1f} min",
        **({"note": options.note} if options.note else {}),
    }
    text = markdown(timings, about)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "warp.md").write_text(text, encoding="utf-8")
    write_csv(options.out / "warp.csv", timings)
    print(text)


if __name__ == "__main__":
    main()
