"""What is stored of the images while they are checked."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path

import numpy as np
import numpy.typing as npt

from steadfit.data.images.decoding import Picture
from steadfit.data.images.files import frame_size
from steadfit.data.images.frame import frame_map
from steadfit.data.images.store import Frames, Framing, ImageStore, settled, shrink_for
from steadfit.data.tables.boxes import box_of_points, columns_of_box
from steadfit.data.tables.source import Source

Floats = npt.NDArray[np.float64]


class Keeper:
    """Stores frames, or whole images, of a source while they are decoded for the check.

    Args:
        source: the source with its schema filled in.
        target: (N, K, D), by which boxes around points are placed.
        framing: how frames are made; None: none are made.
        store: where images are stored; None: nowhere.
    """

    def __init__(self, source: Source, target: Floats, framing: Framing | None, store: ImageStore | None) -> None:
        self._raw, self._schema, self._root, self._target = source.cells, source.schema, source.root, target
        self.store = store
        self.frames: Frames | None = None
        self._lock = threading.Lock()
        self.channels = framing.channels if framing is not None else store.channels if store is not None else 1
        if framing is not None and source.pixels is None and self._schema.image in self._raw.cells:
            warps = self._schema.box is not None or self._schema.box_fit == "stretch"
            sampling = settled(framing.sampling, warps=warps, crops=bool(self._schema.classes))
            made = dataclasses.replace(framing, sampling=sampling)
            self.frames = Frames(made, int(self._raw.row.max(initial=-1)) + 1)
        self._columns = columns_of_box(self._raw, self._schema)
        self._names = self._raw.text(self._schema.image) if self._schema.image in self._raw.cells else []

    def shrink(self, place: int, width: int, height: int) -> int:
        """How far the image of a row may be reduced while it is decoded: not at all where it is stored whole.

        Args:
            place: the place of the row among the N rows of the source.
            width: of the image in px.
            height: of the image in px.
        """
        if self._stores or self.frames is None or self.frames.framing.size is None:
            return 1
        box = self._box(place, np.array([[width, height]], dtype=np.float64))
        if _is_bad(box):
            return 1
        size = frame_size(self.frames.framing.size)
        return shrink_for(size, self.frames.framing.sampling, box, fit=self._schema.box_fit)(width, height)

    def keep(self, place: int, image: Picture) -> None:
        """Store what is needed of the image of a row; from any thread.

        Args:
            place: the place of the row among the N rows of the source.
            image: the image.
        """
        with self._lock:
            if self._stores and self.store is not None:
                self.store.keep(Path(self._root, self._names[place]), image.pixels)
            if self.frames is None or not self.frames.reserve(image):
                return
        size = np.array([image.size], dtype=np.float64)
        box = self._box(place, size)
        if _is_bad(box):
            return  # the row is bad
        wanted = self.frames.framing.size
        frame = image.size[::-1] if wanted is None else frame_size(wanted)
        scale, shift = frame_map(size, box, (frame[0], frame[1]), fit=self._schema.box_fit)
        self.frames.keep(int(self._raw.row[place]), image, scale[0], shift[0])

    @property
    def _stores(self) -> bool:
        """Whether whole images are stored."""
        store = self.store
        return store is not None and (store.channels, store.exif) == (self.channels, self._schema.exif)

    def _box(self, place: int, size: Floats) -> Floats | None:
        """The box (1, 4) of a row; None for the whole image."""
        if self._schema.box == "points":
            return box_of_points(self._target[place : place + 1], size, margin=self._schema.box_margin)
        given = None if self._columns is None else self._columns[place : place + 1]
        unboxed = given is not None and self._raw.instances and np.isnan(given).any()
        return None if unboxed else given


def _is_bad(box: Floats | None) -> bool:
    """Whether a box (1, 4) has no place or no size."""
    return box is not None and not (np.isfinite(box).all() and (box[:, 2:] > 0).all())
