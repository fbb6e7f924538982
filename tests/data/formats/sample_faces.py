"""Small data sets of faces, as their authors store them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sample_bodies import write_images

TRAIN, TEST = "trainImageList.txt", "testImageList.txt"
NAMES = ["lfw_5590/Ann A_0001.jpg", "lfw_5590/Bo_0001.jpg", "net_7876/ß_0_0.jpg", "net_7876/_0_1.jpg"]


def _numbers(count: int, seed: int = 5) -> list[list[float]]:
    rng = np.random.default_rng(seed)
    return np.round(rng.uniform(21, 55, (count, 10)) * 4).astype(int).clip(84, 220).__truediv__(4).tolist()


def lfw_net(folder: Path) -> Path:
    """Two lists; the one for training has backslashes and a path with a space."""
    write_images(folder, NAMES)
    lines = [
        f"{name} {20 + k} 57 22 {58 + k} " + " ".join(f"{value:.6f}" for value in values)
        for k, (name, values) in enumerate(zip(NAMES, _numbers(4), strict=True))
    ]
    (folder / TRAIN).write_text("\r\n".join(lines[:3]).replace("/", "\\") + "\r\n", encoding="utf-8")
    (folder / TEST).write_text(lines[3] + "\n", encoding="utf-8")
    return folder


def mtfl(folder: Path) -> Path:
    """Two lists of the same faces, in coordinates that begin with 1, and with a line of one space at the end."""
    write_images(folder, NAMES)
    lines = []
    for name, values in zip(NAMES, _numbers(4), strict=True):
        moved = [*(value + 1 for value in values[::2]), *(value + 1 for value in values[1::2])]
        lines.append(f" {name} " + " ".join(f"{value:.6f}" for value in moved) + " 1 2 2 3")
    (folder / "training.txt").write_text("\r\n".join(lines[:3]).replace("/", "\\").strip() + "\r\n \r\n", "utf-8")
    (folder / "testing.txt").write_text(lines[3], encoding="utf-8")
    return folder


def utkface(folder: Path) -> Path:
    """Six faces, among them the kinds of names that are not as described."""
    names = [
        "26_1_2_20170116174525125.jpg.chip.jpg",
        "100_0_0_20170110183726390.jpg",
        "39_1_20170116174525125.jpg.chip.jpg",
        "53__0_20170116184028385.jpg",
        "24_0_1_20170116220224657 .jpg.chip.jpg",
        "55_0_0_20170116232725357jpg.chip.jpg",
    ]
    write_images(folder, names)
    (folder / "landmark_list.txt").write_text("26_1_2_20170116174525125.jpg -4 71 -4 96\n", encoding="utf-8")
    return folder


def kaggle_faces(folder: Path) -> Path:
    """``training.csv`` with four faces, one of them with four points."""
    names = ["left_eye_center", "right_eye_center", "nose_tip", "mouth_left_corner", "mouth_right_corner", "chin"]
    header = [f"{name}_{axis}" for name in names for axis in "xy"]
    rng = np.random.default_rng(2)
    lines = [",".join([*header, "Image"])]
    for row in range(4):
        cells = [f"{value:.10g}" for value in rng.uniform(10, 80, len(header)).tolist()]
        cells = cells[:8] + [""] * 4 if row == 3 else cells
        lines.append(",".join([*cells, " ".join(str(value) for value in rng.integers(0, 256, 96 * 96).tolist())]))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "training.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def udacity_faces(folder: Path) -> Path:
    """Two tables whose first column has no name; one person is in both."""
    train = ["Ann_Ä_00.jpg", "Bo B_11.jpg", "Cy_20.jpg"]
    test = ["Bo B_12.jpg", "Di_30.jpg"]
    rng = np.random.default_rng(3)
    for split, names in (("training", train), ("test", test)):
        write_images(folder / split, names)
        lines = [",".join(["", *(str(k) for k in range(136))])]
        for row, name in enumerate(names):
            cells = [str(value) for value in rng.integers(5, 55, 136).astype(float).tolist()]
            cells = ["", "", *cells[2:]] if row == 1 else cells
            lines.append(",".join([name, *cells]))
        (folder / f"{split}_frames_keypoints.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder
