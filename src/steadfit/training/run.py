"""A trained run, which predicts in the user's units and judges the labels of tables."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor, nn

from steadfit.data import (
    Annotations,
    Frame,
    LabelledDataset,
    Schema,
    Standardizer,
)
from steadfit.errors import ConfigError, DataError, RunError
from steadfit.metrics import negative_log_likelihood
from steadfit.networks import HEATMAP_NETWORKS, NETWORKS
from steadfit.noise import LabelNoise, NoiseModel, State
from steadfit.outputs import Classes, HeatmapReader, Heatmaps
from steadfit.training.calibrated import Calibrated
from steadfit.training.folder import CONFIG, MODEL, opened, read_config, read_model
from steadfit.training.images import Image, as_images, checked_boxes, frames_of
from steadfit.training.judgement import Judgement
from steadfit.training.prediction import ClassPrediction, Prediction
from steadfit.training.predictor import Located, Predictor, in_frame, read_heatmaps, to_user
from steadfit.training.regressor import InputScaling, Regressor, named_network
from steadfit.training.settings import Settings
from steadfit.training.views import views_of

Batches: TypeAlias = Iterator[tuple[Tensor, Frame]]
"""Inputs of the network, and the frames to which they belong."""


class Run:
    """A trained run: settings, schema, network and noise model.

    Args:
        folder: the run folder.
        settings: the settings of the training.
        schema: what the columns of its table mean.
        regressor: the network with its scalings and the meaning of its numbers.
        noise: the noise model.
        state: what the noise model has learned.
        frame: (height, width) of the network's input in px; without meaning for features.
    """

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        schema: Schema,
        regressor: Regressor,
        noise: NoiseModel,
        state: State,
        frame: tuple[int, int],
    ) -> None:
        self.folder, self.settings, self.schema, self.frame = folder, settings, schema, frame
        self.regressor, self.noise, self.state = regressor.eval(), noise, state
        self.calibrated = Calibrated.load(folder)

    def __repr__(self) -> str:
        classes, targets = self.schema.classes, self.schema.target_names
        what = f"classes={len(classes)}" if classes else f"targets={len(targets)}"
        return f"Run({str(self.folder)!r}, {self.settings.method}, {what})"

    @property
    def takes_images(self) -> bool:
        """Whether the run predicts from images; otherwise from features."""
        return self.regressor.inputs.images

    def predict(
        self,
        inputs: Any,
        *,
        batch_size: int = 128,
        views: Sequence[str | Tensor] = (),
        coverage: float | None = None,
        boxes: npt.ArrayLike | None = None,
    ) -> Prediction | ClassPrediction:
        """Predict in the user's units.

        Args:
            inputs: images as paths, as one path or folder, or as arrays of uint8 or uint16, grey (H, W) or (H, W, 1),
                RGB (H, W, 3) or with alpha (H, W, 4), which is dropped (one, a list, or an array (N, H, W, C));
                :class:`~steadfit.data.Annotations`; for a run on features a DataFrame with its feature columns or an
                array (N, F).
            batch_size: the number of samples per batch.
            views: test-time augmentation: ``"mirror"``, ``"scales"`` (five further scales), or 3x3 maps of the
                network's frame. The predictions of all views are mapped back and fused (:func:`steadfit.fuse`), or
                averaged where the noise model predicts no distribution; heatmap networks average their heatmaps.
                Default: no further view.
            coverage: also give regions that contain the target with this probability, which needs ``steadfit
                calibrate``; None: no regions.
            boxes: (N, 4), left, top, width, height in px, the part of each image that the network sees, for images that
                don't come from a table; None: the whole image.

        Returns:
            A :class:`~steadfit.training.prediction.ClassPrediction` for a run on classes, else a
            :class:`~steadfit.training.Prediction`. After ``steadfit calibrate`` its distributions have the calibrated
            temperature.

        Raises:
            DataError: images that can't be read, or a table that lacks a column.
            TypeError: inputs of another kind.
            RunError: a coverage for a run that is not calibrated.
            ConfigError: views of features, boxes for a table, or a coverage where no distributions are predicted.
            ValueError: boxes that are not one per image, each of positive size.
        """
        if not self.schema.classes:
            return self.predict_positions(inputs, batch_size=batch_size, views=views, coverage=coverage, boxes=boxes)
        if views or coverage is not None or boxes is not None:
            raise ConfigError("predict: expected no views, coverage or boxes with classes, got some. Leave them out.")
        return self.predict_classes(inputs, batch_size=batch_size)

    def predict_positions(
        self,
        inputs: Any,
        *,
        batch_size: int = 128,
        views: Sequence[str | Tensor] = (),
        coverage: float | None = None,
        boxes: npt.ArrayLike | None = None,
    ) -> Prediction:
        """Predict with a run on points or numbers (otherwise a ConfigError); see :meth:`predict`."""
        if self.schema.classes:
            raise ConfigError(f"{self.folder}: expected a run on points or numbers, got one on classes.")
        predictor = Predictor(self.regressor, self._views(views), self.schema.permutation)
        batches = self._batches(inputs, batch_size, boxes)
        found = self._joined(predictor.locate(*batch) for batch in batches)
        return self._prediction(found, self._calibration(views, coverage), coverage)

    def predict_classes(self, inputs: Any, *, batch_size: int = 128) -> ClassPrediction:
        """Predict with a run on classes (otherwise a ConfigError); see :meth:`predict`."""
        output = self.regressor.output
        if not isinstance(output, Classes):
            raise ConfigError(f"{self.folder}: expected a run on classes, got one on points or numbers.")
        batches = self._batches(inputs, batch_size, None)
        numbers = self._numbers((value for value, _ in batches), len(self.schema.classes))
        return ClassPrediction(output.probability(numbers.double()).numpy(), self.schema.classes)

    def _batches(self, inputs: Any, size: int, boxes: npt.ArrayLike | None) -> Batches:
        """The network's inputs, batch by batch, from any inputs of the user."""
        if boxes is not None and (isinstance(inputs, Annotations) or not self.takes_images):
            raise ConfigError("predict: expected boxes only with images, got some with a table. It has its own.")
        if isinstance(inputs, Annotations):
            return _of_dataset(self.dataset(inputs), size)
        if not self.takes_images:
            features = self._features(inputs)
            return ((features[part], self._units(len(part))) for part in batches_of(len(features), size))
        images = as_images(inputs)
        given = checked_boxes(boxes, len(images))
        return (
            self._framed([images[i] for i in part], None if given is None else given[part])
            for part in batches_of(len(images), size)
        )

    def _calibration(self, views: Sequence[str | Tensor], coverage: float | None) -> Calibrated | None:
        """The calibration that is valid for these views; a coverage needs one."""
        named = all(isinstance(view, str) for view in views)  # calibrations are for named views
        fits = self.calibrated is not None and named and self.calibrated.views == tuple(views)
        if coverage is not None and not fits:
            if not self.noise.predicts_covariance:
                raise ConfigError(
                    "predict: expected a run that predicts distributions for a coverage, got another one."
                )
            made = "was calibrated with other views" if self.calibrated is not None else "is not calibrated"
            raise RunError(
                f"{self.folder}: a coverage needs calibration, and the run {made}. Run 'steadfit calibrate'."
            )
        return self.calibrated if fits else None

    def _views(self, views: Sequence[str | Tensor]) -> list[Tensor]:
        if views and not (self.regressor.inputs.images and self.schema.has_points):
            raise ConfigError("predict: expected views only for points in images, got some for another run.")
        if "mirror" in [view for view in views if isinstance(view, str)] and not self.schema.pairs:
            raise ConfigError("predict: expected left/right pairs for the mirrored view, got none in the run's schema.")
        return views_of(views, self.frame)

    def _joined(self, parts: Iterable[Located]) -> Located:
        return Located.joined(list(parts), *self.regressor.center.shape)

    def _units(self, count: int) -> Frame:
        """The frame of targets that are not points: their own units."""
        shape = (count, self.schema.dims)
        return Frame(torch.ones(shape, dtype=torch.float64), torch.zeros(shape, dtype=torch.float64))

    def _framed(
        self, images: Sequence[str | Path | bytes | Image], boxes: npt.NDArray[np.float64] | None
    ) -> tuple[Tensor, Frame]:
        """Frames (B, C, H, W), sampled as in training, and the maps of the targets into them.

        Without boxes (B, 4), a run on boxes takes the whole image as the box.
        """
        value, pixels = frames_of(
            images,
            boxes,
            self.schema,
            size=self.frame,
            channels=self.settings.channels,
            sampling=self.settings.sampling,
        )
        return value, pixels if self.schema.has_points else self._units(len(images))

    def _features(self, inputs: Any) -> Tensor:
        if isinstance(inputs, pd.DataFrame):
            if missing := [name for name in self.schema.features if name not in inputs]:
                raise DataError(f"predict: expected the feature columns of the run, got none named {missing[0]!r}.")
            inputs = inputs[list(self.schema.features)].to_numpy()
        value = torch.from_numpy(np.array(inputs, dtype=np.float64))
        if value.dim() != 2 or value.shape[1] != len(self.schema.features):
            raise DataError(
                f"predict: expected {len(self.schema.features)} features per row, got an array of {tuple(value.shape)}."
            )
        return value

    def dataset(self, annotations: Annotations) -> LabelledDataset:
        """The rows of a table as this run's network sees them."""
        size, channels = self.frame, self.settings.channels
        return LabelledDataset(annotations, size=size, channels=channels, cache=False, sampling=self.settings.sampling)

    def judge(self, annotations: Annotations, *, batch_size: int = 128) -> Judgement:
        """Predict every row of a table and judge every label, with the mixture or scale of the training set."""
        return self.judge_dataset(self.dataset(annotations), batch_size=batch_size)

    def judge_dataset(self, dataset: LabelledDataset, *, batch_size: int = 128) -> Judgement:
        """Judge a data set, whose images may be in memory already; see :meth:`judge`."""
        return self.look(dataset, batch_size=batch_size)[1]

    def look(self, dataset: LabelledDataset, *, batch_size: int = 128) -> tuple[Located, Judgement]:
        """Predict a data set in the user's units and judge every label, in one pass."""
        output = self.regressor.output
        numbers, peaks = self._seen((value for value, _ in _of_dataset(dataset, batch_size)))
        numbers = torch.where(numbers.isinf(), torch.nan, numbers)  # diverged: no verdict on these labels
        target = self.regressor.standardize(dataset.target)
        believed = output.believed(numbers, target)
        judged = believed is None
        verdict = self.noise.judge(numbers, target, self.state) if believed is None else _plain_verdict(believed)
        train = torch.from_numpy(dataset.annotations.split[dataset.rows] == "train")
        located = to_user(in_frame(self.regressor, numbers), dataset.frame)
        return located, Judgement(
            predicted=located.mean.double().numpy(),
            labels=_columns(verdict, peaks=peaks, nll=nll_of(located, dataset.annotations.target[dataset.rows])),
            error_rate=self.noise.error_rate(numbers[train], target[train], self.state) if judged else float("nan"),
            fallen_back=bool(self.state["fallen_back"]),
            logits=None if judged else numbers.double().numpy(),
        )

    @torch.no_grad()
    def _seen(self, batches: Iterable[Tensor]) -> tuple[Tensor, npt.NDArray[np.int64] | None]:
        """What noise models see, (N, P), and the number of peaks of each heatmap, (N, K)."""
        reader = self.regressor.network
        if isinstance(reader, HeatmapReader):
            maps = (reader.scores(self.regressor.raw(batch)) for batch in batches)
            found = self._joined(read_heatmaps(scores, reader) for scores in maps)
            counts = None if found.peaks is None else found.peaks.numpy()
            return self.regressor.standardize(found.mean).flatten(1), counts
        return self._numbers(batches, self.regressor.output.n_outputs(*self.regressor.center.shape)), None

    @torch.no_grad()
    def _numbers(self, batches: Iterable[Tensor], count: int) -> Tensor:
        """The network's numbers, (N, ``count``)."""
        parts = [self.regressor(batch) for batch in batches]
        return torch.cat(parts) if parts else torch.zeros(0, count)

    def _prediction(self, found: Located, calibrated: Calibrated | None, coverage: float | None) -> Prediction:
        root = found.root if found.root is None or calibrated is None else calibrated.apply(found.root)
        region = None if calibrated is None or coverage is None else calibrated.region(coverage).numpy()
        return Prediction(
            found.mean.double().numpy(),
            self.schema.target_names,
            self.schema.units,
            root=None if root is None else root.numpy(),
            penalty=found.penalty,
            region=region,
            coverage=coverage,
            peaks=None if found.peaks is None else found.peaks.numpy(),
        )


def _plain_verdict(probability: Tensor) -> dict[str, Tensor]:
    """The verdict of an output that says itself how probable each label is, (N, K): nothing is suspect."""
    return {"trust": probability, "suspect": torch.zeros_like(probability, dtype=torch.bool)}


def _columns(verdict: Mapping[str, Tensor], **more: npt.NDArray[Any] | None) -> dict[str, npt.NDArray[Any]]:
    """A verdict as arrays, numbers in double precision, with those of the other columns that there are."""
    found = {name: (one.double() if one.is_floating_point() else one).numpy() for name, one in verdict.items()}
    return found | {name: one for name, one in more.items() if one is not None}


def nll_of(located: Located, target: npt.NDArray[np.float64]) -> npt.NDArray[np.float64] | None:
    """The negative log-likelihood of every label in the user's units, (N, K), without temperature.

    Args:
        located: the predictions in the user's units.
        target: (N, K, D), the labels; NaN where they are missing.

    Returns:
        (N, K), in nats; None where no distributions are predicted.
    """
    if located.root is None or located.penalty is None:
        return None
    finite = located.root.isfinite().flatten(-2).all(-1) & located.mean.isfinite().all(-1)  # False: diverged
    root = torch.where(finite[..., None, None], located.root, torch.eye(located.root.shape[-1]).double())
    mean = torch.where(finite[..., None], located.mean, 0.0)
    label = torch.where(finite[..., None], torch.from_numpy(target), torch.nan)
    nll = negative_log_likelihood(mean, root, label, located.penalty)
    return np.asarray(nll.numpy())


def load(
    run_folder: str | os.PathLike[str], *, network: nn.Module | None = None, noise: NoiseModel | None = None
) -> Run:
    """Open a run folder.

    Args:
        run_folder: the folder that ``steadfit fit`` wrote.
        network: an instance of the custom network, where the run used one.
        noise: an instance of the custom noise model, where the run used one.

    Raises:
        RunError: the folder contains no finished run, or the run needs a custom network or noise model.
    """
    folder = Path(run_folder)
    settings, config = read_config(folder)
    if task := config.get("task"):
        raise RunError(f"{folder}: expected the run of one network, got one of task {task!r}.")
    tensors = read_model(folder)
    if noise is None:
        if "noise_model" in config:
            raise RunError(f"{folder}: trained with {config['noise_model']}. Pass load(folder, noise=…).")
        noise = settings.noise_model()
    schema, frame = Schema.from_dict(config["schema"]), (config["size"][0], config["size"][1])
    with opened(folder / MODEL, "the weights of a run"):
        inputs = InputScaling(tensors["inputs.mean"], tensors["inputs.deviation"], images=config["images"])
        channels = settings.channels if config["images"] else len(schema.features)
        if not inputs.mean.shape == inputs.deviation.shape == (channels,):
            raise ValueError(f"those for {inputs.mean.numel()} channels or features, where {CONFIG} has {channels}")
        targets = Standardizer(tensors["center"], tensors["scale"])
        if targets.center.shape != (schema.n_targets, schema.dims):
            raise ValueError(f"those for {len(targets.center)} targets, where {CONFIG} has {schema.n_targets}")
        if targets.scale.shape[:2] != targets.center.shape:
            raise ValueError(f"a scale of shape {tuple(targets.scale.shape)}")
        state = _noise_state(tensors, noise, schema)
    if network is None:
        if settings.network not in ("default", *NETWORKS, *HEATMAP_NETWORKS):
            raise RunError(f"{folder}: trained with the network {settings.network!r}. Pass load(folder, network=…).")
        network = named_network(inputs, settings, settings.output_of(noise).of(schema.classes), schema, frame)
    reads = isinstance(network, HeatmapReader) and settings.output is None
    output = Heatmaps() if reads else settings.output_of(noise).of(schema.classes)
    regressor = Regressor(network, inputs, targets, output)
    try:
        regressor.load_state_dict({name: value for name, value in tensors.items() if not name.startswith("noise.")})
    except RuntimeError as error:
        first = str(error).splitlines()[1:2] or [str(error)]
        raise RunError(f"{folder}: expected the network of the run, got another one. {first[0].strip()}") from None
    return Run(folder, settings, schema, regressor, noise, state, frame)


def _noise_state(tensors: dict[str, Tensor], noise: NoiseModel, schema: Schema) -> State:
    """The noise model's state from a run's tensors, checked against what the noise model stores."""
    state = {name.removeprefix("noise."): value for name, value in tensors.items() if name.startswith("noise.")}
    fresh = LabelNoise(noise, n_samples=1, points=schema.n_targets, dims=schema.dims)
    for name, value in {**fresh.state, "fallen_back": fresh.fallen_back}.items():
        if state[name].shape != value.shape:
            raise ValueError(f"noise.{name} of shape {tuple(state[name].shape)} instead of {tuple(value.shape)}")
    return state


def _of_dataset(dataset: LabelledDataset, size: int) -> Batches:
    """Batches of a data set, without random warps."""
    for part in batches_of(len(dataset), size):
        rows = torch.tensor(part, dtype=torch.int64)
        yield dataset.frames(rows), Frame(dataset.frame.scale[rows], dataset.frame.shift[rows])


def batches_of(count: int, size: int) -> list[list[int]]:
    """The numbers 0 to count - 1, ``size`` at a time."""
    return [list(range(start, min(start + size, count))) for start in range(0, count, size)]
