"""A small data folder of Lightning Pose."""

from __future__ import annotations

from pathlib import Path

import sample_dlc


def build(folder: Path) -> Path:
    """Four images of two videos, with the column ``visible``: a point is missing, one is marked as occluded."""
    lines = [
        "scorer" + ",rick" * 6,
        "bodyparts" + ",nose" * 3 + ",left paw" * 3,
        "coords" + ",x,y,visible" * 2,
        "labeled-data/v 1/img01.png,10.5,20.25,2,11.0,21.0,2",
        "labeled-data/v 1/imgß.png,12,22.5,2,,,0",
        "labeled-data/v2/img01.png,13.75,23,2,,,1",
        "labeled-data/v2/img02.png,14,24,2,15,25,2",
    ]
    sample_dlc.draw(folder / "labeled-data", ["v 1/img01.png", "v 1/imgß.png", "v2/img01.png", "v2/img02.png"])
    sample_dlc.write(folder / "project.yaml", "view_names: []\nkeypoint_names:\n- nose\n- left paw\n")
    sample_dlc.write(folder / "CollectedData.csv", "\n".join(lines) + "\n")
    return folder
