"""steadfit check: what was understood, everything wrong, the contact sheet; and the three lines of fit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from typer.testing import Result

Steadfit = Callable[..., Result]


def facts(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "check.json").read_text(encoding="utf-8"))
    return found


def test_faces(faces: Path, steadfit: Steadfit, tmp_path: Path) -> None:
    result = steadfit("check", faces, "-o", tmp_path)
    assert result.exit_code == 0, result.output
    assert "rows: 60 rows of 60 images" in result.stdout
    assert "splits: 40 train, 10 val, 10 test (given)" in result.stdout
    assert "left_eye - right_eye" in result.stdout
    assert "pixels: first pixel's centre (0, 0), nothing added to the file's coordinates" in result.stdout
    assert "Nothing here would stop 'steadfit fit'." in result.stdout
    found = facts(tmp_path)
    assert found["format_version"] == 1
    assert (found["format"], found["rows"], found["images"], found["errors"]) == ("csv", 60, 60, [])
    assert [point["missing"] for point in found["points"]] == [0.0] * len(found["points"])
    sheet = cv2.imread(str(tmp_path / "contact_sheet.png"))
    assert sheet is not None
    assert min(sheet.shape[:2]) > 500


def test_what_is_wrong_is_listed_at_once(own_faces: Path, steadfit: Steadfit, tmp_path: Path) -> None:
    table = pd.read_csv(own_faces / "annotations.csv").astype({"x1": object})
    table.loc[3, "x1"] = "wide"
    table.loc[7, "image"] = "images/none.png"
    table.to_csv(own_faces / "annotations.csv", index=False)
    result = steadfit("check", own_faces, "-o", tmp_path)
    assert result.exit_code == 1, result.output
    assert "2 problems:" in result.stdout.lower()
    assert "line 5, column 'x1': expected a number, got 'wide'" in result.stdout
    assert "line 9, column 'image'" in result.stdout
    assert "2 errors would stop 'steadfit fit'" in result.stdout
    assert len(facts(tmp_path)["errors"]) == 2
    assert steadfit("check", own_faces, "-o", tmp_path, "--skip-bad").exit_code == 0


def test_what_stops_a_training_is_an_error_even_with_skip_bad(
    own_faces: Path, steadfit: Steadfit, tmp_path: Path
) -> None:
    table = pd.read_csv(own_faces / "annotations.csv").assign(split="test", x1=5.0)
    table.to_csv(own_faces / "annotations.csv", index=False)
    result = steadfit("check", own_faces, "-o", tmp_path, "--skip-bad")
    assert result.exit_code == 1, result.output
    assert "expected rows of the split 'train', got none" in result.stdout


def test_warnings_are_part_of_the_facts(own_faces: Path, steadfit: Steadfit, tmp_path: Path) -> None:
    table = pd.read_csv(own_faces / "annotations.csv")
    columns = [name for name in table if name[0] in "xy" and name[1:].isdecimal()]
    table[columns] = table[columns] / 24
    table.to_csv(own_faces / "annotations.csv", index=False)
    result = steadfit("check", own_faces, "-o", tmp_path)
    assert "--coordinates shares" in result.stdout
    assert any("--coordinates shares" in text for text in facts(tmp_path)["warnings"])
    result = steadfit("check", own_faces, "-o", tmp_path, "--coordinates", "shares")
    assert facts(tmp_path)["warnings"] == []
    assert "which are shares of width and height" in result.stdout


def test_features_get_histograms(features: Callable[..., Path], steadfit: Steadfit, tmp_path: Path) -> None:
    table = features(tmp_path / "table.csv")
    result = steadfit("check", table, "--targets", "age", "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "targets: age " in result.stdout
    assert "features: 3 features" in result.stdout
    assert (tmp_path / "out" / "targets.png").is_file()


def test_classes(steadfit: Steadfit, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for k in range(12):
        path = tmp_path / "data" / "ab"[k % 2] / f"{k}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), rng.integers(0, 255, (16, 16, 3)))
    result = steadfit("check", tmp_path / "data", "--task", "classification", "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "classes: 2 classes" in result.stdout
    assert sum(facts(tmp_path / "out")["classes"]["a"].values()) == 6
    assert (tmp_path / "out" / "contact_sheet.png").is_file()


def test_nothing_that_can_be_read(steadfit: Steadfit, fails: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"images": [')
    fails(steadfit("check", tmp_path / "a.json", "-o", tmp_path / "out"), 3, "a.json")


def test_fit_tells_in_three_lines(trained: tuple[Path, Result]) -> None:
    lines = trained[1].stdout.splitlines()[:3]
    assert [line.split(":")[0] for line in lines] == ["Data", "Labels", "Images"]
    assert lines[0] == "Data: CSV table; 60 rows of 60 images; 40 train, 10 val, 10 test (given)"
    assert "mirror pair" in lines[1]
    assert "24 x 24 px" in lines[2]


def test_many_points_and_many_errors_of_a_kind_take_few_lines(
    own_faces: Path, steadfit: Steadfit, tmp_path: Path
) -> None:
    images = pd.read_csv(own_faces / "annotations.csv")["image"]
    points = {f"{axis}{k}": float(k) for k in range(68) for axis in "xy"}
    pd.DataFrame({"image": images, **points}).to_csv(own_faces / "many.csv", index=False)
    (own_faces / "dataset.yaml").unlink()
    result = steadfit("check", own_faces / "many.csv", "-o", tmp_path)
    assert result.exit_code == 1, result.output
    assert "points: 68, no label missing: 0 to 67" in result.stdout
    assert "column 'x0': expected labels that vary" in result.stdout
    assert "and 135 more of this kind: column 'y0'; column 'x1'; column 'y1'; …" in result.stdout
    assert "136 errors would stop" in result.stdout
    assert len(result.stdout) < 4000
    found = facts(tmp_path)
    assert (len(found["points"]), len(found["errors"])) == (68, 136)


def test_nothing_to_learn_is_one_error(own_faces: Path, steadfit: Steadfit, tmp_path: Path) -> None:
    pd.read_csv(own_faces / "annotations.csv")[["image"]].assign(yaw=1.0).to_csv(own_faces / "t.csv", index=False)
    (own_faces / "dataset.yaml").unlink()
    result = steadfit("check", own_faces / "t.csv", "-o", tmp_path)
    assert result.exit_code == 1, result.output
    assert "points:" not in result.stdout
    assert "name any other targets with --targets" in result.stdout
    assert "1 error would stop" in result.stdout


def test_classes_are_told_with_their_sizes(steadfit: Steadfit, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for k in range(15):
        path = tmp_path / "data" / ("NA" if k % 3 else "DE") / f"{k}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), rng.integers(0, 255, (16, 16, 3)))
    result = steadfit("check", tmp_path / "data", "--task", "classification", "-o", tmp_path / "out")
    assert "class sizes: DE (5), NA (10)" in result.stdout


def test_repeated_rows_of_features_are_counted(
    features: Callable[..., Path], steadfit: Steadfit, tmp_path: Path
) -> None:
    table = pd.read_csv(features(tmp_path / "table.csv"))
    pd.concat([table, table.head(7)]).to_csv(tmp_path / "table.csv", index=False)
    result = steadfit("check", tmp_path / "table.csv", "--targets", "age", "-o", tmp_path / "out")
    assert "duplicates: 7 rows with the same features as an earlier row" in result.stdout
