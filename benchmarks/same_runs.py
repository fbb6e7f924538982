"""Five small runs, to show that a change of the code's layout leaves every number as it is.

Positions, a predicted mixture, heatmaps, classes and a cascade are trained on a few drawn pictures through the command
line, and what they leave is reduced to digests: of the weights, of the labels table and of metrics.json. The digests
depend on the processor and on the versions of the libraries, so they are compared on one machine::

    python benchmarks/same_runs.py --out before          # on the old code
    python benchmarks/same_runs.py --against before      # on the new code: exit code 1 if anything differs

Names of files, columns and tensors may change; numbers may not.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from safetensors.numpy import load_file

POINTS = ["left_eye", "right_eye", "nose", "left_mouth", "right_mouth"]
PLACES = np.array([[10.0, 12.0], [22.0, 12.0], [16.0, 18.0], [11.0, 23.0], [21.0, 23.0]])
COMMON = ("--epochs", "3", "--batch-size", "16", "--device", "cpu", "--seed", "3")
RUNS: dict[str, tuple[str, ...]] = {
    "positions": ("points", "--noise", "gum", "--size", "32"),
    "predicted-mixture": ("points", "--noise", "predicted-mixture", "--size", "32", "--color"),
    "heatmaps": ("points", "--noise", "gum", "--network", "hourglass-light", "--loss", "anchor", "--size", "32"),
    "classes": ("classes", "--task", "classification", "--network", "resnet8", "--loss", "anchor"),
    "cascade": ("points", "--noise", "tukey", "--cascade", "--size", "32", "--fine-size", "24"),
}
"""The kind of data, and what is given to ``fit``."""
KEPT = ("line", "x", "y", "predicted_x", "predicted_y", "residual", "trust", "suspect", "probability", "loss")
"""The columns of the labels table that are compared, where they are there."""


def draw(folder: Path, count: int = 90) -> None:
    """Pictures with a blob a point, a fifth of the points wrong; and pictures of three classes."""
    rng = np.random.default_rng(0)
    for kind in ("points", "classes"):
        (folder / kind / "images").mkdir(parents=True)
    at = PLACES + rng.uniform(-4, 4, (count, 1, 2)) + rng.normal(0, 0.7, (count, 5, 2))
    given = np.where(rng.random((count, 5, 1)) < 0.2, rng.uniform(0, 31, (count, 5, 2)), at).round(2)
    split = np.array(["train"] * 60 + ["val"] * 15 + ["test"] * 15)
    rows = {"image": [f"images/{i:03d}.png" for i in range(count)], "split": split}
    points = rows | {f"{axis}{k}": given[:, k, d] for k in range(5) for d, axis in enumerate("xy")}
    label = rng.integers(0, 3, count)
    for i in range(count):
        cv2.imwrite(str(folder / "points" / rows["image"][i]), blobs(at[i], rng))
        cv2.imwrite(str(folder / "classes" / rows["image"][i]), blobs(at[i][[label[i], 4 - label[i]]], rng))
    pd.DataFrame(points).to_csv(folder / "points" / "annotations.csv", index=False)
    pd.DataFrame(rows | {"label": label}).to_csv(folder / "classes" / "annotations.csv", index=False)
    text = f"points: {POINTS}\npairs: [[0, 1], [3, 4]]\nnormalizer: [0, 1]\n"
    (folder / "points" / "dataset.yaml").write_text(text, encoding="utf-8")


def blobs(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    y, x = np.mgrid[:32, :32]
    image = rng.uniform(20, 60, (32, 32, 3))
    for k, (px, py) in enumerate(points):
        image[:, :, k % 3] += 150 * np.exp(-((x - px) ** 2 + (y - py) ** 2) / 6)
    return np.clip(image, 0, 255).astype(np.uint8)


def digests(run: Path) -> dict[str, str]:
    """Of a run folder: weights (in any order of their names), labels, metrics."""
    weights = [load_file(path) for path in sorted(run.rglob("model.safetensors"))]
    arrays = sorted(hashlib.sha256(a.tobytes()).hexdigest() for one in weights for a in one.values() if a.size)
    table = pd.read_parquet(
        next(path for name in ("trust", "predictions") if (path := run / f"{name}.parquet").exists())
    )
    labels = {name: table[name].to_numpy(dtype=np.float64).tobytes().hex() for name in KEPT if name in table}
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    return {"weights": digest(arrays), "labels": digest(labels), "metrics": digest(metrics)}


def digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write the digests there, as JSON")
    parser.add_argument("--against", type=Path, help="the digests of an earlier call, to compare with")
    options = parser.parse_args()
    found, environment = {}, os.environ | {"OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as name:
        folder, start = Path(name), time.perf_counter()
        draw(folder)
        for run, (data, *given) in RUNS.items():
            out = folder / "runs" / run
            command = [sys.executable, "-m", "steadfit", "fit", str(folder / data), "--out", str(out), *given, *COMMON]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
            found[run] = digests(out)
    for run, one in found.items():
        print(f"{run:>18}  " + "  ".join(f"{what} {value}" for what, value in one.items()))
    print(f"{time.perf_counter() - start:.0f} s")
    if options.out is not None:
        options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    before = found if options.against is None else json.loads(options.against.read_text(encoding="utf-8"))
    changed = [f"{run}: {what}" for run, one in before.items() for what in one if found[run][what] != one[what]]
    print("differs: " + ", ".join(changed) if changed else "all the same")
    return int(bool(changed))


if __name__ == "__main__":
    sys.exit(main())
