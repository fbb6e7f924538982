"""Points land on the right pixels."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from steadfit.errors import DataError
from steadfit.reports import palette
from steadfit.reports.overlays import colours, draw_points, to_enlarged, write_image
from steadfit.reports.thumbnails import thumbnail

MIDDLE, SIDES = palette.rgb(palette.MIDDLE), tuple(map(palette.rgb, palette.SIDES))
GREY = np.full((48, 64, 3), 90, dtype=np.uint8)


def centre_of(drawn: Any, background: Any) -> Any:
    """Centre of mass of what was drawn, as (x, y)."""
    weight = np.abs(drawn.astype(float) - background.astype(float)).sum(axis=2)
    y, x = np.mgrid[: weight.shape[0], : weight.shape[1]]
    return np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()


@pytest.mark.parametrize("scale", [1, 3, 6, 8])
@pytest.mark.parametrize("point", [(20.0, 24.0), (31.5, 17.25), (40.3, 30.8)])
def test_a_dot_is_centred_on_its_point(point: tuple[float, float], scale: int) -> None:
    plain = draw_points(GREY, np.full((1, 2), np.nan), scale=scale)
    drawn = draw_points(GREY, [point], scale=scale)
    expected = (np.array(point) + 0.5) * scale - 0.5
    np.testing.assert_allclose(centre_of(drawn, plain), expected, atol=0.15)  # drawn to 1/16 px


@pytest.mark.parametrize("scale", [3, 4, 9])
def test_the_first_pixel(scale: int) -> None:
    np.testing.assert_allclose(to_enlarged(np.zeros(2), scale), (scale - 1) / 2)
    image = np.zeros((20, 20, 3), dtype=np.uint8)
    image[0, 0] = 255
    shown = draw_points(image, np.empty((0, 2)), scale=scale)
    corner = centre_of(shown, np.zeros_like(shown))
    np.testing.assert_allclose(corner, (scale - 1) / 2, atol=0.35 * scale)  # cubic interpolation spreads it


def test_enlargement_and_input_untouched() -> None:
    before = GREY.copy()
    assert draw_points(GREY, [[1.0, 1.0]]).shape == (48 * 6, 64 * 6, 3)
    assert draw_points(np.zeros((500, 300), dtype=np.uint8), [[1.0, 1.0]]).shape == (500, 300, 3)
    np.testing.assert_array_equal(GREY, before)


def test_missing_and_absurd_points_are_left_out() -> None:
    plain = draw_points(GREY, np.empty((0, 2)))
    absurd = [[np.nan, 3.0], [1e30, 2.0], [-1e9, 5.0], [np.inf, 0.0]]
    np.testing.assert_array_equal(draw_points(GREY, absurd, given=absurd, limbs=[(0, 1), (2, 3)]), plain)


def test_limbs_and_given_are_drawn() -> None:
    points = [[10.0, 10.0], [50.0, 10.0]]
    alone = draw_points(GREY, points, scale=6)
    limb = draw_points(GREY, points, limbs=[(0, 1)], scale=6)
    assert np.abs(limb.astype(int) - alone)[63, 180].sum() > 100  # half way between the two
    given = draw_points(GREY, points, given=[[10.0, 30.0], [50.0, 10.0]], scale=6)
    assert given[182, 62].tolist() == [229, 19, 58]  # the cross at (10, 30): (10.5·6 - .5, 30.5·6 - .5)


def test_stick_figures_have_a_colour_for_each_side() -> None:
    """Two arms that meet in the neck: a colour each, also at the ends; what crosses the middle has none."""
    points = [[10.0, 30.0], [30.0, 10.0], [50.0, 30.0], [30.0, 24.0]]
    drawn = draw_points(GREY, points, limbs=[(0, 3), (2, 3), (1, 3), (0, 2)], pairs=[(0, 2)], scale=6)
    ends = {at: tuple(drawn[round(6 * y + 2.5), round(6 * x + 2.5)].tolist()) for at, (x, y) in enumerate(points)}
    assert ends == {0: SIDES[0], 1: MIDDLE, 2: SIDES[1], 3: MIDDLE}
    middles = {(0, 3): SIDES[0], (2, 3): SIDES[1], (1, 3): MIDDLE, (0, 2): MIDDLE}
    for (a, b), colour in middles.items():
        x, y = (np.array(points[a]) + points[b]) / 2
        assert tuple(drawn[round(6 * y + 2.5), round(6 * x + 2.5)].tolist()) == colour


def test_pairs_without_limbs_change_nothing() -> None:
    points = [[10.0, 30.0], [50.0, 30.0]]
    np.testing.assert_array_equal(draw_points(GREY, points, pairs=[(0, 1)]), draw_points(GREY, points))


def test_ellipses_of_a_stick_figure_have_its_colours() -> None:
    around = np.stack([16.0 * np.eye(2)] * 2)
    drawn = draw_points(GREY, [[10.0, 24.0], [50.0, 24.0]], limbs=[(0, 1)], pairs=[(0, 1)], ellipses=around, scale=6)
    for x, colour in zip((10.0, 50.0), SIDES, strict=True):
        assert tuple(drawn[round(6 * 20 + 2.5), round(6 * x + 2.5)].tolist()) == colour  # 4 px above the point


def test_colours_belong_to_the_index() -> None:
    assert colours(3) == colours(5)[:3]
    assert len(set(colours(68))) == 68


@pytest.mark.parametrize(
    ("image", "points", "scale", "error", "message"),
    [
        (GREY.astype(float), [[0, 0]], None, TypeError, "uint8, got float64"),
        (np.zeros((4, 4, 4), np.uint8), [[0, 0]], None, ValueError, r"got \(4, 4, 4\)"),
        (GREY, [0, 0], None, ValueError, r"predicted of shape \(K, 2\), got \(2,\)"),
        (GREY, [[0, 0]], -1.0, ValueError, "scale > 0 and finite, got -1.0"),
    ],
)
def test_errors(image: Any, points: Any, scale: float | None, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        draw_points(image, points, scale=scale)


def test_given_must_fit() -> None:
    with pytest.raises(ValueError, match=r"given of shape \(1, 2\) like predicted, got \(2, 2\)"):
        draw_points(GREY, [[0, 0]], given=[[0, 0], [1, 1]])


def test_write_image_keeps_channels_and_is_atomic(tmp_path: Path) -> None:
    image = GREY.copy()
    image[..., 0] = 200
    path = write_image(image, tmp_path / "a" / "x.png")
    np.testing.assert_array_equal(cv2.imread(str(path))[..., ::-1], image)
    assert os.listdir(path.parent) == ["x.png"]
    with pytest.raises(DataError, match=r"got '\.tx'"):
        write_image(image, tmp_path / "x.tx")


def test_thumbnail_shows_the_labels_where_they_are() -> None:
    image = np.full((40, 40, 3), 90, dtype=np.uint8)
    picture = thumbnail(image, np.array([9.5, 29.5]), np.array([29.5, 9.5]), side=160)
    assert picture.shape == (160, 160, 3)
    assert picture[119:121, 39:41].reshape(-1, 3).mean(axis=0) == pytest.approx([229, 19, 58], abs=25)
    assert thumbnail(image, np.array([3.0]), np.array([4.0])).shape == (152, 152, 3)


def test_thumbnail_keeps_pixel_centres() -> None:
    image = np.zeros((38, 38, 3), dtype=np.uint8)
    image[10, 20] = 255
    picture = thumbnail(image, np.array([1.0]), np.array([1.0]), side=152)  # a scalar: nothing is drawn
    np.testing.assert_allclose(centre_of(picture, np.zeros_like(picture)), [20.5 * 4 - 0.5, 10.5 * 4 - 0.5], atol=0.2)
