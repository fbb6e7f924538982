"""spd_from_vector: time of value and gradient against autograd through torch.linalg.eigh, and accuracy at small gaps.

    python benchmarks/spd.py             # everything: some minutes on one core
    python benchmarks/spd.py --quick     # 4,096 matrices, three repeats: does it run?

(a) A, log|A| and the gradient of v for given gradients of both, d = 2 and 3, float32, one thread. The comparison builds
B, calls eigh, applies the knee and puts A together; autograd does the rest. All take turns in one process. "rows": v is
(n, d (d + 1)/2), one matrix after the other in memory. "entries": v is a view of (d (d + 1)/2, n), one entry of all
matrices after the other, as is the gradient of A. Compiled means torch.compile(fullgraph=True) of spd_from_vector.

Times are CPU times of the thread, since other programs may run: on an idle machine they are what a clock shows.

(b) The largest error of the gradient relative to its size, where two eigenvalues differ by a given gap, float64 against
the closed form for a known frame.

Results go to benchmarks/results/spd.md and spd.csv.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import shlex
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from steadfit import __version__
from steadfit.core.linalg import eigen
from steadfit.core.linalg.spd import spd_from_vector

RESULTS = Path(__file__).parent / "results"
DIMS = (2, 3)
TARGETS = {  # times faster than eigh: eager, compiled
    (2, 4096): (5, 7),
    (2, 65536): (9, 28),
    (2, 524288): (10, 41),
    (3, 4096): (5, None),
    (3, 65536): (5, None),
    (3, 524288): (5, None),
}
GAPS = (0.1, 1e-4, 1e-8, 1e-12, 0.0)
Root = Callable[[Tensor, int], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Timing:
    """Milliseconds, medians over the repeats; ratio: the median of eigh's time over this one, with its range."""

    dim: int
    samples: int
    way: str
    milliseconds: float
    ratio: float
    lowest: float
    highest: float


@dataclass(frozen=True)
class Error:
    """The gradient's largest relative error."""

    dim: int
    gap: float
    ours: float
    eigh: float


def through_eigh(v: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    values, columns = torch.linalg.eigh(eigen.matrix_of(v, dim))
    exponent = values.clamp(max=1.0) - 1
    image = torch.where(values >= 1, values, exponent.exp())
    log = torch.where(values >= 1, values.clamp(min=1.0).log(), exponent)
    return (columns * image.unsqueeze(-2)) @ columns.mT, log.sum(dim=-1)


def timed(root: Root, v: Tensor, dim: int, upstream: Tensor) -> float:
    ones = torch.ones_like(upstream[..., 0, 0])
    begin = time.thread_time()
    matrix, log_det = root(v, dim)
    torch.autograd.grad((matrix, log_det), v, (upstream, ones))
    return time.thread_time() - begin


def compare(dim: int, samples: int, repeats: int, seed: int) -> list[Timing]:
    torch._dynamo.reset()
    generator = torch.Generator().manual_seed(seed)
    entries = torch.randn(dim * (dim + 1) // 2, samples, generator=generator)
    weight = torch.randn(dim, dim, samples, generator=generator)
    column = entries.T.requires_grad_(), weight.movedim(-1, 0)
    row = entries.T.contiguous().requires_grad_(), weight.movedim(-1, 0).contiguous()
    compiled = torch.compile(spd_from_vector, fullgraph=True, dynamic=False)
    ways = {
        "eigh": (through_eigh, *row),
        "eager, rows": (spd_from_vector, *row),
        "eager, entries": (spd_from_vector, *column),
        "compiled, rows": (compiled, *row),
        "compiled, entries": (compiled, *column),
    }
    found: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(-3, repeats):
        for name in list(ways)[:: -1 if repeat % 2 else 1]:
            root, v, upstream = ways[name]
            seconds = timed(root, v, dim, upstream)
            if repeat >= 0:  # warmed up
                found[name].append(seconds)
    timings = []
    for name, seconds in found.items():
        ratios = [a / b for a, b in zip(found["eigh"], seconds, strict=True)]
        middle = statistics.median(ratios)
        timings.append(Timing(dim, samples, name, 1e3 * statistics.median(seconds), middle, min(ratios), max(ratios)))
    return timings


def errors(dim: int, gap: float, seed: int) -> Error:
    """B = Q^T diag(0.4 + gap, 0.4, -0.5) Q for 1,000 known frames Q: below the knee g is exp(l - 1)."""
    generator = torch.Generator().manual_seed(seed)
    frame = torch.linalg.qr(torch.randn(1000, dim, dim, generator=generator, dtype=torch.float64)).Q
    values = torch.tensor([0.4 + gap, 0.4, -0.5], dtype=torch.float64)[:dim]
    upstream = torch.randn(1000, dim, dim, generator=generator, dtype=torch.float64)
    upstream = upstream + upstream.mT
    apart = values.unsqueeze(-1) - values
    ratio = torch.where(apart == 0, 1.0, apart.expm1() / torch.where(apart == 0, 1.0, apart))
    inner = (frame @ upstream @ frame.mT) * ratio * (values - 1).exp()  # g[x, y] = e^{y - 1} (e^{x - y} - 1)/(x - y)
    inner = inner + torch.eye(dim, dtype=torch.float64)  # (log g)' = 1
    expected = eigen.vector_of(frame.mT @ inner @ frame)
    v = eigen.vector_of(frame.mT @ (values.unsqueeze(-1) * frame)).requires_grad_()
    found = []
    for root in (spd_from_vector, through_eigh):
        matrix, log_det = root(v, dim)
        (gradient,) = torch.autograd.grad((matrix, log_det), v, (upstream, torch.ones_like(log_det)))
        error = (gradient - expected).norm(dim=-1) / expected.norm(dim=-1)
        found.append(float(error.max()))
    return Error(dim, gap, *found)


def markdown(timings: list[Timing], found: list[Error], about: dict[str, str]) -> str:
    lines = ["# From a vector to a covariance", "", *[f"- {key}: {value}" for key, value in about.items()], ""]
    lines += [
        "## Time of value and gradient",
        "",
        "float32, one thread, CPU time, taking turns in one process; medians. The ratio is the time of autograd",
        "through torch.linalg.eigh over this one's (above 1: faster), with the lowest and highest repeat. The target",
        "is for separate entries where compiled.",
        "",
        "| d | matrices | way | ms | ratio | range | target |",
        "|--:|--:|:--|--:|--:|:--|--:|",
    ]
    for t in timings:
        goals = TARGETS.get((t.dim, t.samples), (None, None))
        goal = goals[0] if t.way.startswith("eager") else goals[1] if t.way == "compiled, entries" else None
        lines.append(
            f"| {t.dim} | {t.samples:,} | {t.way} | {t.milliseconds:.3g} | {t.ratio:.1f} "
            f"| {t.lowest:.1f} to {t.highest:.1f} | {'' if goal is None else goal} |"
        )
    lines += [
        "",
        "## Error of the gradient where two eigenvalues differ by a gap",
        "",
        "float64, relative to the gradient's norm, the largest of 1,000 frames.",
        "",
        "| d | gap | ours | eigh |",
        "|--:|--:|--:|--:|",
        *[f"| {e.dim} | {e.gap:g} | {e.ours:.1e} | {e.eigh:.1e} |" for e in found],
        "",
    ]
    return "\n".join(lines)


def write_csv(path: Path, timings: list[Timing], found: list[Error]) -> None:
    """Long format: table, case, quantity, value."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["table", "case", "quantity", "value"])
        for t in timings:
            for name in ("milliseconds", "ratio", "lowest", "highest"):
                writer.writerow(["time", f"d={t.dim} n={t.samples} {t.way}", name, f"{asdict(t)[name]:.6g}"])
        for e in found:
            for name in ("ours", "eigh"):
                writer.writerow(["gradient_error", f"d={e.dim} gap={e.gap:g}", name, f"{asdict(e)[name]:.3g}"])


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, nargs="+", default=[4096, 65_536, 524_288], help="matrices of part (a)")
    parser.add_argument("--repeats", type=int, default=15, help="timed repeats of every case (default 15)")
    parser.add_argument("--seed", type=int, default=0, help="seed (default 0)")
    parser.add_argument("--quick", action="store_true", help="4,096 matrices, three repeats")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of spd.md and spd.csv")
    parser.add_argument("--note", default="", help="a remark for the results, such as what else the machine was doing")
    given = parser.parse_args()
    if given.quick:
        given.samples, given.repeats = [4096], 3
    return given


def main() -> None:
    options = arguments()
    begin = time.perf_counter()
    torch.set_num_threads(1)
    load = f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores" if hasattr(os, "getloadavg") else "unknown"
    timings: list[Timing] = []
    for dim in DIMS:
        for samples in options.samples:
            timings += compare(dim, samples, options.repeats, options.seed)
            print(*timings[-5:], sep="\n", flush=True)
    found = [errors(dim, gap, options.seed) for dim in DIMS for gap in GAPS]
    about = {
        "command": f"`{shlex.join(['python', 'benchmarks/spd.py', *sys.argv[1:]])}`",
        "seed": str(options.seed),
        "versions": f"steadfit {__version__}, torch {torch.__version__}, Python {platform.python_version()}",
        "load at the start": load,
        "duration": f"{(time.perf_counter() - begin) / 60:.1f} min",
        **({"note": options.note} if options.note else {}),
    }
    text = markdown(timings, found, about)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "spd.md").write_text(text, encoding="utf-8")
    write_csv(options.out / "spd.csv", timings, found)
    print(text)


if __name__ == "__main__":
    main()
