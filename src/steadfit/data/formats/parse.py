"""PARSE, Ramanan's people: ``labels.mat`` with an array ``ptsAll``, 14 x 2 x N, next to ``im0001.jpg``, ....

The joints are those of Leeds Sports Pose, in its order. All are annotated, and there is no visibility. Coordinates
count pixels from 1, as MATLAB does.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from steadfit.data.formats import matlab
from steadfit.data.formats.about import About
from steadfit.data.formats.joint_arrays import FIRST, found_at, found_for, joint_source
from steadfit.data.tables.source import Source

NAME = "parse"
ABOUT = About(title="PARSE (labels.mat)", shift=FIRST, exif="ignore")
VARIABLE = "ptsAll"
TRAINING, ALL = 100, 305


def is_one(path: Path) -> bool:
    """Whether a path is the MATLAB file of PARSE, or a folder with it."""
    return found_at(path, VARIABLE, _fits) is not None


def read(path: Path, *, images: Path | None = None) -> Source:
    """The bodies of PARSE: the first 100 are for training, the last 205 for testing.

    A file with another number of images has no split.

    Args:
        path: the folder, or the MATLAB file.
        images: the folder of the images; None: that of the file, or its ``images``.

    Raises:
        DataError: no such array, or a damaged file.

    References:
        Ramanan, Learning to Parse Images of Articulated Bodies, NeurIPS 2006.
    """
    file = found_for(path, VARIABLE, _fits, "14 x 2 x images")
    joints = matlab.array(file, VARIABLE).transpose(2, 0, 1)  # (N, 14, 2)
    return joint_source(
        file,
        format=NAME,
        variable=VARIABLE,
        xy=joints,
        visible=np.where(np.isnan(joints).all(axis=2), 0, 2).astype(np.int8),
        digits=4,
        images=images,
        official=(TRAINING, ALL),
    )


def _fits(shape: tuple[int, ...]) -> bool:
    return len(shape) == 3 and shape[:2] == (14, 2) and shape[2] > 0
