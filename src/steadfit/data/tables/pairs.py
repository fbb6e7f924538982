"""Mirror pairs from the names of points: which point is the left one of which right one."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

_SIDES = {"left": "right", "Left": "Right", "LEFT": "RIGHT", "l": "r", "L": "R"}
_OTHER = _SIDES | {right: left for left, right in _SIDES.items()}
_WORDS = re.compile(r"left|right|Left|Right|LEFT|RIGHT")
_TOKENS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[^A-Za-z]+|[A-Z]")
"""Words, runs of capitals, and what lies between them: ``forelegL1`` is ``foreleg``, ``L``, ``1``."""


def pairs_of_names(points: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Left and right points by their names, as indices, the left one first.

    A name and its partner differ in their sides only: ``left`` and ``right`` anywhere (``left_eye``, ``eyeRight``,
    ``leftear``; a name with two sides has both exchanged), or a letter of its own (``l_eye``, ``LEye``, ``eyeL``,
    ``R1``, ``front_L_paw``), alone or with the letter of another direction (``FL``, ``RB_paw``). A small or large
    letter that is joined to a word (``lear``) counts only where at least two pairs result and no other name begins
    (or ends) with such a letter, so that a ``lip`` remains unpaired.

    Args:
        points: the K names.

    Returns:
        Pairs of indices in the order of their left points; each point is in at most one.

    >>> pairs_of_names(["nose", "right_eye", "left_eye"]), pairs_of_names(["LEye", "REye"])
    (((2, 1),), ((0, 1),))
    """
    place = {name: k for k, name in enumerate(points)}
    found: dict[str, str] = {}
    for exchange in (_words, _letters, _last_of_two, _first_of_two):
        found |= _matched([name for name in place if name not in {*found, *found.values()}], exchange)
    for exchange in (_first, _last):
        rest = [name for name in place if name not in {*found, *found.values()}]
        joined = _matched(rest, exchange)
        if len(joined) > 1 and all(name in {*joined, *joined.values()} for name in rest if exchange(name)):
            found |= joined
    return tuple(sorted((place[left], place[right]) for left, right in found.items()))


Exchange = Callable[[str], tuple[bool, str] | None]
"""Of a name: whether its first side is the left one, and the name of its partner; None for a name without a side."""


def _matched(names: Sequence[str], exchange: Exchange) -> dict[str, str]:
    """The right name of each left one, among names that have their partner there."""
    sides = {name: side for name in names if (side := exchange(name))}
    return {name: partner for name, (left, partner) in sides.items() if left and partner in sides}


def _words(name: str) -> tuple[bool, str] | None:
    first = _WORDS.search(name)
    return (first[0] in _SIDES, _WORDS.sub(lambda side: _OTHER[side[0]], name)) if first else None


def _letters(name: str) -> tuple[bool, str] | None:
    tokens = _TOKENS.findall(name)
    sides = [token for token in tokens if token in ("l", "r", "L", "R")]
    return (sides[0] in _SIDES, "".join(_OTHER[t] if t in sides else t for t in tokens)) if sides else None


def _last_of_two(name: str) -> tuple[bool, str] | None:
    return _of_two(name, 1)


def _first_of_two(name: str) -> tuple[bool, str] | None:
    return _of_two(name, 0)


def _of_two(name: str, place: int) -> tuple[bool, str] | None:
    """With the letter at a place of the first token of two letters exchanged: ``FL``, ``FR``."""
    tokens = _TOKENS.findall(name)
    for k, token in enumerate(tokens):
        if len(token) == 2 and token.isalpha() and token.upper() == token and token[place] in _OTHER:
            letter, rest = _OTHER[token[place]], token[1 - place]
            other = rest + letter if place else letter + rest
            return token[place] in _SIDES, "".join([*tokens[:k], other, *tokens[k + 1 :]])
    return None


def _first(name: str) -> tuple[bool, str] | None:
    return (name[0] in _SIDES, _OTHER[name[0]] + name[1:]) if name[:1] in _OTHER else None


def _last(name: str) -> tuple[bool, str] | None:
    return (name[-1] in _SIDES, name[:-1] + _OTHER[name[-1]]) if name[-1:] in _OTHER else None
