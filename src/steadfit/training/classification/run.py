"""A classifier's run folder: what training leaves behind, and how it is opened again.

config.yaml (settings, classes, data), model.safetensors, history.csv, checkpoints/last.ckpt (to resume); the recipe
adds metrics.json, predictions.parquet, hardest.csv and report.html. No file holds pickled objects.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from safetensors.torch import save
from torch import Tensor, nn

import steadfit
from steadfit._files import write_bytes
from steadfit.data import Annotations, LabelledDataset, fitted, open_image, to_tensor
from steadfit.errors import RunError
from steadfit.networks import NETWORKS, build_network
from steadfit.training.classification.module import Classifier, ClassifierModule
from steadfit.training.classification.settings import ClassifierSettings
from steadfit.training.images import Image, as_images
from steadfit.training.module import InputScaling
from steadfit.training.run_files import CONFIG, FORMAT_VERSION, MODEL, open_config, opened, read_model

TASK = "classification"
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ClassPrediction:
    """What a classifier says of N images.

    Args:
        probability: (N, C) in [0, 1]. A softmax's sum to 1 for each image; those of losses with a sigmoid a class
            (``bce``, ``focal``, ``anchor`` ...) are each class's own and do not.
        names: C.
    """

    probability: Floats
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.probability)

    @property
    def label(self) -> npt.NDArray[np.int64]:
        """(N,): the most probable class of each image, the first one where several are."""
        return np.asarray(self.probability.argmax(axis=1), dtype=np.int64)

    @property
    def class_names(self) -> list[str]:
        """N names of the most probable classes."""
        return [self.names[k] for k in self.label]

    def top(self, count: int = 5) -> list[list[tuple[str, float]]]:
        """For each image its ``count`` most probable classes with their probabilities, the most probable first."""
        order = np.argsort(-self.probability, axis=1, kind="stable")[:, :count]
        return [
            [(self.names[k], float(row[k])) for k in best] for row, best in zip(self.probability, order, strict=True)
        ]

    def to_frame(self) -> pd.DataFrame:
        """Columns ``predicted``, ``probability`` and one a class, ``probability_<name>``."""
        frame = pd.DataFrame({"predicted": self.class_names, "probability": self.probability.max(axis=1, initial=0)})
        columns = pd.DataFrame(self.probability, columns=[f"probability_{name}" for name in self.names])
        return pd.concat([frame, columns], axis=1)


class ClassifierRun:
    """A trained classifier: settings, class names and network.

    ``size`` is (height, width) of the network's input in px.
    """

    def __init__(
        self,
        folder: Path,
        settings: ClassifierSettings,
        names: tuple[str, ...],
        size: tuple[int, int],
        classifier: Classifier,
    ) -> None:
        self.folder, self.settings, self.names, self.size = folder, settings, names, size
        self.classifier = classifier.eval()

    def __repr__(self) -> str:
        return f"ClassifierRun({str(self.folder)!r}, loss={self.settings.loss!r}, classes={len(self.names)})"

    def predict(self, inputs: Any, *, batch_size: int = 128) -> ClassPrediction:
        """Probabilities of the classes.

        Args:
            inputs: images as paths, as one path or folder, or as arrays (H, W) or (H, W, 3) of uint8 RGB (one, a list,
                or an array (N, H, W[, 3])); or :class:`~steadfit.data.Annotations`. Images of another size
                than the network's are scaled and cropped as in training.
            batch_size: images at a time.

        Raises: DataError for images that can't be read; TypeError for other inputs.
        """
        if isinstance(inputs, Annotations):
            logits = self.logits(inputs, batch_size=batch_size)
        else:
            images = as_images(inputs)
            batches = (torch.stack([self._frame(images[i]) for i in part]) for part in _parts(len(images), batch_size))
            logits = self._outputs(batches)
        return ClassPrediction(probability_of(logits, self.settings.output).numpy(), self.names)

    def logits(self, classes: Annotations, *, batch_size: int = 128) -> Tensor:
        """(N, C) float64 for every row, without augmentation."""
        return self.dataset_logits(self.dataset(classes), batch_size=batch_size)

    def dataset(self, classes: Annotations) -> LabelledDataset:
        """The rows as this run's network sees them."""
        return LabelledDataset(classes, size=self.size, channels=self.settings.channels, cache=False)

    def dataset_logits(self, dataset: LabelledDataset, *, batch_size: int = 128) -> Tensor:
        """:meth:`logits` for a data set, whose images may be in memory already; not augmented."""
        batches = dataset.loader(batch_size, workers=self.settings.workers)
        return self._outputs(batch["input"] for batch in batches)

    @torch.no_grad()
    def _outputs(self, batches: Iterator[Tensor]) -> Tensor:
        parts = [self.classifier(batch).double() for batch in batches]
        return torch.cat(parts) if parts else torch.zeros(0, len(self.names), dtype=torch.float64)

    def _frame(self, image: str | Path | Image) -> Tensor:
        return to_tensor(fitted(open_image(image, self.settings.channels, who="predict"), self.size))


def log_probability(logits: Tensor, output: str) -> Tensor:
    """Of every class, (N, C): of the softmax, or of each class's own sigmoid."""
    return nn.functional.log_softmax(logits, -1) if output == "softmax" else nn.functional.logsigmoid(logits)


def probability_of(logits: Tensor, output: str) -> Tensor:
    """(N, C), see :class:`ClassPrediction`."""
    return log_probability(logits, output).exp()


def load_classifier(run_folder: str | Path, *, network: nn.Module | None = None) -> ClassifierRun:
    """Open a classifier's run folder.

    Args:
        run_folder: what a training for classification wrote. network: an instance of your own network, if it was one.

    Raises: RunError where the folder holds no finished run of this task, or needs your network.
    """
    folder = Path(run_folder)
    settings, config = read_classifier_config(folder)
    tensors = read_model(folder)
    names, size = tuple(config["names"]), (int(config["size"][0]), int(config["size"][1]))
    if network is None:
        if settings.network not in NETWORKS:
            raise RunError(f"{folder}: trained with the network {settings.network!r}. Pass network=… when loading it.")
        network = build_network(settings.network, settings.channels, len(names), size=size, head=settings.head)
    with opened(folder / MODEL, "the weights of a run"):
        inputs = InputScaling(tensors["inputs.mean"], tensors["inputs.deviation"], images=True)
        classifier = Classifier(network, inputs)
    try:
        classifier.load_state_dict(tensors)
    except RuntimeError as error:
        first = str(error).splitlines()[1:2] or [str(error)]
        raise RunError(f"{folder}: expected the network of the run, got another one. {first[0].strip()}") from None
    return ClassifierRun(folder, settings, names, size, classifier)


def describe_classifier(classes: Annotations, settings: ClassifierSettings) -> dict[str, Any]:
    """The content of config.yaml: what is needed to understand, repeat and open the run."""
    size = LabelledDataset(classes, [], size=settings.size, channels=settings.channels).size
    return {
        "format_version": FORMAT_VERSION,
        "steadfit": steadfit.__version__,
        "torch": str(torch.__version__),
        "task": TASK,
        "data": os.path.abspath(classes.path),
        "names": list(classes.schema.classes),
        "size": list(size),
        "settings": settings.to_dict(),
        "fingerprint": fingerprint(classes),
    }


def read_classifier_config(folder: Path) -> tuple[ClassifierSettings, dict[str, Any]]:
    """Settings and content of a run's config.yaml.

    Raises: RunError where there is none, or one that is damaged or of another task.
    """
    config = open_config(folder)
    with opened(folder / CONFIG, f"the configuration of a {TASK} run"):
        if config.get("task") != TASK:
            raise ValueError("that of another task")
        height, width = config["size"]
        if not (config["names"] and all(isinstance(name, str) for name in config["names"]) and height * width > 0):
            raise ValueError(f"{len(config['names'])} names of classes and the size {height} x {width}")
        return ClassifierSettings.from_dict(config["settings"]), config


def fingerprint(classes: Annotations) -> str:
    """A short hash of classes, images' names, labels and splits; of the pixels only where they came in one piece."""
    digest = hashlib.sha256(json.dumps([classes.schema.classes, classes.images, classes.split.tolist()]).encode())
    digest.update(classes.label.tobytes() + np.asarray(classes.size).tobytes())
    if classes.pixels is not None:
        digest.update(classes.pixels.numpy().tobytes())
    return digest.hexdigest()[:16]


def save_classifier(
    out: Path, module: ClassifierModule, settings: ClassifierSettings, train: LabelledDataset
) -> ClassifierRun:
    """Write model.safetensors and open it as a run."""
    classifier = module.classifier.cpu()
    tensors = {name: value.contiguous().clone() for name, value in classifier.state_dict().items()}
    write_bytes(save(tensors), out / MODEL)
    return ClassifierRun(out, settings, train.annotations.schema.classes, train.size, classifier)


def _parts(count: int, size: int) -> list[list[int]]:
    return [list(range(start, min(start + size, count))) for start in range(0, count, size)]
