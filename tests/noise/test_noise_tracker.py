"""LabelNoise: the loss of a batch, weights by sample index and through mirroring, warm-up, state."""

from __future__ import annotations

import math

import pytest
import torch

from steadfit.data.images.mirror import mirror, permute_labels
from steadfit.noise import L1, L2, GaussianUniformNoise, LabelNoise, NoiseModel, TukeyNoise
from steadfit.noise import tracker as tracker_module

NAN = math.nan


def tracker(noise: NoiseModel | None = None, n: int = 4, points: int = 3) -> LabelNoise:
    made = LabelNoise(noise or GaussianUniformNoise(inner="squared"), n_samples=n, points=points, dims=2)
    made.end_warmup()
    made.label_weight.copy_(torch.arange(float(n * points * 2)).view(n, points, 2))
    return made


def collapsing() -> GaussianUniformNoise:
    return GaussianUniformNoise(volume=1e-12)


def test_the_loss_is_the_weighted_sum_over_the_batch_size() -> None:
    """sum(w l)/N and not sum(w l)/sum(w): distrusted labels do not raise the others' step."""
    made = tracker()
    target = torch.tensor([[[1.0, 2.0], [NAN, NAN], [0.0, 3.0]], [[NAN, 1.0], [4.0, 0.0], [0.0, 0.0]]])
    index = torch.tensor([2, 0])
    loss = made(torch.zeros(2, 6), target, index)
    by_hand = 0.0
    for row, sample in enumerate(index.tolist()):
        for k in range(3):
            for d in range(2):
                if not math.isnan(value := float(target[row, k, d])):
                    by_hand += float(made.label_weight[sample, k, d]) * value**2 / 2
    assert float(loss) == pytest.approx(by_hand / 2)
    made.label_weight.mul_(0.1)
    assert float(made(torch.zeros(2, 6), target, index)) == pytest.approx(0.1 * by_hand / 2)


def test_weights_go_with_their_label_through_mirroring() -> None:
    made, permutation = tracker(), (1, 0, 2)
    target = torch.rand(3, 3, 2, generator=torch.Generator().manual_seed(0)) * 8
    index, which = torch.tensor([3, 1, 0]), torch.tensor([True, False, True])
    _, mirrored = mirror(torch.zeros(3, 1, 9, 9), target, which, permutation, 9)
    plain = made(torch.full((3, 6), 4.0), target, index)  # about the middle, where mirroring changes no residual's size
    assert float(made(torch.full((3, 6), 4.0), mirrored, index, which, permutation)) == pytest.approx(float(plain))
    assert float(made(torch.full((3, 6), 4.0), mirrored, index)) != pytest.approx(float(plain))
    carried = permute_labels(made.label_weight[index], which, permutation)
    assert carried[0, 0].tolist() == made.label_weight[3, 1].tolist()
    assert carried[1].tolist() == made.label_weight[1].tolist()
    expected = made.noise.loss(torch.full((3, 6), 4.0), mirrored, made.state, carried).sum() / 3
    assert float(made(torch.full((3, 6), 4.0), mirrored, index, which, permutation)) == float(expected)


def test_the_first_refit_ends_the_warm_up() -> None:
    noise = TukeyNoise()
    made = LabelNoise(noise, n_samples=50, points=1, dims=1)
    assert bool(made.warming_up)
    residual = torch.randn(50, 1, 1, generator=torch.Generator().manual_seed(0))
    target = 3 * residual
    warm = made(torch.zeros(50, 1), target, torch.arange(50))
    assert float(warm) == pytest.approx(float(target.abs().mean()), rel=1e-6)
    assert float(made.held_out_loss(torch.zeros(50, 1), target)) == pytest.approx(float(warm))
    made.refit(torch.zeros(50, 1), target)
    assert not bool(made.warming_up)
    assert not bool(made.fallen_back)
    scale = float(made.state["scale"])
    assert 2 < scale < 4
    expected = noise.loss(torch.zeros(50, 1), target, {"scale": torch.tensor([[scale]])}).mean()
    assert float(made(torch.zeros(50, 1), target, torch.arange(50))) == pytest.approx(float(expected))
    assert float(made.held_out_loss(torch.zeros(50, 1), target)) == pytest.approx(float(expected))


def test_l2_has_no_warm_up() -> None:
    assert not bool(LabelNoise(L2(), n_samples=1, points=1, dims=1).warming_up)
    made = LabelNoise(L1(), n_samples=1, points=1, dims=1)
    assert bool(made.warming_up)
    made.end_warmup()
    assert not bool(made.warming_up)


def test_a_wide_start_is_rescaled_without_ending_the_warm_up() -> None:
    made = LabelNoise(TukeyNoise(warmup="wide"), n_samples=50, points=1, dims=1)
    target = 3 * torch.randn(50, 1, 1, generator=torch.Generator().manual_seed(0))
    made.refit_scale(torch.zeros(50, 1), target)
    assert bool(made.warming_up)
    assert float(made.state["scale"]) > 2


def test_refit_keeps_a_weight_for_every_sample() -> None:
    made = LabelNoise(GaussianUniformNoise(), n_samples=100, points=2, dims=2)
    target = torch.randn(100, 2, 2, generator=torch.Generator().manual_seed(0))
    target[7, 1] = 300.0
    made.refit(torch.zeros(100, 4), target)
    assert float(made.label_weight[7, 1].max()) < 1e-3
    assert float(made.label_weight[7, 0].min()) > 0.5
    assert float(made.label_weight[8].min()) > 0.2
    held_out = made.held_out_loss(torch.zeros(1, 4), target[7:8])
    assert float(held_out) < 1.1 * float(target[7, 0].abs().sum())  # the same mixture judges what is held out


def test_a_sample_that_was_not_seen_keeps_its_weight() -> None:
    made = LabelNoise(GaussianUniformNoise(), n_samples=100, points=1, dims=2)
    target = torch.randn(100, 1, 2, generator=torch.Generator().manual_seed(0))
    target[3] = NAN
    made.refit(torch.zeros(100, 2), target)
    assert (made.label_weight[3] == 1).all()


def test_collapse_falls_back_to_the_warm_up_and_comes_out_of_it() -> None:
    made = LabelNoise(collapsing(), n_samples=100, points=1, dims=2)
    target = torch.randn(100, 1, 2, generator=torch.Generator().manual_seed(0))
    made.refit(torch.zeros(100, 2), target)
    assert bool(made.fallen_back)
    assert bool(made.warming_up)
    assert (made.label_weight == 1).all()
    loss = made(torch.zeros(100, 2), target, torch.arange(100))
    assert float(loss) == pytest.approx(float(target.abs().sum() / 100), rel=1e-5)
    made.noise = GaussianUniformNoise()
    made.refit(torch.zeros(100, 2), target)
    assert not bool(made.fallen_back)
    assert not bool(made.warming_up)


def test_the_state_dict_holds_everything() -> None:
    made = LabelNoise(GaussianUniformNoise(), n_samples=60, points=2, dims=2)
    target = torch.randn(60, 2, 2, generator=torch.Generator().manual_seed(0))
    target[:9, 0] += 40.0
    made.refit(torch.zeros(60, 4), target)
    other = LabelNoise(GaussianUniformNoise(), n_samples=60, points=2, dims=2)
    other.load_state_dict(made.state_dict())
    assert set(made.state_dict()) == {
        "label_weight", "warming_up", "fallen_back",
        "state_inlier_share", "state_covariance", "state_box", "state_informative", "state_unit",
    }  # fmt: skip
    index = torch.arange(60)
    assert torch.equal(made(torch.ones(60, 4), target, index), other(torch.ones(60, 4), target, index))
    assert torch.equal(made.held_out_loss(torch.ones(60, 4), target), other.held_out_loss(torch.ones(60, 4), target))


def test_as_a_part_of_a_module_it_moves_with_it() -> None:
    made = torch.nn.Sequential(LabelNoise(TukeyNoise(), n_samples=2, points=1, dims=1)).double()[0]
    assert isinstance(made, LabelNoise)
    assert made.label_weight.dtype == torch.float64
    assert made.state["scale"].dtype == torch.float64
    made.refit(torch.zeros(2, 1).double(), torch.tensor([[[1.0]], [[3.0]]]).double())
    assert made.state["scale"].dtype == torch.float64
    assert not list(made.parameters())


def test_a_device_without_float64_leaves_refits_to_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tracker_module.exact_device(torch.device("mps")) == torch.device("cpu")
    assert tracker_module.exact_device(torch.device("cuda", 1)) == torch.device("cuda", 1)
    asked: list[torch.device] = []

    def exact(device: torch.device) -> torch.device:
        asked.append(device)
        return torch.device("cpu")

    monkeypatch.setattr(tracker_module, "exact_device", exact)
    made = LabelNoise(TukeyNoise(), n_samples=3, points=1, dims=1)
    made.refit(torch.zeros(3, 1), torch.tensor([[[1.0]], [[3.0]], [[9.0]]]))
    assert asked == [torch.device("cpu")]
    assert float(made.state["scale"]) == pytest.approx(1.4826 * 2)
