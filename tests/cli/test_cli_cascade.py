"""steadfit fit --cascade, and predict, evaluate and calibrate with what it wrote."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import Result

import steadfit as library
from steadfit.audit import read_suspects
from steadfit.data import load_annotations
from steadfit.training import CoarseToFine
from steadfit.training.cascade.placing import PLACINGS

Steadfit = Callable[..., Result]
Fails = Callable[..., str]
Cascade = tuple[Path, Result]
TINY = ("--cascade", "--epochs", 2, "--size", 16, "--batch-size", 16, "--device", "cpu")
REGIONS = ("eyes", "nose", "mouth")  # of the drawn faces, by the names of their points; the ears are in none
EARS = [5, 6]


@pytest.fixture(scope="module")
def cascade(wrong: Path, steadfit: Steadfit, tmp_path_factory: pytest.TempPathFactory) -> Cascade:
    """A cascade of the default regions on the wrong faces, and what was printed."""
    out = tmp_path_factory.mktemp("cascade") / "neu und tief" / "größer"
    result = steadfit("fit", wrong, "--truth", wrong / "truth.csv", "--fine-epochs", 1, "-o", out, *TINY)
    assert result.exit_code == 0, result.output
    return out, result


@pytest.fixture
def own(cascade: Cascade, tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(cascade[0], tmp_path / "cascade"))


@pytest.fixture
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures take most of the time of a small cascade."""
    monkeypatch.setattr("steadfit.recipes.cascades._panels", lambda *_: [])
    monkeypatch.setattr("steadfit.recipes.cascades.write_report", lambda *_: None)


def test_the_folder(cascade: Cascade) -> None:
    out, _ = cascade
    found = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    files = ("checkpoints/last.ckpt", "config.yaml", "history.csv", "model.safetensors", "rows.parquet")
    stages = ("coarse", *(f"fine/{region}" for region in REGIONS))
    figures = ("crops", "poses", "suspects_gallery", "training_curves", "trust_histogram")
    assert found == {f"{stage}/{file}" for stage in stages for file in files} | {
        *(f"figures/{name}.png" for name in figures),
        *("config.yaml", "estimates.safetensors", "history.csv", "metrics.json", "report.html", "suspects.csv"),
        "rows.parquet",
        "trust.parquet",
    }
    config = yaml.safe_load((out / "config.yaml").read_text(encoding="utf-8"))
    assert [region["name"] for region in config["regions"]] == list(REGIONS)
    assert (config["task"], config["placing"]) == ("cascade", "jitter")
    assert config["settings"]["epochs"] == 2
    assert {name: one["epochs"] for name, one in config["fine"].items()} == dict.fromkeys(REGIONS, 1)
    assert {name: one["size"] for name, one in config["fine"].items()} == dict.fromkeys(REGIONS, 16)


def test_the_history_of_every_stage(cascade: Cascade) -> None:
    table = pd.read_csv(cascade[0] / "history.csv")
    assert table["stage"].tolist() == ["coarse", "coarse", *REGIONS]
    assert table["epoch"].tolist() == [1, 2, 1, 1, 1]
    alone = pd.read_csv(cascade[0] / "fine" / "nose" / "history.csv")
    pd.testing.assert_frame_equal(
        table[table["stage"] == "nose"].drop(columns="stage").reset_index(drop=True), alone, check_dtype=False
    )


def test_every_label_is_judged_by_both_stages(cascade: Cascade, wrong: Path) -> None:
    """trust.parquet against the opened stages, put together by hand."""
    out, _ = cascade
    table, truth = pd.read_parquet(out / "trust.parquet"), pd.read_csv(wrong / "truth.csv")
    annotations = load_annotations(wrong)
    both = library.load(out)
    assert isinstance(both, CoarseToFine)
    np.testing.assert_array_equal(table["wrong"], truth.filter(like="wrong_").to_numpy(dtype=bool).ravel())
    predicted = table[["predicted_x", "predicted_y"]].to_numpy().reshape(60, 7, 2)
    np.testing.assert_allclose(predicted, both.predict(annotations).mean)
    first = both.coarse.judge(annotations)
    np.testing.assert_allclose(predicted[:, EARS], first.predicted[:, EARS])
    assert not np.allclose(predicted[:, :5], first.predicted[:, :5])
    np.testing.assert_allclose(table["trust"].to_numpy().reshape(60, 7)[:, EARS], first.trust[:, EARS])
    listed = read_suspects(out / "suspects.csv")
    wanted = table[table["suspect"] & (table["split"] != "test")]
    assert len(listed) == len(wanted) > 5
    assert listed["trust"].is_monotonic_increasing
    assert listed["wrong"].mean() > 0.5  # 30 % of the labels are


def test_the_numbers_are_of_both_stages(cascade: Cascade, wrong: Path, steadfit: Steadfit, tmp_path: Path) -> None:
    """What metrics.json says of the test rows is what evaluate finds, and what it says of the first stage alone what
    evaluate finds for that run."""
    out, result = cascade
    metrics = json.loads((out / "metrics.json").read_text())
    assert set(metrics) == {"train", "val", "test", "outliers", "truth", "coarse"}
    assert set(metrics["coarse"]) == {"train", "val", "test"}
    for folder, wanted in ((out, metrics["test"]), (out / "coarse", metrics["coarse"]["test"])):
        found = tmp_path / "found.json"
        assert steadfit("evaluate", folder, wrong, "-o", found).exit_code == 0
        numbers = json.loads(found.read_text())
        assert numbers["point_error"] == pytest.approx(wanted["point_error"], rel=1e-6)
        assert numbers["pck_by_point"] == pytest.approx(wanted["pck_by_point"])
    before, after = metrics["coarse"]["test"]["point_error"], metrics["test"]["point_error"]
    said = f"Mean error on test labels: {before:.2f} px with the first stage alone, {after:.2f} px with both."
    assert said in result.stdout.splitlines()
    assert [line for line in result.stdout.splitlines() if line.endswith(":")] == [
        f"{stage}:" for stage in ("coarse", *REGIONS)
    ]
    recall = metrics["truth"]["recall"]
    assert f"recall {100 * recall:.1f} %." in result.stdout
    assert result.stderr == ""


def test_the_report_has_the_crops(cascade: Cascade) -> None:
    page = (cascade[0] / "report.html").read_text(encoding="utf-8")
    assert "Where the second stage looks" in page
    picture = cv2.imread(str(cascade[0] / "figures" / "crops.png"))
    assert picture.shape[0] > picture.shape[1] > 800 // 3  # four rows; the image and three crops across
    for region in REGIONS:
        assert region in page  # in the configuration


@pytest.mark.parametrize("inputs", ["images/00003.png", "images", "annotations.csv", ""])
def test_predict(faces: Path, cascade: Cascade, steadfit: Steadfit, tmp_path: Path, inputs: str) -> None:
    result = steadfit("predict", cascade[0], faces / inputs, "-o", tmp_path, "--overlays", 2)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"Predictions: {tmp_path / 'predictions.csv'}\n"
    table = pd.read_csv(tmp_path / "predictions.csv")
    assert list(table) == ["image", *(f"{axis}{k}" for k in range(7) for axis in "xy")]
    assert len(table) == (1 if inputs.endswith("png") else 60)
    number = 3 if len(table) == 1 else 0
    wanted = library.load(cascade[0]).predict(faces / "images" / f"{number:05d}.png").mean[0]
    np.testing.assert_allclose(table.iloc[0, 1:].to_numpy(dtype=float), wanted.ravel(), rtol=1e-4)
    pictures = sorted((tmp_path / "overlays").iterdir())
    assert len(pictures) == min(len(table), 2)
    assert cv2.imread(str(pictures[0])).shape[0] > 200


def test_views(faces: Path, cascade: Cascade, steadfit: Steadfit, fails: Fails, tmp_path: Path) -> None:
    """The eyes are mirrored in both stages, the nose in the first alone; both words together can be read, too."""
    image, found = faces / "images" / "00055.png", {}
    for words in ((), ("mirror",), ("mirror", "scales")):
        options = [option for word in words for option in ("--view", word)]
        result = steadfit("predict", cascade[0], image, *options, "--overlays", 0, "-o", tmp_path / "-".join(words))
        assert result.exit_code == 0, result.output
        found[words] = pd.read_csv(tmp_path / "-".join(words) / "predictions.csv").iloc[0, 1:].to_numpy(dtype=float)
        wanted = library.load(cascade[0]).predict(image, views=words).mean
        np.testing.assert_allclose(found[words], wanted.ravel(), rtol=1e-4)
    assert not np.allclose(found[()], found["mirror",])
    assert not np.allclose(found["mirror",], found["mirror", "scales"])
    assert steadfit("evaluate", cascade[0], faces, "--view", "mirror").exit_code == 0
    fails(steadfit("predict", cascade[0], image, "--coverage", 0.9, "-o", tmp_path), 2, "cascades are not calibrated")


@pytest.mark.usefixtures("no_report")
def test_a_stage_that_was_lost_is_trained_again(
    own: Path, wrong: Path, steadfit: Steadfit, fails: Fails, tmp_path: Path
) -> None:
    """Nothing is used until it is there; then everything is as before, times included."""
    names = ("fine/mouth/model.safetensors", "trust.parquet", "suspects.csv", "history.csv", "metrics.json")
    before = {name: (own / name).read_bytes() for name in names}
    (own / "fine" / "mouth" / "model.safetensors").unlink()
    (own / "trust.parquet").unlink()
    told = ("the cascade is not finished, fine/mouth/model.safetensors is missing", "--resume")
    fails(steadfit("predict", own, wrong, "-o", tmp_path / "p"), 4, *told)
    fails(steadfit("evaluate", own, wrong), 4, *told)
    options = ("--truth", wrong / "truth.csv", "--fine-epochs", 1, "-o", own, *TINY)
    assert steadfit("fit", wrong, *options, "--resume").exit_code == 0
    assert {name: (own / name).read_bytes() for name in names} == before


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ((), "holds a run already. Continue it with --resume or choose another folder with --out."),
        (("--resume", "--lr", 0.001), "cannot resume, the first stage's settings, the second stage's settings differ"),
        (("--resume", "--fine-size", 24), "cannot resume, the second stage's settings differ from the run's"),
        (("--resume", "--placing", "folds"), "cannot resume, --placing differ from the run's"),
        (("--resume", "--pairs", "0-1"), "cannot resume, the data differ from the run's"),
    ],
)
def test_a_folder_with_a_cascade_is_left_alone(
    wrong: Path, cascade: Cascade, steadfit: Steadfit, fails: Fails, options: tuple[object, ...], text: str
) -> None:
    before = (cascade[0] / "config.yaml").read_bytes()
    fails(steadfit("fit", wrong, "--fine-epochs", 1, "-o", cascade[0], *TINY, *options), 4, text)
    assert (cascade[0] / "config.yaml").read_bytes() == before


def test_one_network_and_a_cascade_do_not_continue_each_other(
    wrong: Path, cascade: Cascade, trained: tuple[Path, Result], steadfit: Steadfit, fails: Fails
) -> None:
    before = (cascade[0] / "config.yaml").read_bytes(), (trained[0] / "config.yaml").read_bytes()
    fails(steadfit("fit", wrong, "-o", cascade[0], *TINY[1:], "--resume"), 4, "cannot resume, the task differ")
    fails(steadfit("fit", wrong, "-o", trained[0], *TINY, "--resume"), 4, "cannot resume, ", "the task")
    assert ((cascade[0] / "config.yaml").read_bytes(), (trained[0] / "config.yaml").read_bytes()) == before


@pytest.mark.usefixtures("no_report")
def test_regions_of_a_file(wrong: Path, steadfit: Steadfit, tmp_path: Path) -> None:
    path, out = tmp_path / "regions.yaml", tmp_path / "run"
    path.write_text("left: [left_eye, left_ear, 3]\nface: {points: [nose, 0], anchors: [0, 1, 2], margin: 1}\n")
    result = steadfit("fit", wrong, "--regions", path, "-o", out, *TINY, "--epochs", 1)
    assert result.exit_code == 0, result.output
    regions = library.load(out).regions
    assert [(one.name, one.points, one.anchors, one.margin) for one in regions] == [
        ("left", (0, 5, 3), (), 0.25),
        ("face", (2, 0), (0, 1, 2), 1.0),
    ]
    assert {path.name for path in (out / "fine").iterdir()} == {"left", "face"}


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("eyes: [left_eye", ", line 1: expected YAML, got a syntax error: expected ',' or ']'"),
        ("", ": expected names of regions and their points, such as 'eyes: [0, 1]', got None."),
        ("eyes: [left_eye, chin]", ", region 'eyes': expected points' names or 0 to 6, got 'chin'."),
        ("nose: [2]\neyes: [0, 7]", ", region 'eyes': expected points' names or 0 to 6, got 7."),
        ("eyes: [0, left_eye]", ", region 'eyes': expected different points >= 0 in region 'eyes', got (0, 0)."),
        ("eyes: left_eye", ", region 'eyes': expected a list of points, got 'left_eye'."),
        ("eyes: {points: [0], near: 1}", ", region 'eyes': expected anchors, least, margin, points, got 'near'."),
        ("eyes: {points: [0], margin: wide}", ", region 'eyes': expected margin to be a number, got 'wide'."),
        ("a/b: [0]", ", region 'a/b': expected a name of letters, digits, '-' and '_', got 'a/b'."),
        (None, ": expected a readable UTF-8 file, got [Errno 2]"),
    ],
)
def test_a_file_of_regions_that_is_none(
    wrong: Path, steadfit: Steadfit, fails: Fails, tmp_path: Path, content: str | None, text: str
) -> None:
    path = tmp_path / "regions.yaml"
    if content is not None:
        path.write_text(content)
    error = fails(steadfit("fit", wrong, "--regions", path, "-o", tmp_path / "run", *TINY), 3, f"error: {path}{text}")
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--regions", "r.yaml"), "--regions: has no meaning without --cascade. Leave it out."),
        (("--fine-network", "compact"), "--fine-network: has no meaning without --cascade."),
        (("--fine-noise", "gum"), "--fine-noise: has no meaning without --cascade."),
        (("--fine-size", 32), "--fine-size: has no meaning without --cascade."),
        (("--fine-epochs", 3), "--fine-epochs: has no meaning without --cascade."),
        (("--placing", "jitter"), "--placing: has no meaning without --cascade."),
        (("--cascade", "--task", "classification"), "--cascade: has no meaning with --task classification."),
        (("--cascade", "--fine-size", "8"), "--fine-size: expected a side >= 16 such as 48, or height x width"),
        (("--cascade", "--fine-size", "32x"), "got '32x'"),
        (("--cascade", "--fine-epochs", 0), "--fine-epochs"),
        (("--cascade", "--placing", "guess"), "--placing"),
        (("--cascade", "--fine-noise", "l3"), "--fine-noise"),
        (("--cascade", "--loss", "anchor"), "--loss: expected a heatmap network"),
        (
            ("--cascade", "--fine-noise", "predicted-huber", "--fine-network", "hourglass-light"),
            "second stage: expected a noise model of positions with heatmaps, got 'predicted-huber'",
        ),
        (("--cascade", "--fine-network", "convnet"), "ConvNet: expected images of at least 31 x 31 px, got (24, 24)."),
        (("--cascade", "--targets", "x0"), "expected points or targets, got 7 points and 1 targets"),
        (("--cascade", "--points", "a,b,c,d,e,f,g", "--pairs", ""), "cascade: expected the 14 joints of a body or a"),
    ],
)
def test_wrong_options(
    faces: Path, steadfit: Steadfit, fails: Fails, tmp_path: Path, options: tuple[object, ...], text: str
) -> None:
    """All are told before anything is trained."""
    error = fails(steadfit("fit", faces, "--size", 24, "-o", tmp_path / "run", *options), 2, text)
    assert not error.startswith("error") or len(error.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_cascades_are_of_points_in_images(
    own_faces: Path, features: Callable[..., Path], steadfit: Steadfit, fails: Fails, tmp_path: Path
) -> None:
    (own_faces / "dataset.yaml").unlink()
    (tmp_path / "r.yaml").write_text("a: [0]\n")
    table = features(tmp_path / "table.csv")
    for more in ((), ("--regions", tmp_path / "r.yaml")):
        options = (*more, "-o", tmp_path / "run", *TINY)
        scalar = "cascade: expected points in images, got scalar targets. Leave out --cascade."
        fails(steadfit("fit", own_faces, "--targets", "x0", *options), 2, scalar)
        told = "cascade: expected images, got a table of features. Leave out --cascade."
        fails(steadfit("fit", table, "--targets", "age", *options), 2, told)
    assert not (tmp_path / "run").exists()


def test_comparisons_have_no_cascades(faces: Path, steadfit: Steadfit, fails: Fails) -> None:
    fails(steadfit("compare", faces, "--cascade"), 2, "No such option: --cascade")
    fails(steadfit("convergence", faces, "--fine-size", 32), 2, "No such option: --fine-size")


@pytest.mark.usefixtures("no_report")
def test_distributions_of_the_second_stage(wrong: Path, steadfit: Steadfit, fails: Fails, tmp_path: Path) -> None:
    """Points of regions have covariances, the ears, which the first stage alone estimates, none; a scale of batches is
    the first stage's, whose noise model has one."""
    out, made = tmp_path / "run", tmp_path / "made"
    noises = ("--noise", "tukey", "--scale", "batch", "--fine-noise", "predicted-huber")
    result = steadfit("fit", wrong, *noises, "-o", out, *TINY, "--epochs", 1)
    assert result.exit_code == 0, result.output
    config = yaml.safe_load((out / "config.yaml").read_text(encoding="utf-8"))
    assert config["settings"]["noise"]["scale"] == "batch"
    assert config["fine"]["eyes"]["noise"]["name"] == "predicted-huber"
    assert steadfit("predict", out, wrong, "--overlays", 1, "-o", made).exit_code == 0
    table = pd.read_csv(made / "predictions.csv")
    for k in range(5):
        a, b, c = (table[name] for name in (f"var_x{k}", f"cov_xy{k}", f"var_y{k}"))
        assert (a > 0).all()
        assert (a * c - b**2 > 0).all()
    assert table[[f"{name}{k}" for name in ("var_x", "cov_xy", "var_y") for k in EARS]].isna().all(axis=None)
    assert table.filter(regex="^[xy]").notna().all(axis=None)
    assert len(list((made / "overlays").iterdir())) == 1
    error = fails(steadfit("calibrate", out), 4, "expected the run of one network, got one of task 'cascade'")
    assert len(error.splitlines()) == 1


@pytest.mark.usefixtures("no_report")
def test_crops_placed_by_folds(wrong: Path, steadfit: Steadfit, tmp_path: Path) -> None:
    result = steadfit("fit", wrong, "--placing", "folds", "--fine-size", "16x24", "-o", tmp_path, *TINY, "--epochs", 1)
    assert result.exit_code == 0, result.output
    assert {path.name for path in (tmp_path / "folds").iterdir()} == set("01234")
    assert "fold 5 of 5:" in result.stdout
    assert library.load(tmp_path).fine[2].settings.frame == (16, 24)


def test_the_help(steadfit: Steadfit, monkeypatch: pytest.MonkeyPatch) -> None:
    """A panel of its own, in which nothing is cut off."""
    monkeypatch.setenv("COLUMNS", "80")
    page = steadfit("fit", "--help").stdout
    assert max(map(len, page.splitlines())) <= 80
    panel = page[page.index("─ Coarse to fine ─") :]
    panel = panel[: panel.index("╰")]
    for option in ("--cascade", "--regions", "--fine-network", "--fine-noise", "--fine-size", "--fine-epochs"):
        assert f"│ {option} " in panel
    for placing in PLACINGS:
        assert f"{placing}: " in panel
    assert "…" not in panel
    assert "Coarse to fine" not in steadfit("compare", "--help").stdout
