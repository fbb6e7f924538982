"""Seconds and peak memory of reading large files, next to pandas and json in the same run.

    python benchmarks/reading.py [tables|coco]    # a part, which is printed; without one all parts, about six minutes

A part writes a file and reads it in processes of their own, each several times in turn. All parts together go to
benchmarks/results/reading.md. Seconds depend on the machine, and on what else it does: look at the ratios.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

import steadfit
from steadfit._files import write_text
from steadfit.data import Schema, load_annotations
from steadfit.data.formats.csv import read_cells
from tables import to_markdown

RESULTS = Path(__file__).parent / "results" / "reading.md"
ROWS, COLUMNS, USED, REPEATS = 1_000_000, 20, 10, 1
INSTANCES = 100_000
REMARKS = (
    "Cells of text stay in memory as their bytes, so the peak is about twice the file's size; numbers are made of the",
    "used columns only. A file with a quote in it is read row by row, as only that gives the line of each row. More",
    "than half of the time of `load_annotations` goes into the checks, the splits and the search for copies.",
)
FEATURES = [f"f{k}" for k in range(USED - 1)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", choices=[*PARTS, *READERS], help="a part; or a reader, for a process of it")
    parser.add_argument("path", nargs="?", type=Path)
    given = parser.parse_args()
    if given.path is not None:
        print(*measure(READERS[given.part], given.path))
        return
    if given.part is not None:
        print("\n".join(PARTS[given.part]()))
        return
    start = time.perf_counter()
    sections = [line for part in PARTS.values() for line in part()]
    lines = [
        "# Reading speed",
        "",
        "- command: `python benchmarks/reading.py`",
        f"- versions: steadfit {steadfit.__version__}, pandas {pd.__version__}, Python {platform.python_version()}",
        f"- seed: 0; duration: {(time.perf_counter() - start) / 60:.1f} min",
        "- seconds of the processor; memory is that above what the imports need",
        *sections,
    ]
    write_text("\n".join(lines) + "\n", RESULTS)
    print("\n".join(lines))


def of_tables() -> list[str]:
    """A CSV file with 10^6 rows and 20 columns, of which 10 are used: plain, and with a quoted cell in each row."""
    with tempfile.TemporaryDirectory() as folder:
        plain, quoted = Path(folder, "plain.csv"), Path(folder, "quoted.csv")
        write(plain)
        quoted.write_text(plain.read_text().replace("word", '"w,d"'))
        rows = [
            {"file": f"{path.stem}, {path.stat().st_size / 2**20:.0f} MiB", "reader": name, **in_processes(name, path)}
            for path in (plain, quoted)
            for name in TABLE_READERS
        ]
    about = f"{ROWS:,} rows, {COLUMNS} columns, {USED} of them used; median of {REPEATS}."
    return [*section("Tables", about, with_ratio(rows, len(TABLE_READERS))), "", *REMARKS]


def of_coco() -> list[str]:
    """A COCO file with 10^5 annotations of 17 points, in half as many images that are not there."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "coco.json")
        write_coco(path)
        size = f"{path.name}, {path.stat().st_size / 2**20:.0f} MiB"
        rows = [{"file": size, "reader": name, **in_processes(name, path, INSTANCES)} for name in COCO_READERS]
    about = f"{INSTANCES:,} annotations of 17 points in {INSTANCES // 2:,} images; median of {REPEATS}."
    return section("COCO key points", about, with_ratio(rows, len(COCO_READERS)))


def section(title: str, about: str, rows: list[dict[str, object]]) -> list[str]:
    return ["", f"## {title}", "", about, "", to_markdown(pd.DataFrame(rows))]


def with_ratio(rows: list[dict[str, object]], readers: int) -> list[dict[str, object]]:
    """The processor's seconds of each row as multiples of those of the first reader of its file."""
    seconds = [float(str(row["CPU seconds"])) for row in rows]
    return [row | {"ratio": seconds[k] / seconds[k - k % readers]} for k, row in enumerate(rows)]


def write_coco(path: Path) -> None:
    """Annotations as COCO has them, a tenth of the points missing."""
    rng = np.random.default_rng(0)
    code = rng.choice([0, 1, 2], (INSTANCES, 17), p=[0.1, 0.2, 0.7])
    xyv = np.concatenate([rng.uniform(0, 640, (INSTANCES, 17, 2)).round(2), code[:, :, None]], axis=2)
    xyv[code == 0] = 0
    box = rng.uniform(1, 300, (INSTANCES, 4)).round(2).tolist()
    images = [{"id": k, "file_name": f"{k:012d}.jpg", "width": 640, "height": 640} for k in range(INSTANCES // 2)]
    annotations = [
        {"id": k, "image_id": k // 2, "category_id": 1, "iscrowd": 0, "area": 9.5, "bbox": box[k], "keypoints": points}
        for k, points in enumerate(xyv.reshape(INSTANCES, -1).tolist())
    ]
    points = [f"point {k}" for k in range(17)]
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "keypoints": points}]}
    path.write_text(json.dumps(content))


def write(path: Path) -> None:
    """Columns of numbers with 3 to 17 digits, whole numbers, and words."""
    rng = np.random.default_rng(0)
    data: dict[str, object] = {f"f{k}": rng.normal(0, 10**k, ROWS).round(3 + k % 5) for k in range(COLUMNS - 4)}
    data |= {"y": rng.normal(0, 1, ROWS), "count": rng.integers(0, 9999, ROWS)}
    data |= {"word": rng.choice(["word", "text"], ROWS), "id": np.arange(ROWS)}
    pd.DataFrame(data).to_csv(path, index=False)


def in_processes(reader: str, path: Path, count: int = ROWS) -> dict[str, float]:
    """Median seconds, of the clock and of the processor, and MiB above what the imports need, of several processes."""
    command = [sys.executable, __file__, reader, str(path)]
    found = [subprocess.run(command, check=True, capture_output=True, text=True).stdout.split() for _ in range(REPEATS)]
    seconds, busy, memory = np.median(np.array(found, dtype=float), axis=0).tolist()
    return {
        "seconds": seconds,
        "CPU seconds": busy,
        "rows a CPU second": f"{count / busy:,.0f}",
        "peak MiB": round(memory),
    }


def measure(reader: Callable[[Path], float], path: Path) -> tuple[float, float, float]:
    before, start, busy = peak(), time.perf_counter(), time.process_time()
    reader(path)
    return time.perf_counter() - start, time.process_time() - busy, peak() - before


def peak() -> float:
    """The peak of this process's resident memory in MiB; ``ru_maxrss`` would include that of its parent."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def by_pandas(path: Path) -> float:
    return float(pd.read_csv(path)["y"].sum())


def by_pandas_used(path: Path) -> float:
    return float(pd.read_csv(path, usecols=[*FEATURES, "y"], float_precision="round_trip")["y"].sum())


def by_cells(path: Path) -> float:
    raw = read_cells(path)
    return float(sum(raw.numbers(name)[0].sum() for name in (*FEATURES, "y")))


def by_cells_exactly(path: Path) -> float:
    raw = read_cells(path, exact=True)
    return float(sum(raw.numbers(name)[0].sum() for name in (*FEATURES, "y")))


def by_load(path: Path) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = load_annotations(path, Schema(targets=("y",), features=tuple(FEATURES)))
    return float(found.target.sum())


def by_json(path: Path) -> float:
    with path.open(encoding="utf-8") as file:
        return float(len(json.load(file)["annotations"]))


def by_read(path: Path) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # there are no images
        return float(len(steadfit.read(path)))


TABLE_READERS: dict[str, Callable[[Path], float]] = {
    "pandas.read_csv, all columns": by_pandas,
    "pandas.read_csv, round_trip, used columns": by_pandas_used,
    "steadfit, cells and numbers of used columns": by_cells,
    "the same, row by row": by_cells_exactly,
    "steadfit, load_annotations (checks, splits, copies)": by_load,
}
COCO_READERS: dict[str, Callable[[Path], float]] = {"json.load": by_json, "steadfit.read": by_read}
READERS = TABLE_READERS | COCO_READERS
PARTS = {"tables": of_tables, "coco": of_coco}


if __name__ == "__main__":
    main()
