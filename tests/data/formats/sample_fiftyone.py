"""A small FiftyOneDataset, in the form in which FiftyOne 1.22 exports one."""

import json
from pathlib import Path

from PIL import Image

NAN = {"$numberDouble": "NaN"}


def build(folder: Path) -> Path:
    """Write the data set: two persons in one image, a missing and an occluded point, an image without points.

    Args:
        folder: the folder that gets it.

    Returns:
        The folder.
    """
    samples = [
        sample(folder, "data/one.PNG", (64, 48), [keypoint([[0.5, 0.25], [0.4375, 0.5], [NAN, NAN]], [2, 1, 0])]),
        sample(
            folder,
            "data/zwei Bären.jpg",
            (80, 50),
            [
                keypoint([[0.25, 0.3], [0.2, 0.4], [0.3, 0.4]], [2, 2, 2]),
                keypoint([[0.755, 0.345], [0.701, 0.402], [0.811, 0.433]], [2, 2, 2]),
            ],
        ),
        sample(folder, "data/empty.jpg", (30, 20), []),
        sample(folder, "data/four.png", (40, 60), [keypoint([[0.123456, 0.654321], [0.4, 0.4], [0.6, 0.4]], None)]),
    ]
    skeleton = {"labels": ["nose", "left_eye", "right_eye"], "edges": [[1, 0, 2]]}
    about = {"version": "1.22.1", "name": "bears", "media_type": "image", "skeletons": {"ground_truth": skeleton}}
    (folder / "metadata.json").write_text(json.dumps(about), encoding="utf-8")
    (folder / "samples.json").write_text(json.dumps({"samples": samples}), encoding="utf-8")
    return folder


def sample(folder: Path, name: str, size: tuple[int, int], keypoints: list[dict[str, object]]) -> dict[str, object]:
    """A sample with its image."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (90, 90, 90)).save(path)
    return {
        "filepath": name,
        "tags": ["train"],
        "metadata": {"_cls": "ImageMetadata", "width": size[0], "height": size[1]},
        "_media_type": "image",
        "ground_truth": {"_cls": "Keypoints", "keypoints": keypoints},
        "_id": {"$oid": "6b0b0db697b69188f4e6d732"},
    }


def keypoint(points: list[list[object]], visible: list[int] | None) -> dict[str, object]:
    """An instance."""
    codes = {} if visible is None else {"visible": visible}
    return {"_cls": "Keypoint", "attributes": {}, "tags": [], "label": "bear", "points": points, **codes}
