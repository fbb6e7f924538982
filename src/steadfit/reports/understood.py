"""How annotations were understood: as facts for a file, as lines for a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from steadfit.data import SPLITS, Annotations
from steadfit.data.formats.finding import ANNOTATIONS
from steadfit.data.tables.annotations import OCCLUDED
from steadfit.reports.brief import counted, missing_shares, named
from steadfit.reports.values import count, percent, short

CODES = "0 missing, 1 occluded, 2 visible"
MOST_TARGETS = 12
"""Scalar targets that are told one by one."""
TABLES = {
    "csv": "CSV table",
    "parquet": "Parquet table",
    "excel": "Excel table",
    "class-folders": "folders of classes",
    "cifar": "CIFAR",
}


def facts_of(annotations: Annotations) -> dict[str, Any]:
    """Everything that was understood, in plain values.

    Args:
        annotations: the checked rows.

    Returns:
        ``format``, ``rows``, ``images``, ``splits``, then ``points``, ``targets`` or ``classes``, ``pixels``, ``notes``
        and so on; what does not apply is absent.
    """
    facts = {"path": str(annotations.path), "format": annotations.format, "title": title(annotations.format)}
    return facts | _of_rows(annotations) | _of_labels(annotations) | {"notes": list(annotations.notes)}


def title(format: str) -> str:
    """The name by which people know a format."""
    return ANNOTATIONS[format].ABOUT.title if format in ANNOTATIONS else TABLES.get(format, format)


def summary_lines(annotations: Annotations) -> list[str]:
    """How annotations were understood, in three lines: rows and splits, points or targets, pixels.

    Args:
        annotations: the checked rows.
    """
    facts = facts_of(annotations)
    told = told_facts(facts)
    lines = [
        ("Data", ("format", "rows", "splits")),
        ("Labels", ("points", "missing", "visibility", "pairs", "targets", "classes", "features")),
        ("Images", ("sizes", "pixels", "orientation", "boxes", "duplicates")),
    ]
    parts = {head: [told[key] for key in keys if key in told and key != "points"] for head, keys in lines}
    if points := facts.get("points"):
        parts["Labels"].insert(0, counted(len(points), "point"))
    if notes := len(annotations.notes):
        parts["Images"].append(f"{counted(notes, 'note')} ('steadfit check' shows them)")
    return [f"{head}: {'; '.join(texts)}" for head, texts in parts.items() if texts]


def told_facts(facts: Mapping[str, Any]) -> dict[str, str]:
    """Facts as a text for each, by a word that says what it is about.

    Args:
        facts: from :func:`facts_of`.
    """
    told = {"format": f"{facts['title']}{facts.get('found', '')}", "rows": _rows(facts), "splits": _splits(facts)}
    if "points" in facts:
        told |= _points(facts)
    if "targets" in facts:
        more = len(facts["targets"]) - MOST_TARGETS
        rest = [f"{counted(more, 'more target')}"] if more > 0 else []
        told["targets"] = "; ".join([*map(_target, facts["targets"][:MOST_TARGETS]), *rest])
    if "features" in facts:
        told["features"] = counted(len(facts["features"]), "feature")
    if "classes" in facts:
        told["classes"] = f"{len(facts['classes'])} classes"
        told["class sizes"] = named([f"{name} ({sum(each.values())})" for name, each in facts["classes"].items()], 20)
    for key in ("sizes", "kinds", "pixels", "orientation", "boxes"):
        if facts.get(key):
            told[key] = facts[key]
    if facts.get("bad_images"):
        told["bad images"] = f"{counted(facts['bad_images'], 'row')} without a readable image"
    if facts.get("repeated"):
        told["duplicates"] = f"{counted(facts['repeated'], 'row')} with the same features as an earlier row"
    if "duplicates" in facts:
        groups = len(facts["duplicates"])
        told["duplicates"] = f"{counted(groups, 'group')} of images with the same bytes" if groups else "no duplicates"
    return told


def _of_rows(annotations: Annotations) -> dict[str, Any]:
    facts: dict[str, Any] = {"rows": len(annotations)}
    if annotations.images is not None:
        facts["images"] = len(set(annotations.images))
    facts["splits"] = {word: len(annotations.rows(word)) for word in SPLITS}
    facts["drawn"] = 0 if annotations.drawn is None else int(annotations.drawn.sum())
    if annotations.group is not None:
        named = annotations.group != ""
        pairs = set(zip(annotations.group[named].tolist(), annotations.split[named].tolist(), strict=True))
        facts["groups"] = len({group for group, _ in pairs})
        facts["divided_groups"] = len(pairs) - facts["groups"]
    if annotations.images is not None:
        facts |= {"sizes": _sizes(annotations), "duplicates": [list(same) for same in annotations.duplicates]}
    elif annotations.key is not None and len(annotations):
        facts["repeated"] = len(annotations) - len(np.unique(annotations.key))
    return facts


def _of_labels(annotations: Annotations) -> dict[str, Any]:
    schema = annotations.schema
    features = {"features": list(schema.features)} if annotations.features is not None else {}
    if schema.classes:
        counts = {word: annotations.counts(word).tolist() for word in SPLITS}
        return {"classes": {name: {w: counts[w][k] for w in SPLITS} for k, name in enumerate(schema.classes)}}
    if not schema.n_targets:
        return features
    if not schema.has_points:
        return {"targets": [_target_facts(annotations, k) for k in range(schema.n_targets)]} | features
    return _point_facts(annotations) | features | (_pixel_facts(annotations) if annotations.images is not None else {})


def _point_facts(annotations: Annotations) -> dict[str, Any]:
    schema, names = annotations.schema, annotations.schema.target_names
    given = ~np.isnan(annotations.target).any(axis=2)  # (N, K)
    hidden = np.zeros(given.shape, dtype=bool) if annotations.visible is None else annotations.visible == OCCLUDED
    each = zip(names, hidden.sum(axis=0).tolist(), given.sum(axis=0).tolist(), strict=True)
    rows = max(len(annotations), 1)
    return {
        "points": [
            {"name": name, "missing": 1 - labelled / rows, "occluded": occluded / max(labelled, 1)}
            for name, occluded, labelled in each
        ],
        "missing": float(1 - given.mean()) if given.size else 0.0,
        "occluded": float(hidden.sum() / max(int(given.sum()), 1)),
        "pairs": [[names[a], names[b]] for a, b in schema.pairs],
        "limbs": [[names[a], names[b]] for a, b in schema.limbs],
        "length": _length(annotations),
    }


def _pixel_facts(annotations: Annotations) -> dict[str, Any]:
    about = ANNOTATIONS[annotations.format].ABOUT if annotations.format in ANNOTATIONS else None
    shift = (0.0 if about is None else about.shift) - annotations.schema.origin
    share = annotations.schema.coordinates
    facts: dict[str, Any] = {"shift": shift, "coordinates": share, "boxes": _boxes(annotations)}
    added = f"{shift:+g} px added to" if shift else "nothing added to"
    facts["pixels"] = f"first pixel's centre (0, 0), {added} the file's coordinates"
    facts["pixels"] += "" if share == "pixels" else f", which are {share} of width and height"
    honoured = annotations.schema.exif == "honour"
    facts["exif"] = annotations.schema.exif
    facts["orientation"] = "images as they are shown (EXIF)" if honoured else "images as they are stored (no EXIF)"
    return facts


def _target_facts(annotations: Annotations, k: int) -> dict[str, Any]:
    value = annotations.target[:, k, 0]
    known = value[~np.isnan(value)]
    low, middle, high = (float(np.quantile(known, q)) for q in (0, 0.5, 1)) if known.size else (None,) * 3
    missing = float(1 - known.size / max(len(value), 1))
    return {"name": annotations.schema.targets[k], "missing": missing, "min": low, "median": middle, "max": high}


def _length(annotations: Annotations) -> str:
    value, names = annotations.schema.normalizer, annotations.schema.target_names
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return f"the distance from {names[value[0]]} to {names[value[1]]}"
    return f"column {value}" if isinstance(value, str) else f"{value:g} {annotations.schema.units}".strip()


def _boxes(annotations: Annotations) -> str:
    box = annotations.schema.box
    if box is None:
        return "whole images"
    return "boxes around the points" if box == "points" else "boxes of the file"


def _sizes(annotations: Annotations) -> str:
    size = annotations.size
    known = np.empty((0, 2)) if size is None else size[~np.isnan(size).any(axis=1)]
    if not len(known):
        return "of unknown size"
    (w, h), (wide, high) = known.min(axis=0), known.max(axis=0)
    one = f"{w:.0f} x {h:.0f} px"
    return one if (w, h) == (wide, high) else f"{w:.0f} to {wide:.0f} px wide, {h:.0f} to {high:.0f} px high"


def _rows(facts: Mapping[str, Any]) -> str:
    rows = counted(facts["rows"], "row")
    groups = f", {counted(facts['groups'], 'group')}" if facts.get("groups") else ""
    return rows + (f" of {counted(facts['images'], 'image')}" if "images" in facts else "") + groups


def _splits(facts: Mapping[str, Any]) -> str:
    drawn = facts["drawn"]
    how = "given" if not drawn else "drawn" if drawn == facts["rows"] else "given, validation drawn"
    by = " by groups" if drawn and facts.get("groups") and not facts["divided_groups"] else ""
    return ", ".join(f"{count(number)} {word}" for word, number in facts["splits"].items()) + f" ({how}{by})"


def _points(facts: Mapping[str, Any]) -> dict[str, str]:
    pairs, limbs = (named([" - ".join(two) for two in facts[key]], 12) for key in ("pairs", "limbs"))
    seen = f"{percent(facts['occluded'])} of the labels occluded" if facts["occluded"] else "no label is occluded"
    return {
        "points": missing_shares(facts["points"]),
        "missing": f"{percent(facts['missing'])} of the labels missing",
        "visibility": seen,
        "pairs": f"{counted(len(facts['pairs']), 'mirror pair')}" if pairs else "no mirror pairs: nothing is mirrored",
        "pair names": pairs,
        "limbs": limbs,
        "normalising length": "none, so no failure rates" if facts["length"] == "none" else facts["length"],
    }


def _target(facts: Mapping[str, Any]) -> str:
    absent = f", {percent(facts['missing'])} missing" if facts["missing"] else ""
    if facts["median"] is None:
        return f"{facts['name']} without values"
    low, middle, high = (short(facts[key]) for key in ("min", "median", "max"))
    return f"{facts['name']} {low} to {high} (median {middle}){absent}"
