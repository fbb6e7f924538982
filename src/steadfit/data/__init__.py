"""Tables of images or features with labels, checked and turned into batches."""

from __future__ import annotations

from steadfit.data.augment import Warp
from steadfit.data.boxes import box_of_points
from steadfit.data.dataset import LabelledDataset
from steadfit.data.frame import Frame, frame_map
from steadfit.data.images import letterbox, read_image, scan
from steadfit.data.mirror import mirror, permute_labels
from steadfit.data.misplacing import Misplacing, crop_errors
from steadfit.data.problems import Problem
from steadfit.data.regions import Region, read_regions
from steadfit.data.sampling import sample, warp_frames
from steadfit.data.schema import Schema, parse_pairs
from steadfit.data.sides import observer_centric
from steadfit.data.standardize import Standardizer
from steadfit.data.table import Annotations, load_annotations
from steadfit.data.warp import inverse, jacobian, map_covariance, map_points, map_precision, mirror_frame

__all__ = [
    "Annotations",
    "Frame",
    "LabelledDataset",
    "Misplacing",
    "Problem",
    "Region",
    "Schema",
    "Standardizer",
    "Warp",
    "box_of_points",
    "crop_errors",
    "frame_map",
    "inverse",
    "jacobian",
    "letterbox",
    "load_annotations",
    "map_covariance",
    "map_points",
    "map_precision",
    "mirror",
    "mirror_frame",
    "observer_centric",
    "parse_pairs",
    "permute_labels",
    "read_image",
    "read_regions",
    "sample",
    "scan",
    "warp_frames",
]
