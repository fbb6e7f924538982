"""Leeds Sports Pose Extended: ``joints.mat`` with an array 14 x 3 x N, and ``images/im00001.jpg``, ....

The columns of the array are x, y and a flag: 0 means that the joint was not annotated, whatever its coordinates are.
The set is a training set without a split. Coordinates count pixels from 1, as MATLAB does.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from steadfit.data.formats import matlab
from steadfit.data.formats.about import About
from steadfit.data.formats.joint_arrays import FIRST, found_at, found_for, joint_source, strange_flags
from steadfit.data.tables.source import Source

NAME = "lspet"
ABOUT = About(title="Leeds Sports Pose Extended (joints.mat)", shift=FIRST, exif="ignore")
VARIABLE = "joints"


def is_one(path: Path) -> bool:
    """Whether a path is the MATLAB file of Leeds Sports Pose Extended, or a folder with it."""
    return found_at(path, VARIABLE, _fits) is not None


def read(path: Path, *, images: Path | None = None) -> Source:
    """The bodies of Leeds Sports Pose Extended.

    Args:
        path: the folder, or the MATLAB file.
        images: the folder of the images; None: ``images``.

    Raises:
        DataError: no such array, or a damaged file.
    """
    file = found_for(path, VARIABLE, _fits, "14 x 3 x images")
    joints = matlab.array(file, VARIABLE).transpose(2, 0, 1)  # (N, 14, 3)
    annotated = joints[:, :, 2]
    unused = int(((annotated == 0) & (joints[:, :, :2] != 0).any(axis=2)).sum())
    notes = [f"Joints that are marked as not annotated and have coordinates, which are not used: {unused}."]
    return joint_source(
        file,
        format=NAME,
        variable=VARIABLE,
        xy=joints[:, :, :2],
        visible=np.where(annotated == 1, 2, 0).astype(np.int8),
        digits=5,
        images=images,
        problems=strange_flags(annotated),
        notes=notes if unused else [],
    )


def _fits(shape: tuple[int, ...]) -> bool:
    return len(shape) == 3 and shape[:2] == (14, 3) and shape[2] > 0
