"""The name and the colour of each method, the same in every table and figure.

The colours are Okabe and Ito's with a few of Tol's, which stay distinct under every common colour blindness; markers
and line styles repeat the distinction in print.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Mark:
    """How one method is drawn everywhere.

    Args:
        label: its name in tables and figures.
        colour: its colour.
        marker: its marker.
        line: its line style.
    """

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
    # losses: cold colours for the plain ones, green for mining, red to brown for anchor loss in its designs
    "ce": Mark("CE", "#8A9097", "s"),
    "bce": Mark("BCE", "#2F6DB5", "D"),
    "mse": Mark("MSE", "#C8A415", "s"),
    "ohem": Mark("OHEM", "#1B9E77", "v"),
    "ohkm": Mark("OHKM", "#8CCB7A", "v"),
    "focal": Mark("focal", "#5BC3EB", "^"),
    "anchor": Mark("anchor", "#D1234C", "p"),
    "anchor-target": Mark("anchor (target)", "#F28E2B", ">", "-."),
    "anchor-both": Mark("anchor (both)", "#8A4B08", "P", "-."),
    "anchor-static": Mark("anchor (static)", "#F2A3B3", "X", ":"),
    "anchor-warmup": Mark("anchor, warm-up", "#5E0B3C", "h", "--"),
}
SPARE = [("#CC79A7", "<"), ("#332288", ">"), ("#44AA99", "8"), ("#882255", "d"), ("#999933", "H"), ("#777777", ".")]


def marks(methods: Iterable[str]) -> dict[str, Mark]:
    """The mark of every method: known names have theirs, others take the spare ones in turn.

    A loss and a noise model joined by ``+`` look like the loss, darker and dashed.

    >>> marks(["gum", "mine"])["gum"].label, marks(["gum", "mine"])["mine"].label, marks(["bce+gum"])["bce+gum"].label
    ('GUM', 'mine', 'BCE + GUM')
    """
    methods = list(dict.fromkeys(methods))
    known = {name: mark for name in methods if (mark := MARKS.get(name) or _joined(name)) is not None}
    strangers = [name for name in methods if name not in known]
    spare = {name: Mark(name, *SPARE[i % len(SPARE)]) for i, name in enumerate(strangers)}
    return {name: known.get(name) or spare[name] for name in methods}


def _joined(name: str) -> Mark | None:
    """The mark of ``"loss+noise"``, if both are known."""
    loss, _, noise = name.partition("+")
    if loss not in MARKS or noise not in MARKS:
        return None
    red, green, blue = (round(0.6 * int(MARKS[loss].colour[i : i + 2], 16)) for i in (1, 3, 5))
    label = f"{MARKS[loss].label} + {MARKS[noise].label}"
    return Mark(label, f"#{red:02X}{green:02X}{blue:02X}", MARKS[noise].marker, "--")
