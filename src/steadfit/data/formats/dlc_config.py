"""The ``config.yaml`` of a DeepLabCut project: who labelled which points of which animals in which videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from steadfit.data.formats import expect
from steadfit.data.formats.documents import yaml_at
from steadfit.data.formats.expect import Misfit
from steadfit.errors import DataError

NAME = "config.yaml"
KEYS = ("bodyparts", "multianimalbodyparts")


@dataclass(frozen=True)
class Project:
    """What a project says about its labels.

    Args:
        scorer: who labelled; empty where it is not said.
        points: the names of the points.
        limbs: pairs of names to join by a line.
        videos: the names of the videos, which are those of the folders of frames.
        notes: sentences on how the file was understood.
    """

    scorer: str = ""
    points: tuple[str, ...] = ()
    limbs: tuple[tuple[str, str], ...] = ()
    videos: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def is_config(path: Path) -> bool:
    """Whether a path is the configuration of a DeepLabCut project.

    Raises:
        DataError: it is not YAML.
    """
    content = yaml_at(path) if path.is_file() else None
    return isinstance(content, dict) and "scorer" in content and any(key in content for key in KEYS)


def read_config(path: Path) -> Project:
    """What a ``config.yaml`` says.

    Args:
        path: the file.

    Raises:
        DataError: it is not YAML, or names of points, animals or limbs are none; names the key.
    """
    try:
        content = expect.mapping(yaml_at(path))
        points = _points(content)
        limbs, odd = _limbs(content.get("skeleton") or [])
        scorer = content.get("scorer")
        videos = content.get("video_sets")
        sets = {_stem(str(name)): value for name, value in videos.items()} if isinstance(videos, dict) else {}
        notes = [f"{odd} entries of the skeleton are not two points, and are left out."] * bool(odd)
        return Project(
            scorer="" if scorer is None else expect.text(scorer, "scorer"),
            points=points,
            limbs=limbs,
            videos=tuple(sets),
            notes=(*notes, *_crops(sets)),
        )
    except Misfit as error:
        raise DataError(f"{path}, {error}") from None


def _points(content: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the points: those of several animals and those that an image has once, or those of one animal."""
    if isinstance(content.get("multianimalbodyparts"), list):
        keys: tuple[str, ...] = ("multianimalbodyparts", "uniquebodyparts")
    else:
        keys = ("bodyparts",)
    found = [
        expect.text(name, f"{key}[{k}]")
        for key in keys
        for k, name in enumerate(expect.sequence(content.get(key) or [], key))
    ]
    return tuple(dict.fromkeys(found))


def _limbs(skeleton: Any) -> tuple[tuple[tuple[str, str], ...], int]:
    """The pairs of a skeleton, and the number of entries that are none."""
    entries = expect.sequence(skeleton, "skeleton")
    pairs = [entry for entry in entries if isinstance(entry, list) and len(entry) == 2]
    names = [tuple(expect.text(end, "skeleton") for end in pair) for pair in pairs]
    found = dict.fromkeys((one, two) for one, two in names if one != two)
    return tuple(found), len(entries) - len(found)


def _stem(video: str) -> str:
    name = video.replace("\\", "/").rpartition("/")[2]
    return name.rpartition(".")[0] or name


def _crops(videos: Mapping[str, Any]) -> list[str]:
    """What to say of videos that were cropped: their crop is x1, x2, y1, y2."""
    crops = {name: value.get("crop") for name, value in videos.items() if isinstance(value, dict)}
    edges = {name: str(crop).split(",") for name, crop in crops.items() if crop is not None}
    cropped = [
        name for name, sides in edges.items() if len(sides) == 4 and (sides[0].strip(), sides[2].strip()) != ("0", "0")
    ]
    if not cropped:
        return []
    return [
        f"{len(cropped)} of {len(videos)} videos are cropped ({cropped[0]}: {crops[cropped[0]]}): points are in px of "
        "the cropped frames, nothing is added."
    ]


def config_text(
    scorer: str,
    points: Sequence[str],
    limbs: Sequence[tuple[str, str]],
    videos: Mapping[str, tuple[int, int] | None],
    individuals: Sequence[str] = (),
) -> str:
    """The text of a ``config.yaml`` that DeepLabCut opens.

    DeepLabCut itself replaces ``project_path`` by the folder in which it finds the file.

    Args:
        scorer: who labelled.
        points: the names of the points.
        limbs: pairs of names to join by a line.
        videos: width and height of the frames in px by the names of videos; None for unknown.
        individuals: the names of the animals; none for a project of one animal.
    """
    several = bool(individuals)
    sets = {
        f"videos/{name}.mp4": {"crop": f"0, {size[0]}, 0, {size[1]}"} if size else {} for name, size in videos.items()
    }
    animals: dict[str, Any] = {"bodyparts": list(points)}
    if several:
        animals = {
            "individuals": list(individuals),
            "uniquebodyparts": [],
            "multianimalbodyparts": list(points),
            "bodyparts": "MULTI!",
        }
    content = {
        "Task": "poses",
        "scorer": scorer,
        "date": "",
        "multianimalproject": several,
        "identity": False if several else None,
        "project_path": ".",
        "engine": "pytorch",
        "video_sets": sets,
        **animals,
        "start": 0,
        "stop": 1,
        "numframes2pick": 20,
        "skeleton": [list(limb) for limb in limbs],
        "skeleton_color": "black",
        "pcutoff": 0.6,
        "dotsize": 12,
        "alphavalue": 0.7,
        "colormap": "rainbow",
        "TrainingFraction": [0.95],
        "iteration": 0,
        "default_net_type": "resnet_50",
        "default_augmenter": "default",
        "snapshotindex": -1,
        "batch_size": 8,
        "cropping": False,
        "x1": 0,
        "x2": 640,
        "y1": 277,
        "y2": 624,
        "corner2move2": [50, 50],
        "move2corner": True,
    }
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=10**6)
