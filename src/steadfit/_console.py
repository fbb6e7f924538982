"""Text for a person at a terminal: shown as it is, never taken for markup or for commands to the terminal."""

from __future__ import annotations

import unicodedata

from rich.console import Console, RenderableType
from rich.text import Text

HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode categories of characters that act on a terminal, or that it cannot show."""
KEPT = "\n\u200c\u200d"
"""Line ends, and the joiners that some scripts and emoji are written with."""


def visible(text: str) -> str:
    r"""The text with control characters as escapes: names and units come from files of other people.

    >>> visible("a\x1b[31m\u202eb\tc é")
    'a\\x1b[31m\\u202eb\\tc é'
    """
    return "".join(_escaped(c) if c not in KEPT and unicodedata.category(c) in HIDDEN else c for c in text)


def say(console: Console | None, what: RenderableType, *, style: str = "") -> None:
    """Print a text or a table.

    A text is shown character by character: no markup (``[/mm]`` is a unit), no highlighting, no line breaks but its
    own.

    Args:
        console: where; None for silence.
        what: a text, or another renderable, whose own texts are not taken for markup either.
        style: of a text, such as ``"bold"``.
    """
    if console is None:
        return
    if isinstance(what, str):
        console.print(Text(visible(what), style=style), soft_wrap=True, highlight=False)
    else:
        console.print(what, markup=False, highlight=False)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
