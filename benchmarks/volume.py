"""The mixture's volumes: clean residuals flagged, wrong ones found, with and without gross labels.

    python benchmarks/volume.py             # about two minutes on one thread
    python benchmarks/volume.py --quick     # three seeds: does it run?

(a) Clean residuals of several tails: per cent with a responsibility below 1/2, and the estimated error rate.
(b) A Gaussian of deviation 1 and a share of wrong labels, uniform in a box of side 30: recall, precision and estimated
error rate; alone, with one label at 1e4, two sentinels of -9999, and 1 % at 1e5.
(c) A Gaussian of deviation 1 and a cluster as dense, some deviations away: right labels flagged, and the cluster found.

Results go to benchmarks/results/volume.md and volume.csv.
"""

from __future__ import annotations

import argparse
import csv
import platform
import shlex
import sys
import time
import warnings
from pathlib import Path

import torch
from torch import Tensor

from steadfit import GaussianUniform, __version__

RESULTS = Path(__file__).parent / "results"
VOLUMES, DIMS, SAMPLES, SHARES = ("range", "trimmed"), (1, 2, 4), (20, 50, 100, 200, 2000), (0.1, 0.3, 0.6, 0.8)
TAILS = ("gauss", "uniform", "laplace", "elliptical laplace", "student 3")
AWAY = (10, 30, 60)
GROSS = ("none", "one at 1e4", "two at -9999", "1 % at 1e5")
Row = dict[str, str | int | float]


def clean(tail: str, n: int, d: int, seed: int) -> Tensor:
    g = torch.Generator().manual_seed(1_000_000 * d + 100 * n + seed)
    normal = torch.randn(n, d, generator=g, dtype=torch.float64)
    flat = torch.rand(n, d, generator=g, dtype=torch.float64) - 0.5
    other = torch.randn(n, 3, generator=g, dtype=torch.float64).square().mean(dim=1, keepdim=True).sqrt()
    return {
        "gauss": normal,
        "uniform": flat,
        "laplace": -flat.sign() * torch.log1p(-2 * flat.abs()),
        "elliptical laplace": normal * (-torch.log(flat[:, :1] + 0.5)).sqrt(),
        "student 3": normal / other,
    }[tail]


def contaminated(share: float, n: int, d: int, seed: int, gross: str) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(1_000_000 * d + 100 * n + seed)
    value = torch.randn(n, d, generator=g, dtype=torch.float64)
    wrong = torch.arange(n) < round(share * n)
    value[wrong] = 30 * torch.rand(int(wrong.sum()), d, generator=g, dtype=torch.float64) - 15
    if gross != "none":
        count, size = {"one at 1e4": (1, 1e4), "two at -9999": (2, -9999.0), "1 % at 1e5": (max(n // 100, 1), 1e5)}[
            gross
        ]
        value[:count] = size
    return value, wrong


def measure_clean(volume: str, tail: str, n: int, d: int, seeds: range) -> Row:
    found = GaussianUniform(volume=volume, tol=1e-6).fit(torch.stack([clean(tail, n, d, s) for s in seeds], dim=1))
    each = 100 * (found.responsibility < 0.5).double().mean(dim=0)
    return {
        "volume": volume,
        "data": tail,
        "N": n,
        "D": d,
        "flagged": float(each.mean()),
        "highest": float(each.max()),
        "error rate": 100 * (1 - float(found.inlier_share.mean())),
    }


def measure_wrong(volume: str, gross: str, share: float, n: int, d: int, seeds: range) -> Row:
    value, wrong = (
        torch.stack(x, dim=1) for x in zip(*(contaminated(share, n, d, s, gross) for s in seeds), strict=True)
    )
    found = GaussianUniform(volume=volume, tol=1e-6).fit(value)
    flagged = found.responsibility < 0.5
    right = float((flagged & wrong).sum())
    return {
        "volume": volume,
        "gross": gross,
        "N": n,
        "D": d,
        "wrong": 100 * share,
        "recall": 100 * right / float(wrong.sum()),
        "precision": 100 * right / max(float(flagged.sum()), 1.0),
        "error rate": 100 * (1 - float(found.inlier_share.mean())),
    }


def clustered(share: float, away: float, n: int, d: int, seed: int) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(1_000_000 * d + 100 * n + seed)
    value, wrong = torch.randn(n, d, generator=g, dtype=torch.float64), torch.arange(n) < round(share * n)
    value[wrong, 0] += away
    return value, wrong


def measure_cluster(volume: str, away: float, share: float, n: int, d: int, seeds: range) -> Row:
    value, wrong = (torch.stack(x, dim=1) for x in zip(*(clustered(share, away, n, d, s) for s in seeds), strict=True))
    found = GaussianUniform(volume=volume, tol=1e-6).fit(value)
    flagged = found.responsibility < 0.5
    return {
        "volume": volume,
        "deviations": f"{away}",
        "N": n,
        "D": d,
        "wrong": 100 * share,
        "recall": 100 * float(flagged[wrong].double().mean()),
        "flagged": 100 * float(flagged[~wrong].double().mean()),
        "error rate": 100 * (1 - float(found.inlier_share.mean())),
    }


def table(rows: list[Row]) -> list[str]:
    def cell(value: str | int | float) -> str:
        return f"{value:.1f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else value

    lines = [
        "| " + " | ".join(rows[0]) + " |",
        "|" + "|".join("--:" if i > 1 else ":--" for i in range(len(rows[0]))) + "|",
    ]
    return lines + ["| " + " | ".join(cell(v) for v in row.values()) + " |" for row in rows]


def write_csv(path: Path, *tables: list[Row]) -> None:
    names = list(dict.fromkeys(name for rows in tables for name in rows[0]))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        for rows in tables:
            writer.writerows({k: f"{v:.4g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10, help="data sets of every row (default 10)")
    parser.add_argument("--quick", action="store_true", help="three seeds")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of volume.md and volume.csv")
    options = parser.parse_args()
    begin, seeds = time.perf_counter(), range(3 if options.quick else options.seeds)
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # EM that creeps to pi = 1 is settled long before it converges
    right = [measure_clean(v, t, n, d, seeds) for v in VOLUMES for t in TAILS for d in DIMS for n in SAMPLES]
    wrong = [
        measure_wrong(v, g, share, n, d, seeds)
        for v in VOLUMES
        for g in GROSS
        for n in (100, 1000)
        for d in DIMS
        for share in SHARES
    ]
    cluster = [
        measure_cluster(v, away, share, n, d, seeds)
        for v in VOLUMES
        for away in AWAY
        for n in (50, 200, 2000)
        for d in DIMS
        for share in (0.05, 0.1, 0.2)
    ]
    command = shlex.join(["python", "benchmarks/volume.py", *sys.argv[1:]])
    lines = [
        "# Volumes of the Gaussian-uniform mixture",
        "",
        f"- command: `{command}`",
        f"- seeds: 0 to {seeds[-1]}",
        f"- versions: steadfit {__version__}, torch {torch.__version__}, Python {platform.python_version()}",
        f"- duration: {(time.perf_counter() - begin) / 60:.1f} min",
        "",
        "## Clean residuals flagged, %",
        "",
        "Mean and highest over the seeds, and the estimated error rate.",
        "",
        *table(right),
        "",
        "## Wrong labels found, %",
        "",
        "Uniform in a box of side 30 about inliers of deviation 1; gross ones are among the wrong.",
        "",
        *table(wrong),
        "",
        "## A cluster of wrong labels, %",
        "",
        "As dense as the inliers, some deviations away in one coordinate; flagged are right labels.",
        "",
        *table(cluster),
        "",
    ]
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "volume.md").write_text("\n".join(lines), encoding="utf-8")
    write_csv(options.out / "volume.csv", right, wrong, cluster)


if __name__ == "__main__":
    main()
