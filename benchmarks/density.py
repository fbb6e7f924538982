"""log_prob and its gradient: the elliptical family against torch's MultivariateNormal.

    python benchmarks/density.py           # everything: about a minute on one core
    python benchmarks/density.py --quick   # N = 4,096 only, five repeats: does it run?

(a) "parameters": the distribution is built from leaf tensors, location (N, D) and matrix (N, D, D) in float32, with
validate_args=False, log_prob of (N, D) values is summed, and the gradient goes to both. Ours takes A, torch's
``MultivariateNormal`` its fastest form, ``scale_tril``: the same number of leaf numbers.

(b) "network": the matrix comes from D (D + 1)/2 numbers a row, as a network puts them out: ours by spd_from_vector,
whose log|A| goes along; torch's by a lower triangle with a softplus diagonal, the usual choice. The gradient goes to
the location and to those numbers.

Everything eager, on one thread, in one process, taking turns; the ratio of each turn is torch's time over ours, and the
median of the ratios counts, since other work on the machine then slows both sides of a ratio.

Results go to benchmarks/results/density.md and density.csv.
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
from torch.distributions import MultivariateNormal

from steadfit import __version__
from steadfit.core.linalg.spd import spd_from_vector
from steadfit.distributions import (
    MultivariateCharbonnier,
    MultivariateGauss,
    MultivariateHuber,
    MultivariateLaplace,
)

RESULTS = Path(__file__).parent / "results"
SAMPLES, DIMS = (4_096, 65_536, 524_288), (2, 3)
FAMILIES = {
    "Gauss": MultivariateGauss,
    "Huber": MultivariateHuber,
    "Laplace": MultivariateLaplace,
    "Charbonnier": MultivariateCharbonnier,
}
Case = tuple[Callable[[Tensor, Tensor], Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Timing:
    """Seconds for value and gradient, medians over the turns; the ratio is torch's time over ours."""

    way: str
    family: str
    dims: int
    samples: int
    ours: float
    theirs: float
    ratio: float
    lowest: float
    highest: float


def by_parameters(dims: int, samples: int, seed: int) -> dict[str, Case]:
    generator = torch.Generator().manual_seed(seed)
    value, location = (torch.randn(samples, dims, generator=generator) for _ in range(2))
    square = torch.randn(samples, dims, dims, generator=generator)
    root = square @ square.mT + torch.eye(dims)
    triangle = torch.linalg.cholesky(root).contiguous()

    def ours(family: str) -> Callable[[Tensor, Tensor], Tensor]:
        return lambda nu, a: FAMILIES[family](nu, a, validate_args=False).log_prob(value)

    def theirs(mean: Tensor, scale: Tensor) -> Tensor:
        return MultivariateNormal(mean, scale_tril=scale, validate_args=False).log_prob(value)

    cases: dict[str, Case] = {family: (ours(family), _leaves(location, root)) for family in FAMILIES}
    return cases | {"torch": (theirs, _leaves(location, triangle))}


def by_network(dims: int, samples: int, seed: int) -> dict[str, Case]:
    generator = torch.Generator().manual_seed(seed)
    value, location = (torch.randn(samples, dims, generator=generator) for _ in range(2))
    numbers = torch.randn(samples, dims * (dims + 1) // 2, generator=generator)
    lower, diagonal = torch.tril_indices(dims, dims), torch.arange(dims)

    def ours(family: str) -> Callable[[Tensor, Tensor], Tensor]:
        def run(nu: Tensor, v: Tensor) -> Tensor:
            root, log_det = spd_from_vector(v, dims)
            return FAMILIES[family](nu, root, log_det=log_det, validate_args=False).log_prob(value)

        return run

    def theirs(mean: Tensor, v: Tensor) -> Tensor:
        triangle = v.new_zeros(samples, dims, dims)
        triangle[:, lower[0], lower[1]] = v
        triangle[:, diagonal, diagonal] = torch.nn.functional.softplus(triangle[:, diagonal, diagonal])
        return MultivariateNormal(mean, scale_tril=triangle, validate_args=False).log_prob(value)

    cases: dict[str, Case] = {family: (ours(family), _leaves(location, numbers)) for family in FAMILIES}
    return cases | {"torch": (theirs, _leaves(location, numbers))}


def _leaves(*tensors: Tensor) -> tuple[Tensor, ...]:
    return tuple(t.clone().requires_grad_() for t in tensors)


def seconds(case: Case) -> float:
    run, leaves = case
    begin = time.perf_counter()
    run(*leaves).sum().backward()
    taken = time.perf_counter() - begin
    for leaf in leaves:
        leaf.grad = None
    return taken


def compare(way: str, cases: dict[str, Case], dims: int, samples: int, repeats: int) -> list[Timing]:
    for case in cases.values():
        for _ in range(3):
            seconds(case)  # warm-up
    found: dict[str, list[float]] = {name: [] for name in cases}
    for turn in range(repeats):
        for name in list(cases)[:: -1 if turn % 2 else 1]:
            found[name].append(seconds(cases[name]))
    theirs = found.pop("torch")
    rows = []
    for family, ours in found.items():
        ratios = sorted(b / a for a, b in zip(ours, theirs, strict=True))
        tenth = len(ratios) // 10
        rows.append(
            Timing(way, family, dims, samples, statistics.median(ours), statistics.median(theirs),
                   statistics.median(ratios), ratios[tenth], ratios[-1 - tenth])
        )  # fmt: skip
    return rows


def markdown(timings: list[Timing], about: dict[str, str]) -> str:
    lines = ["# log_prob and gradient of the elliptical family", "", *[f"- {k}: {v}" for k, v in about.items()], ""]
    titles = {
        "parameters": "## From location and matrix\n\nLeaves: location (N, D) and matrix (N, D, D), float32.",
        "network": "## From a network's numbers\n\nLeaves: location (N, D) and D (D + 1)/2 numbers a row: "
        "`spd_from_vector` against a softplus Cholesky factor.",
    }
    for way, title in titles.items():
        lines += [
            title,
            "",
            "| D | N | family | ours, ms | MultivariateNormal, ms | ratio | 10 to 90 % of turns |",
            "|--:|--:|:--|--:|--:|--:|:--|",
            *[
                f"| {t.dims} | {t.samples:,} | {t.family} | {1e3 * t.ours:.2f} | {1e3 * t.theirs:.2f} "
                f"| {t.ratio:.2f} | {t.lowest:.2f} to {t.highest:.2f} |"
                for t in timings
                if t.way == way
            ],
            "",
        ]
    return "\n".join(lines)


def write_csv(path: Path, timings: list[Timing]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(asdict(timings[0])), lineterminator="\n")
        writer.writeheader()
        for timing in timings:
            writer.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in asdict(timing).items()})


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, nargs="+", default=list(SAMPLES), help="N")
    parser.add_argument("--turns", type=int, default=40, help="turns at N = 4,096; a quarter of them beyond 1e5")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="N = 4,096 only, five turns")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of density.md and density.csv")
    parser.add_argument("--note", default="", help="a remark for the results, such as what else the machine was doing")
    given = parser.parse_args()
    if given.quick:
        given.samples, given.turns = [SAMPLES[0]], 5
    return given


def main() -> None:
    options = arguments()
    begin = time.perf_counter()
    torch.set_num_threads(1)
    load = f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores" if hasattr(os, "getloadavg") else "unknown"
    timings: list[Timing] = []
    for way, cases in (("parameters", by_parameters), ("network", by_network)):
        for dims in DIMS:
            for samples in options.samples:
                turns = options.turns if samples < 1e5 else max(5, options.turns // 4)
                timings += compare(way, cases(dims, samples, options.seed), dims, samples, turns)
                print(*timings[-len(FAMILIES) :], sep="\n", flush=True)
    about = {
        "command": f"`{shlex.join(['python', 'benchmarks/density.py', *sys.argv[1:]])}`",
        "seed": str(options.seed),
        "versions": f"steadfit {__version__}, torch {torch.__version__}, Python {platform.python_version()}",
        "load at the start": load,
        "duration": f"{(time.perf_counter() - begin) / 60:.1f} min",
        **({"note": options.note} if options.note else {}),
    }
    text = markdown(timings, about)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "density.md").write_text(text, encoding="utf-8")
    write_csv(options.out / "density.csv", timings)
    print(text)


if __name__ == "__main__":
    main()
