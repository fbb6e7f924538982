"""Layouts of faces: pairs as published, and shapes that are close to their mirror images."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from steadfit.data.formats.face_layouts import FGNET, IBUG, WFLW, Layout, asymmetry, layout_of

DATA = Path(os.environ.get("STEADFIT_DATA", "/none")) / "formats"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs $STEADFIT_DATA/formats, original files of data sets")
IBUG_PAIRS = [
    *((k, 16 - k) for k in range(8)),
    *((17 + k, 26 - k) for k in range(5)),
    *((31, 35), (32, 34), (36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46), (48, 54), (49, 53), (50, 52)),
    *((55, 59), (56, 58), (60, 64), (61, 63), (65, 67)),
]
WFLW_PAIRS = [
    *((k, 32 - k) for k in range(16)),
    *((33 + k, 46 - k) for k in range(5)),
    *((38, 50), (39, 49), (40, 48), (41, 47), (55, 59), (56, 58), (60, 72), (61, 71), (62, 70), (63, 69), (64, 68)),
    *((65, 75), (66, 74), (67, 73), (76, 82), (77, 81), (78, 80), (83, 87), (84, 86), (88, 92), (89, 91), (93, 95)),
    (96, 97),
]


@pytest.mark.parametrize(("layout", "count", "pairs"), [(IBUG, 68, IBUG_PAIRS), (WFLW, 98, WFLW_PAIRS)])
def test_pairs_as_published(layout: Layout, count: int, pairs: list[tuple[int, int]]) -> None:
    assert len(set(layout.points)) == count
    assert {frozenset(pair) for pair in layout.pairs} == {frozenset(pair) for pair in pairs}
    assert all(layout.points[left].startswith("left") for left, _ in layout.pairs)


@pytest.mark.parametrize("layout", [IBUG, WFLW, FGNET])
def test_lines_and_length_are_symmetric(layout: Layout) -> None:
    partner = dict(layout.pairs) | {right: left for left, right in layout.pairs}
    lines = {frozenset(line) for line in layout.limbs}
    assert {frozenset(partner.get(end, end) for end in line) for line in lines} == lines
    assert partner[layout.normalizer[0]] == layout.normalizer[1]
    assert all(layout.points[end].endswith("eye_outer") for end in layout.normalizer)


def test_only_faces_have_a_layout() -> None:
    assert layout_of(68, "face") is IBUG
    assert layout_of(98, "Face of a person") is WFLW
    assert layout_of(68, "person") is None
    assert layout_of(29, "face") is None


def test_asymmetry_in_closed_form() -> None:
    square = np.array([[[0.0, 0], [4, 0], [4, 2], [0, 2]]])
    assert asymmetry(square, [(0, 1), (3, 2)]) == pytest.approx(0, abs=1e-7)
    turned = square @ np.array([[0.6, -0.8], [0.8, 0.6]]) * 3 + 7
    assert asymmetry(turned, [(0, 1), (3, 2)]) == pytest.approx(0, abs=1e-7)
    # centred corners z = (-2-i, 2-i, 2+i, -2+i): without pairs |sum z^2| / sum |z|^2 = 12/20
    assert asymmetry(square, []) == pytest.approx(0.8)
    assert np.isnan(asymmetry(np.full((1, 4, 2), np.nan), []))


def shapes(name: str) -> np.ndarray:
    content = json.loads((DATA / name).read_text())
    return np.array([np.reshape(one["keypoints"], (-1, 3))[:, :2] for one in content["annotations"]], dtype=float)


def pts(pattern: str) -> np.ndarray:
    texts = [file.read_text() for file in sorted(DATA.glob(pattern))]
    words = [text.split("{")[1].split("}")[0].split() for text in texts]
    return np.array(words, dtype=float).reshape(len(texts), -1, 2)


@needs_data
@pytest.mark.parametrize(
    ("source", "layout", "largest"),
    [
        ("mmpose_300w/test_300w.json", IBUG, 0.25),
        ("mmpose_wflw/test_wflw.json", WFLW, 0.25),
        ("mmpose_300vw/*/annot/*.pts", IBUG, 0.5),  # two videos of half profiles
        ("fgnet_original/points/*.pts", FGNET, 0.25),
    ],
)
def test_faces_are_close_to_their_mirror_images(source: str, layout: Layout, largest: float) -> None:
    found = shapes(source) if source.endswith(".json") else pts(source)
    assert len(found) >= 2
    right = asymmetry(found, layout.pairs)
    assert right < largest
    for other in (IBUG, FGNET):
        if other is not layout and len(other.points) == len(layout.points):
            assert asymmetry(found, other.pairs) > max(1.3 * right, 0.5)
    first, second = layout.normalizer  # the right eye is on the left of the picture
    assert (found[:, first, 0] < found[:, second, 0]).all()
    eyes, chin = found[:, [first, second], 1].mean(axis=1), found[:, layout.points.index("chin"), 1]
    assert (eyes < chin).all()
    for name in ("eye_inner", "mouth_corner"):
        left, right_one = (layout.points.index(f"{side}_{name}") for side in ("left", "right"))
        assert (found[:, right_one, 0] < found[:, left, 0]).all()
