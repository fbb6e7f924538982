"""The contact sheet: what a tile shows, colours and legend; histograms of targets; the facts as lines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from steadfit.data import Annotations, Schema
from steadfit.reports.brief import listed
from steadfit.reports.contact_sheet import Tile, _view, contact_sheet, target_histograms
from steadfit.reports.palette import SIDES
from steadfit.reports.understood import facts_of, summary_lines

IMAGE = np.full((60, 80, 3), 128, dtype=np.uint8)
POINTS = np.array([[10.0, 10.0], [70.0, 10.0], [40.0, 50.0], [np.nan, np.nan]])
NAMES = ("left eye", "right eye", "nose", "Öhr")


def test_a_sheet_has_a_tile_for_each_row_and_a_legend_of_all_points() -> None:
    tiles = [Tile(IMAGE, f"row {k}", POINTS, np.array([False, True, False, False])) for k in range(8)]
    figure = contact_sheet(tiles, NAMES, pairs=[(0, 1)], limbs=[(0, 2)])
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title("left") for axes in shown] == [f"row {k}" for k in range(8)]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["0 left eye", "1 right eye", "2 nose", "3 Öhr"]
    assert [line.get_markerfacecolor() for line in legend.get_lines()[:2]] == list(SIDES)
    assert {text.get_text() for text in shown[0].texts} == {"0", "1", "2"}  # a missing point is not drawn


def test_a_hollow_point_has_no_face() -> None:
    figure = contact_sheet([Tile(IMAGE, "a", POINTS[:2], np.array([False, True]))], NAMES[:2])
    faces = [len(found.get_facecolor()) for found in figure.axes[0].collections]
    assert faces == [1, 0, 0]


def test_a_large_row_is_shown_in_the_whole_image() -> None:
    assert _view(Tile(IMAGE, "", POINTS), 80, 60) == (-0.5, -0.5, 79.5, 59.5)


def test_a_small_row_is_shown_with_its_surroundings() -> None:
    box = np.array([30.0, 20.0, 10.0, 10.0])
    left, top, right, bottom = _view(Tile(IMAGE, "", np.array([[32.0, 22.0]]), box=box), 80, 60)
    assert 15 < left < 30
    assert 5 < top < 20
    assert 40 < right < 60
    assert 30 < bottom < 45


def test_labels_beyond_the_image_are_shown_up_to_half_of_its_side_away() -> None:
    left, top, right, bottom = _view(Tile(IMAGE, "", np.array([[10.0, 10.0], [500.0, 10.0]])), 80, 60)
    assert (left, top, right, bottom) == (-0.5, -0.5, 79.5 + 40, 59.5)


def test_a_sheet_without_tiles_and_one_of_grey_images_are_drawn() -> None:
    assert contact_sheet([]).axes
    assert contact_sheet([Tile(IMAGE[:, :, 0], "cat")]).axes[0].get_title("left") == "cat"


def test_histograms_of_targets() -> None:
    values = np.array([[1.0, np.nan], [2.0, 3.0], [2.5, 4.0]])
    assert [axes.get_title("left") for axes in target_histograms(["age", "yaw"], values).axes[:2]] == ["age", "yaw"]


def annotations(schema: Schema, target: np.ndarray, **values: object) -> Annotations:
    count = len(target)
    given: dict[str, object] = {"images": None, "features": None, "visible": None, "size": None, "length": None}
    given |= {"split": np.array([*["train"] * (count - 1), "val"]), "line": np.arange(count) + 2} | values
    return Annotations(path=Path("a.csv"), root=Path(), schema=schema, target=target, format="csv", **given)  # type: ignore[arg-type]


def test_three_lines_of_points() -> None:
    target = np.full((4, 2, 2), 5.0)
    target[0, 1] = np.nan
    size = np.tile([[64.0, 48.0]], (4, 1))
    read = annotations(Schema(points=("a", "b"), origin=1), target, images=("1.png", "1.png", "2.png", "3.png"),
                       size=size, visible=np.array([[1, 0], [2, 2], [2, 2], [2, 2]], dtype=np.int8))  # fmt: skip
    assert summary_lines(read) == [
        "Data: CSV table; 4 rows of 3 images; 3 train, 1 val, 0 test (given)",
        "Labels: 2 points; 12.5 % of the labels missing; 14.3 % of the labels occluded; no mirror pairs: nothing is "
        "mirrored",
        "Images: 64 x 48 px; first pixel's centre (0, 0), -1 px added to the file's coordinates; images as they are "
        "shown (EXIF); whole images; no duplicates",
    ]


def test_lines_of_numbers_from_features() -> None:
    target = np.array([1.0, 2.0, 4.0, np.nan])[:, None, None]
    read = annotations(Schema(targets=("age",), features=("x",)), target, features=np.zeros((4, 1)))
    assert summary_lines(read)[1] == "Labels: age 1.00 to 4.00 (median 2.00), 25.0 % missing; 1 feature"
    assert facts_of(read)["targets"] == [{"name": "age", "missing": 0.25, "min": 1.0, "median": 2.0, "max": 4.0}]


@pytest.mark.parametrize(("count", "lines"), [(0, 0), (3, 4), (20, 21), (30, 22)])
def test_long_lists_end_with_where_the_rest_is(count: int, lines: int) -> None:
    texts = listed("problem", ["x" * k for k in range(1, count + 1)])
    assert len(texts) == lines
    assert (texts[-1:] == ["  and 10 more, all of them in check.json"]) == (count > 20)
