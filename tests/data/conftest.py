"""Small tables of drawn images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

HEADER = "image,split,x0,y0,x1,y1"


def draw(seed: int, height: int = 20, width: int = 24) -> np.ndarray:
    """A smooth colour image that no other seed gives."""
    noise = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    return cv2.resize(noise, (width, height))


@pytest.fixture
def images(tmp_path: Path) -> list[str]:
    """Ten PNG files a0.png to a9.png, 24 x 20 px, beside the table."""
    names = [f"a{k}.png" for k in range(10)]
    for k, name in enumerate(names):
        assert cv2.imwrite(str(tmp_path / name), draw(k))
    return names


@pytest.fixture
def rows(images: list[str]) -> list[str]:
    """Ten good rows: six train, two val, two test."""
    split = ["train"] * 6 + ["val"] * 2 + ["test"] * 2
    return [f"{name},{split[k]},{k}.5,{2 * k},{k + 3},{k}.25" for k, name in enumerate(images)]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a CSV file of lines and give its path."""

    def writer(rows: Sequence[str], header: str = HEADER, name: str = "annotations.csv", newline: str = "\n") -> Path:
        path = tmp_path / name
        path.write_bytes(newline.join([header, *rows, ""]).encode())
        return path

    return writer
