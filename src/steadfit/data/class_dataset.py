"""Samples for a classifier: whole batches of images in one size, cropped at random for training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from steadfit import _checks
from steadfit.data.class_images import ClassImages
from steadfit.data.images.augment import uniforms
from steadfit.data.images.cache import FileCache, FrameCache, fits_in_memory, to_tensor, total_size
from steadfit.data.images.crops import PadCrop, ScaleCrop
from steadfit.data.images.files import Image, decode_image, frame_size, read_image
from steadfit.data.shuffling import Shuffle, as_made
from steadfit.data.tables.annotations import row_numbers
from steadfit.errors import DataError

Batch = dict[str, Tensor]
_GREY = (0.299, 0.587, 0.114)


class ClassDataset(Dataset[Batch]):
    """Some rows of images with classes as samples.

    A batch is ``{"index": (B,) int64 positions in this dataset, "input": uint8 (B, C, H, W), "target": int64 (B,)}``.

    Images that have the frame's size are taken as they are. Others are scaled until the shorter side is 256/224 of the
    frame's and cropped, at the centre unless ``augment`` crops at random.

    Args:
        classes: the images.
        rows: the rows that are samples, None for all.
        size: side, or (height, width), of the frame in px; None for the images' own, which must be the same for all.
        channels: 3 for RGB, 1 for grey.
        augment: :class:`PadCrop` of whole frames, :class:`ScaleCrop` from the larger image, or None.
        seed: of the crops, >= 0; a sample's crop is a function of seed, epoch (``set_epoch``) and position.
        cache: keep decoded frames (with ``ScaleCrop``: the encoded files) in memory; ``"auto"`` if they fit.

    Raises: DataError where ``size`` is None and the images are of several sizes.
    """

    def __init__(
        self,
        classes: ClassImages,
        rows: npt.ArrayLike | None = None,
        *,
        size: int | tuple[int, int] | None = None,
        channels: int = 3,
        augment: PadCrop | ScaleCrop | None = None,
        seed: int = 0,
        cache: bool | Literal["auto"] = "auto",
    ) -> None:
        _checks.one_of("ClassDataset", "channels", channels, (1, 3))
        _checks.one_of("ClassDataset", "cache", cache, (True, False, "auto"))
        self.classes, self.channels, self.augment, self.seed = classes, channels, augment, seed
        self.rows = np.arange(len(classes)) if rows is None else row_numbers(rows, len(classes))
        self.size = native_size(classes) if size is None else frame_size(size)
        self.target = torch.from_numpy(classes.label[self.rows])
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]
        self._files = self._make_files(cache) if isinstance(augment, ScaleCrop) else None
        self._frames = None if self._files is not None else self._make_frames(cache)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose crops are drawn next, in this process and in the workers."""
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Batch:
        """One sample, without the batch axis."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"ClassDataset: expected an index below {len(self)}, got {index}.")
        return {key: value[0] for key, value in self.__getitems__([index % len(self)]).items()}

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """A batch."""
        index = torch.as_tensor(indices, dtype=torch.int64)
        return {"index": index, "input": self._inputs(index), "target": self.target[index]}

    def loader(
        self, batch_size: int, *, shuffle_seed: int | None = None, workers: int = 0, drop_last: bool = False
    ) -> DataLoader[Batch]:
        """Batches in order, or shuffled by a function of ``shuffle_seed`` and the epoch; see ``LabelledDataset``."""
        for cache in (self._frames, self._files):
            if workers and isinstance(cache, FrameCache | FileCache):
                cache.share()
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
        epoch = int(self._epoch)
        if isinstance(self.augment, ScaleCrop):
            return self._scaled(self.augment, index, uniforms(index, seed=self.seed, epoch=epoch))
        frames = self.frames(index)
        if self.augment is None:
            return frames
        return self.augment.sample(frames, index, seed=self.seed, epoch=epoch)

    def frames(self, index: Tensor) -> Tensor:
        """The frames (B, C, H, W) of some samples, not augmented."""
        if isinstance(self._frames, Tensor):
            return self._frames[torch.from_numpy(self.rows)[index]]
        if self._frames is not None:
            return self._frames[index]
        return torch.stack([self._read(position) for position in index.tolist()])

    def _scaled(self, crop: ScaleCrop, index: Tensor, uniform: npt.NDArray[np.float64]) -> Tensor:
        draws = uniform[:, :3].tolist()
        return torch.stack(
            [
                to_tensor(crop.apply(self._image(position), self.size, (mirror, down, right)))
                for position, (mirror, down, right) in zip(index.tolist(), draws, strict=True)
            ]
        )

    def _make_frames(self, cache: bool | Literal["auto"]) -> Tensor | FrameCache | None:
        pixels = self.classes.pixels
        if pixels is not None and tuple(pixels.shape[1:]) == (self.channels, *self.size):
            return pixels
        shape = (self.channels, *self.size)
        wanted = fits_in_memory(len(self) * int(np.prod(shape))) if cache == "auto" else cache
        return FrameCache(len(self), shape, self._read) if wanted else None

    def _make_files(self, cache: bool | Literal["auto"]) -> FileCache | None:
        if self.classes.pixels is not None:
            return None
        paths = [self.classes.root / self.classes.images[row] for row in self.rows]
        return FileCache(paths, keep=fits_in_memory(total_size(paths)) if cache == "auto" else cache)

    def _read(self, position: int) -> Tensor:
        """The frame (C, H, W) of one sample, without augmentation."""
        return to_tensor(fitted(self._image(position), self.size))

    def _image(self, position: int) -> Image:
        """The whole image (H, W, C) of one sample."""
        row = int(self.rows[position])
        if self.classes.pixels is not None:
            return with_channels(self.classes.pixels[row].permute(1, 2, 0).numpy(), self.channels)
        path = self.classes.root / self.classes.images[row]
        if self._files is not None:
            return decode_image(self._files[position], self.channels, path)
        return read_image(path, self.channels)


def native_size(classes: ClassImages) -> tuple[int, int]:
    """(height, width) that all images share.

    Raises: DataError where they don't.
    """
    if classes.one_size is None:
        small, large = classes.size.min(axis=0, initial=np.inf), classes.size.max(axis=0, initial=0)
        raise DataError(
            f"{classes.path}: expected images of one size, got widths from {small[0]:g} to {large[0]:g} px and heights "
            f"from {small[1]:g} to {large[1]:g} px. Choose a size with --size."
        )
    return classes.one_size


def fitted(image: Image, size: tuple[int, int]) -> Image:
    """An image in the frame's size: itself, or the crop at its centre."""
    return image if image.shape[:2] == size else ScaleCrop().centre(image, size)


def with_channels(image: Image, channels: int) -> Image:
    """Grey (H, W) or (H, W, 1), or RGB (H, W, 3), with the wanted number of channels."""
    deep = image if image.ndim == 3 else image[:, :, None]
    if channels == 1 and deep.shape[2] == 3:
        grey: Image = (deep @ np.array(_GREY)).round().astype(np.uint8)
        return grey[:, :, None]
    return np.repeat(deep, 3, axis=2) if channels > deep.shape[2] else deep
