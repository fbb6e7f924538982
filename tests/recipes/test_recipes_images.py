"""Images that a command is given."""

from __future__ import annotations

from pathlib import Path

import pytest

from steadfit.errors import DataError
from steadfit.recipes.opening import image_paths


def test_images_in_subfolders_are_told(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(DataError, match=r"in this folder, got none\.$"):
        image_paths(tmp_path)
    (tmp_path / "a" / "1.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"got none\. Images in its subfolders are not read: name one of these"):
        image_paths(tmp_path)
