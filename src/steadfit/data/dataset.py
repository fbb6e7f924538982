"""Samples for the network: images in one frame, or features, with labels in the network's coordinates."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from steadfit import _checks
from steadfit.data.cache import FrameCache, fits_in_memory, to_tensor
from steadfit.data.images import frame_size, letterbox, letterbox_map, read_image
from steadfit.data.table import Annotations, row_numbers
from steadfit.errors import DataError

Batch = dict[str, Tensor]
Transform = Callable[
    [npt.NDArray[np.uint8], npt.NDArray[np.float32]], tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]
]


@dataclass(frozen=True)
class Frame:
    """The map of every sample from the user's units to the network's frame.

    frame = user * scale + shift

    Args:
        scale: (N, D) float64, > 0.
        shift: (N, D) float64.
    """

    scale: Tensor
    shift: Tensor

    def to_frame(self, target: Tensor, rows: Tensor | None = None) -> Tensor:
        """Targets (n, K, D) in the user's units to the frame; float64, NaN stays NaN.

        Args:
            target: (n, K, D).
            rows: (n,) the samples they belong to; None for all of them in order.
        """
        scale, shift = self._of(target, rows)
        return target.double() * scale + shift

    def to_user(self, value: Tensor, rows: Tensor | None = None) -> Tensor:
        """Targets or predictions (n, K, D) in the frame back to the user's units; float64."""
        scale, shift = self._of(value, rows)
        return (value.double() - shift) / scale

    def _of(self, value: Tensor, rows: Tensor | None) -> tuple[Tensor, Tensor]:
        scale, shift = (self.scale, self.shift) if rows is None else (self.scale[rows.cpu()], self.shift[rows.cpu()])
        if value.dim() != 3 or (value.shape[0], value.shape[2]) != tuple(scale.shape):
            n, dims = scale.shape
            raise ValueError(f"Frame: expected values of shape ({n}, K, {dims}), got {tuple(value.shape)}.")
        return scale[:, None].to(value.device), shift[:, None].to(value.device)


class LabelledDataset(Dataset[Batch]):
    """Some rows of a table as samples.

    A batch is ``{"index": (B,) int64 positions in this dataset, "input": uint8 (B, C, H, W) or float32 (B, F),
    "target": float32 (B, K, D) in the frame}``.

    Args:
        annotations: the table.
        rows: the rows that are samples, None for all.
        size: side, or (height, width), of the frame in px.
        channels: 3 for RGB, 1 for grey.
        cache: keep decoded frames in memory; ``"auto"`` if they fit in a quarter of the free memory and 4 GiB.
        transform: applied to every sample when it is drawn, for training only: takes the frame (H, W, C) and the
            targets (K, D) in it, and returns both.

    Raises:
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
    ) -> None:
        _checks.one_of("LabelledDataset", "channels", channels, (1, 3))
        _checks.one_of("LabelledDataset", "cache", cache, (True, False, "auto"))
        self.rows = np.arange(len(annotations)) if rows is None else row_numbers(rows, len(annotations))
        self.annotations = annotations
        self.size = frame_size(size)
        self.channels = channels
        self.transform = transform
        self.frame = _frame(annotations, self.rows, self.size)
        self.target = self.frame.to_frame(torch.from_numpy(annotations.target[self.rows])).float()
        self._features = _features(annotations, self.rows)
        self._cache = self._make_cache(cache)

    def relabelled(self, annotations: Annotations) -> LabelledDataset:
        """The same rows and the same decoded images under the labels of another version of the table."""
        if annotations.images != self.annotations.images or annotations.schema != self.annotations.schema:
            raise ValueError("LabelledDataset.relabelled: expected the same images and schema, got another table.")
        other = copy.copy(self)
        other.annotations = annotations
        other.target = self.frame.to_frame(torch.from_numpy(annotations.target[self.rows])).float()
        return other

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
        batch = {"index": index, "input": self._inputs(index), "target": self.target[index]}
        return batch if self.transform is None else _transformed(batch, self.transform)

    def loader(
        self, batch_size: int, *, shuffle_seed: int | None = None, workers: int = 0, drop_last: bool = False
    ) -> DataLoader[Batch]:
        """Batches in the table's order, or shuffled.

        Args:
            batch_size: B.
            shuffle_seed: the order is a function of this seed and the epoch (``loader.sampler.set_epoch``, which
                Lightning calls), so that a resumed training sees the same batches; None for the table's order.
            workers: processes that read images; 0 reads in this one.
            drop_last: leave out a last batch that is not full.
        """
        if workers and self._cache is not None:
            self._cache.share()
        return DataLoader(
            self,
            batch_size=batch_size,
            sampler=None if shuffle_seed is None else _sampler(self, shuffle_seed),
            num_workers=workers,
            drop_last=drop_last,
            collate_fn=_identity,
            persistent_workers=workers > 0,
        )

    def _inputs(self, index: Tensor) -> Tensor:
        if self._features is not None:
            return self._features[index]
        if self._cache is not None:
            return self._cache[index]
        return torch.stack([self._read(position) for position in index.tolist()])

    def _make_cache(self, cache: bool | Literal["auto"]) -> FrameCache | None:
        shape = (self.channels, *self.size)
        wanted = fits_in_memory(len(self) * int(np.prod(shape))) if cache == "auto" else cache
        return FrameCache(len(self), shape, self._read) if wanted and self._features is None else None

    def _read(self, position: int) -> Tensor:
        """The frame (C, H, W) of one sample, from its file."""
        row = int(self.rows[position])
        images, sizes = self.annotations.images, self.annotations.size
        assert images is not None  # a table of features never gets here
        assert sizes is not None
        path = self.annotations.root / images[row]
        image = read_image(path, self.channels)
        height, width = image.shape[:2]
        if (width, height) != tuple(sizes[row]):
            raise DataError(
                f"{path}: expected {sizes[row, 0]:.0f} x {sizes[row, 1]:.0f} px as when the table was checked, "
                f"got {width} x {height} px. Load the annotations again."
            )
        return to_tensor(letterbox(image, self.size)[0])


def _frame(annotations: Annotations, rows: npt.NDArray[np.int64], size: tuple[int, int]) -> Frame:
    """The letterbox of points in images, the identity for everything else."""
    if annotations.size is None or annotations.schema.dims != 2:
        shape = (len(rows), annotations.target.shape[2])
        return Frame(torch.ones(shape, dtype=torch.float64), torch.zeros(shape, dtype=torch.float64))
    scale, shift = letterbox_map(annotations.size[rows], size)
    return Frame(torch.from_numpy(scale), torch.from_numpy(shift))


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
    return to_tensor(image), torch.from_numpy(np.asarray(points, dtype=np.float32))


def _sampler(dataset: LabelledDataset, seed: int) -> DistributedSampler[Any]:
    """Shuffles by seed and epoch; in a process group each rank draws its own share."""
    group = torch.distributed.is_available() and torch.distributed.is_initialized()
    ranks, rank = (torch.distributed.get_world_size(), torch.distributed.get_rank()) if group else (1, 0)
    return DistributedSampler(dataset, num_replicas=ranks, rank=rank, shuffle=True, seed=seed)


def _identity(batch: Any) -> Any:
    """``__getitems__`` has made the batch already."""
    return batch
