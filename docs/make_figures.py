"""The figures of the documentation.

python docs/make_figures.py               # all but the demo's: half a minute
python docs/make_figures.py --demo demo --cascade run-cascade   # also pictures of a finished demo and of its cascade
"""

from __future__ import annotations

import argparse
import shutil
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from figures_anchor import anchor
from figures_calibration import calibration
from figures_cascade import cascade, cascade_rule
from figures_distributions import distributions
from figures_scale import scale
from figures_warps import warps
from matplotlib.figure import Figure

from steadfit import GaussianUniform
from steadfit.data.images.files import read_image
from steadfit.errors import ConvergenceWarning
from steadfit.penalties import Absolute, Cauchy, Huber, Penalty, Squared, Tukey
from steadfit.reports.axes import percent_axis
from steadfit.reports.palette import FAINT, RIGHT, WRONG
from steadfit.reports.style import house_style, new_figure, save
from steadfit.reports.suspects_gallery import gallery

IMAGES = Path(__file__).parent / "images"
CURVES: dict[str, tuple[Penalty, str, str]] = {
    "Squared": (Squared(), "#D55E00", "-"),
    "Absolute": (Absolute(), "#56B4E9", "-"),
    "Huber(1.345)": (Huber(), "#E69F00", "-"),
    "Cauchy": (Cauchy(), "#CC79A7", "--"),
    "Tukey": (Tukey(), "#009E73", "-"),
}
DIMS = (1, 2, 4, 8, 16)


@house_style()
def penalties() -> Figure:
    """rho, psi and trust of five penalties over one scaled residual."""
    u = torch.linspace(-8, 8, 801, dtype=torch.float64)
    figure = new_figure(9.0, 3.3)
    panels = figure.subplots(1, 3)
    titles = {"rho": "loss rho(u)", "psi": "influence psi(u)", "trust": "trust"}
    limits = {"rho": (0, 9), "psi": (-4, 4), "trust": (0, 1.05)}
    for axes, (name, title) in zip(panels, titles.items(), strict=True):
        for label, (penalty, colour, line) in CURVES.items():
            axes.plot(u, getattr(penalty, name)(u), color=colour, ls=line, label=label)
        axes.set(title=title, xlabel="u = residual / scale", ylim=limits[name])
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels))
    return figure


@house_style()
def mixture() -> Figure:
    """What EM finds in one dimension, and how many clean labels each volume flags."""
    figure = new_figure(9.0, 3.3)
    left, right = figure.subplots(1, 2)
    generator = torch.Generator().manual_seed(0)
    inliers = 2.0 * torch.randn(1400, 1, generator=generator, dtype=torch.float64)
    outliers = 80.0 * torch.rand(600, 1, generator=generator, dtype=torch.float64) - 40.0
    found = GaussianUniform().fit(torch.cat([inliers, outliers]))
    r = torch.linspace(-40, 40, 801, dtype=torch.float64)
    density = torch.exp(-0.5 * r**2 / found.covariance[0, 0]) / (2 * torch.pi * found.covariance[0, 0]).sqrt()
    left.hist(torch.cat([inliers, outliers]).squeeze(1).numpy(), bins=120, density=True, color=FAINT, alpha=0.6)
    left.plot(r, found.inlier_share * density, color=RIGHT, label="pi Normal")
    left.plot(
        r, torch.full_like(r, float((1 - found.inlier_share) * found.density)), color=WRONG, label="(1 - pi) gamma"
    )
    left.set(
        title=f"30 % wrong; EM finds {100 * (1 - float(found.inlier_share)):.1f} %", xlabel="residual", yscale="log"
    )
    left.set_ylim(1e-3, 0.3)
    left.yaxis.set_major_formatter(lambda value, _: f"{value:g}")  # the style has no mathtext
    left.legend(loc="upper right")
    for volume, colour in (("moments", WRONG), ("range", RIGHT)):
        right.plot(range(len(DIMS)), [_flagged(volume, d) for d in DIMS], "o-", color=colour, label=volume)
    right.set(title="clean Gaussian residuals flagged", xlabel="dimensions D", ylim=(0, 1))
    right.set_xticks(range(len(DIMS)), [str(d) for d in DIMS])
    percent_axis(right)
    right.legend(title="volume", loc="upper left")
    return figure


def _flagged(volume: str, dims: int, seeds: int = 5) -> float:
    """The share of 2,000 standard normal residuals with a responsibility below 1/2, the mean over seeds."""
    shares = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for seed in range(seeds):
            generator = torch.Generator().manual_seed(seed)
            r = torch.randn(2000, dims, generator=generator, dtype=torch.float64)
            shares.append(float((GaussianUniform(volume=volume).fit(r).responsibility < 0.5).double().mean()))
    return float(np.mean(shares))


def demo_pictures(demo: Path) -> None:
    """The README's two pictures: the demo's worst suspects, and its bars."""
    table = pd.read_parquet(demo / "comparison/runs/gum/trust.parquet")
    table = table[table["split"] != "test"]
    worst = gallery(table, lambda name: read_image(demo / "wrong30" / name, 3), count=12)
    save(worst.figure, IMAGES / "suspects_gallery.png", dpi=84)
    shutil.copyfile(demo / "comparison/figures/failure_bars.png", IMAGES / "failure_bars.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--demo", type=Path, help="folder that 'steadfit demo' wrote")
    parser.add_argument("--cascade", type=Path, help="with --demo: run folder of 'fit demo/wrong30 --cascade'")
    options = parser.parse_args()
    for draw in (penalties, mixture, distributions, calibration, warps, anchor, scale, cascade_rule):
        save(draw(), IMAGES / f"{draw.__name__}.png", dpi=100)
    if options.demo:
        demo_pictures(options.demo)
    if options.demo and options.cascade:
        save(cascade(options.cascade, options.demo / "clean"), IMAGES / "cascade.png", dpi=84)


if __name__ == "__main__":
    main()
