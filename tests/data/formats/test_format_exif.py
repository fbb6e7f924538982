"""Images are read turned, or as they are stored, as the format says and an option overrides."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from samples import SAMPLES

import steadfit
from steadfit.data import read_source
from steadfit.data.dataset import LabelledDataset
from steadfit.data.formats.finding import ANNOTATIONS
from steadfit.data.loading import read_annotations
from steadfit.errors import DataWarning


@pytest.fixture(autouse=True)
def quiet() -> None:
    warnings.simplefilter("ignore", DataWarning)


def lying(path: Path) -> None:
    """A photo that is bright at its top, and says that it is to be turned to the right."""
    pixels = np.zeros((20, 20, 3), dtype=np.uint8)
    pixels[:8] = 240
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(path, exif=exif)


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
    lying(tmp_path / "a.jpg")
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


def test_writing_for_images_that_are_read_the_other_way_says_so(tmp_path: Path) -> None:
    lying(tmp_path / "a.jpg")
    (tmp_path / "a.pts").write_text("version: 1\nn_points: 2\n{\n4 5\n6 7\n}\n")
    data = read_annotations(read_source(tmp_path))
    words = r"1 images have an EXIF orientation, the first is 'a.jpg'\. The labels are for images as they are stored"
    with pytest.warns(DataWarning, match=words):
        coco = steadfit.write(data, tmp_path / "coco", format="coco")
    again = read_annotations(read_source(coco, options={"exif": "ignore"}, images=tmp_path))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        steadfit.write(again, tmp_path / "pts", format="pts")  # as they are stored, both
        steadfit.write(data, tmp_path / "same", format="pts")
    assert not [one for one in caught if "EXIF" in str(one.message)]
