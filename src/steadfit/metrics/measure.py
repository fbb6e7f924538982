"""The mean of a formula over the batches and ranks of a training loop."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

__all__ = ["Measure"]

Formula = Callable[..., Tensor]


class Measure(Metric):
    """The mean of an elementwise formula over all batches.

    finish(sum of the values / their number), over the values that are not NaN

    The formulas of this package mark what is not annotated by NaN, so ``formula(...).nanmean()`` is the measure of
    whole arrays. This class does the same in a loop: its state is a sum and a count, so batches and ranks merge
    exactly.

    Args:
        formula: function of the arguments of ``update`` that returns one value per element, NaN where nothing is
            judged. Bind options with ``functools.partial``.
        columns: length of the values' last axis, >= 1; ``compute`` then gives one mean per entry. None: one mean.
        finish: function of the mean, such as ``torch.sqrt`` for the root of a mean square. None: the mean itself.

    Raises:
        ValueError: columns below 1.

    Numerics:
        Sums have the default dtype at construction, as everywhere in torchmetrics; counts are integers. In a
        ``MetricCollection`` set ``compute_groups=False``: torchmetrics treats two metrics whose states agree after the
        first batch as one.

    >>> from steadfit.metrics import pck, square_error
    >>> rmse, right = Measure(square_error, finish=torch.sqrt), Measure(partial(pck, alpha=0.2), columns=2)
    >>> prediction, target = torch.zeros(1, 2, 2), torch.tensor([[[3.0, 4.0], [torch.nan, 1.0]]])
    >>> rmse.update(prediction, target)
    >>> right.update(prediction, target, 25.0)
    >>> round(float(rmse.compute()), 6), right.compute().tolist()  # sqrt((9 + 16 + 1)/3)
    (2.94392, [1.0, nan])
    """

    is_differentiable = False
    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(
        self, formula: Formula, *, columns: int | None = None, finish: Callable[[Tensor], Tensor] | None = None
    ) -> None:
        super().__init__()
        self.formula, self.columns, self.finish = formula, columns, finish
        if columns is not None and columns < 1:
            raise ValueError(f"{self._who()}: expected columns >= 1, got {columns}. Give the length of the last axis.")
        shape = () if columns is None else (columns,)
        self.add_state("total", torch.zeros(shape), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros(shape, dtype=torch.long), dist_reduce_fx="sum")

    def update(self, *batch: Any, **named: Any) -> None:
        """Add a batch.

        Args:
            *batch: the formula's arguments.
            **named: the same by name.

        Raises:
            ValueError: the length of the values' last axis is not ``columns``; the formula's errors come in addition.
        """
        value = self.formula(*batch, **named).detach()
        if self.columns is not None and value.shape[-1:] != (self.columns,):
            raise ValueError(
                f"{self._who()}: expected {self.columns} columns, got shape {tuple(value.shape)}. Set columns."
            )
        rows = value.reshape(-1, *self.total.shape)
        self.total += rows.to(self.total.dtype).nansum(0)
        self.count += (~rows.isnan()).sum(0)

    def compute(self) -> Tensor:
        """The measure over all batches so far.

        Returns:
            A scalar, or ``(columns,)``, in the formula's unit; NaN where nothing was judged.
        """
        mean = self.total / self.count
        return mean if self.finish is None else self.finish(mean)

    def _who(self) -> str:
        formula = self.formula.func if isinstance(self.formula, partial) else self.formula
        return f"Measure of {getattr(formula, '__name__', type(formula).__name__)}"
