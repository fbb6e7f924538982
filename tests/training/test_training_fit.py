"""fit: repeatability, what it refuses, tables and images, a network and a noise model of one's own."""

from __future__ import annotations

import dataclasses
import io
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from rich.console import Console
from safetensors.torch import load_file
from torch import nn
from training_tables import table_schema, write_table

from steadfit.audit import labels_of
from steadfit.core.penalties import Cauchy, Penalty
from steadfit.data import Annotations, Schema, load_annotations
from steadfit.errors import ConfigError, RunError
from steadfit.noise import NOISE_MODELS, GaussianUniformNoise, PenaltyNoise, State
from steadfit.outputs import Heatmaps
from steadfit.training import PLANS, Settings, fit, load
from steadfit.training.fit import Splits, build_module, train
from steadfit.training.regressor import input_scaling
from steadfit.training.trainer import some_rows

SMALL = Settings(epochs=2, batch_size=16)
FACES = Settings(epochs=2, batch_size=8, size=16)


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def go(data: Annotations, out: Path, settings: Settings = SMALL, **options: Any) -> Any:
    return fit(data, settings, out, device="cpu", **options)


def mlp(seed: int = 0, inputs: int = 3, outputs: int = 2) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(inputs, 8), nn.Tanh(), nn.Linear(8, outputs))


@pytest.mark.parametrize("noise", sorted(NOISE_MODELS))
@pytest.mark.parametrize("protocol", sorted(name for name, plan in PLANS.items() if not plan.classes))
def test_every_noise_model_trains_under_every_protocol(
    table: Annotations, tmp_path: Path, noise: str, protocol: str
) -> None:
    settings = dataclasses.replace(SMALL, noise=noise, protocol=protocol, epochs=4, patience=1)
    run = go(table, tmp_path / "run", settings)
    judgement = run.judge(table)
    assert judgement.predicted.shape == (90, 2, 1)
    assert np.isfinite(judgement.predicted).all()
    assert ((judgement.trust >= 0) & (judgement.trust <= 1)).all()
    assert 0 <= judgement.error_rate <= 1
    again = load(tmp_path / "run")
    np.testing.assert_array_equal(again.judge(table).predicted, judgement.predicted)
    np.testing.assert_array_equal(again.judge(table).trust, judgement.trust)
    history = pd.read_csv(tmp_path / "run" / "history.csv")
    assert history["epoch"].tolist() == list(range(1, len(history) + 1))


def test_the_same_seed_gives_the_same_weights_bit_for_bit(faces: Annotations, tmp_path: Path) -> None:
    for name, settings in (
        ("a", FACES), ("b", FACES), ("c", dataclasses.replace(FACES, seed=1)),
        ("d", dataclasses.replace(FACES, workers=1)), ("e", dataclasses.replace(FACES, cache="off")),
        ("f", dataclasses.replace(FACES, mirror=False)),
    ):  # fmt: skip
        go(faces, tmp_path / name, settings)
    assert weights(tmp_path / "a") == weights(tmp_path / "b")
    assert weights(tmp_path / "a") != weights(tmp_path / "c")
    assert weights(tmp_path / "a") == weights(tmp_path / "d")
    assert weights(tmp_path / "a") == weights(tmp_path / "e")
    assert weights(tmp_path / "a") != weights(tmp_path / "f")


def test_workers_do_not_change_a_network_with_dropout(table: Annotations, tmp_path: Path) -> None:
    for workers in (0, 1):
        torch.manual_seed(0)
        network = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 2))
        settings = dataclasses.replace(SMALL, workers=workers, network="mine")
        go(table, tmp_path / str(workers), settings, network=network)
    assert weights(tmp_path / "0") == weights(tmp_path / "1")


@pytest.mark.parametrize("period", [2, 24])
def test_inputs_are_scaled_by_all_rows_of_a_table(tmp_path: Path, period: int) -> None:
    """A table with a period, such as one row per hour: every n-th row would show one of its values only."""
    count = 2000 * period
    hour = np.arange(count) % period
    frame = pd.DataFrame({"hour": hour, "other": np.arange(count), "age": hour * 1.0, "split": "train"})
    frame.loc[count] = [0, count, 0.0, "val"]
    frame.to_csv(tmp_path / "table.csv", index=False)
    table = load_annotations(tmp_path / "table.csv", Schema(targets=("age",)), need_splits=("train", "val"))
    found = input_scaling(Splits.of(table, SMALL).train)
    np.testing.assert_allclose(found.mean, [hour.mean(), (count - 1) / 2], rtol=1e-6)  # float32
    np.testing.assert_allclose(found.deviation, [hour.std(ddof=1), np.arange(count).std(ddof=1)], rtol=1e-6)


def test_images_are_scaled_by_a_random_choice() -> None:
    """The same for the same seed, of different rows, with every remainder of every small period among them."""
    rows = np.array(some_rows(48_000, seed=3))
    assert rows.tolist() == some_rows(48_000, seed=3)
    assert rows.tolist() != some_rows(48_000, seed=4)
    assert len(set(rows.tolist())) == len(rows) == 2000
    assert (np.diff(rows) > 0).all()
    for period in (2, 7, 24):
        counts = np.bincount(rows % period, minlength=period)
        assert counts.min() > 0.5 * 2000 / period  # 83 +- 9 for 24: far beyond five deviations
    assert some_rows(2000, seed=0) == list(range(2000))


def test_the_callers_random_numbers_are_untouched(table: Annotations, tmp_path: Path) -> None:
    torch.manual_seed(1), np.random.seed(1), random.seed(1)  # noqa: NPY002
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # type: ignore[index] # noqa: NPY002
    go(table, tmp_path / "run")
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()  # type: ignore[index] # noqa: NPY002
    assert random.getstate() == before[2]
    torch.rand(5)
    go(table, tmp_path / "other")
    assert weights(tmp_path / "run") == weights(tmp_path / "other")  # nor do they decide anything


def test_a_folder_with_a_run_is_refused_unless_resumed(table: Annotations, tmp_path: Path) -> None:
    out = tmp_path / "run"
    first = go(table, out)
    stamp, before = (out / "model.safetensors").stat().st_mtime_ns, weights(out)
    with pytest.raises(RunError, match=r"holds a run already. Continue it with --resume"):
        go(table, out)
    same = go(table, out, resume=True)
    assert (out / "model.safetensors").stat().st_mtime_ns == stamp
    assert weights(out) == before
    np.testing.assert_array_equal(same.judge(table).predicted, first.judge(table).predicted)


def test_resume_refuses_other_settings_and_other_data(table: Annotations, tmp_path: Path) -> None:
    out = tmp_path / "run"
    go(table, out)
    with pytest.raises(RunError, match="cannot resume, epochs, seed differ from the run's"):
        go(table, out, dataclasses.replace(SMALL, epochs=3, seed=9), resume=True)
    target = table.target.copy()
    target[7, 0, 0] += 1e-9
    split = table.split.copy()
    split[0] = "val"
    features = None if table.features is None else table.features + np.float32(1)
    for other in (
        table.with_target(target),
        table.take(np.arange(80)),
        table.take(np.arange(90)[::-1].copy()),
        dataclasses.replace(table, split=split),
        dataclasses.replace(table, features=features),
    ):
        with pytest.raises(RunError, match=r"cannot resume, the data \(rows, labels or their meaning\) differ"):
            go(other, out, resume=True)
    with pytest.raises(RunError, match="cannot resume, the noise model differ"):
        go(table, out, resume=True, noise=CauchyNoise())
    moved = write_table(tmp_path / "moved.csv")
    go(load_annotations(moved, table_schema()), out, resume=True)  # the same rows from another place


def test_resume_without_a_run_starts_one(table: Annotations, tmp_path: Path) -> None:
    go(table, tmp_path / "a", resume=True)
    go(table, tmp_path / "b")
    assert weights(tmp_path / "a") == weights(tmp_path / "b")


def test_a_refused_run_leaves_no_folder(table: Annotations, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected settings.network to name your network, got 'default'"):
        go(table, tmp_path / "run", network=mlp())
    with pytest.raises(ConfigError, match="or your own, got 'mine'. Pass network="):
        go(table, tmp_path / "run", dataclasses.replace(SMALL, network="mine"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (Settings(network="compact", output=Heatmaps()), "expected a network of hourglass1, .* got 'compact'"),
        (Settings(network="default", output=Heatmaps()), "expected a network of hourglass1, .* got 'default'"),
        (Settings(network="convnet", size=24), r"ConvNet: expected images of at least .* got \(24, 24\)"),
        (Settings(network="resnet8", batch_size=1), "expected batch_size >= 2 for batch norm, got 1"),
    ],
)
def test_a_network_that_cannot_be_built(faces: Annotations, tmp_path: Path, settings: Settings, message: str) -> None:
    """Of another output, too large for the frame, or for batches of one: refused before there is a run."""
    with pytest.raises(ConfigError, match=message):
        go(faces, tmp_path / "run", settings)
    assert not (tmp_path / "run").exists()


def test_a_scalar_target(tmp_path: Path) -> None:
    """Age: K = 1, D = 1."""
    data = load_annotations(write_table(tmp_path / "t.csv", targets=1, wrong=0.0), table_schema(1))
    for unit in ("sample", "point", "coordinate"):
        prediction = go(
            data, tmp_path / unit, dataclasses.replace(SMALL, noise=GaussianUniformNoise(unit=unit))
        ).predict(data)
        assert prediction.mean.shape == (90, 1, 1)
    prediction = go(
        data, tmp_path / "longer", Settings(noise="l2", protocol="paper", lr=1e-2, epochs=16, batch_size=8)
    ).predict(data)
    error = np.abs(prediction.mean - data.target)[data.rows("test")].mean()
    assert error < 0.6 * np.abs(data.target - data.target.mean()).mean()  # it has learned something


def test_missing_labels_train(tmp_path: Path, table: Annotations) -> None:
    target = table.target.copy()
    target[::3, 0] = np.nan
    target[3::10] = np.nan  # some validation rows without any label
    run = go(table.with_target(target), tmp_path / "run")
    judgement = run.judge(table.with_target(target))
    assert np.isfinite(judgement.predicted).all()
    np.testing.assert_array_equal(np.isnan(judgement.trust), np.isnan(target[..., 0]))
    assert not judgement.suspect[np.isnan(target[..., 0])].any()


@pytest.mark.parametrize("batch_size", [53, 54, 500, 2])
def test_batch_sizes(table: Annotations, tmp_path: Path, batch_size: int) -> None:
    """54 rows: one in the last batch, one batch, a batch larger than the set, the smallest."""
    run = go(table, tmp_path / "run", dataclasses.replace(SMALL, batch_size=batch_size, epochs=2))
    assert np.isfinite(run.predict(table).mean).all()


def test_batch_norm_needs_two(table: Annotations, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected batch_size >= 2 for batch norm, got 1"):
        go(table, tmp_path / "run", dataclasses.replace(SMALL, batch_size=1))
    assert not (tmp_path / "run").exists()  # or the next try would find a run in its way
    settings = dataclasses.replace(SMALL, batch_size=1, network="mine", epochs=1)
    go(table, tmp_path / "mine", settings, network=mlp())


def test_one_epoch(table: Annotations, tmp_path: Path) -> None:
    for protocol in (name for name, plan in PLANS.items() if not plan.classes):
        run = go(table, tmp_path / protocol, dataclasses.replace(SMALL, epochs=1, protocol=protocol))
        assert np.isfinite(run.judge(table).trust).all()
    assert pd.read_csv(tmp_path / "paper" / "history.csv")["phase"].tolist() == ["warm-up"]


def test_a_network_of_ones_own(table: Annotations, tmp_path: Path) -> None:
    settings = dataclasses.replace(SMALL, network="tanh")
    run = go(table, tmp_path / "run", settings, network=mlp())
    with pytest.raises(RunError, match=r"trained with the network 'tanh'. Pass load\(folder, network=…\)"):
        load(tmp_path / "run")
    with pytest.raises(RunError, match="expected the network of the run, got another one"):
        load(tmp_path / "run", network=nn.Linear(3, 2))
    with pytest.raises(RunError, match="expected the network of the run, got another one"):
        load(tmp_path / "run", network=mlp(outputs=4))
    again = load(tmp_path / "run", network=mlp(seed=7))
    np.testing.assert_array_equal(again.predict(table).mean, run.predict(table).mean)


@dataclass(frozen=True, kw_only=True)
class CauchyNoise(PenaltyNoise):
    """As in the docstring of steadfit.noise.base."""

    name: ClassVar[str] = "cauchy"

    def penalty(self) -> Penalty:
        return Cauchy(1.0)

    def judge(self, output: torch.Tensor, target: torch.Tensor, state: State) -> dict[str, torch.Tensor]:
        found = super().judge(output, target, state)
        return found | {"surprise": found["distance"] ** 2}


@pytest.mark.parametrize("given", ["as an argument", "in the settings"])
def test_a_custom_noise_model(table: Annotations, tmp_path: Path, given: str) -> None:
    settings = dataclasses.replace(SMALL, epochs=6)
    if given == "in the settings":
        run = go(table, tmp_path / "run", dataclasses.replace(settings, noise=CauchyNoise()))
    else:
        run = go(table, tmp_path / "run", settings, noise=CauchyNoise())
    judgement = run.judge(table)
    assert 0 < judgement.suspect[table.rows("train")].mean() < 0.5
    assert run.state["scale"].shape == (2, 1)
    labels = labels_of(table, judgement)  # a column of the model's own reaches the table unnamed
    np.testing.assert_allclose(labels["surprise"], labels["distance"] ** 2, rtol=1e-6)  # squared in float32
    with pytest.raises(RunError, match=r"trained with CauchyNoise\(.*\). Pass load\(folder, noise=…\)"):
        load(tmp_path / "run")
    again = load(tmp_path / "run", noise=CauchyNoise())
    np.testing.assert_array_equal(again.judge(table).trust, judgement.trust)


def test_the_config_tells_the_run(table: Annotations, tmp_path: Path) -> None:
    go(table, tmp_path / "run")
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert Settings.from_dict(config["settings"]) == SMALL
    assert Schema.from_dict(config["schema"]) == table.schema
    assert config["images"] is False
    assert len(config["fingerprint"]) == 16


def test_train_on_data_sets_that_are_there_already(table: Annotations, tmp_path: Path) -> None:
    run = train(Splits.of(table, SMALL), SMALL, tmp_path / "a", device="cpu")
    go(table, tmp_path / "b")
    assert weights(tmp_path / "a") == weights(tmp_path / "b")
    assert run.noise.name == "gum"


def test_progress_is_a_line_an_epoch(table: Annotations, tmp_path: Path) -> None:
    for terminal in (False, True):
        text = io.StringIO()
        console = Console(file=text, force_terminal=terminal, width=200)
        go(table, tmp_path / str(terminal), dataclasses.replace(SMALL, epochs=3), console=console)
        if not terminal:
            lines = text.getvalue().splitlines()
            assert len(lines) == 3
            assert lines[0].startswith("gum: epoch 1/3 warm-up, median validation error ")
            assert "suspect" in lines[2]


def test_features_with_points_and_pairs_are_not_mirrored(tmp_path: Path) -> None:
    """Mirroring is for images; a table of features with points has none."""
    rng = np.random.default_rng(0)
    columns = ["f", "g", "h", "x0", "y0", "x1", "y1"]
    frame = pd.DataFrame(rng.normal(size=(40, 7)), columns=columns)
    frame["split"] = ["train"] * 30 + ["val"] * 5 + ["test"] * 5
    frame.to_csv(tmp_path / "t.csv", index=False)
    data = load_annotations(tmp_path / "t.csv", Schema(pairs=((0, 1),), features=("f", "g", "h")))
    run = go(data, tmp_path / "run")
    assert run.predict(data).mean.shape == (40, 2, 2)


def test_mirroring_is_a_function_of_seed_epoch_and_batch(faces: Annotations) -> None:
    splits = Splits.of(faces, FACES)
    batch = splits.train.__getitems__(list(range(24)))

    def drawn(seed: int, epoch: int, batch_idx: int) -> torch.Tensor:
        module = build_module(splits.train, dataclasses.replace(FACES, seed=seed))
        module.__class__ = type("Fixed", (type(module),), {"current_epoch": epoch})
        torch.manual_seed(int(torch.randint(0, 999, ())))  # the global stream has no part in it
        which = module._mirrored(batch, batch_idx)[2]
        assert which is not None
        return which

    first = drawn(0, 1, 2)
    assert torch.equal(first, drawn(0, 1, 2))
    assert 4 < int(first.sum()) < 20
    assert not any(torch.equal(first, drawn(*other)) for other in ((1, 1, 2), (0, 2, 2), (0, 1, 3)))


def test_the_history_and_the_saved_tensors(faces: Annotations, tmp_path: Path) -> None:
    run = go(faces, tmp_path / "run", dataclasses.replace(FACES, epochs=3))
    history = pd.read_csv(tmp_path / "run" / "history.csv")
    assert history.columns.tolist() == [
        "epoch", "phase", "train_loss", "val_loss", "val_error", "val_mean", "val_pck", "suspects", "inlier_share",
        "lr", "seconds",
    ]  # fmt: skip
    assert history["phase"].tolist() == ["warm-up", "round", "round"]
    assert np.isfinite(history.drop(columns="phase").to_numpy(float)).all()
    val = faces.take(faces.rows("val"))
    error = np.linalg.norm(run.predict(val).mean - val.target, axis=-1)
    assert history["val_mean"].iloc[-1] == pytest.approx(error.mean(), rel=1e-5)  # float32
    assert history["val_error"].iloc[-1] == pytest.approx(np.sort(error, axis=None)[(error.size - 1) // 2], rel=1e-5)
    tensors = load_file(tmp_path / "run" / "model.safetensors")
    assert {"center", "scale", "inputs.mean", "noise.inlier_share", "noise.fallen_back"} <= set(tensors)
