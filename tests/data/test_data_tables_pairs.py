"""Mirror pairs from names."""

import pytest

from steadfit.data.tables.pairs import pairs_of_names

SIDED = ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
COCO = ("nose", *(f"{side}_{part}" for part in SIDED for side in ("left", "right")))


def named(*points):
    return [(points[left], points[right]) for left, right in pairs_of_names(points)]


def test_words_of_coco():
    assert pairs_of_names(COCO) == tuple((k, k + 1) for k in range(1, 17, 2))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("lefteye", "righteye"),
        ("Left ear", "Right ear"),
        ("EYE.LEFT", "EYE.RIGHT"),
        ("eyeLeft", "eyeRight"),
        ("LEye", "REye"),
        ("eyeL", "eyeR"),
        ("eye_L", "eye_R"),
        ("l_eye", "r_eye"),
        ("lEye", "rEye"),
        ("l1", "r1"),
        ("L", "R"),
        ("forelegL2", "forelegR2"),
        ("paw-l-front", "paw-r-front"),
        ("paw_FL", "paw_FR"),
        ("LB", "RB"),
        ("left_eye_left_corner", "right_eye_right_corner"),
        ("left_eye_right_corner", "right_eye_left_corner"),
        ("Auge links left ä", "Auge links right ä"),
    ],
)
def test_left_comes_first_whatever_the_order(left, right):
    assert named("nose", left, "tail", right) == [(left, right)]
    assert named(right, left) == [(left, right)]


@pytest.mark.parametrize(
    "names",
    [
        ["lip", "rip"],  # one pair of joined letters is an accident
        ["lear", "rear", "leye", "reye", "root"],  # root has no partner, so the letters may mean nothing
        ["Left eye", "right eye"],  # names are compared letter by letter
        ["left_eye", "right_ear"],
        ["bright", "theft"],
        ["eye_left", "right_eye"],
        ["links", "rechts"],
        ["0", "1", "2"],
        ["", "l", "rr"],
        [],
    ],
)
def test_names_without_partner(names):
    assert pairs_of_names(names) == ()


def test_joined_letters_in_two_pairs():
    assert named("lank", "rank", "nose", "rkne", "lkne") == [("lank", "rank"), ("lkne", "rkne")]
    assert named("eyel", "earl", "eyer", "earr", "nose") == [("eyel", "eyer"), ("earl", "earr")]
    assert named("Lear", "Rear", "Leye", "Reye") == [("Lear", "Rear"), ("Leye", "Reye")]


def test_front_and_rear_corners():
    assert named("FL", "FR", "RL", "RR") == [("FL", "FR"), ("RL", "RR")]
    assert named("LF", "RF", "LR", "RR") == [("LF", "RF"), ("LR", "RR")]


def test_a_point_has_one_partner():
    pairs = pairs_of_names(["left_eye_left", "right_eye_right", "left_eye_right", "right_eye_left", "l_eye", "r_eye"])
    ends = [end for pair in pairs for end in pair]
    assert len(pairs) == 3
    assert sorted(ends) == list(range(6))
