"""RefitNoise in a LightningModule of a user's own, in one process and in two."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset
from two_processes import forked, says_the_same

from steadfit.lightning import LabelNoise, RefitNoise
from steadfit.noise import L1, L2, GaussianUniformNoise, HuberNoise, NoiseModel, TukeyNoise
from steadfit.noise.residuals import robust_scale
from steadfit.training.callbacks.refit import _training_loader, outputs_of

N, K, D = 64, 2, 2
pytestmark = [  # notices of Lightning and its dependencies about the trainers that these tests make themselves
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:lightning.*"),
]


def make_data(n: int = N) -> tuple[TensorDataset, Tensor]:
    """(x, y, index); a quarter of the points is wrong."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, 4, generator=generator)
    y = (x @ torch.randn(4, K * D, generator=generator)).view(n, K, D) + 0.05 * torch.randn(
        n, K, D, generator=generator
    )
    wrong = torch.rand(n, K, generator=generator) < 0.25
    y = torch.where(wrong[..., None], 60 * torch.rand(n, K, D, generator=generator) - 30, y)
    return TensorDataset(x, y, torch.arange(n)), wrong


class Mine(L.LightningModule):
    """The docstring's module; ``whole`` returns what residuals="epoch" needs."""

    def __init__(self, noise: NoiseModel | None = None, n: int = N, whole: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.network, self.whole = nn.Linear(4, K * D), whole
        self.label_noise = LabelNoise(noise or GaussianUniformNoise(), n_samples=n, points=K, dims=D)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.network(x)
        return result

    def training_step(self, batch: Any, _: int) -> Any:
        x, y, index = batch
        output = self(x)
        loss = self.label_noise(output, y, index)
        return {"loss": loss, "index": index, "output": output, "target": y} if self.whole else loss

    def noise_outputs(self, batch: Any) -> tuple[Tensor, Tensor, Tensor]:
        x, y, index = batch
        return index, self(x), y

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), lr=0.05)


def loader(data: Dataset[Any], **options: Any) -> DataLoader[Any]:
    return DataLoader(
        data, **{"batch_size": 16, "shuffle": True, "generator": torch.Generator().manual_seed(1)} | options
    )


def train(
    module: L.LightningModule, refit: RefitNoise, epochs: int = 12, data: Any = None, **options: Any
) -> L.Trainer:
    extra = options.pop("callbacks", [])
    trainer = L.Trainer(
        max_epochs=epochs, accelerator="cpu", devices=1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, callbacks=[refit, *extra], **options,
    )  # fmt: skip
    trainer.fit(module, loader(make_data()[0]) if data is None else data)
    return trainer


@pytest.mark.parametrize("residuals", ["pass", "epoch"])
def test_a_module_of_ones_own_finds_the_wrong_labels(residuals: str) -> None:
    module = Mine(whole=residuals == "epoch")
    train(module, RefitNoise(warmup_epochs=8, residuals=residuals), epochs=30)
    (x, y, _), wrong = make_data()[0].tensors, make_data()[1]
    tracker = module.label_noise
    assert not bool(tracker.warming_up)
    outlier = tracker.noise.is_outlier(module(x).detach(), y, tracker.state)
    far = wrong & ((y - module(x).detach().view_as(y)).norm(dim=-1) > 5)
    assert outlier[far].all()
    assert float((outlier & ~wrong).double().mean()) < 0.05
    assert float(tracker.label_weight[far].max()) < 0.05


class Watch(L.Callback):
    """Warm-up and scale after every epoch; stands after RefitNoise."""

    def __init__(self) -> None:
        self.warming: list[bool] = []
        self.scale: list[float] = []

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, Mine)
        self.warming.append(bool(pl_module.label_noise.warming_up))
        self.scale.append(float(pl_module.label_noise.state.get("scale", torch.zeros(1)).sum()))


def test_when_the_refits_are() -> None:
    watch = Watch()
    train(Mine(HuberNoise()), RefitNoise(warmup_epochs=2, every_n_epochs=3), epochs=7, callbacks=[watch])
    assert watch.warming == [True, False, False, False, False, False, False]
    changed = [a != b for a, b in zip([4.0, *watch.scale], watch.scale, strict=False)]
    assert changed == [False, True, False, False, True, False, False]


def test_a_wide_start_has_a_scale_from_the_beginning() -> None:
    watch, seen = Watch(), []

    class Start(L.Callback):
        def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
            seen.append(float(pl_module.label_noise.state["scale"].sum()))  # type: ignore[union-attr]

    train(Mine(TukeyNoise(warmup="wide")), RefitNoise(warmup_epochs=3), epochs=4, callbacks=[watch, Start()])
    assert seen[0] != 4.0
    assert watch.warming == [True, True, False, False]
    assert len({*seen[:1], *watch.scale}) == 5  # refitted after every epoch, the warm-up's too


def test_l1_needs_one_refit_whenever_it_ends() -> None:
    for refit, epochs, options in (
        (RefitNoise(warmup_epochs=2), 5, {}),
        (RefitNoise(warmup_epochs=2, every_n_epochs=3), 4, {}),  # the last epoch is no refit's turn
        (RefitNoise(warmup_epochs=2), 50, {"max_steps": 12}),
    ):
        watch, module = Watch(), Mine(L1())
        train(module, refit, epochs, callbacks=[watch], **options)
        assert watch.warming[:2] == [True, False]
        assert watch.scale[:2] == [4.0, 4.0]
        assert float(module.label_noise.state["scale"].sum()) != 4.0


def test_l2_is_never_refitted() -> None:
    module = Mine(L2())
    train(module, RefitNoise(), epochs=2)
    assert module.label_noise.state == {}


def test_the_modes_of_all_parts_are_kept() -> None:
    """A frozen batch norm in evaluation mode stays there; dropout trains on."""
    module = Mine()
    module.frozen, module.drop = nn.BatchNorm1d(4).eval(), nn.Dropout()
    seen = []

    def noise_outputs(batch: Any) -> Any:
        seen.append(module.drop.training)
        return Mine.noise_outputs(module, batch)

    module.noise_outputs = noise_outputs  # type: ignore[method-assign]
    module.drop.train()
    list(outputs_of(module, loader(make_data()[0])))
    assert seen == [False] * 4
    assert module.drop.training
    assert not module.frozen.training
    assert module.training


def test_missing_members_are_told() -> None:
    class Without(L.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.network = nn.Linear(4, 4)

        def training_step(self, batch: Any, _: int) -> Any:
            return self.network(batch[0]).sum()

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    with pytest.raises(TypeError, match="RefitNoise: expected Without to have 'label_noise', got none"):
        train(Without(), RefitNoise())
    module = Without()
    module.label_noise = LabelNoise(L1(), n_samples=N, points=K, dims=D)
    with pytest.raises(TypeError, match="RefitNoise: expected Without to have 'noise_outputs', got none"):
        train(module, RefitNoise())


def test_residuals_of_the_epoch_need_what_the_step_returns() -> None:
    with pytest.raises(TypeError, match=r"expected Mine.training_step to return a dict with loss, index, output"):
        train(Mine(), RefitNoise(residuals="epoch"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"residuals": "some"}, "expected residuals to be one of 'pass', 'epoch', got 'some'"),
        ({"warmup_epochs": 0}, "expected warmup_epochs and every_n_epochs >= 1, got 0, 1"),
        ({"every_n_epochs": 0}, "expected warmup_epochs and every_n_epochs >= 1, got 1, 0"),
    ],
)
def test_options_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RefitNoise(**options)


def test_the_index_must_fit_the_tracker() -> None:
    with pytest.raises(ValueError, match=r"expected sample indices in \[0, 40\), got 40"):
        train(Mine(n=40), RefitNoise(), data=loader(make_data()[0], shuffle=False, batch_size=64), epochs=1)


def test_samples_come_in_any_order_and_count_once() -> None:
    """The last one counts of a sample that comes twice; one that does not come takes no part and keeps its weight."""
    y = make_data()[0].tensors[1]
    output = torch.zeros(N, K * D)
    wanted, found = (LabelNoise(GaussianUniformNoise(), n_samples=N, points=K, dims=D) for _ in range(2))
    seen = torch.arange(N) != 7
    wanted.refit(output, torch.where(seen[:, None, None], y, torch.nan))
    order = torch.randperm(N, generator=torch.Generator().manual_seed(0))
    order = order[order != 7]
    index = torch.cat([torch.tensor([3, 3, 9]), order])
    target = torch.cat([torch.full((3, K, D), 1e3), y[order]])
    found.refit(output[index], target, index)
    for name, value in wanted.state_dict().items():
        assert torch.equal(found.state_dict()[name], value), name
    assert (found.label_weight[7] == 1).all()


def test_other_loaders() -> None:
    data, _ = make_data()

    def plain() -> Iterator[Any]:
        yield from DataLoader(data, batch_size=10)

    class Again:
        def __iter__(self) -> Iterator[Any]:
            return plain()

    given, own = Mine(), Mine()
    train(given, RefitNoise(warmup_epochs=2, loader=Again()), epochs=4)
    train(own, RefitNoise(warmup_epochs=2), epochs=4)
    assert torch.allclose(given.label_noise.label_weight, own.label_noise.label_weight, atol=1e-3)
    sampler = torch.utils.data.BatchSampler(torch.utils.data.SequentialSampler(data), 16, False)
    batched: DataLoader[Any] = DataLoader(data, sampler=sampler, batch_size=None)
    with pytest.raises(TypeError, match=r"expected a DataLoader with a batch size, got a batch sampler. Pass loader="):
        train(Mine(), RefitNoise(), data=batched)
    with pytest.raises(TypeError, match=r"expected one DataLoader, got list. Pass loader="):
        _training_loader(SimpleNamespace(train_dataloader=[own]))  # type: ignore[arg-type]


def test_the_noise_models_state_is_in_the_checkpoint(tmp_path: Path) -> None:
    module = Mine()
    trainer = train(module, RefitNoise(warmup_epochs=2), epochs=3)
    trainer.save_checkpoint(tmp_path / "mine.ckpt")
    content = torch.load(tmp_path / "mine.ckpt", weights_only=True)
    other = Mine()
    other.load_state_dict(content["state_dict"])
    assert torch.equal(other.label_noise.label_weight, module.label_noise.label_weight)
    assert torch.equal(other.label_noise.state["covariance"], module.label_noise.state["covariance"])
    assert not bool(other.label_noise.warming_up)


@pytest.mark.parametrize("precision", ["64-true", "bf16-true", "16-true", "bf16-mixed"])
@pytest.mark.parametrize("residuals", ["pass", "epoch"])
def test_every_precision(precision: Any, residuals: str) -> None:
    """The labels' state is in float32 at least: a scale in bfloat16 would be 0.4 % off."""
    module = Mine(TukeyNoise(), whole=residuals == "epoch")
    train(module, RefitNoise(warmup_epochs=8, residuals=residuals), epochs=12, precision=precision)
    tracker = module.label_noise
    wanted = torch.float64 if precision == "64-true" else torch.float32
    assert tracker.state["scale"].dtype == tracker.label_weight.dtype == wanted
    x, y, _ = make_data()[0].tensors
    if residuals == "pass":
        kind = next(module.parameters()).dtype
        residual = y.to(kind).to(wanted) - module(x.to(kind)).detach().to(wanted).view_as(y)
        if precision != "16-true":  # of which the network may be NaN
            torch.testing.assert_close(tracker.state["scale"], robust_scale(residual), rtol=1e-5, atol=1e-7)
    assert not bool(tracker.warming_up)


class Stream(IterableDataset[Any]):
    """The same samples without a length; with two workers each sample comes twice."""

    def __iter__(self) -> Iterator[Any]:
        return zip(*make_data()[0].tensors, strict=True)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("residuals", ["pass", "epoch"])
def test_an_iterable_data_set(residuals: str, workers: int) -> None:
    module = Mine(TukeyNoise(), whole=residuals == "epoch")
    refit = RefitNoise(warmup_epochs=2, residuals=residuals)
    train(module, refit, epochs=3, data=DataLoader(Stream(), batch_size=16, num_workers=workers))
    x, y, _ = make_data()[0].tensors
    if residuals == "pass":
        residual = y - module(x).detach().view_as(y)
        torch.testing.assert_close(module.label_noise.state["scale"], robust_scale(residual), rtol=1e-5, atol=1e-7)
    assert float(module.label_noise.state["scale"].sum()) != 4


def test_a_loader_without_samples_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"LabelNoise.refit: expected at least one sample, got none"):
        train(Mine(), RefitNoise(loader=[]), epochs=1)


DDP = """
import sys, warnings, torch, lightning as L
warnings.simplefilter("ignore")
sys.path.insert(0, sys.argv[1])
from test_training_refit import LabelNoise, Mine, RefitNoise, loader, make_data
from steadfit.noise import GaussianUniformNoise, TukeyNoise
from torch.utils.data import DistributedSampler
torch.set_num_threads(1)


class Still(Mine):
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.0)

    def noise_outputs(self, batch):
        self.passed = getattr(self, "passed", 0) + len(batch[2])
        return super().noise_outputs(batch)

    def on_train_end(self):
        assert getattr(self, "passed", 0) == self.shares[self.trainer.global_rank], self.passed


def run(module, data, devices, refit, epochs, **options):
    trainer = L.Trainer(max_epochs=epochs, accelerator="cpu", devices=devices, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, callbacks=[refit],
        strategy="ddp_fork" if devices == 2 else "auto")
    # Lightning gives each of several ranks its share of this sampler's order
    order = {1: {"shuffle": False, "sampler": DistributedSampler(data, num_replicas=1, rank=0, seed=0)}, 2: {}}
    trainer.fit(module, loader(data, batch_size=16 // devices, **order[devices]))
    return module.state_dict()


data, _ = make_data(40)
for noise, residuals in ((GaussianUniformNoise(), "pass"), (TukeyNoise(), "epoch")):
    found = [run(Mine(noise, n=40, whole=residuals == "epoch"), data, devices,
                 RefitNoise(warmup_epochs=2, residuals=residuals), 4) for devices in (2, 1)]
    for name in found[0]:
        torch.testing.assert_close(found[0][name], found[1][name], rtol=1e-4, atol=1e-5)
    assert float(found[0]["label_noise.label_weight"].min()) < (0.5 if residuals == "pass" else 1.1)

data, _ = make_data(41)  # the sampler pads: one sample comes twice
x, y, _ = data.tensors
for residuals, given, shares in (("pass", None, (21, 20)), ("pass", "plain", (21, 20)), ("pass", "list", (41, 41)),
                                 ("epoch", None, (0, 0))):
    module = Still(TukeyNoise(), n=41, whole=residuals == "epoch")
    module.shares = shares
    plain = torch.utils.data.DataLoader(data, batch_size=10)
    refit = RefitNoise(residuals=residuals, loader={None: None, "plain": plain, "list": list(plain)}[given])
    found = run(module, data, 2, refit, 1)
    alone = LabelNoise(TukeyNoise(), n_samples=41, points=2, dims=2)
    alone.refit(module(x).detach(), y)
    for name, value in alone.state_dict().items():
        torch.testing.assert_close(found["label_noise." + name], value, rtol=1e-5, atol=1e-7)
print("the same")
"""


@forked
def test_two_processes_give_what_one_gives(tmp_path: Path) -> None:
    """Each rank passes over its own samples, whatever the loader, and what two have counts once."""
    says_the_same(DDP, tmp_path)
