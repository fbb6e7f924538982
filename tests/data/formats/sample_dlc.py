"""Small DeepLabCut projects, as the program writes them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

CONFIG = """# Project definitions (do not edit)
Task: mice
scorer: Ann
date: Oct30
multianimalproject: {several}

project_path: C:\\Users\\ann\\mice-Ann

video_sets:
  C:\\Users\\ann\\mice-Ann\\videos\\m 1.avi:
    crop: 0, 64, 0, 48
  C:\\Users\\ann\\mice-Ann\\videos\\mäuse.avi:
    crop: 10, 74, 20, 68
{points}
skeleton:
- - snout
  - leftear
- - snout
  - tail
skeleton_color: black
"""
ONE = "bodyparts:\n- snout\n- leftear\n- rightear\n- tail\n"
SEVERAL = """individuals:
- mouse1
- mouse2
uniquebodyparts:
- corner
multianimalbodyparts:
- snout
- leftear
- rightear
bodyparts: MULTI!
"""


def draw(folder: Path, names: list[str]) -> None:
    """Grey frames of 64 x 48 px."""
    for k, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cv2.imencode(".png", np.full((48, 64, 3), 30 * k, dtype=np.uint8))[1].tobytes())


def write(path: Path, text: str) -> Path:
    """A file with exactly this text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode("utf-8"))
    return path


def build(folder: Path) -> Path:
    """Two videos with two mice, and a corner that an image has once; the path of a frame has three columns."""
    people = ["mouse1"] * 6 + ["mouse2"] * 6 + ["single"] * 2
    parts = ["snout", "snout", "leftear", "leftear", "rightear", "rightear"] * 2 + ["corner"] * 2
    header = [
        ",".join(["scorer", "", "", *["Ann"] * 14]),
        ",".join(["individuals", "", "", *people]),
        ",".join(["bodyparts", "", "", *parts]),
        ",".join(["coords", "", "", *["x", "y"] * 7]),
    ]
    first = [
        "labeled-data,m 1,img 1.png,10.5,20,11,21.25,,,30,31,32,33,34,35,1,2",
        "labeled-data,m 1,img2.png,10.25,20.0,11,21,12,22,,,,,,,,",
    ]
    second = ["labeled-data,mäuse,imgß.png,5,6,7,8,9,10,15,16,,,19,20,,", "labeled-data,mäuse,img4.png" + "," * 14]
    for video, rows in (("m 1", first), ("mäuse", second)):
        table = folder / "labeled-data" / video / "CollectedData_Ann.csv"
        write(table, "\n".join([*header, *rows]) + "\n")
    frames = ["m 1/img 1.png", "m 1/img2.png", "mäuse/imgß.png", "mäuse/img4.png"]
    draw(folder / "labeled-data", frames)
    write(folder / "config.yaml", CONFIG.format(several="true", points=SEVERAL))
    return folder


def of_one(folder: Path) -> Path:
    """One video with one mouse, in the older style: the path has one column."""
    lines = [
        "scorer" + ",Ann" * 6,
        "bodyparts,snout,snout,leftear,leftear,7,7",
        "coords" + ",x,y" * 3,
        "labeled-data\\m1\\a.png,1.50,2,3.0,4,,",
        "labeled-data/m1/b.png,5,6,NaN,NaN,7,8",
        "labeled-data/m1/c.png,,,,,,",
    ]
    write(folder / "labeled-data" / "m1" / "CollectedData_Ann.csv", "\r\n".join(lines) + "\r\n")
    draw(folder / "labeled-data" / "m1", ["a.png", "b.png", "c.png"])
    write(folder / "config.yaml", CONFIG.format(several="false", points=ONE))
    return folder
