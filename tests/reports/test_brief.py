"""Long lists in a few words."""

from __future__ import annotations

from steadfit.reports.brief import listed, missing_shares, named


def points(shares: list[float]) -> list[dict[str, object]]:
    return [{"name": str(k), "missing": share} for k, share in enumerate(shares)]


def test_few_points_have_a_share_each() -> None:
    assert missing_shares(points([0.0, 0.25])) == "2, with their share of missing labels: 0 (0 %), 1 (25.0 %)"


def test_many_points_are_told_by_share() -> None:
    assert missing_shares(points([0.0] * 68)) == "68, no label missing: 0 to 67"
    assert missing_shares(points([0.2] * 68)) == "68, 20.0 % of the labels of each missing: 0 to 67"
    text = missing_shares(points([0.0] * 60 + [0.5] * 7 + [1.0]))
    assert text == "68, with their share of missing labels: 67 (100 %), 60 to 66 (50.0 %), 0 to 59 (0 %)"


def test_points_of_all_shares_do_not_fill_a_page() -> None:
    text = missing_shares(points([k / 500 for k in range(500)]))
    assert len(text) < 200
    assert text.endswith(", and 495 others with 98.8 % or less")


def test_names_are_counted_where_they_are_many() -> None:
    assert named(["nose", "1", "2", "3", "9"]) == "nose, 1 to 3, 9"
    assert named([f"p{k}" for k in range(30)], 3) == "p0, p1, p2 and 27 more"


def test_texts_of_one_kind_take_two_lines() -> None:
    texts = [f"t.csv, column 'x{k}': expected labels that vary, got {k} in all 42 training rows." for k in range(68)]
    lines = listed("error", ["t.csv: expected rows.", *texts])
    assert lines == [
        "69 errors:",
        "  t.csv: expected rows.",
        f"  {texts[0]}\n    and 67 more of this kind: column 'x1'; column 'x2'; column 'x3'; …",
    ]


def test_files_of_one_kind_are_named() -> None:
    lines = listed("problem", [f"d/{k}.json: expected an image, got no file at '{k}.png'." for k in range(5)])
    assert lines[1].endswith("and 4 more of this kind: d/1.json; d/2.json; d/3.json; …")


def test_texts_of_several_kinds_stay_apart_and_most_lines_are_kept_in_bounds() -> None:
    words = ["one", "two", "three"]
    assert listed("note", words) == ["3 notes:", "  one", "  two", "  three"]
    many = listed("note", [chr(97 + k // 26) + chr(97 + k % 26) for k in range(50)])
    assert len(many) == 22
    assert many[-1] == "  and 30 more, all of them in check.json"
    assert listed("note", []) == []
