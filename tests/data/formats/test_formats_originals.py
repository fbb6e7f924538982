"""Originals are never replaced, and images outside the folder of the images are never copied."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest
import sample_coco
import sample_yolo

import steadfit
from steadfit.errors import DataError, DataWarning


@pytest.fixture(autouse=True)
def quiet() -> None:
    """Warnings about what is lost are not what is tested here."""
    warnings.simplefilter("ignore", DataWarning)


@pytest.mark.parametrize(("build", "format"), [(sample_coco.build, "coco"), (sample_yolo.build, "yolo")])
def test_the_folder_of_the_original_is_refused(tmp_path: Path, build: object, format: str) -> None:
    data = steadfit.read(build(tmp_path))  # type: ignore[operator]
    file = Path(data.path)
    before = file.read_bytes()
    with pytest.raises(DataError, match="expected another path than that of the original"):
        steadfit.write(data, file.parent, format=format)
    assert file.read_bytes() == before


def test_another_format_with_a_file_of_the_same_name_is_refused_in_the_folder_of_the_original(tmp_path: Path) -> None:
    data = steadfit.read(sample_coco.build(tmp_path))
    with pytest.raises(DataError, match="expected another path"):
        steadfit.write(data, tmp_path, format="labelstudio")
    assert steadfit.write(data, tmp_path / "other.json", format="labelstudio").is_file()


@pytest.mark.parametrize("format", ["coco", "dlc", "csv"])
def test_an_image_that_leads_out_of_the_folder_is_not_copied(tmp_path: Path, format: str) -> None:
    file = sample_coco.build(tmp_path)
    (tmp_path / "images" / "c.jpg").rename(tmp_path / "out.jpg")
    content = json.loads(file.read_text(encoding="utf-8"))
    content["images"][2]["file_name"] = "../out.jpg"
    file.write_text(json.dumps(content), encoding="utf-8")
    data = steadfit.read(file, images=tmp_path / "images")
    with pytest.raises(DataError, match="out.jpg': expected an image inside .* which is not copied"):
        steadfit.write(data, tmp_path / "copy" / "set", format=format, copy_images=True)
    assert not list((tmp_path / "copy").rglob("out.jpg"))
