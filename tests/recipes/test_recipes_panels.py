"""Figures of keypoints in run folders and comparisons, and the runs that a comparison is made of."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from steadfit.data import Annotations, Schema, load_annotations
from steadfit.data.drawn.synthetic import write_dataset
from steadfit.errors import ConfigError
from steadfit.evaluation.measures import keypoints, poses
from steadfit.outputs import Heatmaps
from steadfit.recipes import variants
from steadfit.recipes.panels import SHOWN, comparison_figures, run_figures, sticks
from steadfit.reports.panel import Panel
from steadfit.reports.style import save
from steadfit.training import Judgement, Settings
from steadfit.training.callbacks.excess import Excess

POSE = Settings(network="hourglass-light", noise="gum")


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Annotations:
    return load_annotations(write_dataset(tmp_path_factory.mktemp("faces"), n_train=4, n_val=3, n_test=15, size=20))


def judged(annotations: Annotations, off: float) -> Judgement:
    """Every prediction is so many px beside its annotation; every second heatmap has two peaks."""
    shape = annotations.target.shape[:2]
    predicted = annotations.target + np.array([off, 0.0])
    peaks = 1 + np.arange(np.prod(shape)).reshape(shape) % 2
    labels = {"trust": np.ones(shape), "suspect": np.zeros(shape, dtype=bool), "peaks": peaks}
    return Judgement(predicted, labels, 0.0)


def results_of(annotations: Annotations, judgements: dict[str, Judgement]) -> dict[str, dict[str, object]]:
    return {name: keypoints(one.predicted, annotations, peaks=one.peaks) for name, one in judgements.items()}


def run_of(folder: Path, settings: Settings = POSE) -> SimpleNamespace:
    return SimpleNamespace(folder=folder, settings=settings)


def named(panels: list[Panel]) -> dict[str, Figure]:
    """The figures of panels by their names."""
    return {panel.name: panel.figure for panel in panels}


def texts(figure: Figure) -> set[str]:
    """Everything that is written in it."""
    return {text.get_text() for text in figure.findobj(Text)}


def test_a_run_shows_poses_on_its_test_images(faces: Annotations, tmp_path: Path) -> None:
    figures = named(run_figures(run_of(tmp_path), faces, judged(faces, 1.0)))  # type: ignore[arg-type]
    assert list(figures) == ["poses"]
    assert sum(bool(axes.images) for axes in figures["poses"].axes) == SHOWN * 2  # annotated, predicted
    assert {"annotated", "BCE + GUM"} <= texts(figures["poses"])
    assert save(figures["poses"], tmp_path / "poses.png").stat().st_size > 10_000


def test_without_test_rows_validation_images_are_shown(faces: Annotations, tmp_path: Path) -> None:
    part = faces.take(np.flatnonzero(faces.split != "test"))
    figure = named(run_figures(run_of(tmp_path), part, judged(part, 0.0)))["poses"]  # type: ignore[arg-type]
    assert sum(bool(axes.images) for axes in figure.axes) == 3 * 2


def test_what_heatmaps_exceed_is_shown_where_it_was_watched(faces: Annotations, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    maps = {epoch: (1 + 0.5 * rng.uniform(-1, 1, (2, 7, 5, 5))).astype(np.float32) for epoch in (1, 4)}
    frames = rng.integers(0, 256, (2, 1, 20, 20)).astype(np.uint8)
    Excess(frames, faces.target[:2].astype(np.float32), maps).save(tmp_path)
    figures = named(run_figures(run_of(tmp_path), faces, judged(faces, 1.0)))  # type: ignore[arg-type]
    assert list(figures) == ["poses", "excess"]
    assert {"epoch 1", "epoch 4"} <= texts(figures["excess"])


def test_a_comparison_has_every_measure(faces: Annotations) -> None:
    judgements = {"mse": judged(faces, 9.0), "anchor": judged(faces, 1.0)}
    histories = {name: pd.DataFrame({"epoch": [1, 2], "phase": "round", "val_pck": [0.1, 0.2]}) for name in judgements}
    figures = named(comparison_figures(faces, results_of(faces, judgements), judgements, histories))
    assert list(figures) == ["pck_joints", "pck_curves", "pck_epochs", "confusions", "poses"]
    curves = {line.get_label(): line for axes in figures["pck_curves"].axes for line in axes.lines}
    x, y = curves["anchor"].get_data()
    y = np.asarray(y, dtype=float) / max(np.max(y), 1)  # in per cent or parts
    error = 1.0 / (0.64 * 20)  # every point is 1 px off, of a length of 12.8 px
    assert np.all(y[np.asarray(x) < error - 0.01] == 0)
    assert np.all(y[np.asarray(x) > error + 0.01] == 1)


def test_without_a_length_or_points_there_is_nothing_to_compare(faces: Annotations) -> None:
    judgements = {"gum": judged(faces, 1.0)}
    bare = dataclasses.replace(faces, length=None)
    assert comparison_figures(bare, {"gum": {}}, judgements, {}) == []
    scalars = load_annotations(faces.path, Schema(targets=("x0", "y2"), normalizer=50.0))
    assert comparison_figures(scalars, {"gum": {}}, {}, {}) == []
    assert run_figures(run_of(Path("nowhere")), scalars, judged(faces, 0.0)) == []  # type: ignore[arg-type]
    assert list(named(run_figures(run_of(Path("nowhere")), bare, judgements["gum"]))) == ["poses"]  # type: ignore[arg-type]


def test_faces_without_pairs_are_not_confused(faces: Annotations) -> None:
    plain = dataclasses.replace(faces, schema=dataclasses.replace(faces.schema, pairs=()))
    judgements = {"l1": judged(plain, 2.0), "l2": judged(plain, 3.0)}
    histories = {name: pd.DataFrame({"epoch": [1], "phase": "round", "val_pck": [0.1]}) for name in judgements}
    figures = named(comparison_figures(plain, results_of(plain, judgements), judgements, histories))
    assert "confusions" not in figures


def unnamed_bodies(n: int = 6) -> Annotations:
    """Bodies without images, names, pairs, limbs and length, for testing."""
    rng = np.random.default_rng(0)
    return Annotations(
        path=Path("table.csv"), root=Path(), schema=Schema(points=tuple(str(k) for k in range(14))), images=None,
        features=np.zeros((n, 1), dtype=np.float32), target=rng.uniform(0, 50, (n, 14, 2)), visible=None,
        split=np.full(n, "test"), line=np.arange(n), size=None, length=None,
    )  # fmt: skip


def test_bodies_have_pcp_without_a_length(tmp_path: Path) -> None:
    table = unnamed_bodies()
    exact, off = (judged(table, px) for px in (0.0, 4.0))
    own = named(run_figures(run_of(tmp_path), table, off))  # type: ignore[arg-type]
    assert list(own) == ["pcp_parts", "pcp_curves"]
    results = {"l2": poses(off.predicted, table), "tukey": poses(exact.predicted, table)}
    both = named(comparison_figures(table, results, {"l2": off, "tukey": exact}, {}))
    assert list(both) == ["pcp_parts", "pcp_curves"]
    assert {"Head", "Forearm", "Mean", "strict PCP@0.5"} <= texts(both["pcp_parts"])
    curves = {(line.get_label(), line.get_linestyle()): line.get_data() for line in both["pcp_curves"].axes[0].lines}
    alphas, strict = curves["L2", "-"]
    at_half = int(np.flatnonzero(np.isclose(alphas, 0.5))[0])
    assert strict[at_half] == pytest.approx(results["l2"]["pcp"], rel=1e-6)
    np.testing.assert_array_equal(curves["Tukey", ":"][1], np.ones(101))


def test_bodies_without_limbs_are_drawn_as_bodies(faces: Annotations) -> None:
    limbs, pairs = sticks(unnamed_bodies().schema)
    assert (len(limbs), len(pairs)) == (14, 6)
    assert sticks(faces.schema) == (faces.schema.limbs, faces.schema.pairs)  # its own
    own = dataclasses.replace(unnamed_bodies().schema, limbs=((0, 1),), pairs=((0, 5),))
    assert sticks(own) == (((0, 1),), ((0, 5),))


def test_the_runs_of_a_comparison() -> None:
    plain = variants(["l2", "gum"], [], dataclasses.replace(POSE, network="compact"))
    assert {name: one.noise for name, one in plain.items()} == {"l2": "l2", "gum": "gum"}
    one = variants(["gum"], ["mse", "anchor"], POSE)
    assert {name: (run.output.loss, run.noise) for name, run in one.items()} == {
        "mse": ("mse", "gum"), "anchor": ("anchor", "gum"),
    }  # fmt: skip
    both = variants(["l2", "gum"], ["bce"], POSE)
    assert {name: (run.output.loss, run.noise) for name, run in both.items()} == {
        "bce+l2": ("bce", "l2"), "bce+gum": ("bce", "gum"),
    }  # fmt: skip
    assert all(name == run.method for name, run in both.items())
    given = variants(["l2", "gum"], [], dataclasses.replace(POSE, output=Heatmaps(loss="ohkm")))
    assert [run.output.loss for run in given.values()] == ["ohkm", "ohkm"]


@pytest.mark.parametrize(
    ("methods", "losses", "settings", "text"),
    [
        (["gum"], [], POSE, "two or more different noise models or losses, got gum"),
        (["gum"], ["mse"], POSE, "two or more different noise models or losses, got gum, mse"),
        ([], ["mse", "bce"], POSE, "two or more"),
        (["gum"], ["mse", "mse"], POSE, "expected different losses, got mse, mse"),
        (["gum"], ["mse", "l2"], POSE, "expected losses of mse, ohkm, bce, focal, anchor, got 'l2'"),
        (["gum", "predicted-huber"], [], POSE, "heatmaps predict no covariance"),
        (["gum"], ["mse", "bce"], Settings(), "expected a heatmap network .*hourglass-light.* got 'default'"),
    ],
)
def test_comparisons_that_cannot_be(methods: list[str], losses: list[str], settings: Settings, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        variants(methods, losses, settings)
