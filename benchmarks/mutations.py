"""Damaged files of every format: is each of them read, or refused by one clear error?

    python benchmarks/mutations.py                        # 10,000 copies per format, two processes, about 40 minutes
    python benchmarks/mutations.py --count 500 --formats coco,cvat

Copies of the small samples in tests/data/formats, each with one to three changes: cuts, deletions, other bytes,
strange values, numbers and words exchanged. An error of the data names its
place; anything else that is raised is a bug. Results go to benchmarks/results/mutations.md.
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
import time
import traceback
import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pytest
import torch

import steadfit
from steadfit import __version__
from steadfit._files import write_text
from steadfit.errors import ConfigError, DataError
from tables import to_markdown

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "data" / "formats"))
from mutants import mutants
from samples import SAMPLES

RESULTS = Path(__file__).parent / "results"


@dataclass
class Counts:
    """What became of the damaged copies of one format."""

    format: str
    read: int = 0
    refused: int = 0
    broken: list[str] = field(default_factory=list)
    seconds: float = 0.0


def tried(format: str, count: int, seed: int) -> Counts:
    """Read damaged copies of one format's sample, found by their content."""
    found, start = Counts(format), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            original = SAMPLES[format](Path(folder, "original"))
        except pytest.skip.Exception:  # its library is not installed
            return found
        (scratch := Path(folder, "scratch")).mkdir()
        for number, (path, what) in enumerate(mutants(original, scratch, count, seed)):
            try:
                steadfit.read(path, format=format if number % 2 else None, skip_bad=number % 4 > 1)
                found.read += 1
            except (DataError, ConfigError):
                found.refused += 1
            except Exception:
                found.broken.append(f"{format}, {what}\n{traceback.format_exc(limit=-3)}")
    found.seconds = time.perf_counter() - start
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--formats", default=",".join(SAMPLES))
    args = parser.parse_args()
    start = time.perf_counter()
    with ProcessPoolExecutor(args.jobs) as pool:
        jobs = [pool.submit(tried, name, args.count, args.seed) for name in args.formats.split(",")]
        rows = []
        for job in jobs:
            found = job.result()
            rows.append(found)
            print(f"{found.format}: {found.read} read, {found.refused} refused, {len(found.broken)} broken", flush=True)
            for text in found.broken[:5]:
                print(text, flush=True)
    table = pd.DataFrame(
        [
            {
                "format": row.format,
                "copies": row.read + row.refused + len(row.broken),
                "read": row.read,
                "refused": row.refused,
                "other errors": len(row.broken),
                "ms per copy": round(1000 * row.seconds / args.count, 1),
            }
            for row in rows
        ]
    )
    lines = [
        "# Damaged files",
        "",
        f"- command: `python benchmarks/mutations.py --count {args.count} --seed {args.seed}`",
        f"- versions: steadfit {__version__}, torch {torch.__version__}, pandas {pd.__version__}, "
        f"Python {platform.python_version()}",
        f"- duration: {(time.perf_counter() - start) / 60:.0f} min, {args.jobs} processes",
        "",
        "Read: the change left a file that still means something. Refused: one error that names file and place. Half",
        "of the copies are found by their content, half are told their format; half of them leave bad rows out.",
        "",
        to_markdown(table),
        "",
    ]
    if args.formats == ",".join(SAMPLES):
        write_text("\n".join(lines), RESULTS / "mutations.md")
    print("\n".join(lines))
    sys.exit(any(row.broken for row in rows))


if __name__ == "__main__":
    main()
