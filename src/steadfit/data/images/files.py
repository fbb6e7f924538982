"""Image files: one pass that finds the bad ones, decoding, and the letterbox that brings them to one size.

Pixels: the centre of the first pixel is (0, 0). The EXIF orientation is ignored, because annotations were made on the
pixels as they are stored.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from steadfit.errors import DataError

Progress = Callable[[int, int], None]  # called with (files done, number of files)
Floats = npt.NDArray[np.float64]
Image = npt.NDArray[np.uint8]

IMAGE_SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"))
"""The suffixes of the files in a folder that are read as images."""

_FLAGS = {1: cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION, 3: cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION}
_PNG_END = b"IEND\xaeB`\x82"
_THREADS = 4


def scan(
    root: str | Path,
    images: Sequence[str],
    progress: Progress | None = None,
    *,
    channels: int = 1,
    see: Callable[[int, Image], None] | None = None,
) -> tuple[Floats, list[str], list[str | None]]:
    """Read every image once: its size, the digest of its bytes, and what is wrong with it.

    Every file is decoded. OpenCV decodes a truncated JPEG silently, so its end is looked for as well.

    Args:
        root: the folder to which the paths are relative, and which they must not leave, by ``..`` or by a symbolic
            link.
        images: N paths.
        progress: called with the number of files done and N; None: nothing is called.
        channels: the number of channels in which the files are decoded, 1 or 3.
        see: called with the place and the pixels (H, W, channels) of each good image, from several threads; None:
            nothing is called.

    Returns:
        Sizes (N, 2) as width and height in px (NaN for a bad file), N digests (empty for a file that cannot be read),
        and N reasons (None for a good file).
    """
    base = os.path.realpath(root)
    with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool:
        inspected = pool.map(lambda place: _inspect(base, images[place], place, channels, see), range(len(images)))
        found = list(_counted(inspected, len(images), progress))
    sizes = np.array([size for size, _, _ in found], dtype=np.float64).reshape(-1, 2)
    return sizes, [digest for _, digest, _ in found], [reason for _, _, reason in found]


def is_image(path: str | os.PathLike[str]) -> bool:
    """Whether a file is read as an image, by its name.

    >>> is_image("photo.JPG"), is_image("notes.txt")
    (True, False)
    """
    return os.path.splitext(path)[1].lower() in IMAGE_SUFFIXES


def open_image(
    image: str | os.PathLike[str] | bytes | npt.NDArray[np.uint8], channels: int, *, who: str = "open_image"
) -> Image:
    """An image in any form, as uint8 (H, W, channels): RGB for 3 channels and grey for 1.

    Args:
        image: a path, the bytes of a file, or pixels (H, W), (H, W, 1) or RGB (H, W, 3).
        channels: 1 or 3.
        who: the caller, for the message.

    Raises:
        DataError: a file that is missing or cannot be decoded, pixels of another dtype or shape.
        ValueError: another number of channels.
    """
    if channels not in _FLAGS:
        raise ValueError(f"{who}: expected channels to be 1 or 3, got {channels}.")
    if isinstance(image, bytes):
        return decode_image(image, channels, "the file's bytes")
    if not isinstance(image, np.ndarray):
        return read_image(image, channels)
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (1, 3)):
        raise DataError(f"{who}: expected uint8 images (H, W) or (H, W, 3), got {image.dtype} {image.shape}.")
    return with_channels(image, channels)


def with_channels(pixels: npt.NDArray[np.uint8], channels: int) -> Image:
    """Grey (H, W) or (H, W, 1), or RGB (H, W, 3), with another number of channels.

    >>> with_channels(np.zeros((2, 3), dtype=np.uint8), 3).shape
    (2, 3, 3)
    """
    deep = pixels if pixels.ndim == 3 else pixels[:, :, None]
    if channels == 1 and deep.shape[2] == 3:
        return np.asarray(cv2.cvtColor(deep, cv2.COLOR_RGB2GRAY), dtype=np.uint8)[:, :, None]
    return np.repeat(deep, 3, axis=2) if channels > deep.shape[2] else deep


def read_image(path: str | os.PathLike[str], channels: int) -> Image:
    """Decode one image to uint8 (H, W, channels), RGB for 3 channels and grey for 1.

    16-bit images are reduced to 8 bits and an alpha channel is dropped; the EXIF orientation is ignored.

    Args:
        path: the file.
        channels: 1 or 3.

    Raises:
        DataError: the file is missing or cannot be decoded.
        ValueError: another number of channels.
    """
    if channels not in _FLAGS:
        raise ValueError(f"read_image: expected channels to be 1 or 3, got {channels}.")
    return decode_image(read_file(path), channels, path)


def read_file(path: str | os.PathLike[str]) -> bytes:
    """The bytes of an image file.

    Raises:
        DataError: the file is missing or cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path}: expected a readable image, got {error.strerror or error}.") from None


def decode_image(data: bytes | npt.NDArray[np.uint8], channels: int, path: str | os.PathLike[str]) -> Image:
    """Decode the bytes of a file as :func:`read_image` does.

    Args:
        data: the bytes.
        channels: 1 or 3.
        path: the file, for the message.

    Raises:
        DataError: the bytes cannot be decoded.
    """
    pixels = _decode(data, channels)
    if pixels is None:
        raise DataError(f"{path}: expected an image, got {len(data)} bytes that OpenCV cannot decode.")
    return pixels


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
    return _deep(frame), scale[0], shift[0]


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


def _deep(pixels: npt.NDArray[np.generic]) -> Image:
    """Pixels as (H, W, C), in one piece of memory."""
    pixels = pixels if pixels.ndim == 3 else pixels[:, :, None]
    return np.ascontiguousarray(pixels, dtype=np.uint8)


def _decode(data: bytes | npt.NDArray[np.uint8], channels: int) -> Image | None:
    if not len(data):
        return None
    try:
        pixels = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), _FLAGS[channels])
    except cv2.error:  # such as a size beyond OpenCV's limit
        return None
    if pixels is None:
        return None
    return _deep(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB) if channels == 3 else pixels)


def _inspect(
    root: str, name: str, place: int, channels: int, see: Callable[[int, Image], None] | None
) -> tuple[tuple[float, float], str, str | None]:
    """Size, digest and reason of one file."""
    nothing = (np.nan, np.nan)
    reason = _outside(root, name)
    if reason:
        return nothing, "", reason
    try:
        data = Path(root, name).read_bytes()
    except FileNotFoundError:
        return nothing, "", f"expected an image file, got no file at {name!r} in {root}."
    except (OSError, ValueError) as error:
        return nothing, "", f"expected a readable image file, got {error}."
    digest = hashlib.blake2b(data, digest_size=16).hexdigest()
    if _truncated(data):
        return nothing, digest, f"expected a whole image, got {name!r}, truncated after {len(data)} bytes."
    pixels = _decode(data, channels)
    if pixels is None:
        return nothing, digest, f"expected an image, got {name!r}, {len(data)} bytes that OpenCV cannot decode."
    if see is not None:
        see(place, pixels)
    return (float(pixels.shape[1]), float(pixels.shape[0])), digest, None


def _outside(root: str, name: str) -> str | None:
    if not name.strip() or "\0" in name:
        return f"expected the path of an image, got {name!r}."
    if os.path.isabs(name):
        return f"expected a path relative to {root}, got the absolute {name!r}."
    real = os.path.realpath(os.path.join(root, name))
    if os.path.commonpath([root, real]) != root:
        return f"expected an image inside {root}, got {name!r}, which is {real}."
    return None


def _truncated(data: bytes) -> bool:
    """Whether a JPEG or PNG lacks its end; other formats are left to the decoder, which refuses them."""
    if data.startswith(b"\xff\xd8\xff"):
        return not _jpeg_ends(data)
    return data.startswith(b"\x89PNG") and _PNG_END not in data


def _jpeg_ends(data: bytes) -> bool:
    """Whether an end marker follows the first scan.

    The marker segments before it are skipped, since a thumbnail among them has its own end; inside a scan the two bytes
    of the marker cannot occur. What follows the end (padding, a phone's trailer) does no harm.
    """
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        if data[at + 1] == 0xDA:  # start of scan
            return data.find(b"\xff\xd9", at) >= 0
        filler = data[at + 1] == 0xFF
        at += 1 if filler else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return False


def _counted(
    results: Iterable[tuple[tuple[float, float], str, str | None]], total: int, progress: Progress | None
) -> Iterable[tuple[tuple[float, float], str, str | None]]:
    for done, result in enumerate(results, start=1):
        if progress and (done % 64 == 0 or done == total):
            progress(done, total)
        yield result
