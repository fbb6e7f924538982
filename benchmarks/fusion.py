"""Joint modes: time of a batch against SciPy case by case, and steps against plain majorise-minimise.

    python benchmarks/fusion.py             # a minute or so on one core
    python benchmarks/fusion.py --quick     # few cases: does it run?

Random views in D = 2, a third of them far away. (a) Time a case of ``fuse`` in one batch, and of SciPy's BFGS with the
gradient, from the precision-weighted mean, one case after the other: that is what a loop over points would cost. The
largest difference of position is given where both found the same value of F to 1e-9; a kink stops BFGS short of it.
(b) Steps to the last one, and how far 20 and 200 steps of plain majorise-minimise from the precision-weighted mean are
from that mode, in joint standard deviations.

Results go to benchmarks/results/fusion.md and fusion.csv.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import shlex
import sys
import time
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np
import scipy
import torch
from scipy import optimize
from torch import Tensor

from steadfit import __version__
from steadfit.core.fusion import fuse, fuse_views
from steadfit.penalties import Absolute, Charbonnier, Huber, Penalty, Squared

RESULTS = Path(__file__).parent / "results"
PENALTIES: tuple[Penalty, ...] = (Huber(1.0), Charbonnier(), Absolute())


@dataclass(frozen=True)
class Row:
    penalty: str
    views: int
    ours_us: float
    scipy_us: float
    ratio: float
    difference: float
    compared: int
    median_steps: float
    most_steps: int
    after_20: float
    after_200: float


def cases(views: int, count: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.float64, generator=generator)

    factor = torch.eye(2, dtype=torch.float64) + 0.3 * normal(views, count, 2, 2)
    root = factor @ factor.mT + 0.1 * torch.eye(2, dtype=torch.float64)
    far = torch.rand(views, count, 1, generator=generator) < 1 / 3
    return 2 * normal(views, count, 2) + 30 * far * normal(views, count, 2), root


def by_scipy(mu: Tensor, root: Tensor, penalty: Penalty, mean: Tensor) -> np.ndarray:
    delta = getattr(penalty, "delta", 0.0)

    def value(y: np.ndarray, m: np.ndarray, a: np.ndarray) -> tuple[float, np.ndarray]:
        residual = np.einsum("vij,vj->vi", a, y - m)
        r = np.sqrt((residual**2).sum(1))
        if isinstance(penalty, Huber):
            rho, psi = np.where(r <= delta, r * r / 2, delta * (r - delta / 2)), np.minimum(r, delta)
        elif isinstance(penalty, Charbonnier):
            rho, psi = np.hypot(1, r) - 1, r / np.hypot(1, r)
        else:
            rho, psi = r, np.ones_like(r)
        return float(rho.sum()), np.einsum("v,vij,vi->j", psi / np.maximum(r, 1e-300), a, residual)

    m, a = mu.numpy(), root.numpy()
    return np.stack(
        [
            optimize.minimize(
                value, mean[i].numpy(), args=(m[:, i], a[:, i]), jac=True, method="BFGS", options={"gtol": 1e-9}
            ).x
            for i in range(len(mean))
        ]
    )


def plain(mu: Tensor, root: Tensor, penalty: Penalty, y: Tensor, steps: int) -> Tensor:
    square = root @ root
    for _ in range(steps):
        r = (root @ (y - mu).unsqueeze(-1)).squeeze(-1).norm(dim=-1)
        weight = penalty.weight(r.clamp(min=1e-12))[..., None, None] * square
        y = torch.linalg.solve(weight.sum(0), (weight @ mu.unsqueeze(-1)).squeeze(-1).sum(0))
    return y


def total(y: Tensor, mu: Tensor, root: Tensor, penalty: Penalty) -> Tensor:
    return penalty.rho((root @ (y - mu).unsqueeze(-1)).squeeze(-1).norm(dim=-1)).sum(0)


def compare(penalty: Penalty, views: int, ours: int, theirs: int, seed: int) -> Row:
    mu, root = cases(views, ours, seed)
    fuse(mu[:, :100], root[:, :100], penalty, location="mu")  # warm-up
    begin = time.perf_counter()
    found = fuse_views(mu, root, penalty, location="mu")
    fused = (time.perf_counter() - begin) / ours
    mean = fuse(mu, root, Squared(), location="mu")[0]
    begin = time.perf_counter()
    y = torch.from_numpy(by_scipy(mu[:, :theirs], root[:, :theirs], penalty, mean[:theirs]))
    looped = (time.perf_counter() - begin) / theirs
    few = mu[:, :theirs], root[:, :theirs], penalty
    low = total(found.mode[:theirs], *few)
    same = (total(y, *few) - low).abs() <= 1e-9 * low
    factor = torch.linalg.cholesky((root @ root).sum(0)).mT

    def far(other: Tensor) -> float:
        return float((factor @ (other - found.mode).unsqueeze(-1)).squeeze(-1).norm(dim=-1).max())

    return Row(
        penalty=repr(penalty),
        views=views,
        ours_us=1e6 * fused,
        scipy_us=1e6 * looped,
        ratio=looped / fused,
        difference=float((y - found.mode[:theirs])[same].abs().max()),
        compared=int(same.sum()),
        median_steps=float(found.n_iter.double().median()),
        most_steps=int(found.n_iter.max()),
        after_20=far(plain(mu, root, penalty, mean, 20)),
        after_200=far(plain(mu, root, penalty, mean, 200)),
    )


def markdown(rows: list[Row], about: dict[str, str], theirs: int) -> str:
    return "\n".join(
        [
            "# Joint modes of several views",
            "",
            *[f"- {key}: {value}" for key, value in about.items()],
            "",
            "Time a case, D = 2, one thread, one process; SciPy's BFGS with the gradient, case by case. The difference",
            f"of position is the largest where both found the same F to 1e-9, so many of {theirs} cases. The last two",
            "columns: the farthest that plain majorise-minimise still is from the mode, in joint standard deviations.",
            "",
            "| penalty | V | ours, us | SciPy, us | ratio | difference | of | steps, median | most "
            "| MM, 20 steps | MM, 200 steps |",
            "|:--|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
            *[
                f"| {r.penalty} | {r.views} | {r.ours_us:.1f} | {r.scipy_us:.0f} | {r.ratio:.0f} | {r.difference:.1e} "
                f"| {r.compared} | {r.median_steps:.0f} | {r.most_steps} | {r.after_20:.1e} | {r.after_200:.1e} |"
                for r in rows
            ],
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=20_000, help="cases of one batch")
    parser.add_argument("--scipy", type=int, default=400, help="cases that SciPy solves")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="1,000 and 50 cases")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of fusion.md and fusion.csv")
    parser.add_argument("--note", default="", help="a remark for the results, such as what else the machine was doing")
    options = parser.parse_args()
    if options.quick:
        options.cases, options.scipy = 1000, 50
    begin = time.perf_counter()
    torch.set_num_threads(1)
    load = f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores" if hasattr(os, "getloadavg") else "unknown"
    rows = [compare(p, views, options.cases, options.scipy, options.seed) for p in PENALTIES for views in (2, 5)]
    about = {
        "command": f"`{shlex.join(['python', 'benchmarks/fusion.py', *sys.argv[1:]])}`",
        "cases": f"{options.cases:,} a batch, seed {options.seed}",
        "versions": f"steadfit {__version__}, torch {torch.__version__}, SciPy {scipy.__version__}, "
        f"Python {platform.python_version()}",
        "load at the start": load,
        "duration": f"{(time.perf_counter() - begin) / 60:.1f} min",
        **({"note": options.note} if options.note else {}),
    }
    text = markdown(rows, about, options.scipy)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "fusion.md").write_text(text, encoding="utf-8")
    with (options.out / "fusion.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([field.name for field in fields(Row)])
        writer.writerows([f"{v:.6g}" if isinstance(v, float) else v for v in astuple(row)] for row in rows)
    print(text)


if __name__ == "__main__":
    main()
