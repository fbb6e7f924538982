"""Points in px, from what a table counts: shares of the image, percent of it, or pixels from 1."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from steadfit.data.images.paths import ImageFinder
from steadfit.data.images.sizes import image_size
from steadfit.data.tables.problems import Problem
from steadfit.data.tables.source import Source
from steadfit.errors import DataError

Floats = npt.NDArray[np.float64]


def in_pixels(source: Source, target: Floats) -> list[Problem]:
    """Bring points to px, the centre of the first pixel at (0, 0), as the schema specifies.

    A share s of the width W is s W px.

    Args:
        source: the source; its images' sizes are those in their headers.
        target: (N, K, 2), which is changed in place.

    Returns:
        A problem for each row whose image has no known size, if sizes are needed.

    Raises:
        DataError: shares without images.
    """
    raw, schema = source.cells, source.schema
    if schema.origin:
        target -= schema.origin
    if schema.coordinates == "pixels":
        return []
    if schema.image not in raw.cells:
        raise DataError(f"{raw.path}: expected images for coordinates {schema.coordinates!r}, got no column of images.")
    size = _known_sizes(source)
    target *= (size / (100 if schema.coordinates == "percent" else 1))[:, None, :]
    reason = f"expected an image with a size for coordinates {schema.coordinates!r}, got none in {source.root}."
    return [raw.problem(row, schema.image, reason) for row in np.flatnonzero(np.isnan(size).any(axis=1)).tolist()]


def _known_sizes(source: Source) -> Floats:
    """Width and height (N, 2), by the headers of the files or else by the annotations; NaN for unknown."""
    images = source.cells.text(source.schema.image)
    if source.pixels is not None:
        return np.tile(np.array(source.pixels.shape[:1:-1], dtype=np.float64), (len(images), 1))
    finder = ImageFinder(source.root)
    places = {name: finder.find(name) for name in dict.fromkeys(images)}
    found = {
        name: None if reason else image_size(finder.root, place, source.schema.exif)
        for name, (place, reason) in places.items()
    }
    sizes = np.array([found[name] or (np.nan, np.nan) for name in images], dtype=np.float64).reshape(-1, 2)
    return sizes if source.size is None else np.where(np.isnan(sizes), source.size, sizes)
