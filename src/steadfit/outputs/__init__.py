"""What a network's numbers mean: positions, distributions, heatmaps, classes."""

from __future__ import annotations

from steadfit.outputs.base import Model, Output, OwnLoss, Step, Trusted
from steadfit.outputs.classes import CLASS_LOSSES, Classes
from steadfit.outputs.distributions import Distributions
from steadfit.outputs.heatmaps import HEATMAP_LOSSES, HeatmapReader, Heatmaps
from steadfit.outputs.layers import output_layer, start_output
from steadfit.outputs.positions import Positions

__all__ = [
    "CLASS_LOSSES",
    "HEATMAP_LOSSES",
    "Classes",
    "Distributions",
    "HeatmapReader",
    "Heatmaps",
    "Model",
    "Output",
    "OwnLoss",
    "Positions",
    "Step",
    "Trusted",
    "output_layer",
    "start_output",
]
