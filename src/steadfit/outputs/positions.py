"""Positions: numbers that are the targets themselves, points of an image or scalars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from steadfit.outputs.base import Coordinates


@dataclass(frozen=True)
class Positions(Coordinates):
    """The network puts out K D numbers: the coordinates of every target, standardised.

    >>> import torch
    >>> Positions().prediction(torch.tensor([[1.0, 2.0, 3.0, 4.0]]), dims=2).tolist()
    [[[1.0, 2.0], [3.0, 4.0]]]
    """

    name: ClassVar[str] = "positions"
