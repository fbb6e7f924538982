"""What holds for every format of annotations."""

from __future__ import annotations

import dataclasses
import importlib
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
from mutants import mutants
from samples import SAMPLES

import steadfit
from steadfit.data import WRITERS, Annotations
from steadfit.data.formats.finding import ANNOTATIONS
from steadfit.errors import ConfigError, DataError, DataWarning

MUTANTS = 60
"""Damaged copies per format here; ``benchmarks/mutations.py`` tries ten thousand."""
POINTS_ONLY = [name for name in WRITERS if name in ANNOTATIONS]


@pytest.fixture(autouse=True)
def quiet() -> None:
    """Warnings about odd data are not what is tested here."""
    warnings.simplefilter("ignore", DataWarning)


def scene(folder: Path, *, boxes: bool = True) -> Annotations:
    """Annotations of five images with every feature that a format may carry, read from a table."""
    rng = np.random.default_rng(3)
    names = ["a b.png", "sub/ß.png", "sub/c.png", "d.png", "e.png"]
    for k, name in enumerate(names):
        path = folder / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 255, (40 + k, 60, 3), dtype=np.uint8)
        path.write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    lines = ["image,x0,y0,v0,x1,y1,v1,x2,y2,v2,left,top,width,height"]
    for row, name in enumerate([names[0], *names]):  # two instances in the first image
        at = np.round(rng.uniform(2, 38, (3, 2)), 3).tolist()
        box = ",".join(str(side) for side in (row, 1, 39, 38.5))
        cells = [f"{x},{y},{v}" for (x, y), v in zip(at, (2, 1 + row % 2, 2), strict=True)]
        cells[2] = ",," if row in (1, 4) else cells[2]
        lines.append(",".join([name, *cells, box]))
    (folder / "annotations.csv").write_text("\n".join(lines), encoding="utf-8")
    about = "points: [nose, left_ear, right_ear]\npairs: [[1, 2]]\nvisibility: codes\n"
    about += "box: [left, top, width, height]\n" if boxes else "box: points\n"
    (folder / "dataset.yaml").write_text(about, encoding="utf-8")
    return steadfit.read(folder, images=folder / "images")


def same(one: Annotations, other: Annotations, *, visible: bool = True, box: bool = True) -> None:
    """Equal rows, whatever their order and that of the points."""
    assert set(one.schema.points) == set(other.schema.points)
    other = other.renumbered(one.schema.points)

    def order(data: Annotations) -> list[int]:
        keys = [
            (name, np.nan_to_num(at, nan=-1e9).round(6).tolist())
            for name, at in zip(data.images, data.target, strict=True)
        ]
        return sorted(range(len(data)), key=keys.__getitem__)

    a, b = one.take(order(one)), other.take(order(other))
    assert a.images == b.images
    np.testing.assert_array_equal(a.target, b.target)
    if visible:
        np.testing.assert_array_equal(a.visible, b.visible)
    if box and a.box is not None:
        np.testing.assert_allclose(a.box, b.box, atol=1e-9)


def test_every_format_has_a_sample_and_its_facts() -> None:
    assert set(SAMPLES) == set(ANNOTATIONS)
    for name, one in ANNOTATIONS.items():
        assert name == one.NAME
        assert one.ABOUT.title
        assert one.ABOUT.sample in ("original", "description")
        assert one.ABOUT.writes == (name in WRITERS)
        assert importlib.import_module(one.__name__).__doc__


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_is_found_by_its_content(name: str, tmp_path: Path) -> None:
    data = steadfit.read(path := SAMPLES[name](tmp_path))
    assert data.format == name
    assert len(data) >= 3
    told = steadfit.read(path, format=name)
    np.testing.assert_array_equal(data.target, told.target)


@pytest.mark.parametrize("name", SAMPLES)
def test_no_other_format_takes_a_sample(name: str, tmp_path: Path) -> None:
    path = SAMPLES[name](tmp_path)
    for other, one in ANNOTATIONS.items():
        if other == name:
            break
        assert not one.is_one(path), other


@pytest.mark.parametrize("name", SAMPLES)
def test_a_damaged_file_is_an_error_of_the_data_or_is_read(name: str, tmp_path: Path) -> None:
    original = SAMPLES[name](tmp_path / "original")
    (scratch := tmp_path / "scratch").mkdir()
    for path, what in mutants(original, scratch, MUTANTS, seed=11):
        for skip_bad in (False, True):
            try:
                steadfit.read(path, format=None if skip_bad else name, skip_bad=skip_bad)
            except (DataError, ConfigError):
                continue
            except Exception as error:
                raise AssertionError(f"{what}: {type(error).__name__}: {error}") from error


@pytest.mark.parametrize("name", POINTS_ONLY)
def test_what_is_written_is_read(name: str, tmp_path: Path) -> None:
    data = scene(tmp_path / "data")
    written = steadfit.write(data, tmp_path / "out", format=name)
    again = steadfit.read(written, images=data.root)
    assert again.format == name
    lost = ANNOTATIONS[name].ABOUT.lost
    if "names" in " ".join(lost):
        again = dataclasses.replace(
            again, schema=dataclasses.replace(again.schema, points=data.schema.points, pairs=())
        )
    same(data, again, visible="visibility" not in lost, box="boxes" not in lost)
    if name not in ("dlc", "lightning-pose"):  # which read a folder by its own rules
        assert steadfit.read(written, format=name, images=data.root).format == name


@pytest.mark.parametrize("name", POINTS_ONLY)
def test_written_again_it_is_the_same_to_the_byte(name: str, tmp_path: Path) -> None:
    data = scene(tmp_path / "data")
    first = steadfit.write(data, tmp_path / "one", format=name)
    second = steadfit.write(steadfit.read(first, images=data.root), tmp_path / "two", format=name)
    files = sorted(file.relative_to(tmp_path / "one") for file in (tmp_path / "one").rglob("*") if file.is_file())
    assert files == sorted(
        file.relative_to(tmp_path / "two") for file in (tmp_path / "two").rglob("*") if file.is_file()
    )
    assert second.relative_to(tmp_path / "two") == first.relative_to(tmp_path / "one")
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes(), file


@pytest.mark.parametrize("name", POINTS_ONLY)
def test_a_copy_with_its_images_needs_no_folder(name: str, tmp_path: Path) -> None:
    data = scene(tmp_path / "data")
    written = steadfit.write(data, tmp_path / "out", format=name, copy_images=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataWarning)
        warnings.filterwarnings("ignore", message=".*(several rows|groups|too few).*")
        again = steadfit.read(written)
    assert all((again.root / image).is_file() for image in again.images or ())
    np.testing.assert_array_equal(np.sort(again.target, axis=0).shape, data.target.shape)


@pytest.mark.parametrize("name", POINTS_ONLY)
def test_the_only_pixel_of_an_image_is_at_0_0(name: str, tmp_path: Path) -> None:
    data = scene(tmp_path / "data")
    (tmp_path / "data" / "images" / "dot.png").write_bytes(
        cv2.imencode(".png", np.zeros((1, 1), np.uint8))[1].tobytes()
    )
    one = data.take([0])
    dot = dataclasses.replace(
        one,
        images=("dot.png",),
        target=np.zeros((1, 3, 2)),
        visible=np.full((1, 3), 2, dtype=np.int8),
        size=np.ones((1, 2)),
        box=np.array([[0.0, 0.0, 1.0, 1.0]]),
    )
    written = steadfit.write(dot, tmp_path / "out", format=name)
    again = steadfit.read(written, images=data.root)
    assert again.images == ("dot.png",)
    np.testing.assert_array_equal(again.target, np.zeros((1, 3, 2)))


@pytest.mark.parametrize("name", [name for name in SAMPLES if name in WRITERS])
def test_an_unchanged_original_is_written_back_unchanged(name: str, tmp_path: Path) -> None:
    original = SAMPLES[name](tmp_path / "original")
    data = steadfit.read(original)
    written = steadfit.write(data, tmp_path / "out", format=name)
    again = steadfit.read(written, images=data.root)
    same(data, again)
    again = steadfit.write(dataclasses.replace(data, target=data.target + 0.25), tmp_path / "moved", format=name)
    np.testing.assert_allclose(steadfit.read(again, images=data.root).target, data.target + 0.25, atol=1e-9)


@pytest.mark.parametrize("name", WRITERS)
def test_the_original_is_never_replaced(name: str, tmp_path: Path) -> None:
    data = scene(tmp_path / "data")
    with pytest.raises(DataError, match="never replaced"):
        steadfit.write(data, data.path, format=name)


@pytest.mark.parametrize("name", ["csv", "parquet"])
def test_tables_carry_everything(name: str, tmp_path: Path) -> None:
    data = scene(tmp_path / "data")
    written = steadfit.write(data, tmp_path / "out", format=name)
    again = steadfit.read(written, images=data.root)
    same(data, again)
    assert (again.schema.pairs, again.schema.box) == (data.schema.pairs, data.schema.box)
