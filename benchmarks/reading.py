"""Seconds and peak memory of reading large tables, next to pandas in the same run.

python benchmarks/reading.py [tables]    # a part; without one all parts

A part writes a file, reads it in processes of their own, each several times in turn, and prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from steadfit.data import Schema, load_annotations
from steadfit.data.formats.csv import read_cells
from tables import to_markdown

ROWS, COLUMNS, USED, REPEATS = 1_000_000, 20, 10, 1
FEATURES = [f"f{k}" for k in range(USED - 1)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", choices=[*PARTS, *READERS], help="a part; or a reader, for a process of it")
    parser.add_argument("path", nargs="?", type=Path)
    given = parser.parse_args()
    if given.path is not None:
        print(*measure(READERS[given.part], given.path))
        return
    for name, part in PARTS.items():
        if given.part in (None, name):
            part()


def of_tables() -> None:
    """A CSV file with 10^6 rows and 20 columns, of which 10 are used: plain, and with a quoted cell in each row."""
    with tempfile.TemporaryDirectory() as folder:
        plain, quoted = Path(folder, "plain.csv"), Path(folder, "quoted.csv")
        write(plain)
        quoted.write_text(plain.read_text().replace("word", '"w,d"'))
        rows = [
            {"file": f"{path.stem}, {path.stat().st_size / 2**20:.0f} MiB", "reader": name, **in_processes(name, path)}
            for path in (plain, quoted)
            for name in READERS
        ]
    print(f"{ROWS:,} rows, {COLUMNS} columns, {USED} of them used; median of {REPEATS}.\n")
    print(to_markdown(pd.DataFrame(rows)))


def write(path: Path) -> None:
    """Columns of numbers with 3 to 17 digits, whole numbers, and words."""
    rng = np.random.default_rng(0)
    data: dict[str, object] = {f"f{k}": rng.normal(0, 10**k, ROWS).round(3 + k % 5) for k in range(COLUMNS - 4)}
    data |= {"y": rng.normal(0, 1, ROWS), "count": rng.integers(0, 9999, ROWS)}
    data |= {"word": rng.choice(["word", "text"], ROWS), "id": np.arange(ROWS)}
    pd.DataFrame(data).to_csv(path, index=False)


def in_processes(reader: str, path: Path) -> dict[str, float]:
    """Median seconds, of the clock and of the processor, and MiB above what the imports need, of several processes."""
    command = [sys.executable, __file__, reader, str(path)]
    found = [subprocess.run(command, check=True, capture_output=True, text=True).stdout.split() for _ in range(REPEATS)]
    seconds, busy, memory = np.median(np.array(found, dtype=float), axis=0).tolist()
    return {
        "seconds": seconds,
        "CPU seconds": busy,
        "rows a CPU second": f"{ROWS / busy:,.0f}",
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


READERS: dict[str, Callable[[Path], float]] = {
    "pandas.read_csv, all columns": by_pandas,
    "pandas.read_csv, round_trip, used columns": by_pandas_used,
    "steadfit, cells and numbers of used columns": by_cells,
    "the same, row by row": by_cells_exactly,
    "steadfit, load_annotations (checks, splits, copies)": by_load,
}
PARTS = {"tables": of_tables}


if __name__ == "__main__":
    main()
