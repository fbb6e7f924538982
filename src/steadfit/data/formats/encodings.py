"""The encoding of a file of text, by its bytes."""

from __future__ import annotations

import codecs
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from steadfit.errors import DataError, DataWarning

_BLOCK = 1 << 23
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True)
class Encoding:
    """What the bytes of a file of text tell.

    Args:
        name: Python's name of the encoding, which also removes a byte-order mark.
        plain: whether the file is UTF-8 without quotes, empty lines and lone carriage returns, so that each of its
            lines is a row of cells.
    """

    name: str
    plain: bool = False


def encoding_of(path: Path) -> Encoding:
    """The encoding of a file of text, which is read once, in blocks.

    UTF-16 and UTF-32 are recognised by their byte-order mark, UTF-16 without one by its zero bytes. Any other file is
    UTF-8, or Windows-1252 (which contains Latin-1) where it has bytes above 127 and none of them are UTF-8.

    Args:
        path: the file.

    Raises:
        DataError: it cannot be read, or has bytes that no text has; names the line.

    Warns:
        DataWarning: it is read as Windows-1252; names line and byte.
    """
    try:
        with path.open("rb") as file:
            head = file.read(4096)
        wide = next((name for mark, name in _MARKS if head.startswith(mark)), None) or _without_mark(head)
        return _checked(path, wide) if wide else _narrow(path)
    except OSError as error:
        raise DataError(f"{path}: expected a readable file, got {error.strerror or error}.") from None


def _without_mark(head: bytes) -> str | None:
    """UTF-16 without a mark, in text that is mostly Latin: every second byte is zero, and no other one."""
    first, second = head[0::2], head[1::2]
    if len(head) < 8 or len(head) % 2:
        return None
    for zero, other, name in ((second, first, "utf-16-le"), (first, second, "utf-16-be")):
        if zero.count(0) > 0.8 * len(zero) and not other.count(0):
            return name
    return None


def _checked(path: Path, name: str) -> Encoding:
    """A wide encoding that the whole file has."""
    lines = 1
    try:
        with path.open(encoding=name, newline="") as stream:
            while text := stream.read(_BLOCK):
                if "\0" in text:
                    at = lines + _ends(text[: text.index("\0")].encode("utf-8", "replace"))
                    raise DataError(f"{path}, line {at}: expected text, got a zero character. Save the table as UTF-8.")
                lines += _ends(text.encode("utf-8", "replace"))
    except UnicodeError as error:
        raise DataError(
            f"{path}, after line {lines}: expected {name.upper()}, got bytes of another kind "
            f"({getattr(error, 'reason', error)}). Save the table as UTF-8."
        ) from None
    return Encoding(name)


def _narrow(path: Path) -> Encoding:
    plain, strange, undefined, multibyte = True, None, None, False
    lines = 1
    for block in _blocks(path):
        if (at := block.find(b"\0")) >= 0:
            where = lines + _ends(block[:at])
            raise DataError(f"{path}, line {where}: expected text, got a zero byte. Save the table as UTF-8.")
        if not block.isascii():
            try:
                block.decode("utf-8")
                multibyte = True
            except UnicodeDecodeError as error:
                strange = strange or (lines + _ends(block[: error.start]), block[error.start])
                multibyte |= not block.decode("utf-8", "ignore").isascii()
                undefined = undefined or _undefined(block, lines)
        plain = plain and _is_plain(block)
        lines += _ends(block)
    if strange is None:
        return Encoding("utf-8-sig", plain)
    if multibyte or undefined:  # some of it is UTF-8, so that Windows-1252 would garble it
        line, byte = strange if multibyte else undefined or strange
        raise DataError(f"{path}, line {line}: expected UTF-8, got byte 0x{byte:02x}. Save the table as UTF-8.")
    warnings.warn(
        f"{path}, line {strange[0]}: byte 0x{strange[1]:02x} is not UTF-8, so the table is read as Windows-1252 "
        "(Latin-1). Save it as UTF-8 if names look wrong.",
        DataWarning,
        stacklevel=4,
    )
    return Encoding("cp1252")


def _blocks(path: Path) -> Iterator[bytes]:
    """The bytes in blocks of whole lines, without a mark."""
    with path.open("rb") as file:
        if file.read(3) != codecs.BOM_UTF8:
            file.seek(0)
        while block := file.read(_BLOCK):
            yield block + file.readline()


def _is_plain(block: bytes) -> bool:
    """Whether each line of a block is a row of cells."""
    if b'"' in block or b"\n\n" in block or block.startswith((b"\n", b"\r\n")):
        return False
    if b"\r" not in block:
        return True
    return b"\n\r\n" not in block and block.count(b"\r") == block.count(b"\r\n")


def _undefined(block: bytes, lines: int) -> tuple[int, int] | None:
    try:
        block.decode("cp1252")
    except UnicodeDecodeError as error:
        return lines + _ends(block[: error.start]), block[error.start]
    return None


def _ends(block: bytes) -> int:
    """The number of line ends: LF, CR, or CR LF."""
    carriage = block.count(b"\r") - block.count(b"\r\n") if b"\r" in block else 0
    return block.count(b"\n") + carriage
