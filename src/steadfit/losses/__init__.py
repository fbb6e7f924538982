"""Losses as ``nn.Module``: ``loss(prediction, target, weight=None)``, one weight rule, one reduction rule."""

from steadfit.losses.elliptical import EllipticalLoss
from steadfit.losses.robust import RobustLoss

__all__ = ["EllipticalLoss", "RobustLoss"]
