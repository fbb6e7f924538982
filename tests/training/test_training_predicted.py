"""Runs that predict distributions: units, views, warps, protocol, weights of earlier runs, calibration."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import lightning as L
import numpy as np
import pytest
import torch
from torch import nn

from steadfit.data import Annotations, Frame, Standardizer, load_annotations
from steadfit.data.drawn.synthetic import write_dataset
from steadfit.distributions import Elliptical
from steadfit.errors import ConfigError, RunError
from steadfit.noise import PredictedNoise
from steadfit.penalties import Huber, Squared
from steadfit.recipes import calibrate_run
from steadfit.training import Run, Settings, fit, load
from steadfit.training.fit import Splits, build_module, train
from steadfit.training.predictor import Predictor, change
from steadfit.training.views import views_of

PREDICTED = Settings(noise="predicted-huber", epochs=2, batch_size=8, size=16)


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Annotations:
    """48 drawn faces of 24 px with seven points; half of them for validation and test."""
    return load_annotations(write_dataset(tmp_path_factory.mktemp("f"), n_train=24, n_val=12, n_test=12, size=24))


@pytest.fixture(scope="module")
def run(faces: Annotations, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return fit(faces, PREDICTED, tmp_path_factory.mktemp("r") / "run", device="cpu")


def test_densities_are_those_of_the_users_units(faces: Annotations, run: Run) -> None:
    """The density of a label in px is the network's density in whitened units times the Jacobian of the map."""
    prediction = run.predict(faces)
    found = prediction.distribution
    assert isinstance(found, Elliptical)
    dataset = run.dataset(faces)
    output = run.regressor(dataset.__getitems__(list(range(len(faces))))["input"])
    inner = run.noise.distribution(output.detach().double(), 2)
    assert inner is not None
    scale = run.regressor.scale.double()
    target = torch.from_numpy(faces.target)
    frame = dataset.frame.to_frame(target)
    z = (torch.linalg.inv(scale) @ (frame - run.regressor.center.double()).unsqueeze(-1)).squeeze(-1)
    jacobian = dataset.frame.scale.log().sum(-1)[:, None] - torch.linalg.slogdet(scale)[1]
    torch.testing.assert_close(found.log_prob(target), inner.log_prob(z) + jacobian)
    covariance = prediction.covariance
    assert covariance is not None
    torch.testing.assert_close(torch.from_numpy(covariance), found.covariance_matrix)


def test_images_and_tables_give_the_same(faces: Annotations, run: Run) -> None:
    assert faces.images is not None
    from_table, from_files = run.predict(faces), run.predict([faces.root / name for name in faces.images])
    np.testing.assert_allclose(from_files.mean, from_table.mean, atol=1e-4)
    np.testing.assert_allclose(from_files.root, from_table.root, rtol=1e-4, atol=1e-6)  # type: ignore[arg-type]


def test_the_columns_of_a_prediction(faces: Annotations, run: Run) -> None:
    frame = run.predict(faces).to_frame()
    assert list(frame.columns[:4]) == ["x0", "y0", "x1", "y1"]
    assert list(frame.columns[14:17]) == ["var_x0", "cov_xy0", "var_y0"]
    assert frame.shape == (48, 14 + 21)
    covariance = run.predict(faces).covariance
    assert covariance is not None
    np.testing.assert_allclose(frame["cov_xy6"], covariance[:, 6, 0, 1])
    np.testing.assert_allclose(frame["var_y6"], covariance[:, 6, 1, 1])


@pytest.mark.parametrize("noise", ["predicted-mixture", "gum"])
def test_the_mirrored_view_is_mapped_back(faces: Annotations, tmp_path: Path, noise: str) -> None:
    """A network that sees no image puts its points at fixed places: the mirrored view's are the mirrored places."""
    settings = dataclasses.replace(PREDICTED, noise=noise, epochs=1)
    module = build_module(Splits.of(faces, settings).train, settings)
    regressor, permutation = module.predictor().eval(), list(faces.schema.permutation)
    final = [part for part in regressor.network.modules() if isinstance(part, nn.Linear)][-1]
    nn.init.zeros_(final.weight)
    nn.init.normal_(final.bias, std=0.3)
    dataset = Splits.of(faces, settings).val
    batch = dataset.__getitems__([0, 1])["input"]
    frame = dataclasses.replace(dataset.frame, scale=dataset.frame.scale[:2], shift=dataset.frame.shift[:2])
    plain = Predictor(regressor).locate(batch, frame)
    both = Predictor(regressor, views_of(["mirror"], 16), permutation).locate(batch, frame)
    mirrored = plain.mean[:, permutation] * torch.tensor([-1.0, 1.0]) + torch.tensor([23.0, 0.0])
    if noise == "gum":
        torch.testing.assert_close(both.mean, (plain.mean + mirrored) / 2, rtol=0, atol=1e-4)
        assert both.root is None
    else:
        assert plain.root is not None
        assert both.root is not None
        flip = torch.diag(torch.tensor([-1.0, 1.0], dtype=torch.float64))
        other = flip @ plain.root[:, permutation] @ flip
        if bool((plain.mean - mirrored).abs().max() < 1e-3):
            torch.testing.assert_close(both.mean, plain.mean)
        precision = both.root @ both.root
        total = plain.root @ plain.root + other @ other  # every weight is at most 1
        assert bool((torch.linalg.eigvalsh(total - precision) > -1e-6).all())


def test_a_change_of_coordinates_keeps_the_distance() -> None:
    half = torch.randn(20, 2, 2, dtype=torch.float64)
    root = half @ half.mT + 0.1 * torch.eye(2, dtype=torch.float64)
    linear, y = torch.randn(20, 2, 2, dtype=torch.float64), torch.randn(20, 2, 1, dtype=torch.float64)
    found = change(root, linear)
    torch.testing.assert_close(found, found.mT)
    torch.testing.assert_close((found @ y).norm(dim=1), (root @ linear @ y).norm(dim=1))


def test_every_distribution_starts_as_the_training_labels(faces: Annotations) -> None:
    """nu = 0 and A = I in whitened units: each point's median and robust covariance, whatever the image."""
    for noise in ("predicted-gauss", "predicted-mixture"):
        settings = dataclasses.replace(PREDICTED, noise=noise)
        splits = Splits.of(faces, settings)
        module = build_module(splits.train, settings).eval()
        frame = Frame(splits.train.frame.scale[:1] * 0 + 1, splits.train.frame.shift[:1] * 0)
        found = Predictor(module.predictor()).locate(torch.zeros(1, 1, 16, 16).byte(), frame)
        white = Standardizer.whiten(splits.train.target)
        torch.testing.assert_close(found.mean[0], white.center, rtol=0, atol=1e-5)
        assert found.root is not None
        torch.testing.assert_close(torch.linalg.inv(found.root[0]), white.scale, rtol=1e-4, atol=1e-5)


def test_whitening_is_mean_and_covariance_for_gaussian_labels() -> None:
    mix = torch.tensor([[2.0, 0.0], [1.5, 0.5]], dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    target = torch.randn(20_000, 1, 2, generator=generator, dtype=torch.float64) @ mix.T + 7
    white = Standardizer.whiten(target)
    torch.testing.assert_close(white.scale[0] @ white.scale[0], mix @ mix.T, rtol=0.05, atol=0.05)
    standard = white.apply(target)[:, 0]
    torch.testing.assert_close(torch.cov(standard.T), torch.eye(2, dtype=torch.float64), rtol=0, atol=0.04)
    torch.testing.assert_close(white.invert(white.apply(target)), target)
    wrong = target.clone()
    wrong[::5] = 1000 * torch.rand(4000, 1, 2, generator=generator, dtype=torch.float64)
    assert float((Standardizer.whiten(wrong).scale / white.scale).diagonal(dim1=1, dim2=2).max()) < 2
    line = torch.randn(100, 1, 1, dtype=torch.float64).expand(100, 1, 2)
    assert bool(torch.linalg.eigvalsh(Standardizer.whiten(line).scale).min() > 0)
    missing = target[:50].clone()
    missing[3, 0, 1] = torch.nan
    assert white.apply(missing)[3].isnan().all()


def test_the_head_is_trained_alone_first(faces: Annotations, tmp_path: Path) -> None:
    """Under the staged protocol nothing but the output layer moves in the first three epochs, batch norms included."""
    settings = dataclasses.replace(PREDICTED, protocol="staged", epochs=3)
    splits = Splits.of(faces, settings)
    torch.manual_seed(settings.seed)
    before = {k: v.clone() for k, v in build_module(splits.train, settings).regressor.network.state_dict().items()}
    after = train(splits, settings, tmp_path / "a", device="cpu").regressor.network.state_dict()
    moved = {name for name in after if not torch.equal(after[name], before[name]) and "num_batches" not in name}
    assert moved == {"head.2.weight", "head.2.bias"}
    longer = dataclasses.replace(settings, epochs=5)
    later = train(splits, longer, tmp_path / "b", device="cpu").regressor.network.state_dict()
    assert all(not torch.equal(later[name], before[name]) for name in later if "num_batches" not in name)


def test_weight_decay_is_on_the_head_alone(faces: Annotations) -> None:
    settings = dataclasses.replace(PREDICTED, protocol="staged")
    module = build_module(Splits.of(faces, settings).train, settings)
    module.trainer = L.Trainer(logger=False, enable_checkpointing=False, max_steps=10, max_epochs=1, accelerator="cpu")
    groups = module._groups()
    assert [group["weight_decay"] for group in groups] == [0.0, 0.1]
    assert sum(p.numel() for group in groups for p in group["params"]) == sum(
        p.numel() for p in module.regressor.parameters()
    )
    assert {id(p) for p in groups[1]["params"]} == {id(p) for p in module.head}


def test_warped_training_resumes_to_the_same_weights(faces: Annotations, tmp_path: Path) -> None:
    settings = dataclasses.replace(PREDICTED, noise="predicted-mixture", warp=True, epochs=3)
    whole = fit(faces, settings, tmp_path / "whole", device="cpu")
    other = fit(faces, dataclasses.replace(settings, workers=1), tmp_path / "workers", device="cpu")
    plain = fit(faces, dataclasses.replace(settings, warp=False), tmp_path / "plain", device="cpu")
    weight = "network.head.2.weight"
    mine, theirs, unwarped = (one.regressor.state_dict()[weight] for one in (whole, other, plain))
    assert torch.equal(mine, theirs)
    assert not torch.equal(mine, unwarped)
    with pytest.raises(ConfigError, match="residuals 'pass' with warps, got 'epoch'"):
        dataclasses.replace(settings, residuals="epoch")


def test_weights_of_a_run_are_a_start(faces: Annotations, run: Run, tmp_path: Path) -> None:
    settings = dataclasses.replace(PREDICTED, weights=str(run.folder))
    module = build_module(Splits.of(faces, settings).train, settings)
    for name, value in run.regressor.network.state_dict().items():
        torch.testing.assert_close(module.regressor.network.state_dict()[name], value)
    another = dataclasses.replace(
        settings, noise="gum"
    )  # another head: the rest is loaded, the output layer starts anew
    other = build_module(Splits.of(faces, another).train, another)
    torch.testing.assert_close(
        other.regressor.network.state_dict()["features.0.weight"],
        run.regressor.network.state_dict()["features.0.weight"],
    )


@pytest.mark.parametrize("name", ["resnet18"])
def test_a_resnet_trains_and_is_opened_again(faces: Annotations, tmp_path: Path, name: str) -> None:
    settings = dataclasses.replace(PREDICTED, network=name, epochs=1, size=32, channels=3, protocol="staged")
    trained = fit(faces, settings, tmp_path / "run", device="cpu")
    np.testing.assert_array_equal(load(tmp_path / "run").predict(faces).mean, trained.predict(faces).mean)


def test_calibration_is_kept_and_used(faces: Annotations, tmp_path: Path) -> None:
    run = fit(faces, PREDICTED, tmp_path / "run", device="cpu")
    with pytest.raises(RunError, match=r"a coverage needs calibration, .*the run is not calibrated"):
        run.predict(faces, coverage=0.9)
    before = run.predict(faces)
    table = calibrate_run(run.folder, weigh="none")
    assert {"calibration.json", "calibration.parquet", "calibration.csv", "calibration.png"} <= {
        path.name for path in run.folder.iterdir()
    }
    assert table["point"].tolist() == ["all", *faces.schema.target_names]
    again = load(run.folder)
    assert again.calibrated is not None
    tau = again.calibrated.temperature.tau
    assert before.root is not None
    after = again.predict(faces, coverage=0.5)
    np.testing.assert_allclose(after.root, before.root / tau)  # type: ignore[arg-type]
    np.testing.assert_array_equal(after.mean, before.mean)
    assert after.region is not None
    assert after.ellipsoids is not None
    rows = faces.rows("val")
    residual = torch.from_numpy(faces.target[rows] - before.mean[rows])
    distance = (torch.from_numpy(before.root[rows]) @ residual.unsqueeze(-1)).squeeze(-1).norm(dim=-1)
    ordered = distance.sort(dim=0).values  # twelve labels a point: the seventh, ceil(13/2)
    np.testing.assert_allclose(after.region * tau, ordered[6], rtol=1e-6)
    inside = np.einsum("nki,nkij,nkj->nk", residual, np.linalg.inv(after.ellipsoids[rows]), residual) <= 1 + 1e-9
    assert inside.sum(axis=0).tolist() == [7] * 7
    assert [c for c in after.to_frame().columns if c.startswith("reach")][:2] == ["reach_x0", "reach_y0"]
    with pytest.raises(RunError, match="was calibrated with other views"):
        again.predict(faces, coverage=0.5, views=("mirror",))
    np.testing.assert_allclose(again.predict(faces, views=("mirror",)).root, run.predict(faces, views=("mirror",)).root)  # type: ignore[arg-type]


def test_what_cannot_be_calibrated(faces: Annotations, table: Annotations, tmp_path: Path) -> None:
    gum = fit(faces, dataclasses.replace(PREDICTED, noise="gum"), tmp_path / "gum", device="cpu")
    with pytest.raises(ConfigError, match=r"expected a run that predicts distributions, got one with --noise gum"):
        calibrate_run(gum.folder)
    with pytest.raises(ConfigError, match="expected a run that predicts distributions"):
        gum.predict(faces, coverage=0.9)
    run = fit(table, Settings(noise="predicted-laplace", epochs=2, batch_size=16), tmp_path / "t", device="cpu")
    with pytest.raises(ConfigError, match="got the training rows"):
        calibrate_run(run.folder, split="train")
    with pytest.raises(ConfigError, match="expected views only for points in images"):
        run.predict(table, views=("mirror",))
    frame = calibrate_run(run.folder, per_point=True)
    assert frame["tau"].notna().all()
    assert list(run.predict(table).to_frame().columns) == ["age", "height", "var_age", "var_height"]


def test_a_users_own_model_can_predict_distributions(table: Annotations, tmp_path: Path) -> None:
    noise = PredictedNoise(Squared(), "diagonal", "mu", floor=0.1)
    run = fit(table, Settings(noise="l1", epochs=3, batch_size=16), tmp_path / "run", noise=noise, device="cpu")
    prediction = load(tmp_path / "run", noise=noise).predict(table)
    assert prediction.penalty == Squared() != Huber(1.0)
    np.testing.assert_array_equal(prediction.mean, run.predict(table).mean)
