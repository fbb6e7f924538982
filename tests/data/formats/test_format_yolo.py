"""YOLO-pose: layouts, values, names and what Ultralytics does with them; writing that reads back exactly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from sample_yolo import build, image, labels

import steadfit
from steadfit.data.exchange import WRITERS
from steadfit.data.formats import yolo
from steadfit.data.formats.finding import read_source
from steadfit.data.formats.yolo_lines import line_of, read_line, share
from steadfit.data.formats.yolo_sets import label_of
from steadfit.errors import DataError, DataWarning

NAMES = ("images/train/one.PNG", "images/train/zwei Mäuse.jpg", "images/train/zwei Mäuse.jpg", "images/val/three.jpg")


def describe(folder: Path, **more: object) -> Path:
    """Write a data.yaml of two points."""
    content = {"train": "images", "val": "images", "kpt_shape": [2, 3], "names": ["mouse"]} | more
    file = folder / "data.yaml"
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return file


def one_image(folder: Path, *lines: str, size: tuple[int, int] = (100, 50), **more: object) -> Path:
    """Write a set of one image."""
    image(folder / "images/a.png", size)
    labels(folder / "labels/a.txt", *lines)
    return describe(folder, **more)


def test_points_are_shares_times_the_size_and_names_pairs_boxes_and_splits_come_along(tmp_path: Path) -> None:
    data = steadfit.read(build(tmp_path))
    assert (data.format, data.images, data.schema.points) == ("yolo", NAMES, ("nose", "left_ear", "right_ear"))
    assert data.schema.pairs == ((1, 2),)
    np.testing.assert_array_equal(data.target[0], [[32, 12], [28, 24], [np.nan, np.nan]])
    assert data.visible is not None
    assert data.visible.tolist() == [[2, 1, 0], [2, 2, 2], [2, 2, 1], [2, 2, 2]]
    assert data.box is not None
    assert data.box[1].tolist() == [10, 12.5, 20, 25]
    assert data.split.tolist() == ["train", "train", "train", "val"]
    assert data.at is not None
    assert data.at[2] == "labels/train/zwei Mäuse.txt, line 2"
    assert any("Images without labels: 1." in note for note in data.notes)


def test_the_only_pixel_of_an_image_has_its_centre_at_its_first_half(tmp_path: Path) -> None:
    file = one_image(tmp_path, "0 0.5 0.5 1 1 0 0 2 0.5 0.25 2", size=(1, 1))
    data = steadfit.read(file)
    assert yolo.ABOUT.shift == 0
    assert data.target[0].tolist() == [[0, 0], [0.5, 0.25]]
    assert data.box is not None
    assert data.box[0].tolist() == [0, 0, 1, 1]
    again = steadfit.read(steadfit.write(data, tmp_path / "out", format="yolo"), images=tmp_path)
    assert again.target.tolist() == data.target.tolist()


def test_a_folder_is_found_by_its_description_whatever_that_is_called(tmp_path: Path) -> None:
    file = build(tmp_path)
    assert read_source(tmp_path).format == "yolo"
    file.rename(tmp_path / "mice-pose.yaml")
    assert read_source(tmp_path).format == "yolo"


def test_a_bare_folder_is_read_where_its_labels_leave_no_doubt(tmp_path: Path) -> None:
    build(tmp_path).unlink()
    data = steadfit.read(tmp_path)
    assert (data.images, data.schema.points) == (NAMES, ("0", "1", "2"))
    assert any("no data.yaml" in note for note in data.notes)


def test_a_bare_folder_of_masks_is_not_taken_for_points(tmp_path: Path) -> None:
    image(tmp_path / "images/a.png", (10, 10))
    labels(tmp_path / "labels/a.txt", "0 0.1 0.1 0.9 0.1 0.9 0.9 0.1 0.9")
    assert not yolo.is_one(tmp_path)


@pytest.mark.parametrize(
    ("entry", "images"),
    [
        ("train/images", "train/images"),
        ("../train/images", "train/images"),
        (["images/a", "images/b"], "images/a"),
        ("/home/someone/mice/images/train", "images/train"),
        ("C:\\mice\\images\\train", "images/train"),
    ],
)
def test_folders_of_every_layout_are_followed(tmp_path: Path, entry: object, images: str) -> None:
    (tmp_path / "images/b").mkdir(parents=True)
    image(tmp_path / "images/b/b.png", (10, 10))
    image(tmp_path / images / "a.JPEG", (10, 10))
    labels(tmp_path / label_of(f"{images}/a.JPEG"), "0 0.5 0.5 1 1 0.1 0.1 2 0.2 0.2 2")
    data = steadfit.read(describe(tmp_path, train=entry, val=None))
    assert data.images == (f"{images}/a.JPEG",)
    assert data.target[0].tolist() == [[1, 1], [2, 2]]


def test_lists_of_images_may_be_relative_to_them_or_come_from_another_machine(tmp_path: Path) -> None:
    file = build(tmp_path)
    (tmp_path / "train.txt").write_text(
        "./images/train/one.PNG\n/data/mice/images/train/zwei Mäuse.jpg\n", encoding="utf-8"
    )
    (tmp_path / "val.txt").write_bytes(b"images\\val\\three.jpg\r\n")
    content = yaml.safe_load(file.read_text(encoding="utf-8")) | {"train": "train.txt", "val": "val.txt"}
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    assert steadfit.read(file).images == NAMES


def test_images_may_be_elsewhere(tmp_path: Path) -> None:
    file = build(tmp_path / "set")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "set/images").rename(tmp_path / "pictures/images")
    with pytest.raises(DataError, match=r"labels/train/one.txt: expected an image images/train/one.\*.*--images"):
        steadfit.read(file)
    assert steadfit.read(file, images=tmp_path / "pictures").images == NAMES
    inside = steadfit.read(file, images=tmp_path / "pictures/images")
    assert inside.images == tuple(name.removeprefix("images/") for name in NAMES)


def test_an_image_that_a_list_names_and_that_is_not_there_is_a_problem_of_its_row(tmp_path: Path) -> None:
    file = one_image(tmp_path, "0 0.5 0.5 1 1 0.1 0.1 2 0.2 0.2 2", train="all.txt", val=None)
    labels(tmp_path / "labels/b.txt", "0 0.5 0.5 1 1 0.1 0.1 2 0.2 0.2 2")
    (tmp_path / "all.txt").write_text("./images/a.png\n./images/b.png\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"labels/b.txt: expected the image 'images/b.png'.*--images"):
        steadfit.read(file)
    with pytest.warns(DataWarning, match="1 row is left out"):
        assert steadfit.read(file, skip_bad=True).images == ("images/a.png",)


@pytest.mark.parametrize("path", ["../../elsewhere", "a/../../b", "images/../../../etc"])
def test_no_path_leaves_the_folder(tmp_path: Path, path: str) -> None:
    file = one_image(tmp_path / "in" / "here", "0 0.5 0.5 1 1 0.1 0.1 2 0.2 0.2 2", train=path, val=None)
    image(tmp_path / "elsewhere/secret.png", (10, 10))
    with pytest.raises(DataError, match="data.yaml, train: expected a (path inside the folder|folder or a list)"):
        steadfit.read(file)


def test_links_to_labels_outside_are_not_followed(tmp_path: Path) -> None:
    file = one_image(tmp_path / "set", train="images", val=None)
    (tmp_path / "secret.txt").write_text("0 0.5 0.5 1 1 0.1 0.1 2 0.2 0.2 2\n", encoding="utf-8")
    (tmp_path / "set/labels/a.txt").unlink()
    (tmp_path / "set/labels/a.txt").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(DataError, match="got a link to a file outside"):
        steadfit.read(file)


def test_download_is_never_run(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    file = one_image(tmp_path, "0 0.5 0.5 1 1 0.1 0.1 2 0.2 0.2 2", download=f"open({str(mark)!r}, 'w').close()")
    data = steadfit.read(file)
    assert any("download" in note for note in data.notes)
    with pytest.warns(DataWarning, match="download"):
        written = steadfit.write(data, tmp_path / "out", format="yolo")
    assert "download" not in written.read_text(encoding="utf-8")
    assert not mark.exists()


def test_tags_of_python_in_yaml_are_refused(tmp_path: Path) -> None:
    file = one_image(tmp_path)
    file.write_text("kpt_shape: [2, 3]\ntrain: !!python/object/apply:os.getcwd []\n", encoding="utf-8")
    with pytest.raises(DataError, match="data.yaml, line 2: expected YAML"):
        steadfit.read(file)


def test_with_two_values_a_point_at_the_origin_is_missing(tmp_path: Path) -> None:
    data = steadfit.read(one_image(tmp_path, "0 0.5 0.5 1 1 0 0 0.2 0.2", kpt_shape=[2, 2]))
    assert data.visible is not None
    assert data.visible.tolist() == [[0, 2]]
    assert np.isnan(data.target[0, 0]).all()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0.5 0.5 1 1 0.1 0.1 2 0.2 0.2", "expected 11 values .*got 10"),
        ("0 0.5 0.5 1 1 0.1 0.1 2 0.2 0.2 0.9", "line 1, value 11: expected a visibility of 0, 1 or 2, got 0.9"),
        ("0 0.5 0.5 1 1 0.1 nan 2 0.2 0.2 2", "line 1, value 7: expected a finite number, got 'nan'"),
        ("0 0.5 0.5 1 1 0.1 x 2 0.2 0.2 2", "line 1, value 7: expected a finite number, got 'x'"),
        (
            "0 0.5 0.5 1 1 64.5 0.1 2 0.2 0.2 2",
            "value 6: expected a share .*got 64.5. Ultralytics leaves out the whole",
        ),
        ("0 0.5 0.5 1 -1 0.1 0.1 2 0.2 0.2 2", "value 5: expected a share"),
        ("0.5 0.5 0.5 1 1 0.1 0.1 2 0.2 0.2 2", "value 1: expected the number of a class, got 0.5"),
        ("7 0.5 0.5 1 1 0.1 0.1 2 0.2 0.2 2", "value 1: expected one of 1 classes, got 7"),
        ("0 0.5 0.5 1_0 1 0.1 0.1 2 0.2 0.2 2", "value 4: expected a finite number, got '1_0'"),
    ],
)
def test_a_line_that_does_not_fit_is_named(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(DataError, match=f"labels/a.txt, .*{message}"):
        steadfit.read(one_image(tmp_path, line))


def test_coordinates_of_points_that_are_not_labelled_do_not_count(tmp_path: Path) -> None:
    data = steadfit.read(one_image(tmp_path, "0 0.5 0.5 1 1 7 -3 0 0.2 0.2 2"))
    assert np.isnan(data.target[0, 0]).all()


def test_a_line_that_occurs_twice_counts_once_and_classes_are_rows_alike(tmp_path: Path) -> None:
    lines = [
        "0 0.5 0.5 1 1 0.1 0.1 2 0.2 0.2 2",
        "0  0.5 0.5 1 1 0.1 0.1 2 0.2 0.2 2",
        "1 0.5 0.5 .9 1 .3 .1 2 .2 .2 2",
    ]
    data = steadfit.read(one_image(tmp_path, *lines, names={0: "mouse", 1: "rat"}))
    assert len(data) == 2
    assert any("repeat" in note for note in data.notes)
    assert any("mouse 1, rat 1" in note for note in data.notes)


def test_points_of_classes_with_different_names_are_joined_by_name(tmp_path: Path) -> None:
    lines = ["0 0.5 0.5 1 1 0.1 0.1 2 0.2 0.2 2", "1 0.5 0.5 0.9 1 0.3 0.3 2 0 0 0"]
    names = {0: ["nose", "tail"], 1: ["tail"]}
    data = steadfit.read(one_image(tmp_path, *lines, names=["mouse", "rat"], kpt_names=names))
    assert data.schema.points == ("nose", "tail")
    np.testing.assert_array_equal(data.target[1], [[np.nan, np.nan], [30, 15]])


@pytest.mark.parametrize(
    ("flip", "pairs"), [([1, 0], ((1, 0),)), ([0, 1], ((1, 0),)), (None, ((1, 0),)), ([], ((1, 0),))]
)
def test_pairs_are_those_of_flip_idx_or_of_the_names(tmp_path: Path, flip: object, pairs: object) -> None:
    file = one_image(
        tmp_path, "0 0.5 0.5 1 1 0.1 0.1 2 0.2 0.2 2", flip_idx=flip, kpt_names={0: ["right_ear", "left_ear"]}
    )
    assert steadfit.read(file).schema.pairs == pairs


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"flip_idx": [1, 1]}, "data.yaml, flip_idx: expected the partner of each of 2 points"),
        ({"kpt_shape": [2, 4]}, "data.yaml, kpt_shape: expected the number of points and 2 or 3 values"),
        ({"kpt_shape": [10**9, 3]}, "data.yaml, kpt_shape: expected"),
        ({"kpt_names": ["a"]}, "data.yaml, kpt_names: expected the names of 2 points"),
        ({"kpt_names": {0: ["a", "a"]}}, r"data.yaml, kpt_names\[0\]: expected different names"),
        ({"train": None, "val": None}, "data.yaml: expected folders or lists of images"),
        ({"train": 5, "val": None}, "data.yaml, train: expected a folder or a list"),
        ({"train": "pictures", "val": None}, "data.yaml, train: expected a folder or a list .*got none at 'pictures'"),
    ],
)
def test_what_does_not_fit_in_the_description_is_named(tmp_path: Path, more: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        steadfit.read(one_image(tmp_path, "0 0.5 0.5 1 1 0.1 0.1 2 0.2 0.2 2", **more))


def test_a_set_of_boxes_is_not_one_of_points(tmp_path: Path) -> None:
    file = tmp_path / "data.yaml"
    file.write_text("train: images\nval: images\nnames: [mouse]\n", encoding="utf-8")
    with pytest.raises(DataError, match="kpt_shape.*got none: this set has boxes or masks"):
        steadfit.read(file)


def test_the_same_images_for_training_and_validation_are_training_images(tmp_path: Path) -> None:
    file = build(tmp_path)
    text = file.read_text(encoding="utf-8").replace("val: images/val", "val: images/train")
    file.write_text(text, encoding="utf-8")
    data = steadfit.read(file)
    assert len(data) == 3
    assert any("several splits" in note for note in data.notes)


def test_a_split_that_is_not_there_is_a_warning(tmp_path: Path) -> None:
    file = one_image(tmp_path, "0 0.5 0.5 1 1 0.1 0.1 2 0.2 0.2 2", train="pictures", val="images", test="nowhere")
    with pytest.warns(DataWarning, match="nothing is there of train: pictures"):
        data = steadfit.read(file)
    assert data.split.tolist() == ["val"]
    assert any("nothing is there of test: nowhere" in note for note in data.notes)


def test_labels_belong_to_the_image_as_it_is_shown(tmp_path: Path) -> None:
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    image(tmp_path / "images/a.jpg", (40, 20), exif=exif)
    labels(tmp_path / "labels/a.txt", "0 0.5 0.5 1 1 0.5 0.5 2 1 1 2")
    source = read_source(describe(tmp_path))
    assert source.size is not None
    assert source.size.tolist() == [[20, 40]]
    assert (source.cells.cells["x0"][0], source.cells.cells["y0"][0]) == (10, 20)


def test_numbers_read_back_exactly() -> None:
    rng = np.random.default_rng(0)
    for trial in range(2000):
        size = rng.integers(1, 6000, 2).astype(np.float64)
        points = rng.random((4, 2)) * size
        points = np.clip(np.round(points, trial % 5) if trial % 2 else points, 0, size)
        codes = rng.integers(0, 3, 4).astype(np.int8)
        box = [*(rng.random(2) * size * 0.6), *(rng.random(2) * size * 0.3 + 1e-3)]
        box = [round(side, 2) + 0.1 for side in box] if trial % 3 and min(size) > 10 else box
        box[0] = 1e-9 if trial % 7 == 0 else box[0]
        back = read_line(line_of(3, box, points, codes, size), (size[0], size[1]), 4, 3)
        assert back.box == tuple(box)
        assert back.number == 3
        np.testing.assert_array_equal(back.xyv[:, 2], codes)
        np.testing.assert_array_equal(back.xyv[codes > 0, :2], points[codes > 0])


def test_shares_are_short_where_that_is_exact() -> None:
    assert [share(10.0, 100.0), share(0.0, 7.0), share(7.0, 7.0), share(12.25, 49.0)] == ["0.1", "0", "1", "0.25"]


def table(folder: Path, names: list[str], extra: str = "", cells: str = "") -> steadfit.data.Annotations:
    """Annotations of our own, two points an image of 60 x 40 px."""
    for name in names:
        image(folder / name, (60, 40))
    rows = [f"{name},{10.1 + k},{20.3},{30.7},{39.9 - k}{cells}" for k, name in enumerate(names)]
    (folder / "table.csv").write_text(f"image,x0,y0,x1,y1{extra}\n" + "\n".join(rows) + "\n", encoding="utf-8")
    (folder / "dataset.yaml").write_text(
        "points: [left_eye, right_eye]\npairs: [[0, 1]]\nlimbs: [[0, 1]]\n", encoding="utf-8"
    )
    return steadfit.read(folder / "table.csv")


@pytest.mark.parametrize("copy_images", [False, True])
@pytest.mark.parametrize(
    "names", [["a b.png", "ö/c.jpg"], ["images/a.png", "x/images/b.png"], ["images/a.png", "b.png"]]
)
def test_names_survive_wherever_the_images_are(tmp_path: Path, names: list[str], copy_images: bool) -> None:
    data = table(tmp_path / "in", names)
    written = steadfit.write(data, tmp_path / "out", format="yolo", copy_images=copy_images)
    back = steadfit.read(written, images=None if copy_images else tmp_path / "in")
    assert back.images == tuple(names)
    assert back.target.tolist() == data.target.tolist()
    assert back.schema.points == ("left_eye", "right_eye")
    assert (back.schema.pairs, back.schema.limbs, back.schema.box) == (((0, 1),), ((0, 1),), None)
    again = steadfit.write(back, tmp_path / "again", format="yolo")
    for file in (written.parent).rglob("*.*"):
        if file.suffix in (".txt", ".yaml"):
            assert (again.parent / file.relative_to(written.parent)).read_bytes() == file.read_bytes()
    assert str(tmp_path) not in written.read_text(encoding="utf-8")


def test_written_labels_are_where_ultralytics_looks_for_them(tmp_path: Path) -> None:
    data = table(tmp_path / "in", ["a.png", "images/b.png"])
    out = steadfit.write(data, tmp_path / "out", format="yolo", copy_images=True).parent
    listed = [line for file in ("train.txt", "val.txt", "test.txt") if (out / file).exists()
              for line in (out / file).read_text(encoding="utf-8").splitlines()]  # fmt: skip
    assert sorted(listed) == ["./images/a.png", "./images/images/b.png"]
    assert all((out / line).is_file() and (out / label_of(line[2:])).is_file() for line in listed)


def test_points_outside_are_moved_to_the_border_and_named(tmp_path: Path) -> None:
    data = table(tmp_path / "in", ["a.png", "b.png", "c.png"])
    target = data.target.copy()
    target[1, 1] = [70, -5]
    with pytest.warns(
        DataWarning, match=r"1 points outside their images, which are moved to the border \(right_eye 1\)"
    ):
        written = steadfit.write(data.with_target(target), tmp_path / "out", format="yolo")
    assert steadfit.read(written, images=tmp_path / "in").target[1, 1].tolist() == [60, 0]


def test_two_images_with_one_label_file_are_refused(tmp_path: Path) -> None:
    data = table(tmp_path / "in", ["a.png", "a.jpg", "c.png"])
    with pytest.raises(DataError, match=r"both have the label file labels/a.txt.*'images/a.png' and 'images/a.jpg'"):
        steadfit.write(data, tmp_path / "out", format="yolo")


def test_groups_are_lost_with_a_word(tmp_path: Path) -> None:
    table(tmp_path / "in", ["a.png", "b.png", "c.png", "d.png"], ",video", ",v1")
    (tmp_path / "in/dataset.yaml").write_text("points: [a, b]\ngroup: video\n", encoding="utf-8")
    data = steadfit.read(tmp_path / "in/table.csv")
    with pytest.warns(DataWarning, match="groups of rows that belong together"):
        steadfit.write(data, tmp_path / "out", format="yolo")


def test_writing_back_changes_only_what_changed(tmp_path: Path) -> None:
    file = build(tmp_path / "in")
    two = tmp_path / "in/labels/train/zwei Mäuse.txt"
    two.write_bytes(two.read_bytes().replace(b"\n", b"\r\n"))
    data = steadfit.read(file)
    target = data.target.copy()
    target[2, 0] = [8, 5]
    target[2, 2] = np.nan
    out = steadfit.write(data.with_target(target), tmp_path / "out", format="yolo").parent
    assert (out / "data.yaml").read_text(encoding="utf-8") == file.read_text(encoding="utf-8").replace(
        "path: ../datasets/mice  # of another machine\n", ""
    )
    before, after = two.read_bytes(), (out / "labels/train/zwei Mäuse.txt").read_bytes()
    assert after == before.replace(b"0.755 0.345 2", b"0.1 0.1 2").replace(b"0.811 0.433 1", b"0 0 0")
    for name in ("labels/train/one.txt", "labels/val/three.txt"):
        assert (out / name).read_bytes() == (tmp_path / "in" / name).read_bytes()
    back = steadfit.read(out, images=tmp_path / "in")
    np.testing.assert_array_equal(back.target, target)


def test_rows_that_are_gone_are_gone_from_the_copy_and_images_are_copied_to_where_they_belong(tmp_path: Path) -> None:
    data = steadfit.read(build(tmp_path / "in")).take([0, 2])
    written = steadfit.write(data, tmp_path / "out", format="yolo", copy_images=True)
    assert (tmp_path / "out/images/train/one.PNG").is_file()
    back = steadfit.read(written)
    assert back.images == (NAMES[0], NAMES[2])
    np.testing.assert_array_equal(back.target, data.target)


def test_an_original_that_changed_is_not_written_over(tmp_path: Path) -> None:
    data = steadfit.read(build(tmp_path / "in"))
    labels(tmp_path / "in/labels/val/three.txt")
    with pytest.raises(DataError, match=r"labels/val/three.txt, line 1: expected the label that was read"):
        steadfit.write(data, tmp_path / "out", format="yolo")


def test_yolo_is_written() -> None:
    assert WRITERS["yolo"] is yolo.write
