"""A run folder opened again: predictions on everything that names images or features, and errors."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import yaml

from steadfit import load
from steadfit.data import IMAGE_SUFFIXES, Annotations
from steadfit.errors import DataError, RunError
from steadfit.evaluation.measures import write_metrics
from steadfit.training import Prediction, Run, Settings, fit
from steadfit.training.images import as_images


@pytest.fixture(scope="module")
def grey(faces: Annotations, tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("runs") / "grey"
    return fit(faces, Settings(epochs=1, batch_size=8, size=16), out, device="cpu")


@pytest.fixture(scope="module")
def colour(faces: Annotations, tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("runs") / "colour"
    return fit(faces, Settings(epochs=1, batch_size=8, size=16, channels=3), out, device="cpu")


@pytest.fixture(scope="module")
def tabular(table: Annotations, tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("runs") / "table"
    return fit(table, Settings(epochs=2, batch_size=16), out, device="cpu")


def paths(faces: Annotations) -> list[Path]:
    assert faces.images is not None
    return [faces.root / name for name in faces.images]


def rgb(faces: Annotations) -> list[np.ndarray]:
    return [cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB) for path in paths(faces)]


def test_images_by_whatever_names_them(faces: Annotations, grey: Run, colour: Run) -> None:
    for run in (grey, colour):
        wanted = run.predict(faces).mean
        assert wanted.shape == (34, 7, 2)
        files = paths(faces)
        np.testing.assert_allclose(run.predict(files).mean, wanted, atol=1e-4)
        np.testing.assert_allclose(run.predict(files, batch_size=5).mean, wanted, atol=1e-4)
        np.testing.assert_allclose(run.predict([str(path) for path in files]).mean, wanted, atol=1e-4)
        np.testing.assert_allclose(run.predict(files[0].parent).mean, wanted, atol=1e-4)  # sorted as the table
        np.testing.assert_allclose(run.predict(str(files[3])).mean, wanted[3:4], atol=1e-4)
        close = {"atol": 1e-4 if run is colour else 0.05}  # grey by OpenCV's integers or by ours: one grey level
        arrays = rgb(faces)
        np.testing.assert_allclose(run.predict(arrays).mean, wanted, **close)
        np.testing.assert_allclose(run.predict(np.stack(arrays)).mean, wanted, **close)
        np.testing.assert_allclose(run.predict(arrays[2]).mean, wanted[2:3], **close)  # one colour image
        assert run.predict([]).mean.shape == (0, 7, 2)


def test_grey_arrays(faces: Annotations, grey: Run, colour: Run) -> None:
    images = [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in paths(faces)]
    np.testing.assert_allclose(grey.predict(images).mean, grey.predict(faces).mean, atol=1e-4)
    np.testing.assert_allclose(grey.predict(np.stack(images)[..., None]).mean, grey.predict(faces).mean, atol=1e-4)
    np.testing.assert_allclose(grey.predict(images[0]).mean, grey.predict(faces).mean[:1], atol=1e-4)
    deep = [image[:, :, None] for image in images]
    np.testing.assert_allclose(grey.predict(deep).mean, grey.predict(faces).mean, atol=1e-4)
    repeated = [np.repeat(image, 3, axis=2) for image in deep]
    np.testing.assert_allclose(colour.predict(images).mean, colour.predict(repeated).mean)
    np.testing.assert_allclose(colour.predict(deep).mean, colour.predict(repeated).mean)


def test_images_of_other_sizes_are_predicted_in_their_own_pixels(faces: Annotations, colour: Run) -> None:
    image = rgb(faces)[0]
    large = cv2.resize(image, (48, 48), interpolation=cv2.INTER_NEAREST)
    wanted = (colour.predict(image).mean + 0.5) * 2 - 0.5
    np.testing.assert_allclose(colour.predict(large).mean, wanted, atol=1.5)
    wide = cv2.copyMakeBorder(image, 0, 0, 10, 10, cv2.BORDER_REPLICATE)
    assert colour.predict([image, wide, large]).mean.shape == (3, 7, 2)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((8, 8), dtype=np.float32), r"expected uint8 images \(H, W\) or \(H, W, 3\), got float32 \(8, 8\)"),
        (np.zeros((8, 8, 5), dtype=np.uint8), r"got uint8 \(8, 8, 5\)"),
        (np.zeros((1, 2, 3, 4), dtype=np.uint8), r"got uint8 \(1, 2, 3, 4\)"),
    ],
)
def test_other_arrays_are_refused(grey: Run, image: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        grey.predict([image])


def test_files_that_are_no_images(grey: Run, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing.png: expected a readable image"):
        grey.predict(tmp_path / "nothing.png")
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(DataError, match="text.png: expected an image, got 8 bytes"):
        grey.predict([tmp_path / "text.png"])
    with pytest.raises(TypeError, match="expected image paths or arrays, got int"):
        grey.predict(3)


def test_tables(table: Annotations, tabular: Run) -> None:
    wanted = tabular.predict(table).mean
    assert wanted.shape == (90, 2, 1)
    frame = pd.read_csv(table.path)
    np.testing.assert_allclose(tabular.predict(frame).mean, wanted, rtol=1e-5)
    np.testing.assert_allclose(tabular.predict(frame[["c", "b", "a"]]).mean, wanted, rtol=1e-5)
    np.testing.assert_allclose(tabular.predict(table.features).mean, wanted, rtol=1e-5)
    np.testing.assert_allclose(tabular.predict(table.features, batch_size=7).mean, wanted, rtol=1e-5)
    assert tabular.predict(frame.head(0)).mean.shape == (0, 2, 1)
    with pytest.raises(DataError, match="expected the feature columns of the run, got none named 'b'"):
        tabular.predict(frame[["a", "c"]])
    with pytest.raises(DataError, match=r"expected 3 features per row, got an array of \(90, 2\)"):
        tabular.predict(np.zeros((90, 2)))


def test_a_prediction(faces: Annotations, grey: Run, table: Annotations, tabular: Run) -> None:
    prediction = grey.predict(faces)
    assert isinstance(prediction, Prediction)
    assert len(prediction) == 34
    assert prediction.names == faces.schema.points
    assert prediction.units == "px"
    assert prediction.covariance is None
    np.testing.assert_array_equal(np.asarray(prediction), prediction.mean)
    assert np.asarray(prediction, dtype=np.float32).dtype == np.float32
    frame = prediction.to_frame()
    assert frame.columns.tolist() == [f"{axis}{k}" for k in range(7) for axis in "xy"]
    assert frame["y3"].tolist() == prediction.mean[:, 3, 1].tolist()
    ages = tabular.predict(table).to_frame()
    assert ages.columns.tolist() == ["age", "height"]
    assert len(ages) == 90


def test_a_folder_is_opened_again(faces: Annotations, grey: Run) -> None:
    again = load(str(grey.folder))
    assert repr(again) == f"Run({str(grey.folder)!r}, gum, targets=7)"
    np.testing.assert_array_equal(again.predict(faces).mean, grey.predict(faces).mean)
    np.testing.assert_array_equal(again.judge(faces).trust, grey.judge(faces).trust)
    assert again.settings == grey.settings
    assert again.schema == grey.schema


def test_folders_that_hold_no_run(grey: Run, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no run here, config.yaml is missing"):
        load(tmp_path)
    shutil.copytree(grey.folder, half := tmp_path / "half")
    (half / "model.safetensors").unlink()
    with pytest.raises(RunError, match=r"the run is not finished, model.safetensors is missing. Continue it"):
        load(half)
    (half / "config.yaml").write_text("- nothing")
    with pytest.raises(RunError, match="config.yaml: expected the configuration of a run, got"):
        load(half)
    config = yaml.safe_load((grey.folder / "config.yaml").read_text())
    config["settings"]["nois"] = "gum"
    (half / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(RunError, match=r"config.yaml: expected .* expected known keys, got nois"):
        load(half)


def test_metrics(table: Annotations, tabular: Run) -> None:
    wrong = np.zeros((90, 2), dtype=bool)
    wrong[:20] = True
    judgement = write_metrics(tabular, table, wrong)
    assert (tabular.folder / "metrics.json").is_file()
    assert judgement.suspect.shape == (90, 2)
    assert judgement.trust.shape == (90, 2)


def test_a_folder_of_any_kind_of_image(tmp_path: Path) -> None:
    """The kinds that a folder of classes has as well."""
    for suffix in IMAGE_SUFFIXES:
        (tmp_path / f"1{suffix.upper()}").touch()
    (tmp_path / "notes.txt").touch()
    assert [Path(str(path)).suffix.lower() for path in as_images(tmp_path)] == sorted(IMAGE_SUFFIXES)
