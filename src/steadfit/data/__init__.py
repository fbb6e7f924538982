"""Tables of images or features with labels, checked and turned into batches."""

from __future__ import annotations

from steadfit.data.dataset import LabelledDataset
from steadfit.data.images.augment import Warp
from steadfit.data.images.files import letterbox, read_image, scan
from steadfit.data.images.frame import Frame, frame_map
from steadfit.data.images.maps import inverse, jacobian, map_covariance, map_points, map_precision, mirror_frame
from steadfit.data.images.mirror import mirror, permute_labels
from steadfit.data.images.misplacing import Misplacing, crop_errors
from steadfit.data.images.sampling import sample, warp_frames
from steadfit.data.regions import Region, read_regions
from steadfit.data.standardize import Standardizer
from steadfit.data.tables.annotations import Annotations, load_annotations
from steadfit.data.tables.boxes import box_of_points
from steadfit.data.tables.problems import Problem
from steadfit.data.tables.schema import Schema, parse_pairs
from steadfit.data.tables.sides import observer_centric

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
