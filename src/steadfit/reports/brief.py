"""Long lists in a few words: points with equal shares, problems of one kind. The full lists are in check.json."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from steadfit.reports.values import capital, count, percent

FEW = 10
"""Names that are shown one by one."""
SHARES = 5
"""Shares of missing labels that are told apart where there are many points."""
ALIKE = 3
"""Texts of one kind that are shown one by one."""
_VARIABLE = re.compile(r"'[^']*'|\"[^\"]*\"|-?\d[\d.,]*(?:e[+-]?\d+)?|'[^']*$")


def counted(number: int, what: str) -> str:
    """A number of things: ``1 row``, ``2,000 rows``."""
    return f"{count(number)} {what}{'' if number == 1 else 's'}"


def named(names: Sequence[str], most: int = FEW) -> str:
    """Names with commas, whole numbers in a row as a range, and the number of those that are not shown.

    Args:
        names: what is listed.
        most: the names or ranges that are shown.

    >>> named(["0", "1", "2", "3", "7", "nose"]), named(list("abcdef"), 3)
    ('0 to 3, 7, nose', 'a, b, c and 3 more')
    """
    runs: list[list[str]] = []
    for name in names:
        follows = runs and name.isdecimal() and runs[-1][-1].isdecimal() and int(name) == int(runs[-1][-1]) + 1
        runs[-1].append(name) if follows else runs.append([name])
    texts = [[f"{run[0]} to {run[-1]}"] if len(run) > 2 else run for run in runs]
    shown, rest = texts[:most], sum(map(len, runs[most:]))
    return ", ".join(text for run in shown for text in run) + (f" and {count(rest)} more" if rest else "")


def missing_shares(points: Sequence[Mapping[str, Any]]) -> str:
    """Points with their shares of missing labels: each one where they are few, else those with the same share together.

    Args:
        points: ``name`` and ``missing``, the share, of each point.

    >>> missing_shares([{"name": str(k), "missing": 0.0} for k in range(68)])
    '68, no label missing: 0 to 67'
    """
    if points and all(point["missing"] == 0 for point in points):
        return f"{len(points)}, no label missing: {named([point['name'] for point in points])}"
    if len(points) <= FEW:
        each = ", ".join(f"{point['name']} ({percent(point['missing'])})" for point in points)
        return f"{len(points)}, with their share of missing labels: {each}"
    by_share: dict[str, list[Mapping[str, Any]]] = {}
    for point in points:
        by_share.setdefault(percent(point["missing"]), []).append(point)
    if len(by_share) == 1:
        share = next(iter(by_share))
        return f"{len(points)}, {share} of the labels of each missing: {named([point['name'] for point in points])}"
    order = sorted(by_share.items(), key=lambda item: -item[1][0]["missing"])
    texts = [f"{named([point['name'] for point in same], 5)} ({share})" for share, same in order[:SHARES]]
    rest = sum(len(same) for _, same in order[SHARES:])
    more = f", and {count(rest)} others with {order[SHARES][0]} or less" if rest else ""
    return f"{len(points)}, with their share of missing labels: {', '.join(texts)}{more}"


def listed(head: str, texts: Sequence[str], *, most: int = 20) -> list[str]:
    """A heading with its number of texts and, below it, the texts; nothing for none.

    Of more than three that differ only in numbers and quoted words, the first one is shown, with the places of the
    others.

    Args:
        head: in the singular.
        texts: one for each line, such as ``table.csv, line 3: expected ..., got ....``.
        most: the number of lines that are shown.
    """
    if not texts:
        return []
    kinds: dict[str, list[str]] = {}
    for text in texts:
        kinds.setdefault(_kind(text), []).append(text)
    lines = [line for same in kinds.values() for line in (same if len(same) <= ALIKE else [_alike(same)])]
    more = [f"  and {count(len(lines) - most)} more, all of them in check.json"] if len(lines) > most else []
    return [f"{capital(counted(len(texts), head))}:", *(f"  {line}" for line in lines[:most]), *more]


def _kind(text: str) -> str:
    """A text without its place, its numbers and its quoted words."""
    place, expected, reason = text.partition(": expected ")
    return _VARIABLE.sub("#", f"{expected}{reason}" if expected else place)


def _alike(texts: Sequence[str]) -> str:
    """The first of texts of one kind, with the places of some others."""
    places = [text.partition(": expected ")[0] for text in texts]
    file = places[0].partition(", ")[0]
    others = list(dict.fromkeys(place.removeprefix(f"{file}, ") for place in places if place != places[0]))
    where = f": {'; '.join(others[:ALIKE])}{'; …' if len(others) > ALIKE else ''}" if others else ""
    return f"{texts[0]}\n    and {count(len(texts) - 1)} more of this kind{where}"
