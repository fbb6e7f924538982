"""Decoding image files: one place that decides on orientation, depth, and the reduction of huge images.

OpenCV turns a TIFF by its orientation, in whichever way it is asked, and other kinds never, as it is asked here. Turns
are applied here, so that all kinds are read alike.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from steadfit import _checks
from steadfit.data.images.headers import Data, Header, jpeg_segments, kind_of, read_header
from steadfit.data.images.refusals import described
from steadfit.errors import DataError

Image = npt.NDArray[np.uint8]
Shrink = Callable[[int, int], int]
"""The largest factor, a power of two, by which an image of a width and a height may be reduced."""

EXIF = ("honour", "ignore")
"""How images that carry an orientation are read: as they are shown, or as they are stored."""
HUGE = 1 << 22
"""The pixels from which an image may be reduced while it is decoded."""
_LIMIT = 1 << 30  # pixels, OpenCV's own limit
_MARGIN = 2.0  # px of the reduced image for a px of the frame, at least

_MODES = {1: cv2.IMREAD_GRAYSCALE, 3: cv2.IMREAD_COLOR}
_REDUCED = {
    (1, 2): cv2.IMREAD_REDUCED_GRAYSCALE_2,
    (1, 4): cv2.IMREAD_REDUCED_GRAYSCALE_4,
    (1, 8): cv2.IMREAD_REDUCED_GRAYSCALE_8,
    (3, 2): cv2.IMREAD_REDUCED_COLOR_2,
    (3, 4): cv2.IMREAD_REDUCED_COLOR_4,
    (3, 8): cv2.IMREAD_REDUCED_COLOR_8,
}
_BITS = (8, 10, 12, 14, 16)
_INVERSE = {6: 8, 8: 6}
_PNG_END = b"IEND\xaeB`\x82"


@dataclass(frozen=True)
class Picture:
    """A decoded image with what was decided about it.

    Args:
        pixels: (H, W, C) uint8; of a reduced image every pixel stands for ``factor`` x ``factor``.
        orientation: the EXIF orientation in the file, 1 to 8.
        bits: the bits that were assumed for a 16-bit image, 1 for floats from 0 to 1; None for an 8-bit image.
        several: whether the file has further frames or pages, which are not read.
        factor: by which the image was reduced, a divisor of its width and height.
    """

    pixels: Image
    orientation: int = 1
    bits: int | None = None
    several: bool = False
    factor: int = 1

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the whole image in px."""
        return self.pixels.shape[1] * self.factor, self.pixels.shape[0] * self.factor


def decode(data: Data, channels: int, *, exif: str = "honour", shrink: Shrink | None = None, name: str = "") -> Picture:
    """Decode the bytes of a file: RGB for 3 channels and grey for 1.

    Args:
        data: the bytes.
        channels: 1 or 3.
        exif: ``"honour"``: an image is turned as its EXIF orientation says, as annotation tools show it; ``"ignore"``:
            it is read as stored.
        shrink: how far an image may be reduced, see :func:`reduction`; None: not at all.
        name: the file, for messages; empty where the caller names it.

    Raises:
        DataError: the bytes cannot be decoded, without saying of which file.
        ValueError: another word for ``exif``.
    """
    _checks.one_of("decode", "exif", exif, EXIF)
    header, got = read_header(data), f"{name!r}, " if name else ""
    if header.size is not None and header.size[0] * header.size[1] > _LIMIT:
        raise DataError(
            f"expected an image of at most 2^30 pixels, got {got}{header.size[0]} x {header.size[1]} px. Reduce it."
        )
    factor = 1 if shrink is None else _factor(header, exif, shrink)
    pixels = _pixels(data, channels, factor)
    if pixels is None:
        what = described(bytes(data[:512])) or f"{len(data)} bytes that OpenCV cannot decode."
        raise DataError(f"expected an image, got {got}{what}")
    flat, bits = _eight_bits(data, pixels, channels, got)
    colours = cv2.cvtColor(flat, cv2.COLOR_BGR2RGB) if channels == 3 else flat
    return Picture(deep(turn(colours, _remaining(header, exif))), header.orientation, bits, header.several, factor)


def reduction(width: int, height: int, ratio: float) -> int:
    """The factor by which a huge JPEG may be decoded smaller: 1, 2, 4 or 8.

    The factor divides width and height, so that the geometry stays exact: a pixel of the reduced image is the mean of
    whole pixels. Each px of the frame still gets the mean of at least two by two of them.

    Args:
        width: of the image in px.
        height: of the image in px.
        ratio: px of the image per px of the network's frame, in the direction in which it is smaller.

    >>> reduction(6000, 4000, 20.0), reduction(6000, 4001, 20.0), reduction(640, 480, 20.0)
    (8, 1, 1)
    """
    if width * height < HUGE:
        return 1
    fits = (f for f in (8, 4, 2) if f * _MARGIN <= ratio and width % f == 0 and height % f == 0)
    return next(fits, 1)


def turn(pixels: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    """An image as it is shown, from one that is stored with an EXIF orientation.

    Args:
        pixels: (H, W) or (H, W, C).
        orientation: 1 to 8.
    """
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    down = {3: True, 4: True, 7: True, 8: True}.get(orientation, False)
    right = {2: True, 3: True, 6: True, 7: True}.get(orientation, False)
    return pixels[:: -1 if down else 1, :: -1 if right else 1]


def truncated(data: bytes) -> bool:
    """Whether a JPEG or PNG lacks its end; other formats are left to the decoder, which refuses them.

    Args:
        data: the bytes of the file.
    """
    if kind_of(data) == "jpeg":
        return not _jpeg_ends(data)
    return kind_of(data) == "png" and _PNG_END not in data


def deep(pixels: npt.NDArray[Any]) -> Image:
    """Pixels (H, W) or (H, W, C) as (H, W, C), in one piece of memory."""
    pixels = pixels if pixels.ndim == 3 else pixels[:, :, None]
    return np.ascontiguousarray(pixels, dtype=np.uint8)


def _factor(header: Header, exif: str, shrink: Shrink) -> int:
    if header.kind != "jpeg" or header.size is None:
        return 1
    width, height = header.size[::-1] if exif == "honour" and header.orientation >= 5 else header.size
    return shrink(width, height)


def _pixels(data: Data, channels: int, factor: int) -> npt.NDArray[Any] | None:
    """What OpenCV decodes, in its own depth and order of channels; None where it cannot."""
    if not len(data):
        return None
    mode = _MODES[channels] | cv2.IMREAD_ANYDEPTH if factor == 1 else _REDUCED[channels, factor]
    found = _imdecode(data, mode)
    return _in_their_own_channels(data, channels) if found is None else found


def _in_their_own_channels(data: Data, channels: int) -> npt.NDArray[Any] | None:
    """Floats, whose channels OpenCV changes only after it has decoded them."""
    found = _imdecode(data, cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH)
    if found is None or found.dtype != np.float32:
        return found
    if channels == 1:
        return np.asarray(cv2.cvtColor(found, cv2.COLOR_BGR2GRAY)) if found.ndim == 3 else found
    return found if found.ndim == 3 else np.repeat(found[:, :, None], 3, axis=2)


@functools.cache
def _quieten() -> None:
    """Keep OpenCV from writing to standard error about files that it cannot decode, which the errors here tell."""
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def _imdecode(data: Data, mode: int) -> npt.NDArray[Any] | None:
    _quieten()
    try:
        found = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), mode | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:  # such as a size beyond OpenCV's limit
        return None
    return None if found is None else np.asarray(found)


def _eight_bits(data: Data, pixels: npt.NDArray[Any], channels: int, got: str) -> tuple[npt.NDArray[Any], int | None]:
    """Pixels in 8 bits, and the bits that were assumed; None for what has 8 bits."""
    if pixels.dtype == np.uint8:
        return pixels, None
    if pixels.dtype == np.uint16:  # grey is decided by the colours, which have larger values
        colours = _pixels(data, 3, 1) if channels == 1 else pixels
        return to_eight_bits(pixels, int(np.asarray(pixels if colours is None else colours).max()))
    low, high = (float(bound) for bound in (np.min(pixels), np.max(pixels)))
    if np.issubdtype(pixels.dtype, np.floating) and low >= 0 and high <= 1:
        return np.floor(pixels.astype(np.float64) * 255 + 0.5).astype(np.uint8), 1
    raise DataError(
        f"expected an image of 8 or 16 bits, or of floats from 0 to 1, got {got}{pixels.dtype} from {low:g} to "
        f"{high:g}. Convert it to 8 bits."
    )


def to_eight_bits(pixels: npt.NDArray[Any], top: int) -> tuple[Image, int]:
    """The upper 8 bits of the fewest bits that hold the largest value.

    Args:
        pixels: of uint16.
        top: the largest value of the image.

    Returns:
        The image in 8 bits, and the bits that were assumed: 8, 10, 12, 14 or 16.

    >>> to_eight_bits(np.array([0, 255, 4095], dtype=np.uint16), 4095)
    (array([  0,  15, 255], dtype=uint8), 12)
    """
    bits = next(bits for bits in _BITS if top < 1 << bits)
    return (pixels.astype(np.uint16) >> (bits - 8)).astype(np.uint8), bits


def _remaining(header: Header, exif: str) -> int:
    """The turn that is left to do after OpenCV's."""
    done = header.kind == "tiff"
    if exif == "honour":
        return 1 if done else header.orientation
    return _INVERSE.get(header.orientation, header.orientation) if done else 1


def _jpeg_ends(data: bytes) -> bool:
    """Whether an end marker follows the first scan.

    The marker segments before it are skipped, since a thumbnail among them has its own end; inside a scan the two bytes
    of the marker cannot occur. What follows the end (padding, a phone's trailer) does no harm.
    """
    for marker, content in jpeg_segments(memoryview(data)):
        if marker == 0xDA:
            return data.find(b"\xff\xd9", len(data) - len(content)) >= 0
    return False
