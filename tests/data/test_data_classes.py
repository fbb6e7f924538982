"""Images with classes: CIFAR's binary files, folders, tables; splits by class; what is wrong with them is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from class_data import class_annotations
from steadfit.data import Schema, Source, load_annotations, load_classes, read_class_source, read_source
from steadfit.data.formats import cifar
from steadfit.data.formats.cifar import CIFAR10, CIFAR100, Layout
from steadfit.data.tables.splits import draw_stratified
from steadfit.errors import DataError, DataWarning

Record = np.ndarray


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same layouts with a few records a file."""
    for layout in (CIFAR10, CIFAR100):
        for k, (name, (split, _)) in enumerate(list(layout.files.items())):
            monkeypatch.setitem(layout.files, name, (split, 40 + 10 * k))


def write_cifar(folder: Path, layout: Layout) -> dict[str, Record]:
    """Random records of the right form, and the files of names; returns the records by file."""
    rng, records = np.random.default_rng(0), {}
    folder.mkdir(exist_ok=True)
    for name, (_, count) in layout.files.items():
        labels = [np.arange(count) % classes for classes in layout.counts.values()]
        pixels = rng.integers(0, 256, (count, 3072))
        records[name] = np.concatenate([np.stack(labels, axis=1), pixels], axis=1).astype(np.uint8)
        (folder / name).write_bytes(records[name].tobytes())
    for label, file in layout.labels.items():
        names = [f"{label}_{k}" for k in range(layout.counts[label])]
        (folder / file).write_text("\n".join(names) + "\n\n")
    return records


def write_images(root: Path, paths: list[str], size: tuple[int, int] = (8, 10)) -> None:
    rng = np.random.default_rng(1)
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(root / path), rng.integers(0, 256, (*size, 3), dtype=np.uint8))


@pytest.mark.parametrize(
    ("layout", "label", "place"),
    [(CIFAR10, None, 0), (CIFAR100, None, 1), (CIFAR100, "fine", 1), (CIFAR100, "coarse", 0)],
)
@pytest.mark.usefixtures("small")
def test_cifar_is_read_as_its_authors_wrote_it(tmp_path: Path, layout: Layout, label: str | None, place: int) -> None:
    """Byte by byte: label bytes, then 1,024 red, green and blue values, row by row."""
    records = write_cifar(tmp_path, layout)
    source = cifar.read(tmp_path, Schema(targets=(label,) if label else ()))
    assert source.pixels is not None
    together = np.concatenate(list(records.values()))
    kind = list(layout.labels)[place]
    assert source.schema.classes == tuple(f"{kind}_{k}" for k in range(layout.counts[kind]))
    assert source.cells.numbers("label")[0].tolist() == together[:, place].tolist()
    offset = len(layout.labels)
    for row, channel, y, x in ((0, 0, 0, 0), (3, 1, 31, 0), (len(together) - 1, 2, 17, 30)):
        assert source.pixels[row, channel, y, x] == together[row, offset + 1024 * channel + 32 * y + x]
    counts = {split: sum(n for s, n in layout.files.values() if s == split) for split in ("train", "test")}
    assert {split: source.cells.text("split").count(split) for split in counts} == counts
    assert source.pixels.shape[2:] == (32, 32)
    last = list(layout.files)[-1]
    assert source.cells.text("image")[-1] == f"{last}:{layout.files[last][1]}"
    assert source.cells.line[-1] == layout.files[last][1]


def test_the_published_sizes() -> None:
    """The sets' page: 10,000 records of 3,073 bytes a file; 50,000 and 10,000 of 3,074."""
    assert {name: n * CIFAR10.record for name, (_, n) in CIFAR10.files.items()} == dict.fromkeys(
        CIFAR10.files, 30_730_000
    )
    assert {name: n * CIFAR100.record for name, (_, n) in CIFAR100.files.items()} == {
        "train.bin": 153_700_000,
        "test.bin": 30_740_000,
    }


@pytest.mark.usefixtures("small")
def test_validation_images_are_drawn_from_cifars_training_images(tmp_path: Path) -> None:
    write_cifar(tmp_path, CIFAR10)
    classes = load_classes(tmp_path, val_share=0.1)
    given = np.array(cifar.read(tmp_path).cells.text("split"))
    assert (classes.split[given == "test"] == "test").all()
    assert classes.one_size == (32, 32)
    assert len(classes.rows("val")) == 30
    assert set(classes.counts("val").tolist()) == {3}
    again, other = load_classes(tmp_path, val_share=0.1), load_classes(tmp_path, val_share=0.1, seed=1)
    assert (again.split == classes.split).all()
    assert (other.split != classes.split).any()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda f: (f / "train.bin").write_bytes(b"\0" * 100),
            r"train.bin: expected 40 records of 3074 bytes, 122960 in all, got 100 bytes",
        ),
        (lambda f: (f / "test.bin").unlink(), "test.bin: expected a file of CIFAR-100's binary version, got none"),
        (lambda f: (f / "fine_label_names.txt").unlink(), "fine_label_names.txt: expected the 100 classes' names, got"),
        (
            lambda f: (f / "fine_label_names.txt").write_text("a\nb\n"),
            "expected 100 different names, one per line, got 2",
        ),
        (
            lambda f: _set_byte(f / "test.bin", 2 * 3074 + 1, 100),
            "test.bin, record 3: expected a label below 100, got 100",
        ),
    ],
)
@pytest.mark.usefixtures("small")
def test_a_damaged_cifar(tmp_path: Path, spoil: Callable[[Path], object], message: str) -> None:
    write_cifar(tmp_path, CIFAR100)
    spoil(tmp_path)
    with pytest.raises(DataError, match=message):
        load_classes(tmp_path)


def _set_byte(path: Path, place: int, value: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] = value
    path.write_bytes(bytes(data))


@pytest.mark.parametrize(
    "names", [[f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"], ["train", "test", "meta"]]
)
def test_the_pickled_version_is_refused_unopened(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).write_bytes(b"cos\nsystem\n(S'touch opened'\ntR.")
    with pytest.raises(DataError, match="binary version, got the Python version. Its files are pickles"):
        load_classes(tmp_path)
    assert not (tmp_path / "opened").exists()


@pytest.mark.usefixtures("small")
def test_a_label_that_cifar_does_not_have(tmp_path: Path) -> None:
    write_cifar(tmp_path, CIFAR10)
    with pytest.raises(ValueError, match="expected label to be one of 'label', got 'fine'"):
        load_classes(tmp_path, label="fine")


def test_folders_with_splits(tmp_path: Path) -> None:
    paths = [
        f"{split}/{name}/{k}.png" for split in ("train", "val", "test") for name in ("cat", "dog") for k in range(3)
    ]
    write_images(tmp_path, [*paths, "train/cat/more/9.png"])
    (tmp_path / "train/cat/notes.txt").write_text("not an image")
    (tmp_path / ".hidden").mkdir()
    classes = load_classes(tmp_path)
    assert classes.schema.classes == ("cat", "dog")
    assert {split: classes.counts(split).tolist() for split in ("train", "val", "test")} == {
        "train": [4, 3], "val": [3, 3], "test": [3, 3],
    }  # fmt: skip
    assert [classes.schema.classes[k] for k in classes.label] == [Path(name).parts[1] for name in classes.images]
    assert classes.one_size == (8, 10)


def test_folders_without_splits(tmp_path: Path) -> None:
    write_images(tmp_path, [f"{name}/{k:02}.png" for name in "abc" for k in range(20)])
    classes = load_classes(tmp_path, val_share=0.1, test_share=0.2)
    assert [classes.counts(split).tolist() for split in ("train", "val", "test")] == [[14] * 3, [2] * 3, [4] * 3]


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (["train/a/1.png", "train/b/1.png", "test/c/1.png"], "among those of the training images, got 'c' as well"),
        (["a/1.png"], "at least two classes .* got 1 with 1 images"),
        (["1.png"], "or folders of images named after their classes, got none of them"),
    ],
)
def test_folders_that_are_no_classes(tmp_path: Path, paths: list[str], message: str) -> None:
    write_images(tmp_path, paths)
    with pytest.raises(DataError, match=message):
        load_classes(tmp_path)


def test_a_class_without_training_images(tmp_path: Path) -> None:
    write_images(tmp_path, ["train/a/1.png", "train/a/2.png", "train/b/1.png", "test/b/1.png", "val/a/1.png"])
    (tmp_path / "train/c").mkdir()
    with pytest.raises(DataError, match="expected training images of every class, got none of 'c'"):
        load_classes(tmp_path)


def test_bad_images_are_told_or_left_out(tmp_path: Path) -> None:
    write_images(tmp_path, [f"{name}/{k}.png" for name in "ab" for k in range(6)])
    data = (tmp_path / "a/0.png").read_bytes()
    (tmp_path / "a/0.png").write_bytes(data[:-20])
    (tmp_path / "b/1.png").write_bytes(b"")
    with pytest.raises(
        DataError, match=r"a/0.png: expected a whole image.*\n1 more problem:\n.*b/1.png.*skip_bad=True"
    ):
        load_classes(tmp_path)
    with pytest.warns(DataWarning, match="2 images are left out. The first: .*a/0.png"):
        classes = load_classes(tmp_path, skip_bad=True)
    assert len(classes) == 10
    assert len(classes.skipped) == 2


def test_no_path_leaves_the_root(tmp_path: Path) -> None:
    write_images(tmp_path, ["outside.png", "set/a/0.png", "set/b/0.png"])
    (tmp_path / "set/a/1.png").symlink_to(tmp_path / "outside.png")
    with pytest.raises(DataError, match="a/1.png: expected an image inside"):
        load_classes(tmp_path / "set")
    table = tmp_path / "set/annotations.csv"
    table.write_text("image,label\na/0.png,0\n../outside.png,1\n")
    with pytest.raises(DataError, match="line 3, column 'image': expected an image inside"):
        load_classes(table)


def table_of(folder: Path, text: str) -> Path:
    (folder / "annotations.csv").write_text(text)
    return folder


def test_a_table_with_ids_and_names(tmp_path: Path) -> None:
    write_images(tmp_path, [f"{k}.png" for k in range(6)])
    rows = [
        (f"{k}.png", split, label)
        for k, (split, label) in enumerate(zip(["train"] * 4 + ["test"] * 2, [10, 2] * 3, strict=True))
    ]
    names = {2: "two", 10: "ten"}
    text = "image,split,label,class,kind\n" + "".join(
        f"{i},{s},{k},{names[k]},{'odd' if k > 5 else 'even'}\n" for i, s, k in rows
    )
    classes = load_classes(table_of(tmp_path, text), val_share=0)
    assert classes.schema.classes == ("two", "ten")  # by number, named by the other column
    assert classes.label.tolist() == [1, 0] * 3
    assert classes.split.tolist() == ["train"] * 4 + ["test"] * 2
    assert classes.line.tolist() == list(range(2, 8))
    assert load_classes(tmp_path, label="kind", val_share=0).schema.classes == ("even", "odd")
    assert load_classes(tmp_path, label="class", val_share=0).schema.classes == ("ten", "two")
    clash = text.replace("0.png,train,10,ten", "0.png,train,10,two")
    assert load_classes(table_of(tmp_path, clash), val_share=0).schema.classes == ("2", "10")  # the names don't fit


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,kind\n0.png,a\n", "expected a column 'label' or 'class' of classes, got image, kind"),
        ("path,label\n0,a\n1,b\n", "expected a column 'image', got path, label"),
        ("image,label\n0.png,a\n1.png,a\n", "column 'label': expected at least two classes, got 1"),
        ("image,label\n0.png,a\n1.png,b\n2.png,\n", "line 4, column 'label': expected a class, got none"),
        ("image,label\n0.png,a\n1.png,b\n0.png,b\n", "line 4, column 'image': expected an image once, got '0.png'"),
        ("image,label,split\n0.png,a,train\n1.png,b,other\n", "line 3, column 'split': expected train, val or test"),
    ],
)
def test_a_table_that_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    write_images(tmp_path, [f"{k}.png" for k in range(3)])
    with pytest.raises(DataError, match=message):
        load_classes(table_of(tmp_path, text))


def test_the_same_image_in_two_splits_is_told(tmp_path: Path) -> None:
    write_images(
        tmp_path, [f"{split}/{name}/{k}.png" for split in ("train", "test") for name in "ab" for k in range(4)]
    )
    (tmp_path / "test/b/0.png").write_bytes((tmp_path / "train/a/0.png").read_bytes())
    with pytest.warns(DataWarning, match="1 group of images has the same bytes .*1 of them across splits"):
        classes = load_classes(tmp_path)
    assert classes.duplicates == (("train/a/0.png", "test/b/0.png"),)


def test_copies_are_drawn_together(tmp_path: Path) -> None:
    write_images(tmp_path, [f"{name}/{k}.png" for name in "ab" for k in range(10)])
    for k in range(10):
        (tmp_path / f"b/{k}.png").write_bytes((tmp_path / f"a/{k}.png").read_bytes())
    with pytest.warns(DataWarning, match="10 groups"):
        classes = load_classes(tmp_path)
    of = dict(zip(classes.images, classes.split, strict=True))
    assert all(of[f"a/{k}.png"] == of[f"b/{k}.png"] for k in range(10))


@pytest.mark.parametrize("share", [0.0, 0.05, 0.1, 0.37, 1.0])
def test_every_class_gives_its_share(share: float) -> None:
    label = np.random.default_rng(0).choice(5, 400, p=[0.5, 0.3, 0.15, 0.04, 0.01])
    drawn = draw_stratified(label, np.arange(400), share, seed=3)
    counts, chosen = np.bincount(label, minlength=5), np.bincount(label[drawn], minlength=5)
    assert (chosen <= np.maximum(counts - 1, 0)).all()
    assert (np.abs(chosen - share * counts) <= 1).all()
    if share < 1:
        assert len(drawn) == round(share * 400)
    assert (np.diff(drawn) > 0).all()


def test_the_draw_does_not_depend_on_chance_alone() -> None:
    """Which rows are drawn is uniform: each of 20 with probability 1/4 over 400 seeds, 5 deviations of .0217."""
    share = np.zeros(20)
    for seed in range(400):
        share[draw_stratified(np.zeros(20, dtype=int), np.arange(20), 0.25, seed=seed)] += 1 / 400
    assert np.abs(share - 0.25).max() < 0.11


def test_wrong_arguments(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected 0 <= val_share <= 0.9, got 1.5"):
        load_classes(tmp_path, val_share=1.5)
    (tmp_path / "cifar-10-binary.tar.gz").write_bytes(b"")
    with pytest.raises(DataError, match="got a file of another kind. Unpack it first"):
        load_classes(tmp_path / "cifar-10-binary.tar.gz")


def test_some_of_the_rows(tmp_path: Path) -> None:
    pixels = torch.arange(4 * 3 * 2 * 2, dtype=torch.uint8).view(4, 3, 2, 2)
    classes = class_annotations(
        path=tmp_path, names=("a", "b"), images=("w", "x", "y", "z"), label=np.array([0, 1, 0, 1]),
        split=np.array(["train", "val", "test", "train"]), line=np.arange(4), size=np.full((4, 2), 2.0), pixels=pixels,
    )  # fmt: skip
    part = classes.take(classes.rows("train"))
    assert part.images == ("w", "z")
    assert part.label.tolist() == [0, 1]
    assert torch.equal(part.pixels, pixels[[0, 3]])
    assert classes.take(np.array([False, True, False, False])).images == ("x",)
    with pytest.raises(ValueError, match="expected split to be one of 'train', 'val', 'test', got 'dev'"):
        classes.rows("dev")


def write_pets(root: Path, yaml: str) -> Path:
    """Six images of cats and dogs in a table, described by a dataset.yaml."""
    write_images(root, [f"{k}.png" for k in range(6)])
    (root / "dataset.yaml").write_text(yaml)
    rows = [f"{k}.png,{split},{['dog', 'cat'][k % 2]}" for k, split in enumerate(["train"] * 4 + ["val", "test"])]
    return table_of(root, "\n".join(["image,split,pet", *rows]) + "\n")


def test_a_schema_that_names_classes(tmp_path: Path) -> None:
    """The yaml's order is that of the numbers; a table that is written is read again to the same values."""
    pets = load_annotations(write_pets(tmp_path, "targets: [pet]\nclasses: [dog, cat]\n"))
    assert pets.schema.classes == ("dog", "cat")
    assert pets.target.tolist() == [[[0.0]], [[1.0]]] * 3
    assert (pets.schema.dims, pets.schema.n_targets, pets.schema.has_points) == (1, 1, False)
    frame = pets.to_frame()
    assert frame["pet"].tolist() == ["dog", "cat"] * 3
    frame.to_csv(tmp_path / "annotations.csv", index=False)
    again = load_annotations(tmp_path)
    assert (again.label == pets.label).all()
    assert (again.split == pets.split).all()


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        ("targets: [pet]\nclasses: [dog, bird]\n", "line 3, column 'pet': expected one of 2 classes, got 'cat'"),
        ("targets: [pet]\nclasses: [dog]\n", "at least two names for classes, got 1 targets and 1 names"),
        ("classes: [dog, cat]\n", "expected one target .* for classes, got 0 targets and 2 names"),
        ("targets: [pet]\nclasses: [dog, dog]\n", "classes of different names, got 'dog' 2 times"),
        ("targets: [kind]\nclasses: [dog, cat]\n", "expected a column 'kind' of classes, got image, split, pet"),
    ],
)
def test_classes_that_do_not_fit_the_table(tmp_path: Path, yaml: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_annotations(write_pets(tmp_path, yaml))


def test_images_without_labels_are_read_for_prediction(tmp_path: Path) -> None:
    pets = write_pets(tmp_path, "targets: [pet]\nclasses: [dog, cat]\n")
    table_of(tmp_path, (pets / "annotations.csv").read_text().replace("0.png,train,dog", "0.png,train,"))
    with pytest.raises(DataError, match="line 2, column 'pet': expected a class, got none"):
        load_annotations(pets)
    assert load_annotations(pets, need_splits=()).label.tolist() == [-1, 1, 0, 1, 0, 1]


def test_a_source_has_its_images_where_it_says(tmp_path: Path) -> None:
    write_images(tmp_path, [f"{split}/{name}/0.png" for split in ("train", "test") for name in ("cat", "dog")])
    source = read_class_source(tmp_path)
    assert isinstance(source, Source)
    assert source.root == tmp_path
    assert source.schema.classes == ("cat", "dog")
    assert source.cells.text("image")[-1] == "test/dog/0.png"
    assert read_source(write_pets(tmp_path, "targets: [pet]\n")).schema.targets == ("pet",)


def test_rows_that_were_left_out_are_named_where_a_class_is_gone(tmp_path):
    lines = ["image,label"]
    for k in range(6):
        cv2.imwrite(str(tmp_path / f"{k}.png"), np.full((8, 8), 40 * k + 20, dtype=np.uint8))
        lines += [f"{k}.png,{name}" for name in ("cat", "dog")]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    match = (
        r"got none of 'dog'\. Rows with problems were left out, the first: .*line 3, column 'image': expected an image"
    )
    with pytest.warns(DataWarning, match="left out"), pytest.raises(DataError, match=match):
        load_classes(tmp_path / "t.csv", skip_bad=True)
