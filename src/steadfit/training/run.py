"""The run folder: what a training run leaves behind, and how it is opened again.

config.yaml (settings, schema, data), model.safetensors (network, scaling, noise state), metrics.json, history.csv,
rows.parquet (the rows that it knows, with their splits), trust.parquet (every label), suspects.csv (the doubtful ones,
worst first), checkpoints/last.ckpt (to resume). No file holds pickled objects.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
import yaml
from safetensors.torch import save
from torch import Tensor, nn

import steadfit
from steadfit._files import write_bytes, write_json, write_text
from steadfit.data import (
    Annotations,
    Frame,
    LabelledDataset,
    Schema,
    Standardizer,
    frame_map,
    letterbox,
    open_image,
    sample,
    to_tensor,
    whole_image,
)
from steadfit.errors import ConfigError, DataError, RunError
from steadfit.metrics import negative_log_likelihood
from steadfit.networks import HEATMAP_NETWORKS, NETWORKS, HeatmapReader
from steadfit.noise import LabelNoise, NoiseModel, State
from steadfit.training.calibrated import Calibrated
from steadfit.training.images import Image, as_images, checked_boxes
from steadfit.training.inference import Located, in_frame, locate, read_heatmaps, to_user, views_of
from steadfit.training.module import InputScaling, RegressionModule, Regressor, named_network
from steadfit.training.outcome import Judgement, summarize, trust_of
from steadfit.training.prediction import Prediction
from steadfit.training.run_files import CONFIG, FORMAT_VERSION, MODEL, open_config, opened, read_model
from steadfit.training.settings import Settings


class Run:
    """A trained run: settings, schema, network and noise model."""

    def __init__(
        self, folder: Path, settings: Settings, schema: Schema, regressor: Regressor, noise: NoiseModel, state: State
    ) -> None:
        self.folder, self.settings, self.schema = folder, settings, schema
        self.regressor, self.noise, self.state = regressor.eval(), noise, state
        self.calibrated = Calibrated.load(folder)

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r}, noise={self.settings.noise!r}, targets={len(self.schema.target_names)})"

    @property
    def takes_images(self) -> bool:
        """Whether it predicts from images, or else from features."""
        return self.regressor.inputs.images

    def predict(
        self,
        inputs: Any,
        *,
        batch_size: int = 128,
        views: Sequence[str | Tensor] = (),
        coverage: float | None = None,
        boxes: npt.ArrayLike | None = None,
    ) -> Prediction:
        """Predict in the user's units.

        Args:
            inputs: images as paths, as one path or folder, or as arrays (H, W) or (H, W, 3) of uint8 RGB (one, a list,
                or an array (N, H, W[, 3])); :class:`~steadfit.data.Annotations`; for a run on features a DataFrame with
                its feature columns or an array (N, F).
            batch_size: samples at a time.
            views: test-time augmentation: ``"mirror"``, ``"scales"`` (five further ones), or 3x3 maps of the network's
                frame, to look through as well; predictions are mapped back and fused (:func:`steadfit.fuse`), or
                averaged where the noise model predicts no distribution; of heatmap networks the heatmaps are.
            coverage: also give regions that hold the target with this probability; needs ``steadfit calibrate``.
            boxes: (N, 4) left, top, width, height in px, the part of each image that the network sees, for images that
                are no table's; None for the whole image.

        After ``steadfit calibrate`` the distributions have the temperature found there.

        Raises: DataError for images that can't be read and tables without a column; TypeError for other inputs;
            RunError for a coverage without calibration; ConfigError for views of features and boxes of a table;
            ValueError for boxes that are not one of positive size for each image.
        """
        looks = self._views(views)
        if boxes is not None and (isinstance(inputs, Annotations) or not self.takes_images):
            raise ConfigError("predict: expected boxes only with images, got some with a table. It has its own.")
        if isinstance(inputs, Annotations):
            found = self._predict_dataset(self.dataset(inputs), batch_size, looks)
        elif self.takes_images:
            images = as_images(inputs)
            found = self._predict_images(images, batch_size, looks, checked_boxes(boxes, len(images)))
        else:
            features = self._features(inputs)
            found = self._joined(
                self._locate(features[part], self._units(len(part)), ()) for part in _parts(len(features), batch_size)
            )
        return self._prediction(found, self._calibration(views, coverage), coverage)

    def _calibration(self, views: Sequence[str | Tensor], coverage: float | None) -> Calibrated | None:
        """The calibration that holds for these views; a coverage needs one."""
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
        if views and not (self.regressor.inputs.images and self.schema.dims == 2):
            raise ConfigError("predict: expected views only for points in images, got some for another run.")
        if "mirror" in [view for view in views if isinstance(view, str)] and not self.schema.pairs:
            raise ConfigError("predict: expected left/right pairs for the mirrored view, got none in the run's schema.")
        return views_of(views, self.settings.frame)

    def _locate(self, inputs: Tensor, frame: Frame, views: Sequence[Tensor]) -> Located:
        return locate(self.regressor, self.noise, inputs, frame, views=views, permutation=self.schema.permutation)

    def _joined(self, parts: Iterable[Located]) -> Located:
        return Located.joined(list(parts), *self.regressor.center.shape)

    def _predict_dataset(self, dataset: LabelledDataset, batch_size: int, views: Sequence[Tensor]) -> Located:
        return self._joined(
            self._locate(dataset.__getitems__(part)["input"], _rows(dataset.frame, part), views)
            for part in _parts(len(dataset), batch_size)
        )

    def _predict_images(
        self,
        images: Sequence[str | Path | Image],
        batch_size: int,
        views: Sequence[Tensor],
        boxes: npt.NDArray[np.float64] | None,
    ) -> Located:
        parts = []
        for part in _parts(len(images), batch_size):
            seen = None if boxes is None else boxes[part]
            pixels, frame = self._framed([self._pixels(images[i]) for i in part], seen)
            parts.append(self._locate(pixels, frame if self.schema.dims == 2 else self._units(len(part)), views))
        return self._joined(parts)

    def _units(self, count: int) -> Frame:
        """The frame of targets that are no points: their own units."""
        shape = (count, self.schema.dims)
        return Frame(torch.ones(shape, dtype=torch.float64), torch.zeros(shape, dtype=torch.float64))

    def _pixels(self, image: str | Path | Image) -> Image:
        return open_image(image, self.settings.channels, who="predict")

    def _framed(self, images: Sequence[Image], boxes: npt.NDArray[np.float64] | None) -> tuple[Tensor, Frame]:
        """Frames (B, C, H, W), sampled as in training, and the maps into them; without boxes (B, 4) an image is taken
        as its own."""
        size = self.settings.frame
        sizes = np.array([[image.shape[1], image.shape[0]] for image in images], dtype=np.float64)
        if boxes is None and (self.schema.box is not None or self.schema.box_fit == "stretch"):
            boxes = whole_image(sizes)
        frame = Frame(*(torch.from_numpy(part) for part in frame_map(sizes, boxes, size, fit=self.schema.box_fit)))
        if boxes is not None or self.settings.sampling == "warp":
            return sample(images, frame.matrix(torch.arange(len(images))), size, self.settings.channels), frame
        return torch.stack([to_tensor(letterbox(image, size)[0]) for image in images]), frame

    def _features(self, inputs: Any) -> Tensor:
        if isinstance(inputs, pd.DataFrame):
            if missing := [name for name in self.schema.features if name not in inputs]:
                raise DataError(f"predict: expected the feature columns of the run, got none named {missing[0]!r}.")
            inputs = inputs[list(self.schema.features)].to_numpy()
        value = torch.from_numpy(np.array(inputs, dtype=np.float64))
        if value.dim() != 2 or value.shape[1] != len(self.schema.features):
            raise DataError(
                f"predict: expected {len(self.schema.features)} features a row, got an array of {tuple(value.shape)}."
            )
        return value

    def judge(self, annotations: Annotations, *, batch_size: int = 128) -> Judgement:
        """Predict every row of a table and judge every label, with the mixture or scale of the training set."""
        return self.judge_dataset(self.dataset(annotations), batch_size=batch_size)

    def dataset(self, annotations: Annotations) -> LabelledDataset:
        """A table's rows as this run's network sees them."""
        size, channels = self.settings.frame, self.settings.channels
        return LabelledDataset(annotations, size=size, channels=channels, cache=False, sampling=self.settings.sampling)

    def judge_dataset(self, dataset: LabelledDataset, *, batch_size: int = 128) -> Judgement:
        """:meth:`judge` for a data set, whose images may be in memory already."""
        return self.look(dataset, batch_size=batch_size)[1]

    def look(self, dataset: LabelledDataset, *, batch_size: int = 128) -> tuple[Located, Judgement]:
        """What the network sees in a data set, in the user's units, and its word on every label, in one pass."""
        output, counts = self._outputs(dataset.__getitems__(part)["input"] for part in _parts(len(dataset), batch_size))
        output = torch.where(output.isinf(), torch.nan, output)  # a diverged network's: no word on these labels
        target = self.regressor.standardize(dataset.target)
        trust, suspect = trust_of(self.noise, self.state, output, target)
        train = torch.from_numpy(dataset.annotations.split[dataset.rows] == "train")
        located = to_user(in_frame(self.regressor, self.noise, output), dataset.frame)
        return located, Judgement(
            predicted=located.mean.numpy(),
            trust=trust,
            suspect=suspect,
            error_rate=self.noise.error_rate(output[train], target[train], self.state),
            fallen_back=bool(self.state["fallen_back"]),
            peaks=counts,
            nll=nll_of(located, dataset.annotations.target[dataset.rows]),
        )

    @torch.no_grad()
    def _outputs(self, batches: Iterable[Tensor]) -> tuple[Tensor, npt.NDArray[np.int64] | None]:
        """What noise models see, (N, n_outputs), and how many peaks each heatmap has, (N, K)."""
        if isinstance(self.regressor.network, HeatmapReader):
            found = self._joined(read_heatmaps(self.regressor, batch) for batch in batches)
            counts = None if found.peaks is None else found.peaks.numpy()
            return self.regressor.standardize(found.mean).flatten(1), counts
        parts = [self.regressor(batch) for batch in batches]
        empty = torch.zeros(0, self.noise.n_outputs(*self.regressor.center.shape))
        return torch.cat(parts) if parts else empty, None

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


def nll_of(located: Located, target: npt.NDArray[np.float64]) -> npt.NDArray[np.float64] | None:
    """Of every label in the user's units, (N, K), as it is predicted (without temperature)."""
    if located.root is None or located.penalty is None:
        return None
    finite = located.root.isfinite().flatten(-2).all(-1) & located.mean.isfinite().all(-1)  # a diverged network's
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
        run_folder: what ``steadfit fit`` wrote. network, noise: an instance of your own network and your own noise
            model, where the run used one.

    Raises: RunError where the folder holds no finished run, or needs your network or noise model.
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
    schema = Schema.from_dict(config["schema"])
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
        network = named_network(inputs, settings, noise.n_outputs(schema.n_targets, schema.dims))
    regressor = Regressor(network, inputs, targets)
    try:
        regressor.load_state_dict({name: value for name, value in tensors.items() if not name.startswith("noise.")})
    except RuntimeError as error:
        first = str(error).splitlines()[1:2] or [str(error)]
        raise RunError(f"{folder}: expected the network of the run, got another one. {first[0].strip()}") from None
    return Run(folder, settings, schema, regressor, noise, state)


def _noise_state(tensors: dict[str, Tensor], noise: NoiseModel, schema: Schema) -> State:
    """The noise model's state among a run's tensors, which has to be what the noise model keeps."""
    state = {name.removeprefix("noise."): value for name, value in tensors.items() if name.startswith("noise.")}
    fresh = LabelNoise(noise, n_samples=1, points=schema.n_targets, dims=schema.dims)
    for name, value in {**fresh.state, "fallen_back": fresh.fallen_back}.items():
        if state[name].shape != value.shape:
            raise ValueError(f"noise.{name} of shape {tuple(state[name].shape)} instead of {tuple(value.shape)}")
    return state


class Judge(Protocol):
    """What judges labels: a run, or a cascade of several."""

    @property
    def folder(self) -> Path: ...

    def judge(self, annotations: Annotations, *, batch_size: int = 128) -> Judgement: ...


def write_metrics(run: Judge, annotations: Annotations, wrong: npt.NDArray[np.bool_] | None = None) -> Judgement:
    """Judge the whole table and write metrics.json; ``wrong`` (N, K) is the truth, where it is known."""
    judgement = run.judge(annotations)
    write_json(summarize(judgement, annotations, wrong), run.folder / "metrics.json")
    return judgement


def describe(annotations: Annotations, settings: Settings, noise: NoiseModel | None = None) -> dict[str, Any]:
    """The content of config.yaml: what is needed to understand, repeat and open the run."""
    content = {
        "format_version": FORMAT_VERSION,
        "steadfit": steadfit.__version__,
        "torch": str(torch.__version__),
        "data": os.path.abspath(annotations.path),
        "images": annotations.images is not None,
        "settings": settings.to_dict(),
        "schema": annotations.schema.to_dict(),
        "fingerprint": fingerprint(annotations),
    }
    return content if noise is None else content | {"noise_model": repr(noise)}


def write_config(out: Path, content: dict[str, Any]) -> None:
    write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), out / CONFIG)


def fingerprint(annotations: Annotations) -> str:
    """A short hash of rows, splits, labels, features and what they mean; not of the images' pixels."""
    meaning = annotations.schema.to_dict()
    if meaning["box_fit"] == "inside":
        del meaning["box_fit"]  # so that runs from before there was another one can be continued
    digest = hashlib.sha256(json.dumps(meaning, sort_keys=True).encode())
    digest.update(json.dumps([annotations.images, annotations.split.tolist()]).encode())
    for array in (annotations.target + 0.0, annotations.features, annotations.size):
        digest.update(b"-" if array is None else np.where(np.isnan(array), np.nan, array).tobytes())
    if annotations.box is not None:
        digest.update(annotations.box.tobytes())
    return digest.hexdigest()[:16]


def read_config(folder: Path) -> tuple[Settings, dict[str, Any]]:
    """Settings and content of a regression run's ``config.yaml``.

    Raises:
        RunError: there is none, or one that is damaged or of another task.
    """
    config = open_config(folder)
    with opened(folder / CONFIG, "the configuration of a run"):
        if not isinstance(config["images"], bool):
            raise TypeError(f"images: {config['images']!r}")
        Schema.from_dict(config["schema"])
        return Settings.from_dict(config["settings"]), config


def save_model(out: Path, module: RegressionModule, settings: Settings, schema: Schema) -> Run:
    """Write model.safetensors, the predictor and the noise model's state, and open it as a run."""
    regressor, tracker = module.predictor().cpu(), module.label_noise.cpu()
    tensors = {name: value.contiguous().clone() for name, value in regressor.state_dict().items()}
    state = {name: value.contiguous().clone() for name, value in tracker.state.items()}
    state["fallen_back"] = tracker.fallen_back.clone()
    write_bytes(save(tensors | {f"noise.{name}": value for name, value in state.items()}), out / MODEL)
    return Run(out, settings, schema, regressor, tracker.noise, state)


def _rows(frame: Frame, rows: list[int]) -> Frame:
    return Frame(frame.scale[rows], frame.shift[rows])


def _parts(count: int, size: int) -> list[list[int]]:
    return [list(range(start, min(start + size, count))) for start in range(0, count, size)]
