"""The figure of docs/calibration.md."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure

from steadfit.metrics import ConformalRadius, fit_temperature, mahalanobis, right_labels
from steadfit.metrics import calibration as measure
from steadfit.metrics.calibration import CURVE
from steadfit.penalties import Huber
from steadfit.reports.calibration_figure import calibration_figure


def predictions(rows: int, wrong: float, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Eight points a row whose labels spread 1.7 times as far as predicted; a share of them is anywhere."""
    shape = (rows, 8)
    size = torch.exp(0.6 * torch.randn(shape, generator=generator, dtype=torch.float64))
    angle = torch.pi * torch.rand(shape, generator=generator, dtype=torch.float64)
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], -1).reshape(*shape, 2, 2)
    spread = turn @ torch.diag_embed(torch.stack([size, 0.4 * size], -1)) @ turn.mT
    u = torch.rand(shape, generator=generator, dtype=torch.float64)
    e = torch.randn(*shape, 2, generator=generator, dtype=torch.float64)
    z = Huber(1.0).radius(u, 2).unsqueeze(-1) * e / e.norm(dim=-1, keepdim=True)
    far = 60 * torch.rand(*shape, 2, generator=generator, dtype=torch.float64) - 30
    is_wrong = torch.rand(*shape, 1, generator=generator) < wrong
    target = torch.where(is_wrong, far, (1.7 * spread @ z.unsqueeze(-1)).squeeze(-1))
    return torch.zeros_like(target), torch.linalg.inv(spread), target


def calibration() -> Figure:
    """Overconfident predictions, corrected with calibration labels of which a fifth are wrong."""
    generator = torch.Generator().manual_seed(0)
    (mean, root, target), other = predictions(1200, 0.0, generator), predictions(400, 0.2, generator)
    weight = right_labels(*other, Huber(1.0)).probability
    temperature = fit_temperature(*other, Huber(1.0), weight=weight)
    rule = ConformalRadius(tuple("abcdefgh"), mahalanobis(*other), weight)
    results = {
        "as predicted": measure(mean, root, target, Huber(1.0)),
        f"temperature {temperature.tau:.2f}": measure(mean, temperature.apply(root), target, Huber(1.0)),
    }
    return calibration_figure(
        results, unit="px", conformal=rule.coverage(mahalanobis(mean, root, target), CURVE)
    ).figure
