"""Some training samples as a refit sees them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from torch import Tensor

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Chunk:
    """Some training samples, n of them (perhaps none): the network's output, and the labels.

    Args:
        output: (n, n_outputs), from the network.
        target: (n, K, D), NaN where a label is missing.
    """

    output: Tensor
    target: Tensor
    _found: dict[object, Any] = field(default_factory=dict, init=False, repr=False)

    def once(self, key: object, make: Callable[[], T]) -> T:
        """The result of ``make()``, which is called only the first time: for what does not change from round to round.

        Args:
            key: a hashable name of the result; for a model's own it is ``(self, "name")``.
            make: computes what depends on the chunk and the key, and on no state.
        """
        if key not in self._found:
            self._found[key] = make()
        found: T = self._found[key]
        return found
