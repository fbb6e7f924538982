"""Losses as ``nn.Module``: ``loss(prediction, target, weight=None)``, with one rule for weights and for reductions."""

from steadfit.losses.anchor import AnchorLoss
from steadfit.losses.elliptical import EllipticalLoss
from steadfit.losses.focal import FocalLoss
from steadfit.losses.hard import OHEMLoss, OHKMLoss
from steadfit.losses.heatmap import HeatmapAnchorLoss, HeatmapMSELoss
from steadfit.losses.robust import RobustLoss
from steadfit.losses.softmax import CrossEntropyLoss
from steadfit.losses.warmup import WarmUpLoss

__all__ = [
    "AnchorLoss",
    "CrossEntropyLoss",
    "EllipticalLoss",
    "FocalLoss",
    "HeatmapAnchorLoss",
    "HeatmapMSELoss",
    "OHEMLoss",
    "OHKMLoss",
    "RobustLoss",
    "WarmUpLoss",
]
