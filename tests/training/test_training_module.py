"""RegressionModule: what an epoch has seen of mirrored samples, scaling of inputs, averaged weights."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from steadfit.data import Annotations, mirror
from steadfit.training import RegressionModule, Settings
from steadfit.training.fit import Splits, build_module
from steadfit.training.module import InputScaling, _mix
from steadfit.training.trainer import lonely_last

FACES = Settings(epochs=2, batch_size=8, size=16)


@pytest.fixture
def module(faces: Annotations) -> RegressionModule:
    torch.manual_seed(0)
    return build_module(Splits.of(faces, FACES).train, FACES).eval()  # batch norm: a sample is judged by itself


def test_what_the_epoch_has_seen_of_mirrored_samples(faces: Annotations, module: RegressionModule) -> None:
    """The residuals of the labels as given, of what the network says of the mirrored image, mirrored back."""
    batch = Splits.of(faces, FACES).train.__getitems__(list(range(24)))
    target = batch["target"].clone()
    target[0, 0], target[1], target[2, 3] = torch.nan, torch.nan, torch.nan
    batch["target"] = target
    value, _, which = module._mirrored(batch, 0)
    assert which is not None
    assert 0 < int(which.sum()) < 24
    seen = module.training_step(batch, 0)
    regressor, permutation = module.regressor, module.permutation
    assert permutation == (1, 0, 2, 4, 3, 6, 5)
    with torch.no_grad():
        location = regressor.destandardize(module.label_noise.noise.prediction(regressor(value), 2))
    _, back = mirror(value, location, which, permutation, value.shape[-1])
    expected = regressor.standardize(target) - regressor.standardize(back)
    found = seen["target"] - module.label_noise.noise.prediction(seen["output"], 2)
    assert torch.equal(found.isnan(), target.isnan())
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4, equal_nan=True)
    torch.testing.assert_close(seen["target"], regressor.standardize(target), equal_nan=True)
    assert not seen["output"].requires_grad
    assert seen["output"].isfinite().all()
    assert torch.equal(seen["index"], torch.arange(24))


def test_without_mirroring_the_outputs_themselves_are_kept(faces: Annotations) -> None:
    plain = dataclasses.replace(FACES, mirror=False)
    module = build_module(Splits.of(faces, plain).train, plain).eval()
    assert module.permutation is None
    batch = Splits.of(faces, plain).train.__getitems__([3, 1])
    assert torch.equal(module.training_step(batch, 0)["output"], module.regressor(batch["input"]))


def test_mirrored_training_uses_the_weights_of_the_exchanged_points(
    faces: Annotations, module: RegressionModule
) -> None:
    batch = Splits.of(faces, FACES).train.__getitems__(list(range(24)))
    module.label_noise.end_warmup()
    weight = torch.rand(24, 7, 2, generator=torch.Generator().manual_seed(0))
    module.label_noise.label_weight.copy_(weight)
    value, target, which = module._mirrored(batch, 0)
    assert which is not None
    assert module.permutation is not None
    residual = (module.regressor.standardize(target) - module.regressor(value).view(24, 7, 2)).abs()
    carried = torch.stack([w[list(module.permutation)] if m else w for w, m in zip(weight, which, strict=True)])
    loss = module.training_step(batch, 0)["loss"]
    assert float(loss.detach()) == pytest.approx(float((carried * residual).sum().detach()) / 24, rel=1e-5)


def test_predictions_come_from_the_averaged_weights(faces: Annotations, module: RegressionModule) -> None:
    assert module.averaged is not None
    assert module.predictor() is module.averaged.module
    assert module.predictor() is not module.regressor
    with torch.no_grad():
        for parameter in module.regressor.parameters():
            parameter.zero_()
    image = torch.zeros(1, 1, 16, 16, dtype=torch.uint8)
    assert not torch.equal(module(image), module.regressor(image))
    paper = build_module(Splits.of(faces, FACES).train, dataclasses.replace(FACES, protocol="paper"))
    assert paper.averaged is None
    assert paper.predictor() is paper.regressor


def test_targets_go_there_and_back(module: RegressionModule) -> None:
    target = torch.rand(5, 7, 2, dtype=torch.float64) * 16
    back = module.regressor.destandardize(module.regressor.standardize(target))
    torch.testing.assert_close(back, target, rtol=1e-5, atol=1e-4)


def test_input_scaling() -> None:
    images = InputScaling(torch.tensor([0.5]), torch.tensor([0.25]), images=True)
    found = images(torch.tensor([0, 255], dtype=torch.uint8).view(1, 1, 1, 2))
    torch.testing.assert_close(found.flatten(), torch.tensor([-2.0, 2.0]))
    features = InputScaling(torch.tensor([1.0, 2.0]), torch.tensor([2.0, 0.0]), images=False)
    assert features(torch.tensor([[3.0, 5.0]])).tolist() == [[1.0, 3.0]]  # a constant feature is only centred


def test_seeds_differ() -> None:
    seeds = {_mix(seed, epoch, step) for seed in range(4) for epoch in range(10) for step in range(-1, 10)}
    assert len(seeds) == 4 * 10 * 11
    assert all(0 <= seed < 2**63 for seed in seeds | {_mix(2**40, 5, 5)})


@pytest.mark.parametrize(
    ("count", "batch_size", "lonely"), [(54, 53, True), (54, 54, False), (1, 64, False), (65, 64, True), (65, 1, False)]
)
def test_a_lonely_last_sample_is_left_out(count: int, batch_size: int, lonely: bool) -> None:
    assert lonely_last(count, batch_size) == lonely
