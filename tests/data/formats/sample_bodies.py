"""Small data sets of bodies, as their authors store them."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import scipy.io

RNG_SEED = 5


def write_images(folder: Path, names: list[str], size: tuple[int, int] = (80, 60)) -> None:
    """Grey images of one size."""
    for k, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cv2.imencode(".jpg", np.full((size[1], size[0], 3), 20 * k, dtype=np.uint8))[1].tobytes())


def joints_of(count: int, joints: int) -> np.ndarray:
    """Places (count, joints, 2) that differ, where the first pixel is (1, 1)."""
    rng = np.random.default_rng(RNG_SEED)
    return np.round(rng.uniform(2, 58, (count, joints, 2)), 3)


def lsp(folder: Path, count: int = 4) -> Path:
    """``joints`` (3, 14, N) with one occluded joint."""
    write_images(folder / "images", [f"im{k + 1:04d}.jpg" for k in range(min(count, 4))])
    joints = np.zeros((3, 14, count))
    joints[:2] = joints_of(count, 14).transpose(2, 1, 0)
    joints[2, 5, 1] = 1
    scipy.io.savemat(folder / "joints.mat", {"joints": joints}, do_compression=True)
    return folder


def lspet(folder: Path) -> Path:
    """``joints`` (14, 3, N) with two joints that are not annotated, one of them with coordinates."""
    write_images(folder / "images", [f"im{k + 1:05d}.jpg" for k in range(4)])
    joints = np.ones((14, 3, 4))
    joints[:, :2] = joints_of(4, 14).transpose(1, 2, 0)
    joints[3, :, 0] = 0, -26.5, 0
    joints[4, :, 2] = 0
    scipy.io.savemat(folder / "joints.mat", {"joints": joints})
    return folder


def parse(folder: Path) -> Path:
    """``ptsAll`` (14, 2, N), next to the images."""
    write_images(folder, [f"im{k + 1:04d}.jpg" for k in range(4)])
    values = {"ptsAll": joints_of(4, 14).transpose(1, 2, 0), "segmentTypes": np.arange(14.0)[None]}
    scipy.io.savemat(folder / "labels.mat", values)
    return folder


def mpii(folder: Path) -> Path:
    """``RELEASE`` with two persons in one image, one of them in one joint, and a test image without joints."""
    places = joints_of(4, 16).tolist()
    flags = {0: 1, 1: 0, 2: "1", 3: "0", 8: np.zeros((0, 0))}

    def point(person: int, k: int) -> dict[str, object]:
        x, y = places[person][k]
        visible = {} if k == 9 else {"is_visible": flags.get(k, 1)}
        return {"x": x, "y": y, "id": k, **visible}

    def person(number: int, ids: list[int]) -> dict[str, object]:
        points = _structs([point(number, k) for k in ids], ("x", "y", "id", "is_visible"))
        return {
            **{"x1": 10.0, "y1": 10.0, "x2": 13.0, "y2": 14.0},
            **{"scale": 0.2, "objpos": {"x": 30.0 + number, "y": 28.0}},
            "annopoints": {"point": points},
        }

    keys = ("x1", "y1", "x2", "y2", "scale", "objpos", "annopoints")
    bare = {"scale": 1.0, "objpos": {"x": 5.0, "y": 6.0}}
    every = list(range(16))
    entries = [
        ("one.jpg", [person(0, every), person(1, [13])], 3),
        ("two.jpg", [person(2, [*range(15, 5, -1)])], 7),
        ("three.jpg", [person(3, every), bare], 4),
        ("test.jpg", [bare, bare], 5),
        ("empty.jpg", [], 5),
    ]
    write_images(folder / "images", [name for name, _, _ in entries])
    listed = [
        {"image": {"name": name}, "annorect": _structs(persons, keys), "frame_sec": [], "vididx": video}
        for name, persons, video in entries
    ]
    release = {
        "annolist": _structs(listed, ("image", "annorect", "frame_sec", "vididx")),
        "img_train": np.array([[1, 1, 1, 0, 0]]),
        "version": "12",
    }
    scipy.io.savemat(folder / "mpii_human_pose_v1_u12_1.mat", {"RELEASE": release}, do_compression=True)
    return folder


def _structs(values: list[dict[str, object]], keys: tuple[str, ...]) -> np.ndarray:
    """An array of structures, 1 x n; empty fields where a value has none."""
    found = np.empty((1, len(values)) if values else (0, 0), dtype=[(key, object) for key in keys])
    for k, value in enumerate(values):
        for key in keys:
            found[0, k][key] = value.get(key, np.zeros((0, 0)))
    return found


def mpii_json(folder: Path) -> Path:
    """A list of four persons, two of them in one image, with joints that are not annotated."""
    names = ["one.jpg", "one.jpg", "sub dir/ß.jpg", "three.jpg"]
    write_images(folder / "images", sorted(set(names)))
    entries = []
    for k, (name, joints) in enumerate(zip(names, joints_of(4, 16).tolist(), strict=True)):
        annotated = [1] * 16
        if k == 1:
            joints[0], joints[5], joints[6] = [-1.0, -1.0], [0, 0], [7.0, 9.0]
            annotated[0] = annotated[6] = 0
        person = {"joints_vis": annotated, "joints": joints, "image": name, "scale": 0.2, "center": [30.0 + k, 28.0]}
        entries.append(person)
    path = folder / "train.json"
    path.write_text(json.dumps(entries, indent=4), encoding="utf-8")
    return path


def mpii_csv(folder: Path) -> Path:
    """Four lines, two of one image."""
    names = ["000000001.jpg", "000000001.jpg", "000000002.jpg", "000000003.jpg"]
    write_images(folder, sorted(set(names)))
    lines = [
        ",".join([name, *(str(value) for value in np.ravel(joints).tolist())])
        for name, joints in zip(names, joints_of(4, 16), strict=True)
    ]
    path = folder / "train_joints.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
