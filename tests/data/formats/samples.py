"""A small sample of each format: a function that writes it into a folder and returns the path that is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import sample_coco

SAMPLES: Mapping[str, Callable[[Path], Path]] = {
    "coco": sample_coco.build,
}
