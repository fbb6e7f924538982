"""Images in any form as pixels, and the letterbox that brings them to one size.

Pixels: the centre of the first pixel is (0, 0).
"""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from steadfit.data.images.decoding import Image, Picture, Shrink, decode, deep, to_eight_bits, truncated
from steadfit.data.images.headers import Data
from steadfit.errors import DataError

Floats = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

_CHANNELS = (1, 3)


def open_image(
    image: str | os.PathLike[str] | bytes | Pixels, channels: int, *, exif: str = "honour", who: str = "open_image"
) -> Image:
    """An image in any form, as uint8 (H, W, channels): RGB for 3 channels and grey for 1.

    Args:
        image: a path, the bytes of a file, or pixels (H, W), (H, W, 1), RGB (H, W, 3) or with alpha (H, W, 4), of uint8
            or uint16. Alpha is dropped. The values of uint16 are taken for the fewest of 8, 10, 12, 14 or 16 bits that
            hold the largest one.
        channels: 1 or 3.
        exif: how files are read, see :func:`read_image`.
        who: the caller, for the message.

    Raises:
        DataError: a file that is missing or cannot be decoded, pixels of another dtype or shape.
        ValueError: another number of channels.
    """
    return open_picture(image, channels, exif=exif, who=who).pixels


def open_picture(
    image: str | os.PathLike[str] | bytes | Pixels,
    channels: int,
    *,
    exif: str = "honour",
    shrink: Shrink | None = None,
    who: str = "open_picture",
) -> Picture:
    """An image in any form, which may be reduced while it is decoded; see :func:`open_image`.

    Args:
        image: a path, the bytes of a file, or pixels.
        channels: 1 or 3.
        exif: how files are read, see :func:`read_image`.
        shrink: how far files may be reduced; None: not at all.
        who: the caller, for the message.
    """
    if channels not in _CHANNELS:
        raise ValueError(f"{who}: expected channels to be 1 or 3, got {channels}.")
    if isinstance(image, np.ndarray):
        return Picture(with_channels(_checked(image, who), channels))
    if isinstance(image, bytes):
        return decode_picture(image, channels, "the file's bytes", exif=exif, shrink=shrink)
    return decode_picture(read_file(image), channels, image, exif=exif, shrink=shrink)


def _checked(pixels: npt.NDArray[np.generic], who: str) -> npt.NDArray[np.uint8]:
    """Pixels of an array as uint8 (H, W) or (H, W, 1 or 3)."""
    shape = pixels.shape
    if pixels.dtype not in (np.uint8, np.uint16) or len(shape) not in (2, 3) or shape[2:] not in ((), (1,), (3,), (4,)):
        hint = " Scale it: (255 * image).round().astype('uint8')." if np.issubdtype(pixels.dtype, np.floating) else ""
        raise DataError(
            f"{who}: expected uint8 images (H, W) or (H, W, 3), got {pixels.dtype} {shape}.{hint} Several images are a "
            "list, or an array (N, H, W, C)."
        )
    if 0 in shape:
        raise DataError(f"{who}: expected an image of at least one pixel, got {shape}.")
    pixels = pixels[:, :, :3] if pixels.ndim == 3 else pixels
    return np.asarray(pixels if pixels.dtype == np.uint8 else to_eight_bits(pixels, int(np.max(pixels)))[0])


def with_channels(pixels: npt.NDArray[np.uint8], channels: int) -> Image:
    """Grey (H, W) or (H, W, 1), or RGB (H, W, 3), with another number of channels.

    >>> with_channels(np.zeros((2, 3), dtype=np.uint8), 3).shape
    (2, 3, 3)
    """
    three = pixels if pixels.ndim == 3 else pixels[:, :, None]
    if channels == 1 and three.shape[2] == 3:
        return np.asarray(cv2.cvtColor(np.ascontiguousarray(three), cv2.COLOR_RGB2GRAY), dtype=np.uint8)[:, :, None]
    return np.repeat(three, 3, axis=2) if channels > three.shape[2] else np.ascontiguousarray(three)


def read_image(path: str | os.PathLike[str], channels: int, exif: str = "honour") -> Image:
    """Decode one image to uint8 (H, W, channels), RGB for 3 channels and grey for 1.

    16-bit images are reduced to 8 bits: of the fewest bits among 8, 10, 12, 14 and 16 that hold the largest value, the
    upper 8. Floats from 0 to 1 are scaled. An alpha channel is dropped, and of an animation the first image is read.

    Args:
        path: the file.
        channels: 1 or 3.
        exif: ``"honour"``: an image with an EXIF orientation is turned by it, as annotation tools show it;
            ``"ignore"``: it is read as it is stored.

    Raises:
        DataError: the file is missing or cannot be decoded.
        ValueError: another number of channels, or another word for ``exif``.
    """
    if channels not in _CHANNELS:
        raise ValueError(f"read_image: expected channels to be 1 or 3, got {channels}.")
    return decode_picture(read_file(path), channels, path, exif=exif).pixels


def read_file(path: str | os.PathLike[str]) -> bytes:
    """The bytes of an image file.

    Raises:
        DataError: the file is missing or cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path}: expected a readable image, got {error.strerror or error}.") from None


def decode_picture(
    data: Data, channels: int, path: str | os.PathLike[str], *, exif: str = "honour", shrink: Shrink | None = None
) -> Picture:
    """Decode the bytes of a file as :func:`read_image` does.

    Args:
        data: the bytes; those in an array were checked before, and are not searched for their end.
        channels: 1 or 3.
        path: the file, for the message.
        exif: how an EXIF orientation is read.
        shrink: how far the image may be reduced; None: not at all.

    Raises:
        DataError: the bytes cannot be decoded.
    """
    if isinstance(data, bytes) and truncated(data):
        raise DataError(f"{path}: expected a whole image, got one that is truncated after {len(data)} bytes.")
    try:
        return decode(data, channels, exif=exif, shrink=shrink)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def letterbox(image: Image, size: int | tuple[int, int]) -> tuple[Image, Floats, Floats]:
    """Bring an image into a frame without changing its aspect; the borders repeat the outermost pixels.

    frame = user * scale + shift, that is frame_x = (x + 1/2) * new_width / width - 1/2 + left.

    Args:
        image: (H, W, C) uint8.
        size: the frame's side, or its (height, width), in px.

    Returns:
        The frame (height, width, C), and scale (2,) and shift (2,) for x and y in px.

    >>> frame, scale, shift = letterbox(np.zeros((10, 20, 1), dtype=np.uint8), 40)
    >>> frame.shape, scale.tolist(), shift.tolist()
    ((40, 40, 1), [2.0, 2.0], [0.5, 10.5])
    """
    height, width = frame_size(size)
    old = np.array([[image.shape[1], image.shape[0]]], dtype=np.float64)
    new, corner = _placement(old, (height, width))
    (new_width, new_height), (left, top) = new[0].astype(int).tolist(), corner[0].astype(int).tolist()
    inside = resize(image, new_width, new_height)
    around = (top, height - new_height - top, left, width - new_width - left)
    frame = cv2.copyMakeBorder(inside, *around, cv2.BORDER_REPLICATE) if any(around) else inside
    scale, shift = letterbox_map(old, (height, width))
    return deep(frame), scale[0], shift[0]


def letterbox_map(sizes: Floats, size: int | tuple[int, int]) -> tuple[Floats, Floats]:
    """The map of :func:`letterbox` for many images at once.

    Args:
        sizes: (N, 2), width and height in px.
        size: the frame's side, or its (height, width), in px.

    Returns:
        scale (N, 2) and shift (N, 2): frame = user * scale + shift.
    """
    new, corner = _placement(sizes, frame_size(size))
    scale = new / sizes
    return scale, 0.5 * scale - 0.5 + corner


def frame_size(size: int | tuple[int, int]) -> tuple[int, int]:
    """Height and width of the frame, from its side or from both.

    Raises:
        ValueError: a size below 1 px.
    """
    height, width = (size, size) if isinstance(size, int | np.integer) else size
    if height < 1 or width < 1:
        raise ValueError(f"letterbox: expected a size of at least 1 px, got {size}.")
    return height, width


def _placement(sizes: Floats, size: tuple[int, int]) -> tuple[Floats, Floats]:
    """Width and height (N, 2) inside the frame, and the left top corner (N, 2), all whole px."""
    frame = np.array([size[1], size[0]], dtype=np.float64)
    ratio = (frame / sizes).min(axis=1, keepdims=True)  # (N, 1)
    new = np.clip(np.floor(sizes * ratio + 0.5), 1, frame)
    return new, np.floor((frame - new) / 2)


def resize(image: Image, width: int, height: int) -> Image:
    """Resize to whole px, by area means where the image shrinks; the image itself where nothing changes.

    Args:
        image: (H, W, C) uint8.
        width: in px.
        height: in px.
    """
    if (height, width) == image.shape[:2]:
        return image
    shrinks = height * width < image.shape[0] * image.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=method), dtype=np.uint8)
