"""Networks of heatmaps in the training loop: weights, mirrored batches, reading, views, resume, the folder."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import steadfit
from steadfit.core.heatmaps import render
from steadfit.data import Annotations
from steadfit.errors import ConfigError
from steadfit.losses import HeatmapAnchorLoss
from steadfit.networks import LightHourglass
from steadfit.noise import L2, GaussianUniformNoise, LabelNoise, TukeyNoise
from steadfit.outputs import HEATMAP_LOSSES, HeatmapReader, Heatmaps
from steadfit.outputs.heatmaps import HeatmapObjective, objective
from steadfit.training import Settings, fit
from steadfit.training.callbacks.excess import Excess
from steadfit.training.fit import Splits, build_module
from steadfit.training.predictor import Predictor
from steadfit.training.schedules import Alternating
from steadfit.training.views import SCALES, scale_frame, views_of

POSE = Settings(network="hourglass-light", noise="l2", size=32, epochs=2, batch_size=8, lr=4e-3)


class Stored(nn.Module):
    """A network that puts out heatmaps it has been given, whatever the images."""

    stride = 4

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.stored = logits

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        return self.stored[: len(value)]


def test_a_reader_finds_the_points_that_it_renders() -> None:
    points = torch.tensor([[[9.0, 14.5], [20.25, 11.0]]], dtype=torch.float64)  # px of a frame of 32
    reader = HeatmapReader(nn.Identity(), score="linear")
    reader.network.stride = 4  # type: ignore[assignment]
    maps = reader.targets(points, (8, 8))
    torch.testing.assert_close(reader.points(maps), points, atol=1e-6, rtol=0)


def test_a_view_of_the_heatmaps_comes_back_to_where_it_was() -> None:
    """A point that was moved by the view is found where it is in the unwarped frame."""
    reader = HeatmapReader(nn.Identity(), score="linear")
    reader.network.stride = 2  # type: ignore[assignment]
    point = torch.tensor([[[13.0, 17.0]]], dtype=torch.float64)
    view = scale_frame(32, 1.25)
    seen = point @ view[:2, :2].T + view[:2, 2]
    maps = reader.targets(seen, (16, 16))
    back = reader.seen_through(maps, view)
    torch.testing.assert_close(reader.points(back), point, atol=0.3, rtol=0)  # bilinear: a third of a pixel of 2 px
    assert bool((reader.seen_through(maps, torch.eye(3, dtype=torch.float64)) - maps).abs().max() < 1e-9)


def test_the_mirrored_view_averages_heatmaps_with_left_and_right_exchanged(faces: Annotations) -> None:
    """Against the mean written out: the mirrored image's maps flipped, its channels exchanged."""
    torch.manual_seed(0)
    settings = dataclasses.replace(POSE, channels=1)
    module = build_module(Splits.of(faces, settings).train, settings).eval()
    inputs = torch.randint(0, 256, (3, 1, 32, 32), dtype=torch.uint8)
    permutation = faces.schema.permutation
    found = Predictor(module.regressor, views_of(["mirror"], 32), permutation).score_maps(inputs)
    reader = module.regressor.network
    assert isinstance(reader, HeatmapReader)
    plain = reader.scores(module.regressor.raw(inputs))
    flipped = reader.scores(module.regressor.raw(inputs.flip(-1))).flip(-1)[:, list(permutation)]
    torch.testing.assert_close(found, (plain + flipped) / 2, atol=1e-5, rtol=0)


def test_scales_with_the_mirror_are_twelve_views_and_one_more_is_none() -> None:
    assert len(SCALES) == 5
    assert len(views_of(["mirror", "scales"], 64)) == 11  # with the frame itself six scales, each also mirrored
    with pytest.raises(ValueError, match="view"):
        views_of(["upside-down"], 64)


@pytest.mark.parametrize("name", HEATMAP_LOSSES)
def test_an_objective_of_k_equal_stacks_is_k_times_that_of_one(name: str) -> None:
    torch.manual_seed(0)
    logits, points = torch.randn(3, 1, 4, 8, 8), torch.rand(3, 4, 2) * 31
    reader = HeatmapReader(Stored(logits), score=HEATMAP_LOSSES[name].score)
    one = objective(name)(reader, logits, points)
    three = objective(name)(reader, logits.expand(3, 3, 4, 8, 8), points)
    torch.testing.assert_close(three, 3 * one)
    assert float(one) > 0


def test_trust_multiplies_a_joints_loss_and_its_gradient() -> None:
    """Weight 0 is the joint's absence, up to the number that the sum is divided by; others keep their step."""
    torch.manual_seed(0)
    logits = torch.randn(2, 1, 3, 8, 8, dtype=torch.float64, requires_grad=True)
    points = torch.rand(2, 3, 2, dtype=torch.float64) * 31
    reader, loss = HeatmapReader(Stored(logits)), objective("anchor")
    trust = torch.tensor([[1.0, 0.0, 0.25], [1.0, 1.0, 0.5]], dtype=torch.float64)
    (gradient,) = torch.autograd.grad(loss(reader, logits, points, trust), logits)
    (full,) = torch.autograd.grad(loss(reader, logits, points), logits)
    torch.testing.assert_close(gradient, full * trust[:, None, :, None, None])


def test_the_objective_is_the_loss_of_rendered_targets() -> None:
    torch.manual_seed(0)
    logits, points = torch.randn(2, 2, 3, 8, 8), torch.rand(2, 3, 2) * 31
    points[0, 1] = torch.nan  # a missing joint takes no part
    points[1, 2] = torch.tensor([400.0, 5.0])  # nor does one far outside
    reader = HeatmapReader(Stored(logits))
    target = render((points + 0.5) / 4 - 0.5, (8, 8))
    wanted = sum(HeatmapAnchorLoss(2.0)(logits[:, s], target) for s in range(2))
    found = HeatmapObjective(HeatmapAnchorLoss(2.0, reduction="sum"))(reader, logits, points)
    torch.testing.assert_close(found, wanted)


def test_a_batch_without_any_visible_joint_has_loss_0() -> None:
    logits = torch.randn(2, 1, 3, 8, 8, requires_grad=True)
    loss = objective("anchor")(HeatmapReader(Stored(logits)), logits, torch.full((2, 3, 2), torch.nan))
    loss.backward()
    assert float(loss.detach()) == 0
    assert logits.grad is not None
    assert bool((logits.grad == 0).all())


def test_models_without_weights_weight_heatmaps_by_their_trust() -> None:
    """Tukey's weight of the residual from the last refit; L2 trusts everything; the mixture has its own weights."""
    torch.manual_seed(0)
    target = torch.randn(50, 2, 2)
    output = (target + 0.1 * torch.randn(50, 2, 2)).flatten(1)
    target[0] += 10
    for noise in (TukeyNoise(), L2(), GaussianUniformNoise()):
        tracker = LabelNoise(noise, n_samples=50, points=2, dims=2, by_trust=True)
        everything = torch.arange(50)
        assert bool((tracker.weights(everything) == 1).all())  # before anything is known
        tracker.refit(output, target)
        trust = noise.trust(output, target, tracker.state)
        torch.testing.assert_close(tracker.weights(everything)[..., 0], trust)
        assert bool((tracker.weights(everything)[0] < 1e-3).all()) == (noise.name != "l2")


@pytest.mark.parametrize("noise", ["l2", "gum", "tukey"])
def test_a_run_of_heatmaps_is_a_run(faces: Annotations, tmp_path: Path, noise: str) -> None:
    run = fit(faces, dataclasses.replace(POSE, noise=noise), tmp_path / "run", device="cpu")
    again = steadfit.load(tmp_path / "run")
    images = [faces.root / name for name in (faces.images or ())[:5]]
    first, second = run.predict(images, views=("mirror", "scales")), again.predict(images, views=("mirror", "scales"))
    assert first.mean.shape == (5, len(faces.schema.points), 2)
    np.testing.assert_array_equal(first.mean, second.mean)
    judged = run.judge(faces)
    assert judged.peaks is not None
    assert int(judged.peaks.min()) >= 1
    assert np.isfinite(judged.predicted).all()


def test_heatmaps_learn_drawn_faces(faces: Annotations, tmp_path: Path) -> None:
    """A few epochs halve the validation error; PCK rises."""
    fit(faces, dataclasses.replace(POSE, epochs=8, lr=8e-3), tmp_path / "run", device="cpu")
    history = np.genfromtxt(tmp_path / "run" / "history.csv", delimiter=",", names=True, dtype=None, encoding=None)
    assert history["val_error"][-1] < 0.5 * history["val_error"][0]
    assert history["val_loss"][-1] < history["val_loss"][0]


def test_a_stopped_run_of_heatmaps_continues_to_the_same_weights(faces: Annotations, tmp_path: Path) -> None:
    class Stopped(RuntimeError):
        pass

    settings = dataclasses.replace(POSE, epochs=3, noise="gum")
    whole = fit(faces, settings, tmp_path / "whole", device="cpu")
    from steadfit.training.callbacks.history import History

    original = History.on_train_epoch_start

    def stop(self: History, trainer: object, module: object) -> None:
        if trainer.current_epoch == 2:  # type: ignore[attr-defined]
            raise Stopped
        original(self, trainer, module)  # type: ignore[arg-type]

    History.on_train_epoch_start = stop  # type: ignore[method-assign,assignment]
    try:
        with pytest.raises(Stopped):
            fit(faces, settings, tmp_path / "stopped", device="cpu")
    finally:
        History.on_train_epoch_start = original  # type: ignore[method-assign]
    resumed = fit(faces, settings, tmp_path / "stopped", resume=True, device="cpu")
    for name, value in whole.regressor.state_dict().items():
        assert torch.equal(value, resumed.regressor.state_dict()[name]), name
    before, after = Excess.load(tmp_path / "whole"), Excess.load(tmp_path / "stopped")
    assert before is not None
    assert after is not None
    assert list(before.modulator) == list(after.modulator)


def test_the_watch_sees_the_modulator_of_the_validation_images(faces: Annotations, tmp_path: Path) -> None:
    run = fit(faces, POSE, tmp_path / "run", device="cpu")
    seen = Excess.load(tmp_path / "run")
    assert seen is not None
    assert sorted(seen.modulator) == [1, 2]
    logits = run.regressor.raw(torch.from_numpy(seen.frames))[:, -1]
    reader = run.regressor.network
    assert isinstance(reader, HeatmapReader)
    target = reader.targets(torch.from_numpy(seen.points), (8, 8))
    q = logits.sigmoid()
    anchor = torch.where(target > 0.5, q, 0.0).flatten(2).amax(2)[..., None, None]
    wanted = torch.where(target == 0, (1 + q - anchor).square(), 1.0)
    torch.testing.assert_close(torch.from_numpy(seen.modulator[2]), wanted.detach(), atol=1e-5, rtol=1e-5)


def test_what_makes_no_sense_is_said(faces: Annotations, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="heatmaps predict no covariance"):
        dataclasses.replace(POSE, noise="predicted-huber")
    with pytest.raises(ValueError, match=r"Heatmaps: expected gamma in \[0, 5\], got -1"):
        Heatmaps(gamma=-1.0)
    with pytest.raises(ValueError, match="loss"):
        Heatmaps(loss="ce")
    scalar = dataclasses.replace(
        faces, schema=steadfit.data.Schema(targets=("age",)), target=np.random.default_rng(0).random((len(faces), 1, 1))
    )
    with pytest.raises(ConfigError, match="expected points in images for network 'hourglass-light'"):
        fit(scalar, POSE, tmp_path / "scalar", device="cpu")


def test_the_alternating_schedule_of_paper_4() -> None:
    """200 epochs: 1e-3 for 100, then times .5 and .2 in turn every 20."""
    factors = [Alternating().factor((epoch + 0.5) / 200) for epoch in range(200)]
    wanted = [1.0] * 100 + [0.5] * 20 + [0.1] * 20 + [0.05] * 20 + [0.01] * 20 + [0.005] * 20
    assert factors == pytest.approx(wanted)


def test_squared_errors_are_of_the_raw_outputs() -> None:
    logits, points = torch.randn(2, 1, 3, 8, 8), torch.rand(2, 3, 2) * 31
    reader = HeatmapReader(Stored(logits), score="linear")
    target = reader.targets(points, (8, 8))
    torch.testing.assert_close(objective("mse")(reader, logits, points), F.mse_loss(logits[:, 0], target))


def test_the_step_of_a_loss_is_that_of_the_default_protocol_alone() -> None:
    mse = Settings(network="hourglass-light", output=Heatmaps(loss="mse"))
    assert mse.plan.lr == 4 * Settings(network="hourglass-light").plan.lr
    assert dataclasses.replace(mse, lr=1e-3).plan.lr == 1e-3
    assert dataclasses.replace(mse, protocol="hourglass").plan.lr == 1e-3
    assert Settings().plan.lr == 8e-3


def test_a_heatmap_network_of_ones_own_is_trained_as_one(faces: Annotations, tmp_path: Path) -> None:
    torch.manual_seed(0)
    own = HeatmapReader(LightHourglass(1, len(faces.schema.points), size=(32, 32), features=16))
    settings = dataclasses.replace(POSE, network="mine")
    run = fit(faces, settings, tmp_path / "run", network=own, device="cpu")
    assert (tmp_path / "run" / "excess.safetensors").exists()
    assert run.judge(faces).peaks is not None
    with pytest.raises(ConfigError, match="noise model of positions"):
        fit(
            faces, dataclasses.replace(settings, noise="predicted-huber"), tmp_path / "other", network=own, device="cpu"
        )
