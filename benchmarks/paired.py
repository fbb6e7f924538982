"""Two methods on the same test images: what the reports of several benchmarks say about a difference."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from steadfit.metrics import compare_errors, holm
from steadfit.reports.values import DASH

LEVEL = 0.05
RULE = (
    "A comparison is won (lost) if the mean error is lower (higher) in every seed, the ranks say so too, and p < .05: "
    "Wilcoxon's signed-rank test over the test images, each with its mean error over the seeds, Holm-corrected over "
    "the comparisons of a table"
)


@dataclasses.dataclass(frozen=True)
class Pair:
    """One method against a reference, over the seeds that both have."""

    about: Mapping[str, str]  # which ones and where, as columns of a table
    means: np.ndarray  # (S, 2) mean error of every seed, the reference's first
    p: float
    ranks: float  # rank-biserial in [-1, 1], below 0 where the method's errors are the smaller

    @property
    def change(self) -> float:
        """Of the mean error, as a share of the reference's."""
        reference, method = self.means.mean(axis=0)
        return float(method / reference - 1)

    @property
    def by_seed(self) -> str:
        """The change in every seed."""
        return ", ".join(f"{100 * (method / reference - 1):+.1f} %" for reference, method in self.means)

    @property
    def won(self) -> int:
        """1: won, -1: lost, 0: neither; see ``RULE``."""
        signs = {*np.sign(self.means[:, 0] - self.means[:, 1]).astype(int).tolist(), int(-np.sign(self.ranks))}
        return signs.pop() if len(signs) == 1 and self.p < LEVEL else 0


def compared(
    about: Mapping[str, str], reference: Mapping[int, np.ndarray], method: Mapping[int, np.ndarray]
) -> Iterator[Pair]:
    """The pair, or nothing without a seed in common; errors (N,) of the test images by seed.

    >>> [pair.means.tolist() for pair in compared({}, {0: np.ones(9), 1: np.ones(9)}, {1: np.zeros(9)})]
    [[[1.0, 0.0]]]
    """
    if seeds := sorted(reference.keys() & method.keys()):
        errors = np.array([[each[seed] for seed in seeds] for each in (reference, method)])  # (2, S, N)
        images = dict(zip(("reference", "method"), errors.mean(axis=1), strict=True))
        found = compare_errors(images, "reference")[0]
        yield Pair(about, errors.mean(axis=2).T, found.p, found.rank_biserial)


def corrected(pairs: Iterable[Pair]) -> list[Pair]:
    """With Holm's correction over all of them."""
    pairs = list(pairs)
    adjusted = holm([pair.p for pair in pairs])
    return [dataclasses.replace(pair, p=float(p)) for pair, p in zip(pairs, adjusted, strict=True)]


def verdict(won: Sequence[int]) -> tuple[str, str]:
    """In a word, and counted.

    >>> verdict([1, 1]), verdict([1, 0, -1]), verdict([0])
    (('reproduced', '2 of 2'), ('partly', '1 of 3, 1 lost'), ('not', '0 of 1'))
    """
    wins, losses = won.count(1), won.count(-1)
    word = "reproduced" if wins == len(won) else "partly" if wins else "not"
    return word, f"{wins} of {len(won)}" + (f", {losses} lost" if losses else "")


def spread(values: ArrayLike, digits: int = 1) -> str:
    """Mean ± standard deviation over the seeds that have a number.

    >>> spread([4.0, 6.0]), spread([4.0, float("nan")]), spread([])
    ('5.0 ± 1.4', '4.0', '–')
    """
    known = np.asarray(values, dtype=np.float64)
    known = known[np.isfinite(known)]
    deviation = f" ± {known.std(ddof=1):.{digits}f}" if len(known) > 1 else ""
    return f"{known.mean():.{digits}f}{deviation}" if len(known) else DASH
