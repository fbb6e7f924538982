"""Leeds Sports Pose: ``joints.mat`` with an array 3 x 14 x N, and ``images/im0001.jpg``, ....

The rows of the array are x, y and a flag. The set's README calls it visibility, but 1 means occluded: the joints with 1
lie behind the body. Every joint is annotated. Coordinates count pixels from 1, as MATLAB does.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from steadfit.data.formats import matlab
from steadfit.data.formats.about import About
from steadfit.data.formats.joint_arrays import FIRST, found_at, found_for, joint_source, strange_flags
from steadfit.data.tables.source import Source

NAME = "lsp"
ABOUT = About(title="Leeds Sports Pose (joints.mat)", shift=FIRST, exif="ignore")
VARIABLE = "joints"
TRAINING, ALL = 1000, 2000


def is_one(path: Path) -> bool:
    """Whether a path is the MATLAB file of Leeds Sports Pose, or a folder with it."""
    return found_at(path, VARIABLE, _fits) is not None


def read(path: Path, *, images: Path | None = None) -> Source:
    """The bodies of Leeds Sports Pose: the first 1000 are for training, the last 1000 for testing.

    A file with another number of images has no split.

    Args:
        path: the folder, or the MATLAB file.
        images: the folder of the images; None: ``images``.

    Raises:
        DataError: no such array, or a damaged file.
    """
    file = found_for(path, VARIABLE, _fits, "3 x 14 x images")
    joints = matlab.array(file, VARIABLE)  # (3, 14, N)
    occluded = joints[2].T
    return joint_source(
        file,
        format=NAME,
        variable=VARIABLE,
        xy=joints[:2].transpose(2, 1, 0),
        visible=np.where(occluded == 1, 1, 2).astype(np.int8),
        digits=4,
        images=images,
        official=(TRAINING, ALL),
        problems=strange_flags(occluded),
    )


def _fits(shape: tuple[int, ...]) -> bool:
    return len(shape) == 3 and shape[:2] == (3, 14) and shape[2] > 0
