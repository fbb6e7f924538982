"""FiftyOneDataset: names by the skeleton, shares, missing points in every spelling, and files that FiftyOne imports."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sample_fiftyone import build, keypoint, sample

import steadfit
from steadfit.data.formats import fiftyone
from steadfit.data.formats.fiftyone_writing import share
from steadfit.errors import DataError, DataWarning

pytestmark = pytest.mark.filterwarnings("ignore:.*too few")
NAMES = ("data/one.PNG", "data/zwei Bären.jpg", "data/zwei Bären.jpg", "data/four.png")


def read_json(path: Path) -> Any:
    """The content of a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def change(folder: Path, edit: Any, name: str = "samples.json") -> None:
    """Edit a file of JSON in place."""
    content = read_json(folder / name)
    edit(content)
    (folder / name).write_text(json.dumps(content), encoding="utf-8")


def test_points_have_the_names_of_the_skeleton(tmp_path: Path) -> None:
    data = steadfit.read(build(tmp_path))
    assert (data.format, data.images) == ("fiftyone", NAMES)
    assert data.schema.points == ("nose", "left_eye", "right_eye")
    assert (data.schema.pairs, data.schema.limbs) == (((1, 2),), ((1, 0), (0, 2)))
    np.testing.assert_array_equal(data.target[0], [[32, 12], [28, 24], [np.nan, np.nan]])
    assert data.visible is not None
    assert data.visible.tolist() == [[2, 1, 0], [2, 2, 2], [2, 2, 2], [2, 2, 2]]
    assert data.at is not None
    assert data.at[2] == "samples[1].ground_truth.keypoints[1]"
    assert any("Images without points" in note for note in data.notes)


def test_the_only_pixel_of_an_image_has_its_centre_at_its_first_half(tmp_path: Path) -> None:
    build(tmp_path)
    one = sample(tmp_path, "data/dot.png", (1, 1), [keypoint([[0, 0], [0.5, 0.25], [0, 1]], None)])
    change(tmp_path, lambda content: content.update(samples=[one]))
    data = steadfit.read(tmp_path)
    assert fiftyone.ABOUT.shift == 0
    assert data.target[0].tolist() == [[0, 0], [0.5, 0.25], [0, 1]]


@pytest.mark.parametrize("nan", [math.nan, {"$numberDouble": "NaN"}, None])
def test_a_missing_point_in_every_spelling(tmp_path: Path, nan: object) -> None:
    build(tmp_path)
    change(
        tmp_path,
        lambda c: c["samples"][0]["ground_truth"]["keypoints"][0].update(points=[[0.5, 0.5]] + [[nan] * 2] * 2),
    )
    assert np.isnan(steadfit.read(tmp_path).target[0]).tolist() == [[False] * 2, [True] * 2, [True] * 2]


def test_sizes_come_from_the_images_where_there_is_no_metadata(tmp_path: Path) -> None:
    build(tmp_path)
    change(tmp_path, lambda content: [one.pop("metadata") for one in content["samples"]])
    assert steadfit.read(tmp_path).target[0, 0].tolist() == [32, 12]
    (tmp_path / "data/one.PNG").unlink()
    with pytest.raises(
        DataError, match=r"samples\[0\].ground_truth.keypoints\[0\]: expected the image 'data/one.PNG'.*--im"
    ):
        steadfit.read(tmp_path)


def test_paths_of_another_machine_are_found(tmp_path: Path) -> None:
    build(tmp_path)
    change(tmp_path, lambda c: [one.update(filepath=f"/home/someone/bears/{one['filepath']}") for one in c["samples"]])
    assert steadfit.read(tmp_path).images == NAMES


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda k: k.update(points=[[0, 0]]), r"keypoints\[0\].points: expected 3 points as in the skeleton, got 1"),
        (lambda k: k["points"].__setitem__(1, [0.5]), r"keypoints\[0\].points\[1\]: expected x and y"),
        (lambda k: k["points"].__setitem__(1, ["a", 1]), r"keypoints\[0\].points\[1\]: expected a finite number"),
        (lambda k: k.update(visible=[1, 2]), r"keypoints\[0\].visible: expected a value for each of 3 points, got 2"),
        (lambda k: k.update(visible=[1, 2, 3]), r"keypoints\[0\].visible: expected 0, 1 or 2, got 3"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, edit: Any, message: str) -> None:
    build(tmp_path)
    change(tmp_path, lambda content: edit(content["samples"][0]["ground_truth"]["keypoints"][0]))
    with pytest.raises(DataError, match=rf"samples.json, samples\[0\].ground_truth.{message}"):
        steadfit.read(tmp_path)
    with pytest.warns(DataWarning, match="1 row is left out"):
        assert len(steadfit.read(tmp_path, skip_bad=True)) == 3


def test_predictions_beside_the_annotations_are_not_read_and_mentioned(tmp_path: Path) -> None:
    build(tmp_path)
    change(tmp_path, lambda c: c["samples"][0].update(model={"_cls": "Keypoints", "keypoints": []}))
    data = steadfit.read(tmp_path)
    assert any("'ground_truth' is read, not 'model'" in note for note in data.notes)


def test_without_a_skeleton_points_have_numbers(tmp_path: Path) -> None:
    build(tmp_path)
    (tmp_path / "metadata.json").unlink()
    data = steadfit.read(tmp_path / "samples.json")
    assert data.schema.points == ("0", "1", "2")
    assert any("no skeleton" in note for note in data.notes)


def table(folder: Path) -> steadfit.data.Annotations:
    """Annotations of our own with boxes, groups, visibility and splits."""
    folder.mkdir()
    rows = ["image,split,video,x0,y0,v0,x1,y1,v1,left,top,width,height"]
    for k, split in enumerate(["train", "train", "val", "test"]):
        sample(folder, f"ü {k}.png", (61, 43), [])
        rows.append(f"ü {k}.png,{split},v{k},{10.1 + k},20.3,2,{30.7 / 3},{39.9 - k},{k % 3},1.3,2.7,50.1,40.2")
    (folder / "table.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    about = "points: [a, b]\nlimbs: [[0, 1]]\ngroup: video\nbox: [left, top, width, height]\nvisibility: codes\n"
    (folder / "dataset.yaml").write_text(about, encoding="utf-8")
    return steadfit.read(folder / "table.csv")


def test_everything_that_is_written_is_read_back(tmp_path: Path) -> None:
    data = table(tmp_path / "in")
    written = steadfit.write(data, tmp_path / "out", format="fiftyone")
    back = steadfit.read(written, images=tmp_path / "in")
    assert back.images == data.images
    np.testing.assert_allclose(back.target, data.target, rtol=0, atol=1e-13)
    for name in ("visible", "split", "group"):
        np.testing.assert_array_equal(getattr(back, name), getattr(data, name))
    assert back.box is not None
    assert data.box is not None
    np.testing.assert_allclose(back.box, data.box, rtol=0, atol=1e-13)
    assert (back.schema.points, back.schema.limbs) == (("a", "b"), ((0, 1),))
    again = steadfit.write(back, tmp_path / "again", format="fiftyone")
    for name in ("samples.json", "metadata.json"):
        assert (again.parent / name).read_bytes() == (written.parent / name).read_bytes()
        assert str(tmp_path) not in (written.parent / name).read_text(encoding="utf-8")


def test_copied_images_are_where_the_file_says(tmp_path: Path) -> None:
    data = table(tmp_path / "in")
    written = steadfit.write(data, tmp_path / "out", format="fiftyone", copy_images=True)
    for one in read_json(written)["samples"]:
        assert (written.parent / one["filepath"]).is_file()
    assert steadfit.read(written.parent).images == data.images


def test_the_files_have_what_the_importer_needs(tmp_path: Path) -> None:
    """Checked with the importer of FiftyOne 1.22.1: these keys and kinds are the ones that it uses."""
    written = steadfit.write(table(tmp_path / "in"), tmp_path / "out", format="fiftyone")
    about, one = read_json(written.parent / "metadata.json"), read_json(written)["samples"][0]
    assert about["version"] == "0.24.0"
    assert about["skeletons"] == {"ground_truth": {"labels": ["a", "b"], "edges": [[0, 1]]}}
    fields = {field["name"]: field for field in about["sample_fields"]}
    assert set(one) <= {field["db_field"] for field in fields.values()}
    assert fields["ground_truth"]["embedded_doc_type"] == "fiftyone.core.labels.Keypoints"
    inner = {field["db_field"] for field in fields["ground_truth"]["fields"][0]["fields"]}
    assert set(one["ground_truth"]["keypoints"][0]) - {"_cls"} <= inner
    assert (one["tags"], one["metadata"]["width"], len(one["_id"]["$oid"])) == (["train"], 61, 24)
    assert math.isnan(one["ground_truth"]["keypoints"][0]["points"][1][0])


def test_shares_are_stable() -> None:
    rng = np.random.default_rng(0)
    for value, total in zip(rng.random(3000) * 4000, rng.integers(1, 5000, 3000).astype(float), strict=True):
        found = share(value, total)
        assert abs(found * total - value) <= np.spacing(value)
        assert share(found * total, total) == found


def test_writing_back_changes_only_what_changed(tmp_path: Path) -> None:
    build(tmp_path / "in")
    data = steadfit.read(tmp_path / "in")
    target = data.target.copy()
    target[2, 0] = [8, 5]
    target[2, 2] = np.nan
    written = steadfit.write(data.with_target(target), tmp_path / "out", format="fiftyone")
    expected = read_json(tmp_path / "in/samples.json")
    changed = expected["samples"][1]["ground_truth"]["keypoints"][1]
    found = read_json(written)
    points = found["samples"][1]["ground_truth"]["keypoints"][1].pop("points")
    assert points[:2] == [[0.1, 0.1], [0.701, 0.402]]
    assert np.isnan(points[2]).all()
    changed.pop("points")
    changed["visible"] = [2, 2, 0]
    assert found == expected
    assert (tmp_path / "out/metadata.json").read_bytes() == (tmp_path / "in/metadata.json").read_bytes()
    assert (
        len(steadfit.read(steadfit.write(data.take([0, 1]), tmp_path / "less", format="fiftyone"), images=data.root))
        == 2
    )


def test_several_fields_of_points_without_the_usual_name_are_a_warning(tmp_path: Path) -> None:
    file = build(tmp_path) / "samples.json"

    def rename(content: Any) -> None:
        for one in content["samples"]:
            if "ground_truth" in one:
                one["first"] = one.pop("ground_truth")
                one["other"] = {"_cls": "Keypoints", "keypoints": []}

    change(file.parent, rename)
    with pytest.warns(DataWarning, match="'first' is read, not 'other'. Rename the one to read to 'ground_truth'"):
        steadfit.read(file)
