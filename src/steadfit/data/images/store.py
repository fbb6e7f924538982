"""Stores of decoded images: frames of a whole table, and whole images that are needed several times."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from steadfit import _checks
from steadfit.data.images.cache import fits_in_memory, room_in_memory, to_tensor
from steadfit.data.images.crops import MARGIN, fitted
from steadfit.data.images.decoding import Image, Picture, Shrink, reduction
from steadfit.data.images.files import frame_size, letterbox, read_image
from steadfit.data.images.frame import frame_map
from steadfit.data.images.maps import frame_matrix
from steadfit.data.images.sampling import ratios, sample

Floats = npt.NDArray[np.float64]
SAMPLINGS = ("letterbox", "warp", "crop")


@dataclass(frozen=True)
class Framing:
    """How images are brought into a network's frame, apart from the places of their boxes.

    Args:
        size: side, or (height, width), of the frame in px; None: the images' own, which must be the same for all.
        channels: 3 for RGB, 1 for grey.
        sampling: as for :class:`~steadfit.data.LabelledDataset`; ``"auto"``: that of data sets without random warps or
            crops.

    Raises:
        ValueError: a size below 1 px, another number of channels, an unknown sampling.
    """

    size: int | tuple[int, int] | None
    channels: int
    sampling: str = "auto"

    def __post_init__(self) -> None:
        _checks.one_of("Framing", "channels", self.channels, (1, 3))
        _checks.one_of("Framing", "sampling", self.sampling, ("auto", *SAMPLINGS))
        if self.size is not None:
            frame_size(self.size)


def settled(sampling: str, *, warps: bool, crops: bool) -> str:
    """The sampling that ``"auto"`` stands for.

    Args:
        sampling: a word of ``SAMPLINGS``, which stays, or ``"auto"``.
        warps: whether there are random warps, boxes or images to stretch.
        crops: whether there are random crops or classes.
    """
    if sampling != "auto":
        return sampling
    return "warp" if warps else "crop" if crops else "letterbox"


def shrink_for(size: tuple[int, int], sampling: str, box: Floats | None = None, *, fit: str = "inside") -> Shrink:
    """How far an image may be reduced while it is decoded, for one frame of it.

    Args:
        size: (height, width) of the frame in px.
        sampling: ``"letterbox"``, ``"warp"`` or ``"crop"``.
        box: (1, 4), the part of the image in the frame; None for the whole image.
        fit: how the box comes into the frame, as in :func:`~steadfit.data.frame_map`.
    """

    def shrink(width: int, height: int) -> int:
        if sampling == "crop":
            return reduction(width, height, 1 / max(MARGIN * size[0] / height, MARGIN * size[1] / width))
        scale, shift = frame_map(np.array([[width, height]], dtype=np.float64), box, size, fit=fit)
        if sampling == "letterbox":
            return reduction(width, height, 1 / float(scale.max()))
        return reduction(width, height, ratios(frame_matrix(*map(torch.from_numpy, (scale, shift))), size)[0])

    return shrink


def make_frame(image: Picture, size: tuple[int, int], sampling: str, matrix: Tensor) -> Tensor:
    """The frame (C, height, width) of a stored image.

    Args:
        image: the image, which may have been reduced as :func:`shrink_for` allows.
        size: (height, width) in px.
        sampling: ``"letterbox"``, ``"warp"`` or ``"crop"``.
        matrix: (3, 3) from the image to the frame, for ``"warp"``.
    """
    if sampling == "crop":
        return to_tensor(fitted(image.pixels, size))
    if sampling == "letterbox":
        return to_tensor(letterbox(image.pixels, size)[0])
    return sample([image], matrix[None], size, image.pixels.shape[2])[0]


class Frames:
    """The frames of a table's rows, made while the images are checked, and shared by all data sets of the table.

    They are stored if all of them fit in a quarter of the free memory and 4 GiB.

    Args:
        framing: how they are made; its sampling is settled, not ``"auto"``.
        rows: the number of rows; those of ``Annotations.row`` are below it.
    """

    def __init__(self, framing: Framing, rows: int) -> None:
        self.framing = framing
        self.maps = np.full((rows, 4), np.nan)  # scale and shift of each row that is there
        self._pixels: Tensor | None = None
        self._fits = True

    def reserve(self, image: Picture) -> bool:
        """Allocate the memory of all frames before the first one is made; from one thread at a time.

        Args:
            image: of which a frame is to be made.

        Returns:
            Whether there is a place for its frame: not where the frames are too large, or where its size differs.
        """
        size = image.size[::-1] if self.framing.size is None else frame_size(self.framing.size)
        if self._pixels is None and self._fits:
            shape = (len(self.maps), self.framing.channels, *size)
            self._fits = fits_in_memory(int(np.prod(shape)))
            self._pixels = torch.empty(shape, dtype=torch.uint8) if self._fits else None
        return self._pixels is not None and self._pixels.shape[2:] == size

    def keep(self, row: int, image: Picture, scale: Floats, shift: Floats) -> None:
        """Make the frame of a row whose image has a place; from any thread.

        Args:
            row: the number of the row.
            image: the image.
            scale: (2,), the scale of the map into the frame.
            shift: (2,), the shift of the map into the frame.
        """
        assert self._pixels is not None  # reserved
        height, width = self._pixels.shape[2:]
        matrix = torch.empty(0)
        if self.framing.sampling == "warp":
            matrix = frame_matrix(torch.from_numpy(scale), torch.from_numpy(shift))
        self._pixels[row] = make_frame(image, (height, width), self.framing.sampling, matrix)
        self.maps[row] = *scale, *shift

    def of(
        self, rows: npt.NDArray[np.int64], framing: Framing, scale: Tensor, shift: Tensor
    ) -> tuple[Tensor, Tensor] | None:
        """The frames of some rows, if they exist and were made in the same way.

        Args:
            rows: (n,), the numbers of the rows.
            framing: how they should be made, with its size and sampling settled.
            scale: (n, 2), the scales of the maps into the frame.
            shift: (n, 2), the shifts of the maps into the frame.

        Returns:
            Frames (R, C, H, W) of all rows and the places (n,) of these among them; None where one is missing.
        """
        mine = self.framing
        if self._pixels is None or (mine.channels, mine.sampling) != (framing.channels, framing.sampling):
            return None
        wanted = torch.cat((scale, shift), dim=1).numpy()
        if tuple(self._pixels.shape[2:]) != framing.size or not np.array_equal(self.maps[rows], wanted):
            return None
        return self._pixels, torch.from_numpy(rows)


class ImageStore:
    """Stored images that are opened once although they are needed several times; as many as fit stay in memory.

    Args:
        channels: 3 for RGB, 1 for grey.
        exif: how an EXIF orientation is read, as in :func:`~steadfit.data.read_image`.
        limit: the bytes that may be used; None: a quarter of the free memory and at most 4 GiB.

    >>> import tempfile, cv2
    >>> path = Path(tempfile.mkdtemp()) / "black.png"
    >>> _ = cv2.imwrite(str(path), np.zeros((2, 3), dtype=np.uint8))
    >>> store = ImageStore(1)
    >>> store.open(path) is store.open(path)
    True
    """

    def __init__(self, channels: int, limit: float | None = None, *, exif: str = "honour") -> None:
        _checks.one_of("ImageStore", "channels", channels, (1, 3))
        self.channels, self.exif = channels, exif
        self._room = room_in_memory() if limit is None else limit
        self._images: dict[Path, Image] = {}

    def open(self, path: Path) -> Image:
        """The image (H, W, C) of a file, not to be written to.

        Raises:
            DataError: the file is missing or cannot be decoded.
        """
        found = self._images.get(path)
        if found is None:
            found = read_image(path, self.channels, self.exif)
            self.keep(path, found)
        return found

    def keep(self, path: Path, image: Image) -> None:
        """Store an image that has been decoded, if there is room."""
        if path not in self._images and image.nbytes <= self._room:
            self._images[path] = image
            self._room -= image.nbytes
