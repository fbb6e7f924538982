"""The figure of docs/scale.md, and the numbers of its table.

python docs/figures_scale.py   # the table, half a minute
"""

from __future__ import annotations

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from steadfit.noise.base import WIDE
from steadfit.noise.residuals import spread
from steadfit.penalties import Tukey
from steadfit.reports.axes import percent_axis
from steadfit.reports.palette import FAINT, INK
from steadfit.reports.style import house_style, new_figure

SIZES = (8, 16, 32, 64, 128, 256)
SHARES = {0.0: "#009E73", 0.2: "#E69F00", 0.4: "#D55E00"}
TAU = 1.4826


@house_style()
def scale() -> Figure:
    """The MAD of a batch, how it breaks down, and the influence of a residual at two scales."""
    figure = new_figure(9.0, 3.3)
    left, middle, right = figure.subplots(1, 3)
    _batches(left)
    _breakdown(middle)
    _influence(right)
    return figure


def batch_mads(size: int, share: float, count: int = 20_000) -> Tensor:
    """The scales of ``count`` batches of standard normal residuals, each gross with probability ``share``, (count,)."""
    draw = torch.Generator().manual_seed(size)
    residual = torch.randn(size, count, generator=draw, dtype=torch.float64)
    gross = torch.rand(size, count, generator=draw) < share
    sign = 2.0 * (torch.rand(size, count, generator=draw) < 0.5) - 1
    return spread(torch.where(gross, 1e3 * sign, residual))


def whole_set(share: Tensor) -> Tensor:
    """The same for infinitely many residuals: 1.4826 Phi^-1(1/2 + 1/(4 (1 - share))), infinite from a half on."""
    inside = 0.5 + 0.25 / (1 - share)
    return TAU * torch.special.ndtri(torch.where(share < 0.5, inside, 1.0))


def _batches(axes: Axes) -> None:
    """Median and the middle 90 % of a batch's MAD."""
    for share, colour in SHARES.items():
        found = torch.stack([batch_mads(size, share, 4000) for size in SIZES])
        low, median, high = (found.quantile(q, dim=1) for q in (0.05, 0.5, 0.95))
        axes.fill_between(SIZES, low, high, color=colour, alpha=0.2, lw=0)
        axes.plot(SIZES, median, color=colour, marker="o", ms=3, label=f"{share:.0%} gross")
        axes.axhline(float(whole_set(torch.tensor(share))), color=colour, lw=0.8, ls=":")
    axes.set(title="scale of a batch", xlabel="labels in the batch", xscale="log", ylim=(0, 5))
    axes.set_xticks(SIZES, [str(size) for size in SIZES])
    axes.minorticks_off()
    axes.legend(title="labels", alignment="left")


def _breakdown(axes: Axes) -> None:
    share = torch.linspace(0, 0.4999, 500, dtype=torch.float64)
    axes.plot(share, whole_set(share), color=INK)
    axes.axvline(0.5, color=FAINT, lw=1, ls="--")
    axes.set(title="breakdown", xlabel="gross labels", ylabel="scale / right labels' deviation")
    axes.set(xlim=(0, 0.55), ylim=(0, 8))
    percent_axis(axes, "x")


def _influence(axes: Axes) -> None:
    """psi(r/s)/s for residuals in units of the right scale."""
    residual = torch.linspace(0, 40, 801, dtype=torch.float64)
    for factor, colour, label in ((1.0, "#009E73", "s"), (WIDE, "#0072B2", f"{WIDE:g} s")):
        axes.plot(residual, Tukey().psi(residual / factor) / factor, color=colour, label=label)
    axes.axvspan(Tukey().c, 40, color=FAINT, alpha=0.15, lw=0)
    axes.set(title="influence psi(r/s)/s", xlabel="residual r in units of s", xlim=(0, 40), ylim=(0, None))
    axes.legend()


if __name__ == "__main__":
    for size in (8, 16, 64, 256):
        for share in SHARES:
            found, whole = batch_mads(size, share, 200_000), float(whole_set(torch.tensor(share)))
            low, median, high = (float(found.sort().values[int(q * len(found))]) for q in (0.05, 0.5, 0.95))
            mean = float(found.clamp(max=100).mean())
            print(
                f"n = {size}, {share:.0%} gross: mean {mean:.3f} ({mean / whole - 1:+.1%} of {whole:.3f}), median "
                f"{median:.3f} [{low:.2f}, {high:.2f}], broken down {float((found > 100).double().mean()):.2%}"
            )
