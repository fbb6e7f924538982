"""Class labels for the classification losses: indices or soft labels, checked and without holes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from steadfit import _checks
from steadfit.core.modulated import largest
from steadfit.core.predicted import full_precision
from steadfit.losses.reduction import check_weight, masked

IGNORED = -100
"""The class index that torch's cross entropy leaves out: "not annotated"."""
UNKNOWN = 0.5
"""What a missing soft label is replaced by: neither right nor wrong, so it is in no anchor."""


@dataclass(frozen=True)
class Batch:
    """What :func:`prepared` makes of a call's arguments."""

    logits: Tensor  # (B, C), float32 or float64; 0 where not annotated or of weight 0
    labels: Tensor  # (B,) indices, 0 where not annotated, or (B, C) in [0, 1], UNKNOWN where not
    present: Tensor | None  # (B,) bool: the samples that count; None: all
    term_weight: Tensor | None  # broadcasts to (B, C): the class weight, 0 where a soft label is missing


def prepared(
    who: str,
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None,
    class_weight: Tensor | None = None,
    *,
    whole: bool = False,
) -> Batch:
    """The arguments, checked and without holes. Values are not checked while compiling or vmapping.

    Args:
        who: the loss's name, for messages.
        logits: (B, C).
        target: class indices (B,) or soft labels (B, C).
        weight: broadcasts to (B,), >= 0; None: 1.
        class_weight: (C,), >= 0; None: 1.
        whole: leave a sample out where the soft label of any class is missing, rather than of all classes.
    """
    _checks.floating(who, "logits", logits)
    _check_shapes(who, logits, target, class_weight)
    z, known = full_precision(logits), None
    if target.is_floating_point():
        labels, known = _soft(who, target.to(z.dtype))
        present = None if known is None else known.all(dim=1) if whole else known.any(dim=1)
    else:
        labels, present = _indices(who, target.long(), logits.shape[1])
    if weight is not None:
        check_weight(who, weight, target.shape[:1])
        present = weight != 0 if present is None else present & (weight != 0)
    seen = None if present is None else present.unsqueeze(-1) if known is None else present.unsqueeze(-1) & known
    if class_weight is not None:  # a class of weight 0 is a rival like any other, except for NaN and inf
        z = torch.where((class_weight > 0) | z.isfinite(), z, -largest(z.dtype))
    return Batch(masked(z, seen), labels, present, _term_weight(class_weight, known, z.dtype))


def _indices(who: str, labels: Tensor, classes: int) -> tuple[Tensor, Tensor | None]:
    """Indices with 0 for "not annotated", and which are annotated (None: all)."""
    hidden = _checks.hidden()
    if not hidden and _within(labels, 0, classes - 1):
        return labels, None
    present = labels != IGNORED
    if not hidden:
        outside = present & ((labels < 0) | (labels >= classes))
        _refuse(who, f"class indices in 0 ... {classes - 1} (or {IGNORED})", labels, outside)
    return torch.where(present, labels, 0), present


def _soft(who: str, labels: Tensor) -> tuple[Tensor, Tensor | None]:
    """Soft labels with UNKNOWN for NaN, and which are known, (B, C) (None: all)."""
    hidden = _checks.hidden()
    if not hidden and _within(labels, 0, 1):
        return labels, None
    if not hidden:
        _refuse(who, "p in [0, 1] (NaN where not annotated)", labels, (labels < 0) | (labels > 1))
    known = ~labels.isnan()
    return torch.where(known, labels, UNKNOWN), known


def _term_weight(class_weight: Tensor | None, known: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """The weights of the terms: the class's, 0 where a soft label is missing; None: all 1."""
    if known is None:
        return class_weight
    return known.to(dtype) if class_weight is None else torch.where(known, class_weight, 0.0)


def _within(values: Tensor, low: float, high: float) -> bool:
    """Whether all values are in [low, high], in one transfer for the usual case; False with NaN."""
    if not values.numel():
        return True
    smallest, largest = torch.stack([values.amin(), values.amax()]).tolist()
    return bool(low <= smallest and largest <= high)


def _refuse(who: str, rule: str, values: Tensor, outside: Tensor) -> None:
    if bool(outside.any()):
        where = tuple(outside.nonzero()[0].tolist())
        raise ValueError(
            f"{who}: expected {rule}, got {values[where].item()} at {where}; {int(outside.sum())} such values in all."
        )


def _check_shapes(who: str, logits: Tensor, target: Tensor, class_weight: Tensor | None) -> None:
    if logits.dim() != 2 or not logits.shape[1]:
        raise ValueError(f"{who}: expected logits (B, C), C >= 1, got {tuple(logits.shape)}.")
    if target.dtype == torch.bool or target.is_complex():
        raise TypeError(f"{who}: expected target of class indices or of a floating dtype, got {target.dtype}.")
    wanted = logits.shape if target.is_floating_point() else logits.shape[:1]
    if target.shape != wanted:
        raise ValueError(
            f"{who}: expected target {tuple(wanted)} for logits {tuple(logits.shape)}, got {tuple(target.shape)}. "
            "Class indices are integers (B,), soft labels floating-point numbers (B, C)."
        )
    if class_weight is not None and class_weight.shape != logits.shape[1:]:
        raise ValueError(
            f"{who}: expected class_weight {tuple(logits.shape[1:])} for logits {tuple(logits.shape)}, "
            f"got {tuple(class_weight.shape)}."
        )


def not_negative(who: str, name: str, value: float) -> float:
    """A finite number >= 0, returned as float."""
    return _checks.between(who, name, value, 0.0, torch.finfo(torch.float32).max)


def checked_class_weight(who: str, class_weight: Tensor | None) -> Tensor | None:
    """A copy of (C,) finite weights >= 0, in torch's default dtype, which every device has."""
    if class_weight is None:
        return None
    value = _checks.floating(who, "class_weight", class_weight).detach().to(torch.get_default_dtype(), copy=True)
    if value.dim() != 1:
        raise ValueError(f"{who}: expected class_weight (C,), got {tuple(value.shape)}.")
    bad = ~((value >= 0) & value.isfinite())
    if bool(bad.any()):
        raise ValueError(f"{who}: expected class_weight >= 0 and finite, got {float(value[bad][0])}.")
    return value
