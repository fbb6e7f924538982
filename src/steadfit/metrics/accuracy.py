"""Accuracy of classifiers: top-k, and an exact paired test of two methods over any number of seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from torch import Tensor

from steadfit.metrics.significance import holm, stars

__all__ = ["AccuracyComparison", "compare_accuracy", "sign_flip", "top_k"]

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class AccuracyComparison:
    """The comparison of one method with the reference, on the same images and equally many seeds.

    Attributes:
        method: its name.
        reference: the name of the reference.
        accuracy: of the method, in [0, 1].
        difference: accuracy - accuracy of the reference, in [-1, 1].
        p: of :func:`sign_flip`.
        adjusted: Holm's p over all the methods compared.
        stars: the mark of ``adjusted``.
        images: the number of images compared.
        discordant: the number of images about which one of the two is right with more seeds.
    """

    method: str
    reference: str
    accuracy: float
    difference: float
    p: float
    adjusted: float
    stars: str
    images: int
    discordant: int


def top_k(logits: Tensor, target: Tensor, *, k: int = 1) -> Tensor:
    """Whether each image's class is among the k greatest logits; the mean is the top-k accuracy.

    right = [ y in the k greatest of z ].

    Args:
        logits: ``(N, C)``, any monotone score of the classes.
        target: ``(N,)`` classes, whole numbers from 0 to C - 1.
        k: >= 1; from C on every image is right.

    Returns:
        ``(N,)`` in the default dtype: 1 right, 0 wrong. Of equal greatest logits the first counts for k = 1.

    Raises:
        ValueError: shapes that do not fit, k below 1.

    >>> top_k(torch.tensor([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2]]), torch.tensor([2, 0])).tolist()
    [0.0, 1.0]
    """
    if logits.ndim != 2 or target.shape != logits.shape[:1]:
        raise ValueError(
            f"top_k: expected logits (N, C) and targets (N,), got {tuple(logits.shape)} and {tuple(target.shape)}."
        )
    if k < 1:
        raise ValueError(f"top_k: expected k >= 1, got {k}.")
    best = logits.argmax(1, keepdim=True) if k == 1 else logits.topk(min(k, logits.shape[1]), dim=1).indices
    return (best == target.unsqueeze(1)).any(1).to(torch.get_default_dtype())


def compare_accuracy(right: Mapping[str, ArrayLike], *, reference: str | None = None) -> list[AccuracyComparison]:
    """Every method compared with one of them, by :func:`sign_flip`, with Holm's correction.

    Args:
        right: method to (S, N) or (N,) flags: whether the network of seed s is right about image n.
        reference: the method that the others are compared with; None for the most accurate one, the first of several.

    Returns:
        One comparison for each other method, in the mapping's order.

    Raises:
        ValueError: no method, a reference that is not among them, shapes that differ, entries other than 0 and 1.

    >>> import numpy as np
    >>> flags = np.arange(20) < 15
    >>> [one] = compare_accuracy({"ce": flags, "anchor": flags | (np.arange(20) > 13)})
    >>> one.method, one.reference, round(one.difference, 9), round(one.p, 9), one.discordant
    ('ce', 'anchor', -0.25, 0.0625, 5)
    """
    counts, seeds = _counts(right)
    mean = {name: float(count.mean()) / seeds for name, count in counts.items()}
    base = max(mean, key=lambda name: mean[name]) if reference is None else reference
    if base not in counts:
        raise ValueError(f"compare_accuracy: expected reference among {', '.join(counts)}, got {base!r}.")
    others = [name for name in counts if name != base]
    p = [sign_flip(counts[name] - counts[base]) for name in others]
    return [
        AccuracyComparison(
            method=name,
            reference=base,
            accuracy=mean[name],
            difference=mean[name] - mean[base],
            p=value,
            adjusted=float(adjusted),
            stars=stars(float(adjusted)),
            images=len(counts[name]),
            discordant=int((counts[name] != counts[base]).sum()),
        )
        for name, value, adjusted in zip(others, p, holm(p), strict=True)
    ]


def sign_flip(difference: ArrayLike) -> float:
    r"""Exact two-sided p of the sum of paired differences, under random signs.

    p = P(\|sum_n e_n d_n\| >= \|sum_n d_n\|), e_n = +-1 with equal chances

    With one network per method, d in {-1, 0, 1}, this is the exact McNemar test. With S networks per method d is the
    difference between the numbers of networks that are right about an image: images stay the units, whatever the number
    of seeds. The test asks whether *these* networks differ on other images like these; the spread over seeds shows what
    another seed changes.

    Args:
        difference: (N,) whole numbers.

    Returns:
        p in (0, 1]; 1 where all are 0.

    Raises:
        ValueError: another shape, or numbers that are not whole.

    Numerics:
        The distribution is exact up to rounding: the n_k differences of size k sum to k (2 B - n_k) with B binomial,
        and the sizes' distributions are convolved.

    References:
        McNemar, Psychometrika 12 (1947) 153-157.
        Fisher, The Design of Experiments, 1935, section 21.

    >>> round(sign_flip([1, 1, 1, 1, 1, -1, 0]), 9)  # 2 P(B <= 1), B ~ Binomial(6, 1/2)
    0.21875
    """
    value = np.asarray(difference)
    if value.ndim != 1 or not np.array_equal(value, np.round(value)):
        raise ValueError(f"sign_flip: expected whole differences of shape (N,), got {value.dtype} {value.shape}.")
    size = np.abs(value).astype(np.int64)
    mass = np.ones(1)  # P(sum = 2 i - total), i = 0 ... total
    for k, count in enumerate(np.bincount(size)):
        if k and count:
            spread = np.zeros(k * count + 1)
            spread[::k] = stats.binom.pmf(np.arange(count + 1), count, 0.5)
            mass = np.convolve(mass, spread)
    total = len(mass) - 1
    extreme = np.abs(2 * np.arange(total + 1) - total) >= abs(int(value.sum()))
    return min(float(mass[extreme].sum()), 1.0)


def _counts(right: Mapping[str, ArrayLike]) -> tuple[dict[str, Counts], int]:
    """The number of seeds that are right about each image, (N,), for every method, and the number of seeds."""
    if not right:
        raise ValueError("compare_accuracy: expected at least one method, got none.")
    flags = {name: np.atleast_2d(np.asarray(value)) for name, value in right.items()}
    shapes = {name: value.shape for name, value in flags.items()}
    if len(set(shapes.values())) > 1 or len(next(iter(shapes.values()))) != 2:
        raise ValueError(f"compare_accuracy: expected flags of one shape (seeds, images), got {shapes}.")
    for name, value in flags.items():
        if not np.isin(value, (0, 1)).all():
            raise ValueError(f"compare_accuracy: expected flags 0 and 1, got others for {name!r}.")
    return {name: value.astype(np.int64).sum(axis=0) for name, value in flags.items()}, len(next(iter(flags.values())))
