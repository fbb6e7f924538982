"""The samples of a network: images in one frame, or features, with labels in the network's coordinates."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from steadfit import _checks
from steadfit.data.images.cache import FileCache, FrameCache, fits_in_memory, to_tensor, total_size
from steadfit.data.images.crops import PadCrop, ScaleCrop
from steadfit.data.images.decoding import Picture, Shrink, reduction
from steadfit.data.images.files import decode_picture, frame_size, open_picture, with_channels
from steadfit.data.images.frame import Frame, frame_map
from steadfit.data.images.maps import map_points
from steadfit.data.images.mirror import permute_labels
from steadfit.data.images.misplacing import Augmentation
from steadfit.data.images.sampling import ratios, sample
from steadfit.data.images.store import Framing, make_frame, settled, shrink_for
from steadfit.data.shuffling import Shuffle, as_made
from steadfit.data.tables.annotations import Annotations, row_numbers
from steadfit.errors import DataError

__all__ = ["Frame", "LabelledDataset"]

Batch = dict[str, Tensor]


class LabelledDataset(Dataset[Batch]):
    """Some rows of a table as samples.

    A batch is ``{"index": (B,) int64 positions in this dataset, "input": uint8 (B, C, H, W) or float64 (B, F),
    "target": float64 (B, K, D) in the frame}``. Features and targets keep all their digits until they are
    standardised: seconds since 1970 are steps of 128 s in float32.

    With random warps (:class:`Warp`) every sample is warped when it is drawn, in one sampling of the stored image, and
    the batch has two more entries: ``"warp": float64 (B, 3, 3)``, the map from the frame to the warped frame, in which
    ``"target"`` is given, and ``"mirrored": bool (B,)``, the samples whose left and right points are exchanged by
    ``Schema.permutation``. Nothing is mirrored without pairs. Points that leave the frame keep their labels. Scalar
    targets are not changed.

    Images with classes that have the frame's size are taken as they are; others are scaled until the shorter side is
    256/224 of the frame's and cropped, at the centre or at random (:class:`PadCrop`, :class:`ScaleCrop`).

    Args:
        annotations: the table.
        rows: the rows that are samples; None: all.
        size: side, or (height, width), of the frame in px; None: the images' own, which must be the same for all.
        channels: 3 for RGB, 1 for grey.
        cache: whether decoded frames (with ``augment``, except :class:`PadCrop`: the encoded files) are stored in
            memory; ``"auto"``: if they fit in a quarter of the free memory and 4 GiB.
        augment: the distribution of random warps, or random crops for targets that are not points; None: none.
        seed: the seed of the warps or crops, >= 0; that of a sample is a function of seed, epoch (``set_epoch``) and
            position.
        sampling: how an image is sampled into the frame: ``"letterbox"``, area means where it shrinks; ``"warp"``, the
            sampling that random warps use as well; ``"crop"``, that of images with classes; ``"auto"``, ``"warp"`` with
            random warps, boxes or images to stretch, ``"crop"`` with classes or random crops. Validate and predict with
            the sampling of the training. The frame's geometry is that of the letterbox, except for ``"crop"``.

    Raises:
        ValueError: ``augment`` without images, a letterbox with boxes, stretched images or ``augment``, or crops of
            points, boxes or stretched images.
        DataError: an image has changed since the table was checked, or ``size`` is None and the images have several.
    """

    def __init__(
        self,
        annotations: Annotations,
        rows: npt.ArrayLike | None = None,
        *,
        size: int | tuple[int, int] | None = 48,
        channels: int = 1,
        cache: bool | Literal["auto"] = "auto",
        augment: Augmentation | PadCrop | ScaleCrop | None = None,
        seed: int = 0,
        sampling: Literal["auto", "letterbox", "warp", "crop"] = "auto",
    ) -> None:
        _checks.one_of("LabelledDataset", "channels", channels, (1, 3))
        _checks.one_of("LabelledDataset", "cache", cache, (True, False, "auto"))
        self.rows = np.arange(len(annotations)) if rows is None else row_numbers(rows, len(annotations))
        self.annotations = annotations
        self.size = native_size(annotations) if size is None else frame_size(size)
        self.channels = channels
        self.augment = augment
        self.seed = seed
        self.sampling = _sampling(annotations, augment, sampling)
        self.frame, self._pixels = _frames_of(annotations, self.rows, self.size)
        self._made = self._frames_made()
        self.target = self.frame.to_frame(torch.from_numpy(annotations.target[self.rows]))
        self._features = _features(annotations, self.rows)
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]
        self._wanted = cache
        self._cache = self._make_cache()

    def without_augment(self) -> LabelledDataset:
        """The same samples without random warps or crops, but with the same sampling."""
        if self.augment is None:
            return self
        other = copy.copy(self)
        other.augment = None
        other._cache = self._cache if isinstance(self._cache, FrameCache) else other._make_cache()
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
        augment, epoch = self.augment, int(self._epoch)
        if augment is None:
            return {"index": index, "input": self.frames(index), "target": self.target[index]}
        if isinstance(augment, PadCrop):
            found = augment.sample(self.frames(index), index, seed=self.seed, epoch=epoch)
            return {"index": index, "input": found, "target": self.target[index]}
        if isinstance(augment, ScaleCrop):
            allowed = shrink_for(self.size, "crop")
            images = (self._image(position, allowed).pixels for position in index.tolist())
            crops = augment.sample(images, index, self.size, seed=self.seed, epoch=epoch)
            return {"index": index, "input": torch.stack([*map(to_tensor, crops)]), "target": self.target[index]}
        return {"index": index, **self._warped(index, augment)}

    def loader(
        self, batch_size: int, *, shuffle_seed: int | None = None, workers: int = 0, drop_last: bool = False
    ) -> DataLoader[Batch]:
        """Batches in the table's order, or shuffled.

        Args:
            batch_size: B.
            shuffle_seed: the order is a function of this seed and the epoch (``loader.sampler.set_epoch``, which
                Lightning calls), so that a resumed training sees the same batches; None: the table's order, in which
                ``set_epoch`` of this dataset sets the epoch of random warps.
            workers: the number of processes that read images; 0: this process reads them.
            drop_last: whether a last batch that is not full is left out.
        """
        if workers and self._cache is not None:
            self._cache.share()
        if workers and self._made is not None:
            self._made[0].share_memory_()  # type: ignore[no-untyped-call]
        return DataLoader(
            self,
            batch_size=batch_size,
            sampler=None if shuffle_seed is None else Shuffle(self, shuffle_seed),
            num_workers=workers,
            drop_last=drop_last,
            collate_fn=as_made,
            persistent_workers=workers > 0,
        )

    def frames(self, index: Tensor) -> Tensor:
        """The inputs (B, C, H, W) or (B, F) of some samples, without random warps or crops."""
        if self._features is not None:
            return self._features[index]
        if self._made is not None:
            made, places = self._made
            return made[places[index]]
        if isinstance(self._cache, FrameCache):
            return self._cache[index]
        return torch.stack([self._frame(position) for position in index.tolist()])

    def _warped(self, index: Tensor, augment: Augmentation) -> Batch:
        """Images and targets of one batch, warped, with the matrices (B, 3, 3)."""
        schema = self.annotations.schema
        warp, mirrored = augment.sample(
            index, self.size, seed=self.seed, epoch=int(self._epoch), mirror=bool(schema.pairs)
        )
        whole = warp @ self._pixels.matrix(index)
        allowed = [partial(reduction, ratio=ratio) for ratio in ratios(whole, self.size)]
        images = (self._image(*one) for one in zip(index.tolist(), allowed, strict=True))
        frames = sample(images, whole, self.size, self.channels)
        target = self.target[index]
        if schema.has_points:
            target = permute_labels(map_points(warp, target), mirrored, schema.permutation)
        return {"input": frames, "target": target, "mirrored": mirrored, "warp": warp}

    def _frames_made(self) -> tuple[Tensor, Tensor] | None:
        """Frames that exist already, and the places of the samples among them: those of an archive, or of the check."""
        annotations = self.annotations
        if annotations.pixels is not None:
            fits = self.sampling == "crop" and annotations.pixels.shape[1:] == (self.channels, *self.size)
            return (annotations.pixels, torch.from_numpy(self.rows)) if fits else None
        if annotations.frames is None or annotations.row is None:
            return None
        framing = Framing(self.size, self.channels, self.sampling)
        maps = self._pixels
        return annotations.frames.of(annotations.row[self.rows], framing, maps.scale, maps.shift)

    def _make_cache(self) -> FrameCache | FileCache | None:
        if self._features is not None:
            return None
        if self.augment is not None and not isinstance(self.augment, PadCrop):
            if self.annotations.pixels is not None or self.annotations.store is not None:
                return None
            paths = [self._path(position) for position in range(len(self))]
            wanted = fits_in_memory(total_size(paths)) if self._wanted == "auto" else self._wanted
            return FileCache(paths, keep=wanted)
        if self._made is not None:
            return None
        shape = (self.channels, *self.size)
        wanted = fits_in_memory(len(self) * int(np.prod(shape))) if self._wanted == "auto" else self._wanted
        return FrameCache(len(self), shape, self._frame) if wanted else None

    def _frame(self, position: int) -> Tensor:
        """The frame (C, H, W) of one sample, from its stored image."""
        matrix = self._pixels.matrix(torch.tensor([position]))[0] if self.sampling == "warp" else torch.empty(0)
        box, row = self.annotations.box, int(self.rows[position])
        box = None if box is None else box[row : row + 1]
        allowed = shrink_for(self.size, self.sampling, box, fit=self.annotations.schema.box_fit)
        return make_frame(self._image(position, allowed), self.size, self.sampling, matrix)

    def _image(self, position: int, shrink: Shrink) -> Picture:
        """The stored image of one sample: from the archive, from the bytes in memory, or from its file."""
        if self.annotations.pixels is not None:
            pixels = self.annotations.pixels[int(self.rows[position])]
            return Picture(with_channels(pixels.permute(1, 2, 0).numpy(), self.channels))
        path, exif = self._path(position), self.annotations.schema.exif
        if isinstance(self._cache, FileCache):
            found = decode_picture(self._cache[position], self.channels, path, exif=exif, shrink=shrink)
            return self._checked(found, position)
        store = self.annotations.store
        if store is not None and (store.channels, store.exif) == (self.channels, exif):
            return self._checked(Picture(store.open(path)), position)
        return self._checked(open_picture(path, self.channels, exif=exif, shrink=shrink), position)

    def _path(self, position: int) -> Path:
        images = self.annotations.images
        assert images is not None  # features have no frames
        return self.annotations.root / images[int(self.rows[position])]

    def _checked(self, image: Picture, position: int) -> Picture:
        """The image, if it has the size that the table was checked with."""
        sizes = self.annotations.size
        assert sizes is not None
        width, height = image.size
        expected = sizes[self.rows[position]]
        if width != expected[0] or height != expected[1]:
            raise DataError(
                f"{self._path(position)}: expected {expected[0]:.0f} x {expected[1]:.0f} px as when the table was "
                f"checked, got {width} x {height} px. Load the annotations again."
            )
        return image


def _frames_of(annotations: Annotations, rows: npt.NDArray[np.int64], size: tuple[int, int]) -> tuple[Frame, Frame]:
    """The maps of the targets and of the pixels, which are the same for points in images.

    Scalar targets and tables of features keep their units, that is the identity. Features have no pixels; then the
    second map is the first one.
    """
    identity = (len(rows), annotations.target.shape[2])
    units = Frame(torch.ones(identity, dtype=torch.float64), torch.zeros(identity, dtype=torch.float64))
    if annotations.size is None:
        return units, units
    boxes = None if annotations.box is None else annotations.box[rows]
    scale, shift = frame_map(annotations.size[rows], boxes, size, fit=annotations.schema.box_fit)
    pixels = Frame(torch.from_numpy(scale), torch.from_numpy(shift))
    return (pixels if annotations.schema.has_points else units), pixels


def native_size(annotations: Annotations) -> tuple[int, int]:
    """The size (height, width) that all images share; (1, 1) for a table of features.

    Raises:
        DataError: the images have different sizes.
    """
    if annotations.size is None:
        return 1, 1
    if annotations.one_size is None:
        sizes = annotations.size
        small, large = sizes.min(axis=0, initial=np.inf), sizes.max(axis=0, initial=0)
        raise DataError(
            f"{annotations.path}: expected images of one size, got widths from {small[0]:g} to {large[0]:g} px and "
            f"heights from {small[1]:g} to {large[1]:g} px. Choose a size with --size."
        )
    return annotations.one_size


def _sampling(annotations: Annotations, augment: Augmentation | PadCrop | ScaleCrop | None, sampling: str) -> str:
    """``"letterbox"``, ``"warp"`` or ``"crop"``."""
    _checks.one_of("LabelledDataset", "sampling", sampling, ("auto", "letterbox", "warp", "crop"))
    if augment is not None and annotations.images is None:
        raise ValueError("LabelledDataset: expected images to warp, got a table of features. Leave out augment.")
    stretched = annotations.images is not None and annotations.schema.box_fit == "stretch"
    crops = isinstance(augment, PadCrop | ScaleCrop)
    warps = (augment is not None and not crops) or annotations.box is not None or stretched
    if warps and sampling == "letterbox":
        raise ValueError(
            "LabelledDataset: expected sampling 'warp' or 'auto' with augment, boxes or stretched images, got "
            "'letterbox'."
        )
    if (crops or sampling == "crop") and (warps or annotations.schema.has_points):
        raise ValueError(
            "LabelledDataset: expected crops of whole images whose targets are not points, got points, boxes or warps."
        )
    return settled(sampling, warps=warps, crops=crops or bool(annotations.schema.classes))


def _features(annotations: Annotations, rows: npt.NDArray[np.int64]) -> Tensor | None:
    return None if annotations.features is None else torch.from_numpy(annotations.features[rows])
