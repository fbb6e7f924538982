"""How each method is called and coloured, in every table and figure alike.

The colours are Okabe and Ito's with a few of Tol's, which stay apart under every common colour blindness; markers and
line styles repeat the distinction in print.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Mark:
    """How one method is drawn everywhere."""

    label: str
    colour: str
    marker: str = "o"
    line: str = "-"


MARKS = {
    "l2": Mark("L2", "#D55E00", "s"),
    "l1": Mark("L1", "#56B4E9", "v"),
    "huber": Mark("Huber", "#E69F00", "D"),
    "tukey": Mark("Tukey", "#009E73", "^"),
    "gum": Mark("GUM", "#0072B2", "o"),
    "oracle": Mark("oracle", "#222222", "x", "--"),
    "predicted-gauss": Mark("predicted Gauss", "#CC79A7", "P"),
    "predicted-laplace": Mark("predicted Laplace", "#882255", "X"),
    "predicted-huber": Mark("predicted Huber", "#AA8800", "p"),
    "predicted-charbonnier": Mark("predicted Charbonnier", "#44AA99", "h"),
    "predicted-mixture": Mark("predicted mixture", "#332288", "*"),
}
SPARE = [("#CC79A7", "<"), ("#332288", ">"), ("#44AA99", "8"), ("#882255", "d"), ("#999933", "H"), ("#777777", ".")]


def marks(methods: Iterable[str]) -> dict[str, Mark]:
    """The mark of every method: known names keep theirs, others take the spare ones in turn.

    >>> marks(["gum", "mine"])["gum"].label, marks(["gum", "mine"])["mine"].label
    ('GUM', 'mine')
    """
    methods = list(dict.fromkeys(methods))
    strangers = [name for name in methods if name not in MARKS]
    spare = {name: Mark(name, *SPARE[i % len(SPARE)]) for i, name in enumerate(strangers)}
    return {name: MARKS.get(name) or spare[name] for name in methods}
