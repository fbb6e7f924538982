"""The figure of docs/anchor.md."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from steadfit.losses import AnchorLoss, FocalLoss
from steadfit.reports.palette import FAINT, INK
from steadfit.reports.style import house_style, new_figure

ANCHORS = {0.2: "#D1234C", 0.5: "#E69F00", 0.8: "#0072B2"}
GAMMA = 2.0


@house_style()
def anchor() -> Figure:
    """Loss of a background class and its slope over the class's own score (paper 4, Figs 2 and 4)."""
    figure = new_figure(9.0, 3.4)
    left, right = figure.subplots(1, 2)
    q = torch.linspace(0.005, 0.995, 400, dtype=torch.float64)
    for anchor_at, colour in ANCHORS.items():
        value, slope = _background(AnchorLoss(GAMMA, 0.0, anchor_at), q)
        left.plot(q, value, color=colour, label=f"anchor, q* = {anchor_at:g}")
        right.plot(q, slope, color=colour)
        left.axvline(anchor_at, color=colour, lw=0.8, ls=":")
    for loss, line, label in ((AnchorLoss(0.0), "-", "BCE"), (FocalLoss(GAMMA), "--", "focal")):
        value, slope = _background(loss, q)
        left.plot(q, value, color=INK if label == "BCE" else FAINT, ls=line, label=label)
        right.plot(q, slope, color=INK if label == "BCE" else FAINT, ls=line)
    left.set(title="loss of a wrong class", xlabel="its score q", ylim=(0, 4), xlim=(0, 1))
    right.set(title="slope dl/dq", xlabel="its score q", ylim=(0, 10), xlim=(0, 1))
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels))
    return figure


def _background(loss: nn.Module, q: Tensor) -> tuple[Tensor, Tensor]:
    """The loss of a wrong class with score q, beside a right one that is certain, and its derivative by q."""
    score = q.clone().requires_grad_()
    certain = torch.full_like(score, 60.0)
    rows = [
        loss(torch.stack([z, s]).unsqueeze(0), torch.tensor([0])) for z, s in zip(certain, score.logit(), strict=True)
    ]
    value = torch.stack(rows)
    (slope,) = torch.autograd.grad(value.sum(), score)
    return value.detach(), slope
