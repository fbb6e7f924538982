"""Tables of images or features with labels, checked and turned into batches."""

from __future__ import annotations

from steadfit.data.dataset import Frame, LabelledDataset
from steadfit.data.images import letterbox, read_image, scan
from steadfit.data.mirror import mirror, permute_labels
from steadfit.data.problems import Problem
from steadfit.data.schema import Schema, parse_pairs
from steadfit.data.standardize import Standardizer
from steadfit.data.table import Annotations, load_annotations

__all__ = [
    "Annotations",
    "Frame",
    "LabelledDataset",
    "Problem",
    "Schema",
    "Standardizer",
    "letterbox",
    "load_annotations",
    "mirror",
    "parse_pairs",
    "permute_labels",
    "read_image",
    "scan",
]
