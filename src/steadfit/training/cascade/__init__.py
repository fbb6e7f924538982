"""Cascades from coarse to fine: one network for all points, then another one for each region, in higher resolution."""

from __future__ import annotations

from steadfit.training.cascade.combining import combined
from steadfit.training.cascade.defaults import default_regions
from steadfit.training.cascade.fit import fit_cascade
from steadfit.training.cascade.run import CoarseToFine, load_cascade

__all__ = ["CoarseToFine", "combined", "default_regions", "fit_cascade", "load_cascade"]
