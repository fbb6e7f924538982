"""EM of the Gaussian-uniform mixture: time per iteration against scikit-learn, and clean labels flagged.

    python benchmarks/mixture.py             # everything: some minutes on one core
    python benchmarks/mixture.py --quick     # N = 1e5 only, two repeats, three seeds: does it run?

(a) Time per iteration of steadfit's EM (one Gaussian and a uniform) beside scikit-learn's GaussianMixture (two
components, full covariance) on the same data, in the same process, on one thread, taking turns. Both start from given
parameters and run a fixed number of iterations; the time of one is (t(long) - t(short))/(long - short), so that
starting, scaling and the last E-step count for neither. An iteration of scikit-learn's evaluates two Gaussians and ours
one: that is the models' difference, not the code's.

(b) The share of *clean* Gaussian residuals that get a responsibility below 1/2, for both volumes, over several seeds.

Results go to benchmarks/results/mixture.md and mixture.csv.
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
import warnings
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import sklearn
import torch
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits

from steadfit import GaussianUniform, __version__

RESULTS = Path(__file__).parent / "results"
SHORT, LONG = 2, 10
DIMS, FLAG_DIMS = (2, 10), (1, 2, 4, 8, 16)
FLAG_SAMPLES = 2000
PAPER = {  # per cent, from a check of DeepGUM's eq. 5 and of a volume fixed at the range; N = 2000
    "moments": dict(zip(FLAG_DIMS, (0.1, 21, 54, 78, 91), strict=True)),
    "range": dict(zip(FLAG_DIMS, (0.2, 0.1, 0, 0, 0), strict=True)),
}


@dataclass(frozen=True)
class Timing:
    """Seconds an iteration: medians over the repeats; the ratio is scikit-learn's over ours, with its range."""

    samples: int
    dims: int
    dtype: str
    ours: float
    theirs: float
    ratio: float
    lowest: float
    highest: float


@dataclass(frozen=True)
class Flagged:
    """Per cent of clean labels flagged, over the seeds."""

    volume: str
    dims: int
    mean: float
    lowest: float
    highest: float
    paper: float
    unconverged: int


def residuals(samples: int, dims: int, seed: int) -> torch.Tensor:
    """70 % correlated Gaussian, 30 % uniform in [-3, 3]: so mixed that EM does not converge in the timed iterations."""
    generator = torch.Generator().manual_seed(seed)
    mix = torch.eye(dims, dtype=torch.float64) + 0.2 * torch.randn(dims, dims, generator=generator, dtype=torch.float64)
    value = torch.randn(samples, dims, generator=generator, dtype=torch.float64) @ mix
    wild = 6 * torch.rand(samples, dims, generator=generator, dtype=torch.float64) - 3
    return torch.where(torch.rand(samples, 1, generator=generator) < 0.3, wild, value)


def ours(residual: torch.Tensor, iterations: int) -> int:
    start = torch.full((len(residual),), 0.5, dtype=residual.dtype)
    return GaussianUniform(max_iter=iterations, tol=1e-300).fit(residual, start=start).n_iter


def theirs(residual: np.ndarray, iterations: int) -> int:
    identity = np.eye(residual.shape[1], dtype=residual.dtype)
    mixture = GaussianMixture(
        2,
        covariance_type="full",
        tol=0.0,
        max_iter=iterations,
        init_params="random",  # the means, weights and precisions below take its place: no k-means in the time
        weights_init=np.array([0.5, 0.5], dtype=residual.dtype),
        means_init=np.zeros((2, residual.shape[1]), dtype=residual.dtype),
        precisions_init=np.stack([identity, identity / 100]),
        random_state=0,
    )
    return int(mixture.fit(residual).n_iter_)


def seconds(run: Callable[[int], int], iterations: int) -> float:
    begin = time.perf_counter()
    done = run(iterations)
    taken = time.perf_counter() - begin
    if done != iterations:
        raise RuntimeError(f"expected {iterations} iterations, got {done}: the time of one would be wrong")
    return taken


def per_iteration(run: Callable[[int], int]) -> float:
    return (seconds(run, LONG) - seconds(run, SHORT)) / (LONG - SHORT)


def compare(samples: int, dims: int, dtype: str, repeats: int, seed: int) -> Timing:
    tensor = residuals(samples, dims, seed).to(getattr(torch, dtype))
    array = tensor.numpy()
    runs = {"ours": lambda k: ours(tensor, k), "theirs": lambda k: theirs(array, k)}
    for run in runs.values():
        run(SHORT)  # warm-up
    found: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(repeats):
        for name in list(runs)[:: -1 if repeat % 2 else 1]:
            found[name].append(per_iteration(runs[name]))
    ratios = [b / a for a, b in zip(found["ours"], found["theirs"], strict=True)]
    return Timing(
        samples,
        dims,
        dtype,
        statistics.median(found["ours"]),
        statistics.median(found["theirs"]),
        statistics.median(ratios),
        min(ratios),
        max(ratios),
    )


def flagged(volume: str, dims: int, seeds: Iterable[int]) -> Flagged:
    model = GaussianUniform(volume=volume, tol=1e-6, max_iter=5000)
    shares, unconverged = [], 0
    for seed in seeds:
        clean = torch.randn(
            FLAG_SAMPLES, dims, dtype=torch.float64, generator=torch.Generator().manual_seed(1000 * dims + seed)
        )
        result = model.fit(clean)
        shares.append(100 * float((result.responsibility < 0.5).double().mean()))
        unconverged += not result.converged
    return Flagged(volume, dims, statistics.fmean(shares), min(shares), max(shares), PAPER[volume][dims], unconverged)


def markdown(timings: list[Timing], shares: list[Flagged], about: dict[str, str]) -> str:
    lines = ["# EM of the Gaussian-uniform mixture", "", *[f"- {key}: {value}" for key, value in about.items()], ""]
    lines += [
        "## Time per iteration",
        "",
        "One thread, same data, same process, taking turns; medians. The ratio is scikit-learn's time over ours "
        "(above 1:",
        "ours is faster), with the lowest and highest repeat. scikit-learn evaluates two Gaussians, ours one and a "
        "uniform.",
        "",
        "| N | D | dtype | ours, ms | scikit-learn, ms | ratio | range |",
        "|--:|--:|:--|--:|--:|--:|:--|",
        *[
            f"| {t.samples:,} | {t.dims} | {t.dtype} | {1e3 * t.ours:.1f} | {1e3 * t.theirs:.1f} | {t.ratio:.2f} "
            f"| {t.lowest:.2f} to {t.highest:.2f} |"
            for t in timings
        ],
        "",
        "## Clean Gaussian labels flagged, %",
        "",
        f'N = {FLAG_SAMPLES:,}; a label is flagged below a responsibility of 1/2. "expected" is an independent',
        'computation with one seed. "moments" is the paper\'s eq. 5, "range" the range.',
        "",
        "| volume | D | mean | lowest to highest seed | expected | not converged in 5,000 iterations |",
        "|:--|--:|--:|:--|--:|--:|",
        *[
            f"| {s.volume} | {s.dims} | {s.mean:.2f} | {s.lowest:.2f} to {s.highest:.2f} | {s.paper:g} "
            f"| {s.unconverged} |"
            for s in shares
        ],
        "",
    ]
    return "\n".join(lines)


def write_csv(path: Path, timings: list[Timing], shares: list[Flagged]) -> None:
    """Long format: table, case, quantity, value."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["table", "case", "quantity", "value"])
        for t in timings:
            case = f"N={t.samples} D={t.dims} {t.dtype}"
            for name in ("ours", "theirs", "ratio", "lowest", "highest"):
                writer.writerow(["seconds_per_iteration", case, name, f"{asdict(t)[name]:.6g}"])
        for s in shares:
            for name in ("mean", "lowest", "highest", "paper", "unconverged"):
                writer.writerow(["percent_flagged", f"{s.volume} D={s.dims}", name, f"{asdict(s)[name]:.6g}"])


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, nargs="+", default=[100_000, 1_000_000], help="N of part (a)")
    parser.add_argument("--repeats", type=int, default=5, help="timed repeats of every case (default 5)")
    parser.add_argument("--seeds", type=int, default=10, help="data sets of part (b) (default 10)")
    parser.add_argument("--seed", type=int, default=0, help="first seed (default 0)")
    parser.add_argument("--quick", action="store_true", help="N = 1e5, two repeats, three seeds")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of mixture.md and mixture.csv")
    parser.add_argument("--note", default="", help="a remark for the results, such as what else the machine was doing")
    given = parser.parse_args()
    if given.quick:
        given.samples, given.repeats, given.seeds = [100_000], 2, 3
    return given


def main() -> None:
    options = arguments()
    begin = time.perf_counter()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # both say that a fixed number of iterations has not converged
    load = f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores" if hasattr(os, "getloadavg") else "unknown"
    timings: list[Timing] = []
    with threadpool_limits(1):
        for samples in options.samples:
            for dims in DIMS:
                for dtype in ("float32", "float64"):
                    timings.append(compare(samples, dims, dtype, options.repeats, options.seed))
                    print(timings[-1], flush=True)
    seeds = range(options.seed, options.seed + options.seeds)
    shares = [flagged(volume, dims, seeds) for volume in PAPER for dims in FLAG_DIMS]
    about = {
        "command": f"`{shlex.join(['python', 'benchmarks/mixture.py', *sys.argv[1:]])}`",
        "seeds": f"{options.seed} to {seeds[-1]}",
        "versions": f"steadfit {__version__}, torch {torch.__version__}, scikit-learn {sklearn.__version__}, "
        f"numpy {np.__version__}, Python {platform.python_version()}",
        "load at the start": load,
        "duration": f"{(time.perf_counter() - begin) / 60:.1f} min",
        **({"note": options.note} if options.note else {}),
    }
    text = markdown(timings, shares, about)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "mixture.md").write_text(text, encoding="utf-8")
    write_csv(options.out / "mixture.csv", timings, shares)
    print(text)


if __name__ == "__main__":
    main()
