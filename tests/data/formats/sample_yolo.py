"""A small YOLO-pose set, as its documentation describes it."""

from pathlib import Path

from PIL import Image

DESCRIPTION = """\
# Key points of mice
path: ../datasets/mice  # of another machine
train: images/train
val: images/val

kpt_shape: [3, 3]
flip_idx: [0, 2, 1]

names:
  0: mouse

kpt_names:
  0: [nose, left_ear, right_ear]
"""


def build(folder: Path) -> Path:
    """Write the set: two mice in one image, a missing and an occluded point, an image without labels.

    Args:
        folder: the folder that gets it.

    Returns:
        The data.yaml.
    """
    image(folder / "images/train/one.PNG", (64, 48))
    image(folder / "images/train/zwei Mäuse.jpg", (80, 50))
    image(folder / "images/train/empty.jpg", (30, 20))
    image(folder / "images/val/three.jpg", (40, 60))
    labels(folder / "labels/train/one.txt", "0 0.5 0.5 0.25 0.5 0.5 0.25 2 0.4375 0.5 1 0 0 0")
    labels(
        folder / "labels/train/zwei Mäuse.txt",
        "0 0.25 0.5 0.25 0.5 0.25 0.3 2 0.2 0.4 2 0.3 0.4 2",
        "0 0.75 0.5 0.3 0.4 0.755 0.345 2 0.701 0.402 2 0.811 0.433 1",
    )
    labels(folder / "labels/val/three.txt", "0 0.5 0.5 0.5 0.5 0.123456 0.654321 2 0.4 0.4 2 0.6 0.4 2")
    file = folder / "data.yaml"
    file.write_text(DESCRIPTION, encoding="utf-8")
    return file


def image(path: Path, size: tuple[int, int], **options: object) -> None:
    """Write a grey image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (90, 90, 90)).save(path, **options)


def labels(path: Path, *lines: str) -> None:
    """Write a label file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
