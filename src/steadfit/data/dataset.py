"""Samples for the network: images in one frame, or features, with labels in the network's coordinates."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from steadfit import _checks
from steadfit.data.images.cache import FileCache, FrameCache, fits_in_memory, to_tensor, total_size
from steadfit.data.images.files import Image, decode_image, frame_size, letterbox, read_image
from steadfit.data.images.frame import Frame, frames_of
from steadfit.data.images.maps import map_points
from steadfit.data.images.mirror import permute_labels
from steadfit.data.images.misplacing import Augmentation
from steadfit.data.images.sampling import sample
from steadfit.data.shuffling import Shuffle, as_made
from steadfit.data.tables.annotations import Annotations, row_numbers
from steadfit.errors import DataError

__all__ = ["Frame", "LabelledDataset"]

Batch = dict[str, Tensor]
Transform = Callable[
    [npt.NDArray[np.uint8], npt.NDArray[np.float64]], tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64]]
]


class LabelledDataset(Dataset[Batch]):
    """Some rows of a table as samples.

    A batch is ``{"index": (B,) int64 positions in this dataset, "input": uint8 (B, C, H, W) or float64 (B, F),
    "target": float64 (B, K, D) in the frame}``. Features and targets keep all their digits until they are
    standardised: seconds since 1970 are steps of 128 s in float32.

    With ``augment`` every sample is warped at random when it is drawn, in one sampling of the stored image, and the
    batch has two more entries: ``"warp": float64 (B, 3, 3)``, the map from the frame to the warped frame, in which
    ``"target"`` is given, and ``"mirrored": bool (B,)``, the samples whose left and right points have changed places
    by ``Schema.permutation``. Nothing is mirrored without pairs. Points that leave the frame keep their labels.
    Scalar targets are not touched.

    Args:
        annotations: the table.
        rows: the rows that are samples, None for all.
        size: side, or (height, width), of the frame in px.
        channels: 3 for RGB, 1 for grey.
        cache: keep decoded frames (with ``augment``: the encoded files) in memory; ``"auto"`` if they fit in a quarter
            of the free memory and 4 GiB.
        transform: applied to every sample when it is drawn, for training only: takes the frame (H, W, C) and the
            targets (K, D) in it, and returns both. It comes after ``augment``.
        augment: the distribution of random warps, None for none.
        seed: of the warps, >= 0; the warp of a sample is a function of seed, epoch (``set_epoch``) and position.
        sampling: how an image comes into the frame: ``"letterbox"``, area means where it shrinks; ``"warp"``, by the
            one sampling that ``augment`` uses as well; ``"auto"``, ``"warp"`` with ``augment``, boxes or images to
            stretch. Validate and predict with the sampling of the training. The frame's geometry is the same either
            way.

    Raises:
        ValueError: ``augment`` without images, or a letterbox with boxes, stretched images or ``augment``.
        DataError: an image has changed since the table was checked.
    """

    def __init__(
        self,
        annotations: Annotations,
        rows: npt.ArrayLike | None = None,
        *,
        size: int | tuple[int, int] = 48,
        channels: int = 1,
        cache: bool | Literal["auto"] = "auto",
        transform: Transform | None = None,
        augment: Augmentation | None = None,
        seed: int = 0,
        sampling: Literal["auto", "letterbox", "warp"] = "auto",
    ) -> None:
        _checks.one_of("LabelledDataset", "channels", channels, (1, 3))
        _checks.one_of("LabelledDataset", "cache", cache, (True, False, "auto"))
        self.rows = np.arange(len(annotations)) if rows is None else row_numbers(rows, len(annotations))
        self.annotations = annotations
        self.size = frame_size(size)
        self.channels = channels
        self.transform = transform
        self.augment = augment
        self.seed = seed
        self.sampling = _sampling(annotations, augment, sampling)
        self.frame, self._pixels = frames_of(annotations, self.rows, self.size)
        self.target = self.frame.to_frame(torch.from_numpy(annotations.target[self.rows]))
        self._features = _features(annotations, self.rows)
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]
        self._wanted = cache
        self._cache = self._make_cache()

    def relabelled(self, annotations: Annotations) -> LabelledDataset:
        """The same rows, images and frames under the labels of another version of the table."""
        if annotations.images != self.annotations.images or annotations.schema != self.annotations.schema:
            raise ValueError("LabelledDataset.relabelled: expected the same images and schema, got another table.")
        other = copy.copy(self)
        other.annotations = annotations
        other.target = self.frame.to_frame(torch.from_numpy(annotations.target[self.rows]))
        return other

    def without_augment(self) -> LabelledDataset:
        """The same samples unwarped, sampled as the warped ones are, with a cache of its own."""
        if self.augment is None:
            return self
        other = copy.copy(self)
        other.augment = None
        other._cache = other._make_cache()
        return other

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose warps are drawn next, in this process and in the workers.

        The sampler of a shuffled ``loader`` calls it in its own ``set_epoch``.
        """
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Batch:
        """One sample, without the batch axis."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"LabelledDataset: expected an index below {len(self)}, got {index}.")
        return {key: value[0] for key, value in self.__getitems__([index % len(self)]).items()}

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """A batch."""
        index = torch.as_tensor(indices, dtype=torch.int64)
        if self.augment is None:
            batch = {"index": index, "input": self._inputs(index), "target": self.target[index]}
        else:
            batch = {"index": index, **self._warped(index, self.augment)}
        return batch if self.transform is None else _transformed(batch, self.transform)

    def loader(
        self, batch_size: int, *, shuffle_seed: int | None = None, workers: int = 0, drop_last: bool = False
    ) -> DataLoader[Batch]:
        """Batches in the table's order, or shuffled.

        Args:
            batch_size: B.
            shuffle_seed: the order is a function of this seed and the epoch (``loader.sampler.set_epoch``, which
                Lightning calls), so that a resumed training sees the same batches; None for the table's order, in
                which the epoch of random warps is set by ``set_epoch`` of this dataset.
            workers: processes that read images; 0 reads in this one.
            drop_last: leave out a last batch that is not full.
        """
        if workers and self._cache is not None:
            self._cache.share()
        return DataLoader(
            self,
            batch_size=batch_size,
            sampler=None if shuffle_seed is None else Shuffle(self, shuffle_seed),
            num_workers=workers,
            drop_last=drop_last,
            collate_fn=as_made,
            persistent_workers=workers > 0,
        )

    def _inputs(self, index: Tensor) -> Tensor:
        if self._features is not None:
            return self._features[index]
        if isinstance(self._cache, FrameCache):
            return self._cache[index]
        return torch.stack([self._read(position) for position in index.tolist()])

    def _warped(self, index: Tensor, augment: Augmentation) -> Batch:
        """Images and targets of one batch, warped; matrices (B, 3, 3)."""
        schema = self.annotations.schema
        warp, mirrored = augment.sample(
            index, self.size, seed=self.seed, epoch=int(self._epoch), mirror=bool(schema.pairs)
        )
        images = (self._decode(position) for position in index.tolist())
        frames = sample(images, warp @ self._pixels.matrix(index), self.size, self.channels)
        target = self.target[index]
        if schema.dims == 2:
            target = permute_labels(map_points(warp, target), mirrored, schema.permutation)
        return {"input": frames, "target": target, "mirrored": mirrored, "warp": warp}

    def _make_cache(self) -> FrameCache | FileCache | None:
        if self._features is not None:
            return None
        if self.augment is not None:
            paths = [self._path(position) for position in range(len(self))]
            wanted = fits_in_memory(total_size(paths)) if self._wanted == "auto" else self._wanted
            return FileCache(paths, keep=wanted)
        shape = (self.channels, *self.size)
        wanted = fits_in_memory(len(self) * int(np.prod(shape))) if self._wanted == "auto" else self._wanted
        return FrameCache(len(self), shape, self._read) if wanted else None

    def _read(self, position: int) -> Tensor:
        """The frame (C, H, W) of one sample, from its file."""
        image = self._checked(read_image(self._path(position), self.channels), position)
        if self.sampling == "letterbox":
            return to_tensor(letterbox(image, self.size)[0])
        return sample([image], self._pixels.matrix(torch.tensor([position])), self.size, self.channels)[0]

    def _decode(self, position: int) -> Image:
        """The stored image (H, W, C) of one sample, from the bytes in memory."""
        assert isinstance(self._cache, FileCache)
        image = decode_image(self._cache[position], self.channels, self._cache.paths[position])
        return self._checked(image, position)

    def _path(self, position: int) -> Path:
        images = self.annotations.images
        assert images is not None  # a table of features never gets here
        return self.annotations.root / images[int(self.rows[position])]

    def _checked(self, image: Image, position: int) -> Image:
        """The image, if it has the size that the table was checked with."""
        sizes = self.annotations.size
        assert sizes is not None
        height, width = image.shape[:2]
        expected = sizes[self.rows[position]]
        if width != expected[0] or height != expected[1]:
            raise DataError(
                f"{self._path(position)}: expected {expected[0]:.0f} x {expected[1]:.0f} px as when the table was "
                f"checked, got {width} x {height} px. Load the annotations again."
            )
        return image


def _sampling(annotations: Annotations, augment: Augmentation | None, sampling: str) -> str:
    """``"letterbox"`` or ``"warp"``."""
    _checks.one_of("LabelledDataset", "sampling", sampling, ("auto", "letterbox", "warp"))
    if augment is not None and annotations.images is None:
        raise ValueError("LabelledDataset: expected images to warp, got a table of features. Leave out augment.")
    stretched = annotations.images is not None and annotations.schema.box_fit == "stretch"
    warps = augment is not None or annotations.box is not None or stretched
    if warps and sampling == "letterbox":
        raise ValueError(
            "LabelledDataset: expected sampling 'warp' or 'auto' with augment, boxes or stretched images, got "
            "'letterbox'."
        )
    return "warp" if warps or sampling == "warp" else "letterbox"


def _features(annotations: Annotations, rows: npt.NDArray[np.int64]) -> Tensor | None:
    return None if annotations.features is None else torch.from_numpy(annotations.features[rows])


def _transformed(batch: Batch, transform: Transform) -> Batch:
    pairs = [_transform_one(*sample, transform) for sample in zip(batch["input"], batch["target"], strict=True)]
    inputs, targets = zip(*pairs, strict=True)
    return {**batch, "input": torch.stack(inputs), "target": torch.stack(targets)}


def _transform_one(pixels: Tensor, target: Tensor, transform: Transform) -> tuple[Tensor, Tensor]:
    image, points = transform(pixels.permute(1, 2, 0).numpy().copy(), target.numpy().copy())
    fine = image.dtype == np.uint8 and image.shape == (*pixels.shape[1:], pixels.shape[0])
    if not fine or points.shape != tuple(target.shape):
        raise ValueError(
            f"transform: expected uint8 pixels {(*pixels.shape[1:], pixels.shape[0])} and points "
            f"{tuple(target.shape)} back, got {image.dtype} {image.shape} and {points.shape}."
        )
    return to_tensor(image), torch.from_numpy(np.asarray(points, dtype=np.float64))
