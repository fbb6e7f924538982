"""Images are read turned, or as they are stored, as the format says and an option overrides."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from samples import SAMPLES

from steadfit.data import read_source
from steadfit.data.dataset import LabelledDataset
from steadfit.data.formats.finding import ANNOTATIONS
from steadfit.data.loading import read_annotations
from steadfit.errors import DataWarning


@pytest.fixture(autouse=True)
def quiet() -> None:
    warnings.simplefilter("ignore", DataWarning)


@pytest.mark.parametrize("name", SAMPLES)
def test_the_format_says_how_images_are_read(name: str, tmp_path: Path) -> None:
    source = read_source(SAMPLES[name](tmp_path), format=name)
    assert source.schema.exif == ANNOTATIONS[name].ABOUT.exif


def test_an_option_overrides_it(tmp_path: Path) -> None:
    path = SAMPLES["coco"](tmp_path)
    assert read_source(path, options={"exif": "ignore"}).schema.exif == "ignore"


@pytest.mark.parametrize(("format", "bright"), [("labelme", "right"), ("pts", "top")])
def test_the_network_sees_what_was_labelled(format: str, bright: str, tmp_path: Path) -> None:
    """A lying photo, bright at its top, that says it is turned: bright at its right where that is honoured."""
    pixels = np.zeros((20, 20, 3), dtype=np.uint8)
    pixels[:8] = 240
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "a.jpg", exif=exif)
    if format == "pts":
        (tmp_path / "a.pts").write_text("version: 1\nn_points: 2\n{\n4 5\n6 7\n}\n")
    else:
        shape = '{"label": "nose", "points": [[4, 5]], "shape_type": "point", "group_id": null, "flags": {}}'
        head = '{"version": "5.0", "imagePath": "a.jpg", "imageHeight": 20, "imageWidth": 20, "imageData": null'
        (tmp_path / "a.json").write_text(f'{head}, "flags": {{}}, "shapes": [{shape}]}}')
    found = read_annotations(read_source(tmp_path))
    frame = LabelledDataset(found, [0], size=20, channels=1).__getitems__([0])["input"][0, 0].float()
    sides = {"top": frame[:4].mean(), "right": frame[:, -4:].mean()}
    assert max(sides, key=lambda side: float(sides[side])) == bright
