"""Rows that belong together: copies, rows of one image, of one video or person, and augmented copies of one image."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]
Words = npt.NDArray[np.str_]

_AUGMENTED = re.compile(r"(.+)\.rf\.[0-9A-Za-z]+(?:\.[A-Za-z]+)?")
"""Names that Roboflow gives to augmented copies: ``<stem>.rf.<hash>.jpg``."""


def together(*labels: Sequence[str] | Words) -> Rows:
    """For each of N rows the first row with which it shares a label, directly or through other rows.

    Args:
        labels: one or more times N labels; an empty one is shared with no other row.

    Returns:
        (N,) numbers of rows.

    >>> together(["a", "b", "c", ""], ["1", "2", "2", ""]).tolist()
    [0, 1, 1, 3]
    """
    from scipy.sparse import coo_array  # takes as long to import as the rest of this package
    from scipy.sparse.csgraph import connected_components

    count = len(labels[0])
    rows, nodes, nodes_so_far = [], [], count
    for words in labels:
        number: dict[str, int] = {}
        for row, word in enumerate(words):
            if word:
                rows.append(row)
                nodes.append(number.setdefault(str(word), nodes_so_far + len(number)))
        nodes_so_far += len(number)
    graph = coo_array((np.ones(len(rows), dtype=np.int8), (rows, nodes)), shape=(nodes_so_far, nodes_so_far))
    _, component = connected_components(graph, directed=False)
    _, first, inverse = np.unique(component[:count], return_index=True, return_inverse=True)
    found: Rows = first[inverse].astype(np.int64)
    return found


def originals(images: Sequence[str]) -> list[str]:
    """The original of each augmented copy, by the name; empty for an image that is none.

    >>> originals(["train/a_jpg.rf.0f3c.jpg", "valid/a_jpg.rf.77aa.jpg", "b.jpg"])
    ['a_jpg', 'a_jpg', '']
    """
    found = (_AUGMENTED.fullmatch(os.path.basename(name)) for name in images)
    return [match[1] if match else "" for match in found]


def can_be_drawn(group: Rows, *, fewest: int = 3, largest: float = 0.6) -> bool:
    """Whether splits can be drawn by whole groups: there are several, and none is most of the rows.

    Args:
        group: (N,), equal for rows that belong together.
        fewest: the least number of groups.
        largest: the largest share of the rows that may be in one group.
    """
    _, counts = np.unique(group, return_counts=True)
    return len(counts) >= fewest and int(counts.max(initial=0)) <= largest * len(group)
