"""The figure of docs/distributions.md."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure

from steadfit.distributions import (
    Elliptical,
    MultivariateCharbonnier,
    MultivariateGauss,
    MultivariateHuber,
    MultivariateLaplace,
)
from steadfit.reports.style import house_style, new_figure

FAMILIES: dict[str, tuple[type[Elliptical], str]] = {
    "Gauss": (MultivariateGauss, "#D55E00"),
    "Huber(1)": (MultivariateHuber, "#E69F00"),
    "Charbonnier": (MultivariateCharbonnier, "#009E73"),
    "Laplace": (MultivariateLaplace, "#56B4E9"),
}


@house_style()
def distributions() -> Figure:
    """Four densities of one covariance in two dimensions: along a line, outside of a radius, and their ellipses."""
    figure = new_figure(9.0, 3.3)
    line, tail, plane = figure.subplots(1, 3)
    t = torch.linspace(-6, 6, 601, dtype=torch.float64)
    along = torch.stack([t, torch.zeros_like(t)], dim=-1)
    radius = torch.linspace(0, 8, 401, dtype=torch.float64)
    angle = torch.linspace(0, 2 * torch.pi, 361, dtype=torch.float64)
    circle = torch.stack([angle.cos(), angle.sin()], dim=-1)
    for label, (family, colour) in FAMILIES.items():
        standard = _with_unit_covariance(family, torch.eye(2, dtype=torch.float64))
        line.plot(t, standard.log_prob(along).exp(), color=colour, label=label)
        scale = float(standard.root[0, 0])  # Mahalanobis radius per standard deviation
        tail.plot(radius, 1 - standard.mass_within(scale * radius), color=colour)
        tilted = torch.tensor([[2.0, 0.9], [0.9, 1.2]], dtype=torch.float64)
        p = _with_unit_covariance(family, tilted)
        for mass, style in ((0.5, "--"), (0.95, "-")):
            ring = torch.linalg.solve(p.root, (p.radius_of(mass) * circle).mT).mT
            plane.plot(*ring.T, color=colour, ls=style)
    line.set(title="density, covariance I", xlabel="y1, y2 = 0", ylim=(0, None))
    tail.set(title="mass outside", xlabel="distance in standard deviations", yscale="log", ylim=(1e-5, 1))
    tail.yaxis.set_major_formatter(lambda value, _: f"{value:g}")  # the style has no mathtext
    plane.set(title="50 % and 95 % ellipses", xlabel="y1", ylabel="y2", aspect="equal")
    handles, labels = line.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels))
    return figure


def _with_unit_covariance(family: type[Elliptical], root: torch.Tensor) -> Elliptical:
    """The member at 0 whose precision matrix is ``root`` squared, whatever the family."""
    nu = torch.zeros(2, dtype=torch.float64)
    factor = family(nu, root).penalty.covariance_factor(2)  # type: ignore[call-arg]
    return family(nu, factor**0.5 * root)  # type: ignore[call-arg]
