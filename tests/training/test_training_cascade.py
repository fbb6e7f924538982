"""Cascades: crops placed by predictions, points put together, resumed to the same result, whatever the stages are."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import steadfit
from steadfit.core.fusion import fuse
from steadfit.core.penalties import Absolute, Huber
from steadfit.data import Annotations, Warp, read_image
from steadfit.data.images.misplacing import Misplacing
from steadfit.data.regions import Region
from steadfit.errors import ConfigError, RunError
from steadfit.noise import HuberNoise
from steadfit.training import Settings, fit
from steadfit.training.cascade import CoarseToFine, combined, default_regions, fit_cascade, load_cascade
from steadfit.training.cascade import fit as fitting
from steadfit.training.cascade.placing import estimates, fold_rows, observed_errors
from steadfit.training.predictor import Located

TINY = Settings(noise="gum", epochs=2, batch_size=8, size=16, seed=1)
FINE = dataclasses.replace(TINY, size=20, noise="tukey", epochs=3)


def regions_of(table: Annotations) -> tuple[Region, ...]:
    return default_regions(table.schema.points)


@pytest.fixture(scope="module")
def cascade(faces: Annotations, tmp_path_factory: pytest.TempPathFactory) -> CoarseToFine:
    return fit_cascade(faces, TINY, FINE, regions_of(faces), tmp_path_factory.mktemp("cascade"), device="cpu")


def models(folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    return {str(path.relative_to(folder)): load_file(path) for path in sorted(folder.rglob("model.safetensors"))}


def test_default_regions_of_bodies_and_faces() -> None:
    body = default_regions([str(k) for k in range(14)])
    assert [region.name for region in body] == ["head-shoulders", "torso-hips", "knees-ankles"]
    assert [region.points for region in body] == [
        (7, 8, 9, 10, 12, 13), (2, 3, 6, 7, 8, 9, 10, 11), (0, 1, 2, 3, 4, 5),
    ]  # fmt: skip
    for count in (5, 68, 98):
        face = default_regions([str(k) for k in range(count)])
        assert [region.name for region in face] == ["eyes", "nose", "mouth"]
        points = [k for region in face for k in region.points]
        assert len(set(points)) == len(points)
        assert max(points) == count - 1
    with pytest.raises(ConfigError, match="got 6 others. Name regions with --regions FILE"):
        default_regions("abcdef")


def test_stages_are_runs_of_their_own(cascade: CoarseToFine, faces: Annotations) -> None:
    folders = {path.parent.relative_to(cascade.folder).as_posix() for path in cascade.folder.rglob("model.safetensors")}
    assert folders == {"coarse", *(f"fine/{region.name}" for region in regions_of(faces))}
    for run, region in zip(cascade.fine, cascade.regions, strict=True):
        assert run.settings == FINE
        assert run.schema.points == tuple(faces.schema.points[k] for k in region.points)


def test_prediction_is_that_of_each_region_on_the_crop_of_the_estimate(
    cascade: CoarseToFine, faces: Annotations
) -> None:
    """Twin: crop by crop, from the stages' own predictions."""
    found, first = cascade.predict(faces).mean, cascade.coarse.predict(faces).mean
    expected = first.copy()
    for run, region in zip(cascade.fine, cascade.regions, strict=True):
        for row in range(len(faces)):
            box = region.boxes(first[row : row + 1], faces.size[row : row + 1])
            image = read_image(faces.root / faces.images[row], 1)
            expected[row, list(region.points)] = run.predict([image], boxes=box).mean[0]
    np.testing.assert_allclose(found, expected, atol=1e-3)
    assert np.abs(found - first).max() > 0.1


def test_labels_do_not_move_predictions(cascade: CoarseToFine, faces: Annotations) -> None:
    moved = faces.with_target(faces.target + 5)
    np.testing.assert_array_equal(cascade.predict(moved).mean, cascade.predict(faces).mean)


def test_files_arrays_and_tables_give_the_same(cascade: CoarseToFine, faces: Annotations) -> None:
    whole = cascade.predict(faces).mean[:5]
    paths = [faces.root / name for name in faces.images[:5]]
    np.testing.assert_allclose(cascade.predict(paths).mean, whole, atol=1e-4)
    np.testing.assert_allclose(cascade.predict([read_image(path, 1) for path in paths]).mean, whole, atol=1e-4)
    assert cascade.predict([]).mean.shape == (0, *whole.shape[1:])


@pytest.mark.parametrize("kind", ["table", "paths"])
def test_an_image_is_decoded_once_for_all_stages(
    cascade: CoarseToFine, faces: Annotations, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    decode, calls = cv2.imdecode, []
    monkeypatch.setattr(cv2, "imdecode", lambda *given: (calls.append(1), decode(*given))[1])
    inputs = faces if kind == "table" else [faces.root / name for name in faces.images]
    found = cascade.predict(inputs, batch_size=7)
    assert len(calls) == len(faces)
    np.testing.assert_allclose(found.mean, cascade.predict(faces).mean, atol=1e-4)


def test_a_column_that_not_every_stage_has_is_left_out(
    cascade: CoarseToFine, faces: Annotations, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Surprised(type(cascade.coarse.noise)):  # type: ignore[misc]
        def judge(self, *given: Any) -> dict[str, torch.Tensor]:
            found = super().judge(*given)
            return found | {"surprise": found["distance"]}

    plain = cascade.judge(faces)
    monkeypatch.setattr(cascade.coarse, "noise", Surprised())
    first, judged = cascade.judge_stages(faces)
    assert "surprise" in first.labels
    assert list(judged.labels) == list(plain.labels)


def test_opened_again(cascade: CoarseToFine, faces: Annotations) -> None:
    for opened in (load_cascade(cascade.folder), steadfit.load(cascade.folder)):
        assert isinstance(opened, CoarseToFine)
        assert opened.regions == cascade.regions
        np.testing.assert_array_equal(opened.predict(faces).mean, cascade.predict(faces).mean)
    with pytest.raises(ConfigError, match="load_cascade"):
        steadfit.load(cascade.folder, network=nn.Identity())
    with pytest.raises(RunError, match="expected a cascade"):
        load_cascade(cascade.folder / "coarse")
    with pytest.raises(RunError, match="run of one network, got one of task 'cascade'"):
        steadfit.training.load(cascade.folder)


def test_judgement(cascade: CoarseToFine, faces: Annotations) -> None:
    first, judged = cascade.judge_stages(faces)
    np.testing.assert_allclose(judged.predicted, cascade.predict(faces).mean, atol=1e-4)
    np.testing.assert_allclose(first.predicted, cascade.coarse.predict(faces).mean, atol=1e-4)
    covered = sorted({k for region in cascade.regions for k in region.points})
    alone = [k for k in range(faces.schema.n_targets) if k not in covered]
    np.testing.assert_array_equal(judged.trust[:, alone], first.trust[:, alone])
    for run, region in zip(cascade.fine, cascade.regions, strict=True):
        part = region.part(faces, region.boxes(first.predicted, faces.size))
        np.testing.assert_allclose(judged.trust[:, list(region.points)], run.judge(part).trust, atol=1e-5)
    assert 0 <= judged.error_rate <= 1


def test_points_seen_twice_are_suspect_where_both_say_so(faces: Annotations, tmp_path: Path) -> None:
    twice = (Region(name="a", points=(0, 1)), Region(name="b", points=(1, 2)))
    cascade = fit_cascade(faces, TINY, FINE, twice, tmp_path, device="cpu")
    first, judged = cascade.judge_stages(faces)
    parts = [
        run.judge(region.part(faces, region.boxes(first.predicted, faces.size)))
        for run, region in zip(cascade.fine, twice, strict=True)
    ]
    np.testing.assert_allclose(judged.trust[:, 1], (parts[0].trust[:, 1] + parts[1].trust[:, 0]) / 2, atol=1e-5)
    np.testing.assert_array_equal(judged.suspect[:, 1], parts[0].suspect[:, 1] & parts[1].suspect[:, 0])
    np.testing.assert_array_equal(judged.suspect[:, 0], parts[0].suspect[:, 0])
    np.testing.assert_allclose(
        judged.predicted[:, 1], (parts[0].predicted[:, 1] + parts[1].predicted[:, 0]) / 2, atol=1e-5
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30])
def test_first_stage_gone_wild(cascade: CoarseToFine, faces: Annotations, value: float) -> None:
    opened = load_cascade(cascade.folder)
    with torch.no_grad():
        opened.coarse.regressor.network.head[-1].bias.fill_(value)
    covered = sorted({k for region in opened.regions for k in region.points})
    assert np.isfinite(opened.predict(faces).mean[:, covered]).all()
    judged = opened.judge(faces)
    assert np.isfinite(judged.predicted[:, covered]).all()
    assert np.isfinite(judged.trust[:, covered]).all()


def test_second_stage_gone_wild_leaves_the_first(cascade: CoarseToFine, faces: Annotations) -> None:
    opened = load_cascade(cascade.folder)
    with torch.no_grad():
        opened.fine[0].regressor.network.head[-1].bias.fill_(float("nan"))
    place = list(opened.regions[0].points)
    first = opened.coarse.predict(faces).mean
    np.testing.assert_allclose(opened.predict(faces).mean[:, place], first[:, place])


class Stop(Exception):
    pass


@pytest.mark.parametrize("place", ["coarse", "nose", "before"])
def test_resumed_after_a_stop_anywhere(
    cascade: CoarseToFine, faces: Annotations, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """Stopped within a stage, and between estimate and second stage: the same models bit for bit."""
    regions, real = regions_of(faces), fitting.fit_part

    def stopped(table: Annotations, settings: Settings, out: Path, **more: object) -> object:
        wanted = {"before": "eyes"}.get(place, place)
        if Path(out).name != wanted:
            return real(table, settings, out, **more)
        if place != "before":
            real(table, dataclasses.replace(settings), out, **more)
            (Path(out) / "model.safetensors").unlink()  # as if it was killed before the end
        raise Stop

    with monkeypatch.context() as patch:
        patch.setattr(fitting, "fit_part", stopped)
        with pytest.raises(Stop):
            fit_cascade(faces, TINY, FINE, regions, tmp_path, device="cpu")
    with pytest.raises(RunError, match="--resume"):
        fit_cascade(faces, TINY, FINE, regions, tmp_path, device="cpu")
    with pytest.raises(RunError, match="--resume"):
        steadfit.load(tmp_path)
    fit_cascade(faces, TINY, FINE, regions, tmp_path, resume=True, device="cpu")
    expected, found = models(cascade.folder), models(tmp_path)
    assert expected.keys() == found.keys()
    for name, tensors in expected.items():
        assert all(torch.equal(tensors[key], found[name][key]) for key in tensors), name


def test_resume_wants_the_same_cascade(cascade: CoarseToFine, faces: Annotations) -> None:
    regions, other = regions_of(faces), dataclasses.replace(FINE, epochs=9)
    changes = (
        ("the second stage's settings", TINY, other, regions, "jitter", faces),
        ("the first stage's settings", other, FINE, regions, "jitter", faces),
        ("the regions", TINY, FINE, regions[:1], "jitter", faces),
        ("--placing", TINY, FINE, regions, "folds", faces),
        ("the data", TINY, FINE, regions, "jitter", faces.with_target(faces.target + 1)),
    )
    for message, coarse, fine, chosen, placing, table in changes:
        with pytest.raises(RunError, match=message):
            fit_cascade(table, coarse, fine, chosen, cascade.folder, placing=placing, resume=True)
    again = fit_cascade(faces, TINY, FINE, regions, cascade.folder, resume=True)  # finished: opened as it is
    np.testing.assert_array_equal(again.predict(faces).mean, cascade.predict(faces).mean)


def test_training_crops_lie_by_predictions_and_are_misplaced_anew(
    cascade: CoarseToFine, faces: Annotations, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    real = fitting.fit_part

    def watched(table: Annotations, settings: Settings, out: Path, **more: object) -> object:
        seen.append((Path(out).name, table, more.get("augment")))
        return real(table, settings, out, **more)

    monkeypatch.setattr(fitting, "fit_part", watched)
    fit_cascade(faces, TINY, dataclasses.replace(FINE, warp=True), regions_of(faces)[:1], tmp_path, device="cpu")
    (first, _, none), (name, part, augment) = seen
    assert (first, none, name) == ("coarse", None, "eyes")
    estimate = cascade.coarse.predict(faces).mean
    np.testing.assert_allclose(part.box, regions_of(faces)[0].boxes(estimate, faces.size), atol=1e-4)
    assert isinstance(augment, Misplacing)
    assert augment.warp == Warp()


def test_misplacement_is_what_validation_images_have_beyond_training_images(faces: Annotations) -> None:
    region, rng = Region(name="a", points=(0, 1, 2)), np.random.default_rng(0)
    trusted = np.ones(faces.target.shape[:2], dtype=bool)
    spread = np.where(faces.split == "train", 0.5, 2.0)[:, None, None]
    estimate = faces.target + spread * rng.normal(size=(len(faces), 1, 2))  # whole poses shifted
    errors = observed_errors(region, faces, estimate, trusted)
    side = region.boxes(faces.target, faces.size)[:, 2]
    wanted = 2.0 / side.mean() * np.sqrt(1 - (0.5 / 2.0) ** 2)
    assert len(errors) == len(faces.rows("val"))
    np.testing.assert_allclose(errors[:, :2].std(), wanted, rtol=0.5)  # six images
    np.testing.assert_allclose(errors[:, 2], 0, atol=1e-9)
    alike = observed_errors(region, faces, faces.target + 2 * rng.normal(size=(len(faces), 1, 2)), trusted)
    assert np.abs(alike).max() < np.abs(errors).max()
    assert not len(observed_errors(region, faces, estimate, ~trusted))  # suspect labels say nothing about crops
    blind = faces.with_target(np.where(np.arange(faces.schema.n_targets)[:, None] == 1, np.nan, faces.target))
    assert not len(observed_errors(region, blind, estimate, trusted))


def test_folds_place_crops_by_networks_that_have_not_seen_the_image(faces: Annotations, tmp_path: Path) -> None:
    regions = regions_of(faces)[:1]
    cascade = fit_cascade(faces, TINY, FINE, regions, tmp_path, placing="folds", folds=3, device="cpu")
    estimate = load_file(tmp_path / "estimates.safetensors")["estimate"].numpy()
    train, others = faces.rows("train"), np.concatenate([faces.rows("val"), faces.rows("test")])
    np.testing.assert_allclose(estimate[others], cascade.coarse.predict(faces.take(others)).mean, atol=1e-4)
    folds = [fold_rows(faces, fold, 3, TINY.seed) for fold in range(3)]
    np.testing.assert_array_equal(np.sort(np.concatenate(folds)), train)
    for fold, rows in enumerate(folds):
        run = steadfit.load(tmp_path / "folds" / str(fold))
        np.testing.assert_allclose(estimate[rows], run.predict(faces.take(rows)).mean, atol=1e-4)
    assert np.abs(estimate[train] - cascade.coarse.predict(faces.take(train)).mean).max() > 0.1


def test_estimates_are_kept(cascade: CoarseToFine, faces: Annotations, tmp_path: Path) -> None:
    found, trusted = estimates(cascade.coarse, faces, tmp_path, None, 1)
    again, _ = estimates(None, faces, tmp_path, None, 1)  # type: ignore[arg-type]  # nothing is predicted
    np.testing.assert_array_equal(found, again)
    assert trusted.shape == faces.target.shape[:2]


@pytest.mark.parametrize(
    ("coarse", "fine", "covariance"),
    [
        ({"noise": "l2"}, {"noise": "predicted-huber"}, True),
        ({"noise": "predicted-huber"}, {"noise": "predicted-huber"}, True),
        ({"noise": "predicted-mixture"}, {"noise": "l1"}, False),
        ({"noise": "huber", "network": "hourglass-light", "size": 32}, {"noise": "tukey", "size": (24, 16)}, False),
        ({"noise": "gum", "warp": True}, {"network": "hourglass-light", "size": 32, "warp": True}, False),
    ],
)  # fmt: skip
def test_any_network_and_noise_model_in_both_stages(
    faces: Annotations, tmp_path: Path, coarse: dict, fine: dict, covariance: bool
) -> None:
    first, second = (dataclasses.replace(TINY, epochs=1, **values) for values in (coarse, fine))
    cascade = fit_cascade(faces, first, second, regions_of(faces)[:2], tmp_path, device="cpu")
    found = cascade.predict(faces, views=("mirror",))
    assert np.isfinite(found.mean).all()
    assert (found.covariance is not None) is covariance
    judged = cascade.judge(faces)
    assert (judged.nll is not None) is covariance
    if covariance:
        covered = sorted({k for region in cascade.regions for k in region.points})
        alone = [k for k in range(faces.schema.n_targets) if k not in covered]
        assert np.isfinite(found.covariance[:, covered]).all()
        assert np.isfinite(found.covariance[:, alone]).all() is np.True_ if coarse == fine else True
        assert len(found.to_frame()) == len(faces)


def test_settings_for_each_region_and_modules_of_ones_own(faces: Annotations, tmp_path: Path) -> None:
    regions = regions_of(faces)[:2]
    points = len(regions[1].points)

    def own() -> nn.Module:
        torch.manual_seed(3)
        return nn.Sequential(nn.Flatten(), nn.Linear(16 * 16, 2 * points))

    settings = {"eyes": FINE, "nose": dataclasses.replace(TINY, network="mine")}
    more = {"networks": {"nose": own()}, "noises": {"coarse": HuberNoise(delta=2.0)}}
    cascade = fit_cascade(faces, TINY, settings, regions, tmp_path, device="cpu", **more)
    assert cascade.fine[0].settings == FINE
    assert cascade.coarse.noise == HuberNoise(delta=2.0)
    opened = load_cascade(tmp_path, networks={"nose": own()}, noises={"coarse": HuberNoise(delta=2.0)})
    np.testing.assert_array_equal(opened.predict(faces).mean, cascade.predict(faces).mean)


def test_composed_of_runs_that_are_there(faces: Annotations, tmp_path: Path) -> None:
    """A cascade is a composition: any two runs will do."""
    region = Region(name="all", points=(2, 0, 1))
    coarse = fit(faces, TINY, tmp_path / "a", device="cpu")
    part = region.part(faces, region.boxes(coarse.predict(faces).mean, faces.size))
    fine = fit(part, FINE, tmp_path / "b", device="cpu")
    found = CoarseToFine(coarse, [fine], [region]).predict(faces).mean
    np.testing.assert_allclose(found[:, [2, 0, 1]], fine.predict(part).mean, atol=1e-6)
    with pytest.raises(ConfigError, match="a run for each of 1 regions, got 0"):
        CoarseToFine(coarse, [], [region])
    with pytest.raises(ConfigError, match="the 2 points of region 'b'"):
        CoarseToFine(coarse, [fine], [Region(name="b", points=(0, 1))])


def test_what_cascades_refuse(cascade: CoarseToFine, faces: Annotations, table: Annotations, tmp_path: Path) -> None:
    regions = regions_of(faces)
    calls = (
        ("features", table, {"regions": regions}),
        ("at least one region", faces, {"regions": ()}),
        ("points 0 to 6 in region 'a', got 7", faces, {"regions": (Region(name="a", points=(7,)),)}),
        ("different names, got a, a", faces, {"regions": (Region(name="a", points=(0,)),) * 2}),
        ("another name for region 'coarse'", faces, {"regions": (Region(name="coarse", points=(0,)),)}),
        ("2 to 24 folds, got 25", faces, {"regions": regions, "placing": "folds", "folds": 25}),
        ("got one for 'chin'", faces, {"regions": regions, "networks": {"chin": nn.Identity()}}),
        ("got a difference in 'eyes'", faces, {"regions": regions, "fine": {"nose": FINE, "mouth": FINE}}),
    )
    for message, data, values in calls:
        values = {"fine": FINE} | values
        with pytest.raises(ConfigError, match=message):
            fit_cascade(data, TINY, values.pop("fine"), values.pop("regions"), tmp_path / "no", **values)
        assert not (tmp_path / "no").exists()
    with pytest.raises(ValueError, match="placing to be one of 'jitter', 'folds', got 'labels'"):
        fit_cascade(faces, TINY, FINE, regions, tmp_path / "no", placing="labels")
    with pytest.raises(ConfigError, match="not calibrated"):
        cascade.predict(faces, coverage=0.9)
    with pytest.raises(ConfigError, match="named views"):
        cascade.predict(faces, views=(torch.eye(3),))


REGIONS = (Region(name="a", points=(0, 1)), Region(name="b", points=(2, 1)))


def test_combined_averages_what_several_regions_hold() -> None:
    coarse = Located(torch.full((1, 4, 2), 9.0))
    a, b = torch.tensor([[[1.0, 1.0], [2.0, 2.0]]]), torch.tensor([[[3.0, 3.0], [4.0, 6.0]]])
    found = combined(coarse, [Located(a), Located(b)], REGIONS)
    assert found.mean.tolist() == [[[1, 1], [3, 4], [3, 3], [9, 9]]]
    assert found.root is None
    a[0, 1, 0], b[0, 0, 1] = torch.nan, torch.inf  # one of two looks, and the only one
    assert combined(coarse, [Located(a), Located(b)], REGIONS).mean.tolist() == [[[1, 1], [4, 6], [9, 9], [9, 9]]]


@pytest.mark.parametrize("penalty", [Huber(1.0), Absolute()])
def test_combined_fuses_distributions(penalty: Huber | Absolute) -> None:
    torch.manual_seed(0)

    def looks(n: int) -> Located:
        a = torch.randn(3, n, 2, 2, dtype=torch.float64)
        return Located(torch.randn(3, n, 2, dtype=torch.float64), a @ a.mT + 0.1 * torch.eye(2), penalty)

    coarse, a, b = looks(4), looks(2), looks(2)
    found = combined(coarse, [a, b], REGIONS)
    assert a.root is not None
    assert b.root is not None
    assert coarse.root is not None
    assert found.root is not None
    means, roots = torch.stack([a.mean[:, 1], b.mean[:, 1]]), torch.stack([a.root[:, 1], b.root[:, 1]])
    mode, precision = fuse(means, roots, penalty, location="mu", resolution=1.0)
    torch.testing.assert_close(found.mean[:, 1], mode)
    torch.testing.assert_close(found.root[:, 1] @ found.root[:, 1], precision)
    torch.testing.assert_close(found.mean[:, 0], a.mean[:, 0])
    torch.testing.assert_close(found.root[:, 0], a.root[:, 0])
    torch.testing.assert_close(found.root[:, 3], coarse.root[:, 3])
    other = combined(dataclasses.replace(coarse, penalty=Huber(3.0)), [a, b], REGIONS)
    assert other.root is not None
    assert bool(other.root[:, 3].isnan().all())
    mixed = combined(coarse, [a, dataclasses.replace(b, penalty=Huber(3.0))], REGIONS)
    assert mixed.root is None
    torch.testing.assert_close(mixed.mean[:, 1], (a.mean[:, 1] + b.mean[:, 1]) / 2)
