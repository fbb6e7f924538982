"""The figure of a cascade's crops: what is drawn where, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.patches import Rectangle

from steadfit.reports.cascade_crops import SIDE, crop_figure

IMAGES = [np.full((40, 60, 3), 80, dtype=np.uint8), np.full((30, 20), 90, dtype=np.uint8)]
ESTIMATE = np.array([[[10.0, 10.0], [30.0, 20.0]], [[5.0, 5.0], [15.0, 25.0]]])
BOXES = {"eyes": np.array([[4.0, 6.0, 16.0, 16.0], [-8.0, -4.0, 20.0, 20.0]])}
FOUND = {"eyes": np.array([[[11.5, 13.5]], [[1.5, 5.5]]])}  # the crops' centres


def test_crops_are_drawn_where_they_lie() -> None:
    figure = crop_figure(IMAGES, ESTIMATE, BOXES, FOUND).figure
    panels = np.array(figure.axes).reshape(2, 2)
    assert [axes.get_title() or axes.get_title("left") for axes in panels[0]] == ["first stage", "eyes"]
    for row in range(2):
        whole, crop = panels[row]
        np.testing.assert_allclose(whole.collections[0].get_offsets(), ESTIMATE[row])
        (box,) = [patch for patch in whole.patches if isinstance(patch, Rectangle)]
        x, y, width, height = BOXES["eyes"][row]
        assert (box.get_x(), box.get_y(), box.get_width(), box.get_height()) == (x - 0.5, y - 0.5, width, height)
        np.testing.assert_allclose(crop.collections[0].get_offsets(), [[(SIDE - 1) / 2] * 2])
        assert crop.images[0].get_array().shape[:2] == (SIDE, SIDE)


def test_a_crop_shows_what_is_in_its_box() -> None:
    image = np.zeros((50, 50), dtype=np.uint8)
    image[20:30, 20:30] = 200
    inside = crop_figure([image], ESTIMATE[:1], {"a": [[20.0, 20.0, 10.0, 10.0]]}, {"a": [[[25.0, 25.0]]]}).figure
    assert (np.asarray(inside.axes[1].images[0].get_array()) > 150).mean() > 0.75  # its rim blends with the dark around
    beside = crop_figure([image], ESTIMATE[:1], {"a": [[0.0, 0.0, 10.0, 10.0]]}, {"a": [[[5.0, 5.0]]]}).figure
    assert not np.asarray(beside.axes[1].images[0].get_array()).any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"estimate": ESTIMATE[:1]}, "estimate of 2 images, got 1"),
        ({"boxes": {"eyes": BOXES["eyes"][:1]}}, "eyes of 2 images, got 1"),
    ],
)
def test_one_row_an_image(changes: dict, message: str) -> None:
    values = {"estimate": ESTIMATE, "boxes": BOXES, "found": FOUND} | changes
    with pytest.raises(ValueError, match=f"crop_figure: expected {message}"):
        crop_figure(IMAGES, **values)
