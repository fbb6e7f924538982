"""Names of the frames to which SLEAP's labels belong: images of a list, or frames of a video."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from steadfit.data.formats.expect import Misfit, fact
from steadfit.data.formats.roots import SAMPLE, images_root
from steadfit.data.tables.pairs import pairs_of_names


@dataclass(frozen=True)
class Videos:
    """The videos of a file.

    Args:
        sources: for each video its path, or the paths of its images.
    """

    sources: Sequence[str | Sequence[str]]

    def stems(self) -> list[str]:
        """The name of each video without folder and ending, with a number where several have the same."""
        found: list[str] = []
        for source in self.sources:
            stem = os.path.splitext(_slashes(source).rpartition("/")[2])[0] if isinstance(source, str) else ""
            same = sum(name == stem or name.startswith(f"{stem}_") for name in found)
            found.append(f"{stem}_{same + 1}" if stem in found else stem)
        return found

    def shared(self) -> int:
        """The number of folders that the paths of all listed images have in common."""
        paths = [
            _slashes(name).split("/")[:-1] for source in self.sources if not isinstance(source, str) for name in source
        ]
        if not paths:
            return 0
        first, last = min(paths), max(paths)
        same = [one == two for one, two in zip(first, last, strict=False)]
        return same.index(False) if False in same else len(same)

    def names(self, frames: Sequence[tuple[int, int]]) -> tuple[list[str], list[str]]:
        """Names of images and groups.

        Args:
            frames: number of the video and of the frame in it, from 0.

        Returns:
            The path of each image, ``<video>/<frame>.png`` for a frame of a video; and the video, empty for an image of
            a list.

        Raises:
            IndexError: there is no such video or image.
            Misfit: a path that no file can have.
        """
        stems, shared = self.stems(), self.shared()
        images, groups = [], []
        for video, frame in frames:
            source = self.sources[video]
            if isinstance(source, str):
                images.append(f"{stems[video] or 'video'}/{frame}.png")
            else:
                images.append("/".join(_slashes(source[frame]).split("/")[shared:]))
            groups.append(stems[video])
            if "\0" in images[-1]:
                raise Misfit(f"expected the path of an image, got {fact(images[-1])}.", f"videos[{video}]")
        return images, groups

    def notes(self, videos: Sequence[int]) -> list[str]:
        """What has to be known about the frames of videos.

        Args:
            videos: the number of the video of each row.
        """
        stems = self.stems()
        rows = [stems[video] for video in videos if isinstance(self.sources[video], str)]
        if not rows:
            return []
        return [
            f"{len(rows)} rows are frames of {len(set(rows))} videos: they have to be extracted as images "
            f"{rows[0] or 'video'}/<number of the frame from 0>.png first, in a folder to name with --images "
            "(images=...)."
        ]


def sleap_root(path: Path, names: Sequence[str], images: Path | None) -> tuple[Path, list[str]]:
    """The folder of the images, and their names in it, which may be without the folders that the file names.

    Args:
        path: the file of labels.
        names: the paths of images.
        images: the folder that the user gives; None: looked for.

    Raises:
        DataError: the given folder is none.
    """
    root = images_root(path, names, images)
    bare = [name.rpartition("/")[2] for name in names]
    step = max(1, len(names) // SAMPLE)
    there = [sum(os.path.isfile(root / name) for name in some[::step][:SAMPLE]) for some in (names, bare)]
    return root, bare if there[1] > there[0] and len(set(bare)) == len(set(names)) else list(names)


def ordered_pairs(pairs: Sequence[tuple[int, int]], points: Sequence[str]) -> list[tuple[int, int]] | None:
    """Mirror pairs with the left point first, as far as names say it; None where there are no pairs.

    Args:
        pairs: indices of points.
        points: their names.
    """
    left = dict(pairs_of_names(points))
    turned = [(two, one) if left.get(two) == one else (one, two) for one, two in pairs]
    return turned or None


def _slashes(name: str) -> str:
    return name.replace("\\", "/")
