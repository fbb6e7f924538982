"""What it saves to reduce huge JPEGs while they are decoded: seconds, memory, and the difference in the frames.

    python benchmarks/huge_images.py             # 100 JPEGs of 24 megapixels, about ten minutes

``whole`` decodes every image as it is, ``reduced`` by the factor that ``steadfit.data.images.decoding.reduction``
allows. Both check the table and make its frames (``load_annotations`` with a framing), each in a process of its own,
whose peak of memory is that process's. The images are drawn: smooth fields with edges and the noise of a camera, of 10
different ones each under ten names. The difference is that of the frames, in levels of 255; beside it stands that of an
image moved by one of its pixels per frame's pixel, that is by a 125th of the frame's width.

Results go to benchmarks/results/huge_images.md.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from unittest import mock

import cv2
import numpy as np
import torch

from steadfit import __version__
from steadfit._files import write_text
from steadfit.data import Framing, LabelledDataset, load_annotations
from steadfit.data.images import decoding

RESULTS = Path(__file__).parent / "results"
WIDTH, HEIGHT, DIFFERENT = 6000, 4000, 10
FRAMES = (48, 224, 512)
VARIANTS = ("whole", "reduced")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--measure", nargs=3, metavar=("FOLDER", "FRAME", "VARIANT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        folder, frame, variant = options.measure
        print(json.dumps(measured(Path(folder), int(frame), variant)))
        return
    start = time.perf_counter()
    lines = [
        "# Huge images reduced while they are decoded",
        "",
        f"- command: `python benchmarks/huge_images.py --images {options.images} --repeats {options.repeats} "
        f"--seed {options.seed}`",
        f"- versions: steadfit {__version__}, OpenCV {cv2.__version__}, Python {platform.python_version()}",
        f"- {options.images} JPEGs of {WIDTH} x {HEIGHT} px, checked and framed in RGB; medians of {options.repeats} "
        "alternating processes",
        "",
        "| frame (px) | variant | factor | seconds | images a second | peak memory (MB) | mean difference (levels) | "
        "greatest | of a shift by 1/125 |",
        "|--:|:--|--:|--:|--:|--:|--:|--:|--:|",
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = drawn(Path(name), options.images, options.seed)
        for frame in FRAMES:
            lines += rows(folder, frame, options)
    lines[4:4] = [f"- duration: {(time.perf_counter() - start) / 60:.1f} min"]
    write_text("\n".join([*lines, ""]), RESULTS / "huge_images.md")
    print("\n".join(lines))


def drawn(folder: Path, count: int, seed: int) -> Path:
    """A table of drawn photos."""
    for k in range(count):
        path = folder / f"{k:03d}.jpg"
        if k < DIFFERENT:
            assert cv2.imwrite(str(path), photo(seed + k), [cv2.IMWRITE_JPEG_QUALITY, 92])
        else:
            shutil.copy(folder / f"{k % DIFFERENT:03d}.jpg", path)
            path.write_bytes(path.read_bytes() + str(k).encode())  # no copy, by its bytes
    rows = [f"{k:03d}.jpg,{40 * k},{30 * k}" for k in range(count)]
    (folder / "annotations.csv").write_text("\n".join(["image,x0,y0", *rows, ""]))
    return folder


def photo(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    image = cv2.resize(rng.integers(30, 220, (24, 36, 3)).astype(np.float32), (WIDTH, HEIGHT))
    for _ in range(60):
        x, y, w, h = (int(v) for v in rng.uniform(0, 1, 4) * (WIDTH, HEIGHT, 900, 900))
        image[y : y + h, x : x + w] += rng.normal(0, 40)
    image += rng.standard_normal((HEIGHT, WIDTH, 1), dtype=np.float32) * 5
    return np.clip(image, 0, 255).astype(np.uint8)


def rows(folder: Path, frame: int, options: argparse.Namespace) -> list[str]:
    """The lines of one frame's size."""
    found: dict[str, list[dict[str, float]]] = {variant: [] for variant in VARIANTS}
    for _ in range(options.repeats):
        for variant in VARIANTS:
            call = [sys.executable, __file__, "--measure", str(folder), str(frame), variant]
            found[variant].append(json.loads(subprocess.run(call, check=True, capture_output=True, text=True).stdout))
    mean, greatest, shifted = differences(folder, frame)
    lines = []
    for variant, runs in found.items():
        seconds, peak = (statistics.median(run[key] for run in runs) for key in ("seconds", "peak"))
        factor = 1 if variant == "whole" else decoding.reduction(WIDTH, HEIGHT, WIDTH / frame)
        off = "| | | |" if variant == "whole" else f"| {mean:.2f} | {greatest:.0f} | {shifted:.2f} |"
        lines.append(
            f"| {frame} | {variant} | {factor} | {seconds:.1f} | {options.images / seconds:.1f} | {peak:.0f} {off}"
        )
    return lines


def measured(folder: Path, frame: int, variant: str) -> dict[str, float]:
    """Seconds and the peak of memory of this process, in MB, less what it had before."""
    before = peak_memory()
    start = time.perf_counter()
    with mock.patch.object(decoding, "HUGE", 1 << 40 if variant == "whole" else decoding.HUGE):
        load_annotations(folder, need_splits=(), framing=Framing(frame, 3))
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "peak": peak_memory() - before}


def peak_memory() -> float:
    """The most that this process has had in memory, in MB."""
    text = Path("/proc/self/status").read_text(encoding="ascii")
    return float(text.split("VmHWM:")[1].split()[0]) / 1024


def differences(folder: Path, frame: int) -> tuple[float, float, float]:
    """Mean and greatest difference of the frames, and the mean one of a shift by a 125th of the frame's width."""
    table = load_annotations(folder, need_splits=()).take(np.arange(DIFFERENT))
    reduced = LabelledDataset(table, size=frame, channels=3, cache=False).frames(torch.arange(DIFFERENT)).float()
    with mock.patch.object(decoding, "HUGE", 1 << 40):
        whole = LabelledDataset(table, size=frame, channels=3, cache=False).frames(torch.arange(DIFFERENT)).float()
    off = (reduced - whole).abs()
    step = frame / 125
    moved = whole.roll(int(step), dims=3) * (1 - step % 1) + whole.roll(int(step) + 1, dims=3) * (step % 1)
    return float(off.mean()), float(off.max()), float((moved - whole).abs().mean())


if __name__ == "__main__":
    main()
