"""Tables of images or features with labels, checked and turned into batches."""

from __future__ import annotations

from steadfit.data.dataset import Batch, LabelledDataset, native_size
from steadfit.data.exchange import WRITERS, read, write
from steadfit.data.formats.finding import is_source, read_class_source, read_source, read_table
from steadfit.data.formats.instances import pose_source
from steadfit.data.images.augment import Warp
from steadfit.data.images.cache import to_tensor
from steadfit.data.images.crops import PadCrop, ScaleCrop, fitted
from steadfit.data.images.files import frame_size, letterbox, open_image, open_picture, read_image
from steadfit.data.images.folders import folder_images
from steadfit.data.images.frame import Frame, frame_map, whole_image
from steadfit.data.images.maps import inverse, jacobian, map_points, mirror_frame
from steadfit.data.images.mirror import mirror, permute_labels
from steadfit.data.images.misplacing import Augmentation, Misplacing, crop_errors
from steadfit.data.images.paths import IMAGE_SUFFIXES, is_image, refuse_archive, resolve_image
from steadfit.data.images.sampling import sample, warp_frames
from steadfit.data.images.scanning import scan
from steadfit.data.images.store import Framing, ImageStore, make_frame, shrink_for
from steadfit.data.loading import load_annotations, load_classes, read_annotations
from steadfit.data.regions import Region, read_regions, regions_of
from steadfit.data.standardize import Standardizer, destandardize, standardize
from steadfit.data.tables.annotations import Annotations
from steadfit.data.tables.boxes import box_of_points
from steadfit.data.tables.gross import warn_gross
from steadfit.data.tables.identity import place_keys
from steadfit.data.tables.problems import Problem
from steadfit.data.tables.schema import Schema, parse_pairs
from steadfit.data.tables.sides import observer_centric
from steadfit.data.tables.source import Source
from steadfit.data.tables.splits import SPLITS

__all__ = [
    "IMAGE_SUFFIXES",
    "SPLITS",
    "WRITERS",
    "Annotations",
    "Augmentation",
    "Batch",
    "Frame",
    "Framing",
    "ImageStore",
    "LabelledDataset",
    "Misplacing",
    "PadCrop",
    "Problem",
    "Region",
    "ScaleCrop",
    "Schema",
    "Source",
    "Standardizer",
    "Warp",
    "box_of_points",
    "crop_errors",
    "destandardize",
    "fitted",
    "folder_images",
    "frame_map",
    "frame_size",
    "inverse",
    "is_image",
    "is_source",
    "jacobian",
    "letterbox",
    "load_annotations",
    "load_classes",
    "make_frame",
    "map_points",
    "mirror",
    "mirror_frame",
    "native_size",
    "observer_centric",
    "open_image",
    "open_picture",
    "parse_pairs",
    "permute_labels",
    "place_keys",
    "pose_source",
    "read",
    "read_annotations",
    "read_class_source",
    "read_image",
    "read_regions",
    "read_source",
    "read_table",
    "refuse_archive",
    "regions_of",
    "resolve_image",
    "sample",
    "scan",
    "shrink_for",
    "standardize",
    "to_tensor",
    "warn_gross",
    "warp_frames",
    "whole_image",
    "write",
]
