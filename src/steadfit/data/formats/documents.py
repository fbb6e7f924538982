"""Files of text, JSON, YAML and XML, parsed safely; a broken one is one error with its line.

While a path is looked at by one format after the other, its document is parsed once (:func:`parsed_once`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ParseError

import yaml
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from steadfit.errors import DataError

HEAD = 65_536
_DEEPEST = 200
_KEPT: ContextVar[dict[tuple[str, str], Any] | None] = ContextVar("documents", default=None)


@contextmanager
def parsed_once() -> Iterator[None]:
    """Within this block every document is parsed once, and kept until the block ends."""
    token = _KEPT.set({})
    try:
        yield
    finally:
        _KEPT.reset(token)


def head(path: Path) -> bytes:
    """The first 64 KiB of a file; nothing of a folder or of a file that cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(HEAD)
    except OSError:
        return b""


def text_at(path: Path) -> str:
    """The text of a file in UTF-8, or in UTF-16 or UTF-32, with their mark or without.

    Raises:
        DataError: it cannot be read, or is not text in UTF-8.
    """
    found: str = _kept("text", path, _text)
    return found


def json_at(path: Path) -> Any:
    """The content of a JSON file. NaN, which JSON does not have but many programs write, is read.

    Raises:
        DataError: it cannot be read, or is not JSON; names the line.
    """
    return _kept("json", path, _json)


def yaml_at(path: Path) -> Any:
    """The content of a YAML file of plain values; nothing in it is run.

    Raises:
        DataError: it cannot be read, or is not YAML; names the line.
    """
    return _kept("yaml", path, _yaml)


def xml_at(path: Path) -> Element:
    """The root element of an XML file. Entities and external documents are refused.

    Raises:
        DataError: it cannot be read, is not XML, or defines entities; names the line.
    """
    found: Element = _kept("xml", path, _xml)
    return found


def is_json(path: Path) -> bool:
    """Whether a path is a file of JSON, by its name or its first character."""
    return path.is_file() and (path.suffix.lower() == ".json" or _begins(path) in (b"{", b"["))


def is_xml(path: Path) -> bool:
    """Whether a path is a file of XML, by its name or its first character."""
    return path.is_file() and (path.suffix.lower() == ".xml" or _begins(path) == b"<")


def _begins(path: Path) -> bytes:
    return head(path).lstrip(b" \t\r\n\xef\xbb\xbf")[:1]


def _kept(kind: str, path: Path, parse: Callable[[Path], Any]) -> Any:
    documents = _KEPT.get()
    if documents is None:
        return parse(path)
    key = (kind, os.path.abspath(path))
    if key not in documents:
        documents[key] = parse(path)
    return documents[key]


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: expected a readable file, got {error.strerror or error}.") from None


def _text(path: Path) -> str:
    data = _bytes(path)
    known = json.detect_encoding(data)  # by the mark, or by the zeros of the first characters
    try:
        return data.decode("utf-8-sig" if known == "utf-8" else known)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}, line {line}: expected text in UTF-8, got byte 0x{data[error.start]:02x}. Save it as UTF-8."
        ) from None


def _json(path: Path) -> Any:
    content = _text(path)
    try:
        return json.loads(content)
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path}, line {error.lineno}, column {error.colno}: expected JSON, got a syntax error: {error.msg}. "
            "Is the file whole?"
        ) from None
    except RecursionError:
        raise DataError(f"{path}: expected JSON, got values nested too deeply.") from None
    except ValueError as error:  # a number of thousands of digits
        raise DataError(f"{path}: expected JSON, got {error}.") from None


def _yaml(path: Path) -> Any:
    content = _text(path)
    try:
        return yaml.safe_load(content)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        reason = getattr(error, "problem", None) or "a syntax error"
        raise DataError(f"{path}{line}: expected YAML, got {reason}.") from None
    except (RecursionError, ValueError) as error:  # nested too deeply; a date such as 2001-99-99
        raise DataError(f"{path}: expected YAML, got {str(error) or 'values nested too deeply'}.") from None


def _xml(path: Path) -> Element:
    data = _bytes(path)
    try:
        root: Element = fromstring(data)
    except ParseError as error:
        line = error.position[0]
        raise DataError(f"{path}, line {line}: expected XML, got a syntax error. Is the file whole?") from None
    except DefusedXmlException:
        raise DataError(f"{path}: expected XML without entities, got some, which are not read for safety.") from None
    except (ValueError, LookupError) as error:  # an encoding that does not exist or does not fit
        raise DataError(f"{path}: expected XML, got {error}.") from None
    return root
