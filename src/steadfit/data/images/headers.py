"""What an image file says before its pixels: its kind, its orientation, its size, and whether it holds several images.

Only what decoding needs is read, from bytes that may be damaged in any way: what cannot be read says nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Data = bytes | npt.NDArray[np.uint8]

_ORIENTATION = 0x0112  # the tag of TIFF and EXIF
_STARTS = {b"\x89PNG": "png", b"GIF8": "gif", b"II*\0": "tiff", b"MM\0*": "tiff"}
_FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})
_AVIF_PROPERTIES = 1 << 16  # bytes in which the properties of an AVIF's items are
_AVIF_TURNS = {
    (0, None): 1, (1, None): 8, (2, None): 3, (3, None): 6,
    (0, 0): 4, (0, 1): 2, (1, 0): 5, (1, 1): 7, (2, 0): 2, (2, 1): 4, (3, 0): 7, (3, 1): 5,
}  # fmt: skip
"""EXIF orientations by quarter turns anticlockwise and the axis of a mirror, as in an AVIF file."""


@dataclass(frozen=True)
class Header:
    """What is known of an image file without decoding it.

    Args:
        kind: ``"jpeg"``, ``"png"``, ``"webp"``, ``"tiff"``, ``"gif"``, ``"avif"``, or empty for others.
        orientation: 1 to 8 as in EXIF; 1 for an image that is shown as it is stored.
        several: whether there are further frames or pages after the first image.
        size: width and height in px as stored, of JPEG and PNG files; None where they are not known.
    """

    kind: str = ""
    orientation: int = 1
    several: bool = False
    size: tuple[int, int] | None = None


def read_header(data: Data) -> Header:
    """The header of an image file.

    Args:
        data: the bytes of the file.
    """
    view = memoryview(data)  # type: ignore[arg-type]  # arrays are buffers
    kind = kind_of(view)
    try:
        return _READERS[kind](view) if kind else Header()
    except (struct.error, IndexError):  # the bytes end, or lead elsewhere
        return Header(kind)


def kind_of(data: Data | memoryview) -> str:
    """The kind of an image file by its first bytes, empty for one without a header of interest.

    >>> kind_of(b"GIF89a..."), kind_of(b"no image")
    ('gif', '')
    """
    head = bytes(data[:12])
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head[:4] in _STARTS:
        return _STARTS[head[:4]]
    if head[:4] == b"RIFF" and head[8:] == b"WEBP":
        return "webp"
    return "avif" if head[4:] in (b"ftypavif", b"ftypavis") else ""


def jpeg_segments(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Marker and content of every segment of a JPEG before its first scan, which comes last.

    Args:
        data: the bytes of the file.

    Yields:
        The marker's second byte, and the content; for the scan (0xDA) all that follows the marker.
    """
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        if data[at + 1] == 0xFF:  # a filler
            at += 1
            continue
        if data[at + 1] == 0xDA:
            yield 0xDA, data[at + 2 :]
            return
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        yield data[at + 1], data[at + 4 : at + 2 + length]
        at += 2 + length


def _jpeg(data: memoryview) -> Header:
    orientation, size = 1, None
    for marker, content in jpeg_segments(data):
        if marker == 0xE1 and bytes(content[:6]) == b"Exif\0\0" and orientation == 1:
            orientation = _orientation(content[6:])
        if marker in _FRAMES and len(content) >= 5:
            height, width = struct.unpack_from(">HH", content, 1)
            size = (width, height)
    return Header("jpeg", orientation, size=size)


def _png(data: memoryview) -> Header:
    chunks = {name: content for name, content in _chunks(data, 8, ">", trailer=4) if name != b"IDAT"}
    size = struct.unpack_from(">II", chunks[b"IHDR"]) if b"IHDR" in chunks else None
    exif = chunks.get(b"eXIf")
    return Header("png", 1 if exif is None else _orientation(exif), b"acTL" in chunks, size and (size[0], size[1]))


def _webp(data: memoryview) -> Header:
    chunks = dict(_chunks(data, 12, "<", even=True))
    exif = chunks.get(b"EXIF", memoryview(b""))
    exif = exif[6:] if bytes(exif[:6]) == b"Exif\0\0" else exif
    return Header("webp", _orientation(exif), b"ANIM" in chunks)


def _chunks(
    data: memoryview, at: int, order: str, *, trailer: int = 0, even: bool = False
) -> Iterator[tuple[bytes, memoryview]]:
    """Name and content of every chunk from a place on: of PNG (length first, checksum last) and RIFF (name first)."""
    length_at, name_at = (0, 4) if order == ">" else (4, 0)
    while at + 8 <= len(data):
        (length,) = struct.unpack_from(f"{order}I", data, at + length_at)
        yield bytes(data[at + name_at : at + name_at + 4]), data[at + 8 : at + 8 + length]
        at += 8 + length + trailer + (length % 2 if even else 0)


def _tiff(data: memoryview) -> Header:
    order = _byte_order(data)
    (first,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, first)
    (following,) = struct.unpack_from(f"{order}I", data, first + 2 + 12 * count)
    return Header("tiff", _orientation(data), following != 0)


def _orientation(tiff: memoryview) -> int:
    """The orientation in the first directory of a TIFF structure, which EXIF is as well; 1 without one."""
    try:
        order = _byte_order(tiff)
        (first,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, first)
        for entry in range(first + 2, first + 2 + 12 * count, 12):
            tag, form = struct.unpack_from(f"{order}HH", tiff, entry)
            if tag == _ORIENTATION:
                (value,) = struct.unpack_from(f"{order}{'I' if form == 4 else 'H'}", tiff, entry + 8)
                return value if 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1


def _byte_order(tiff: memoryview) -> str:
    return ">" if bytes(tiff[:2]) == b"MM" else "<"


def _gif(data: memoryview) -> Header:
    """Whether there is a second image: blocks are walked, as nothing counts them."""
    at, images = 13 + _colours(data[10]), 0
    while data[at] != 0x3B and images < 2:
        if data[at] == 0x2C:
            images += 1
            at += 11 + _colours(data[at + 9])  # descriptor, colours, size of codes
        else:
            at += 2
        while data[at]:  # blocks of data, each after its length
            at += 1 + data[at]
        at += 1
    return Header("gif", several=images > 1)


def _colours(flags: int) -> int:
    """Bytes of a GIF's table of colours."""
    return 3 << (flags % 8 + 1) if flags & 0x80 else 0


def _avif(data: memoryview) -> Header:
    head = bytes(data[:_AVIF_PROPERTIES])
    turn, mirror = head.find(b"\0\0\0\x09irot"), head.find(b"\0\0\0\x09imir")
    quarters = head[turn + 8] & 3 if turn >= 0 else 0
    axis = head[mirror + 8] & 1 if mirror >= 0 else None
    return Header("avif", _AVIF_TURNS[quarters, axis], head[8:12] == b"avis")


_READERS = {"jpeg": _jpeg, "png": _png, "webp": _webp, "tiff": _tiff, "gif": _gif, "avif": _avif}
