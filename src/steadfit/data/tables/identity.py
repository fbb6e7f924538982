"""The identity of a row in other tables: its image or its features, whatever its label and its place."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

DIGITS = 13
"""The number of digits of a feature that count: the last ones may change when another program writes the table."""


def feature_keys(features: Floats) -> list[str]:
    """A hash of each row of features (N, F): 16 hexadecimal digits, or empty for a row with a missing feature.

    Rows that agree in 13 significant digits have the same key, -0 is 0.

    >>> a, b, c = feature_keys(np.array([[0.1 + 0.2, 5.0], [0.3, 5.0], [0.3, 5.1]]))
    >>> a == b, b == c
    (True, False)
    """
    missing: list[bool] = np.asarray(np.isnan(features).any(axis=1)).tolist()
    digits = np.ascontiguousarray(np.stack(_decimal(np.nan_to_num(features)), axis=-1))  # (N, F, 2)
    return ["" if gone else _hash(row.tobytes()) for gone, row in zip(missing, digits, strict=True)]


def place_keys(root: Path, images: Sequence[str]) -> list[str]:
    """A hash of the absolute path of each image, symbolic links followed."""
    real = functools.cache(os.path.realpath)  # of folders, which images share
    keys = []
    for name in images:
        folder, file = os.path.split(os.path.join(root, name))
        path = os.path.join(real(folder), file)
        path = os.path.realpath(path) if os.path.islink(path) else path
        keys.append(_hash(path.encode(errors="surrogateescape")))
    return keys


def same_key(keys: Sequence[str]) -> Rows:
    """For each row the first row with the same key, or itself; an empty key equals no other."""
    first: dict[str, int] = {}
    return np.array([first.setdefault(key or f"\0{row}", row) for row, key in enumerate(keys)], dtype=np.int64)


def _decimal(value: Floats) -> tuple[Rows, Rows]:
    """Mantissa of ``DIGITS`` decimal digits and exponent: value = mantissa * 10^exponent."""
    size = np.abs(value)
    with np.errstate(divide="ignore"):
        exponent = np.where(size > 0, np.floor(np.log10(size)), 0.0) - (DIGITS - 1)
    half = np.trunc(exponent / 2)  # in two steps: 10^-exponent alone overflows for the smallest numbers
    mantissa = np.rint(value * 10.0**-half * 10.0 ** (half - exponent)).astype(np.int64)
    carried = np.abs(mantissa) >= 10**DIGITS  # 9.999... was rounded up
    mantissa, exponent = np.where(carried, mantissa // 10, mantissa), exponent + carried
    return mantissa, exponent.astype(np.int64)


def _hash(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=8).hexdigest()
