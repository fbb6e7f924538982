"""A trained cascade: a network for all points, and one network per region in higher resolution."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from steadfit.data import Annotations, Region, Schema, open_image, regions_of
from steadfit.errors import ConfigError, RunError
from steadfit.noise import NoiseModel
from steadfit.training.cascade.combining import combined
from steadfit.training.folder import CASCADE, CONFIG, MODEL, opened, read_config
from steadfit.training.images import as_images, checked_boxes
from steadfit.training.judgement import Judgement
from steadfit.training.prediction import Prediction
from steadfit.training.predictor import Located
from steadfit.training.run import Run, batches_of, load, nll_of
from steadfit.training.settings import Settings

Floats = npt.NDArray[np.float64]

COARSE, FINE = "coarse", "fine"
"""Folders of the stages in the cascade's folder."""


class CoarseToFine:
    """A cascade as one predictor: it predicts, judges and is evaluated like a :class:`~steadfit.training.Run`.

    Stage 1 estimates all points from what it sees of the image. Every region's crop is placed by that estimate, never
    by a label, and sampled from the stored image; its stage estimates the region's points again. Points that are
    visible in several crops are combined by :func:`~steadfit.training.cascade.combined`.

    Args:
        coarse: a run for all K points of images.
        fine: a run for the points of each region, in their order; any network and noise model.
        regions: which points these are, and where their crops are.
        folder: the folder of the cascade; None: the coarse run's.

    Raises:
        ConfigError: runs on anything but points in images, or that do not fit the regions.

    References:
        Belagiannis et al., ICCV 2015. Its published text gives three stage-2 crops placed by stage 1, higher resolution
        and subsets of joints; the subsets, and averaging, are our reconstruction.
    """

    def __init__(
        self, coarse: Run, fine: Sequence[Run], regions: Sequence[Region], *, folder: Path | None = None
    ) -> None:
        self.coarse, self.fine, self.regions = coarse, tuple(fine), tuple(regions)
        self.folder = coarse.folder if folder is None else folder
        check_regions(regions, coarse.schema)
        if len(fine) != len(regions):
            raise ConfigError(f"CoarseToFine: expected a run for each of {len(regions)} regions, got {len(fine)}.")
        for run, region in zip(fine, regions, strict=True):
            if not run.takes_images or run.schema.dims != 2 or run.schema.n_targets != len(region.points):
                raise ConfigError(
                    f"CoarseToFine: expected a run for the {len(region.points)} points of region {region.name!r} in "
                    f"images, got {run}."
                )
        if not coarse.takes_images:
            raise ConfigError(f"CoarseToFine: expected runs on images, got {coarse}.")

    def __repr__(self) -> str:
        return f"CoarseToFine({str(self.folder)!r}, regions={[region.name for region in self.regions]})"

    @property
    def settings(self) -> Settings:
        """The settings of the first stage."""
        return self.coarse.settings

    @property
    def schema(self) -> Schema:
        """The schema of all points."""
        return self.coarse.schema

    @property
    def takes_images(self) -> bool:
        """True; see :attr:`Run.takes_images`."""
        return True

    def predict(
        self,
        inputs: Any,
        *,
        batch_size: int = 128,
        views: Sequence[str | Tensor] = (),
        coverage: float | None = None,
        boxes: npt.ArrayLike | None = None,
    ) -> Prediction:
        """Predict in the user's units; see :meth:`Run.predict`.

        Args:
            inputs: images, as paths or arrays, or :class:`~steadfit.data.Annotations`.
            batch_size: the number of samples per batch.
            views: ``"mirror"``, ``"scales"``: every stage looks at its own frame through them (mirrored: stages with
                left/right pairs).
            coverage: not supported; None.
            boxes: (N, 4) left, top, width, height in px, the part of each image that stage 1 sees; None: the whole
                image.

        Raises:
            DataError: images that can't be read, or a table that lacks a column.
            TypeError: inputs of another kind.
            ConfigError: a coverage, or views that are matrices.
            ValueError: boxes that are not one per image, each of positive size.
        """
        if coverage is not None:
            raise ConfigError("predict: expected no coverage with a cascade, got one: cascades are not calibrated.")
        if any(not isinstance(view, str) for view in views):
            raise ConfigError("predict: expected named views with a cascade, whose stages have frames of their own.")
        if isinstance(inputs, Annotations):
            table = inputs.with_store(self.coarse.settings.channels)
            found = self._located_in(table, batch_size, views, boxes)
        else:
            images = as_images(inputs)
            given = checked_boxes(boxes, len(images))
            parts = [
                self._located_of([images[i] for i in part], None if given is None else given[part], views)
                for part in batches_of(len(images), batch_size)
            ]
            found = Located.joined(parts, self.schema.n_targets, self.schema.dims)
        root = None if found.root is None else found.root.numpy()
        return Prediction(
            found.mean.numpy(), self.schema.target_names, self.schema.units, root=root, penalty=found.penalty
        )

    predict_positions = predict

    def _located_in(
        self, table: Annotations, batch_size: int, views: Sequence[Any], boxes: npt.ArrayLike | None
    ) -> Located:
        """What both stages see in a table, whose store opens each image once; the first one refuses boxes."""
        first = self.coarse.predict_positions(table, batch_size=batch_size, views=views, boxes=boxes)

        def look(run: Run, region: Region, crops: Floats, looks: Sequence[Any]) -> Prediction:
            return run.predict_positions(region.part(table, crops), batch_size=batch_size, views=looks)

        return self._refined(first, *_seen(table), views, look)

    def _located_of(self, images: Sequence[Any], boxes: Floats | None, views: Sequence[Any]) -> Located:
        """What both stages see in a few images, each opened once (per number of channels of a stage)."""
        channels = {run.settings.channels for run in (self.coarse, *self.fine)}
        exif = self.schema.exif
        opened = {count: [open_image(one, count, exif=exif, who="predict") for one in images] for count in channels}
        seen = opened[self.coarse.settings.channels]
        first = self.coarse.predict_positions(seen, views=views, boxes=boxes)
        size = np.array([(one.shape[1], one.shape[0]) for one in seen], dtype=np.float64)

        def look(run: Run, _: Region, crops: Floats, looks: Sequence[Any]) -> Prediction:
            return run.predict_positions(opened[run.settings.channels], views=looks, boxes=crops)

        return self._refined(first, size, boxes, views, look)

    def _refined(
        self,
        first: Prediction,
        size: Floats,
        within: Floats | None,
        views: Sequence[Any],
        look: Callable[..., Prediction],
    ) -> Located:
        """The first stage's estimate, refined by what each region's network sees where its crops lie.

        Args:
            first: the estimate.
            size: (N, 2) of the images in px.
            within: (N, 4), what of them the first stage sees; None for all.
            views: further views of every stage.
            look: predicts a region, given its run, the region, its crops (N, 4) and views.
        """
        parts = []
        for run, region in zip(self.fine, self.regions, strict=True):
            looks = views if run.schema.pairs else [view for view in views if view != "mirror"]
            parts.append(_located(look(run, region, region.boxes(first.mean, size, within), looks)))
        return combined(_located(first), parts, self.regions)

    def judge(self, annotations: Annotations, *, batch_size: int = 128) -> Judgement:
        """Predict every row of a table and judge every label.

        The trust in a label is the mean over its regions (that of the first stage for a point in no region). A label is
        suspect if it is suspect in all of them.
        """
        return self.judge_stages(annotations, batch_size=batch_size)[1]

    def judge_stages(self, annotations: Annotations, *, batch_size: int = 128) -> tuple[Judgement, Judgement]:
        """The first stage's verdict on every label, and that of :meth:`judge`."""
        annotations = annotations.with_store(self.coarse.settings.channels)
        first, judged = self.coarse.look(self.coarse.dataset(annotations), batch_size=batch_size)
        size, within = _seen(annotations)
        looks = []
        for run, region in zip(self.fine, self.regions, strict=True):
            part = region.part(annotations, region.boxes(first.mean.numpy(), size, within))
            looks.append(run.look(run.dataset(part), batch_size=batch_size))
        found = combined(first, [located for located, _ in looks], self.regions)
        return judged, self._together(judged, [one for _, one in looks], found, annotations)

    def crops(self, estimate: Floats, annotations: Annotations) -> dict[str, Floats]:
        """The crops of the regions: boxes (N, 4) in px, by the names of the regions.

        Args:
            estimate: (N, K, 2), estimates of all points in px.
            annotations: N rows.
        """
        size, within = _seen(annotations)
        return {region.name: region.boxes(estimate, size, within) for region in self.regions}

    def _together(
        self, coarse: Judgement, fine: Sequence[Judgement], found: Located, annotations: Annotations
    ) -> Judgement:
        """The stages' verdicts as one; ``found`` are their predictions together."""
        shared = set(coarse.labels).intersection(*(one.labels for one in fine)) - {"nll", "peaks"}
        names = [name for name in coarse.labels if name in shared]
        nll = nll_of(found, annotations.target)
        return Judgement(
            predicted=found.mean.numpy(),
            labels={name: self._column(name, coarse, fine) for name in names} | ({} if nll is None else {"nll": nll}),
            error_rate=_error_rate(coarse, fine, self.regions, self._alone(coarse)),
            fallen_back=any(one.fallen_back for one in (coarse, *fine)),
        )

    def _column(self, name: str, coarse: Judgement, fine: Sequence[Judgement]) -> npt.NDArray[Any]:
        """One column, (N, K): the mean of a label's regions, or for flags all of them; the first stage's elsewhere."""
        first = coarse.labels[name]
        total, count = np.zeros(first.shape), np.zeros(first.shape[1])
        for one, region in zip(fine, self.regions, strict=True):
            total[:, list(region.points)] += one.labels[name]
            count[list(region.points)] += 1
        mean = total / np.maximum(count, 1)
        return np.where(count == 0, first, mean == 1 if first.dtype == bool else mean)

    def _alone(self, coarse: Judgement) -> npt.NDArray[np.bool_]:
        """(K,), which labels are in no region."""
        inside = np.zeros(coarse.trust.shape[1], dtype=bool)
        inside[[point for region in self.regions for point in region.points]] = True
        return ~inside


def _error_rate(
    coarse: Judgement, fine: Sequence[Judgement], regions: Sequence[Region], alone: npt.NDArray[np.bool_]
) -> float:
    """The mean of the stages' estimates, weighted by their points; for the first stage the points in no region."""
    counts = [int(alone.sum()), *(len(region.points) for region in regions)]
    return float(np.average([coarse.error_rate, *(one.error_rate for one in fine)], weights=counts))


def _located(prediction: Prediction) -> Located:
    root = None if prediction.root is None else torch.from_numpy(prediction.root)
    return Located(torch.from_numpy(prediction.mean), root, prediction.penalty)


def _seen(annotations: Annotations) -> tuple[Floats, Floats | None]:
    """Sizes (N, 2) of the images in px, and what of them the first stage sees (N, 4), None for all."""
    assert annotations.size is not None  # a table of features was refused by the first stage
    return annotations.size, annotations.box


def check_points(schema: Schema) -> None:
    """Refuse targets that are not points.

    Raises:
        ConfigError: other targets.
    """
    if schema.dims != 2:
        got = "classes" if schema.classes else "scalar targets"
        raise ConfigError(f"cascade: expected points in images, got {got}. Leave out --cascade.")


def check_regions(regions: Sequence[Region], schema: Schema) -> None:
    """Check that the regions are at least one, of different names, and made of existing points.

    Raises:
        ConfigError: no region, two of one name, unknown points, or targets that are not points.
    """
    check_points(schema)
    if not regions:
        raise ConfigError("cascade: expected at least one region, got none.")
    names = [region.name for region in regions]
    if len(set(names)) != len(names):
        raise ConfigError(f"cascade: expected regions of different names, got {', '.join(names)}.")
    for region in regions:
        beyond = [k for k in (*region.points, *region.anchors) if k >= schema.n_targets]
        if beyond:
            raise ConfigError(
                f"cascade: expected points 0 to {schema.n_targets - 1} in region {region.name!r}, got {beyond[0]}."
            )


def load_cascade(
    run_folder: str | os.PathLike[str],
    *,
    networks: Mapping[str, nn.Module] | None = None,
    noises: Mapping[str, NoiseModel] | None = None,
) -> CoarseToFine:
    """Open the folder of a cascade.

    Args:
        run_folder: the folder that ``steadfit fit --cascade`` wrote.
        networks: instances of the custom networks by stage: the name of a region, or ``"coarse"``.
        noises: instances of the custom noise models, by the same names.

    Raises:
        RunError: the folder contains no finished cascade.
    """
    folder = Path(run_folder)
    _, config = read_config(folder)
    if config.get("task") != CASCADE:
        raise RunError(f"{folder}: expected a cascade, got another run.")
    networks, noises = networks or {}, noises or {}
    with opened(folder / CONFIG, "the configuration of a cascade"):
        regions = regions_of(config["regions"])
        check_regions(regions, Schema.from_dict(config["schema"]))
    for part in (Path(COARSE), *(Path(FINE) / region.name for region in regions)):
        if not (folder / part / MODEL).is_file():
            raise RunError(f"{folder}: the cascade is not finished, {part / MODEL} is missing. Continue with --resume.")
    coarse = load(folder / COARSE, network=networks.get(COARSE), noise=noises.get(COARSE))
    fine = [
        load(folder / FINE / region.name, network=networks.get(region.name), noise=noises.get(region.name))
        for region in regions
    ]
    return CoarseToFine(coarse, fine, regions, folder=folder)
