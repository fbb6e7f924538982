"""Problems of a table: collected while it is read, then reported in one error, or left out and listed."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from steadfit.errors import DataError, DataWarning

_SHOWN = 5  # further problems shown after the first
_REMOVE = "Remove them, or use --skip-bad (skip_bad=True)."
_REMEDY = "Correct the table, or leave these rows out with --skip-bad (skip_bad=True)."


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a table.

    Args:
        path: the table's file, as the user gave it; for a format without a table the file that is the row.
        line: the line in the file (for Parquet the row, from 1); None where the file is a row itself, and for what
            concerns the whole table and cannot be skipped.
        column: the column's name; None where the problem is not in one column.
        reason: ``expected <rule>, got <fact>.``
        at: the place in a file that is not a table, such as ``annotations[3]``; empty for lines and columns.

    >>> print(Problem("annotations.csv", 12, "x3", "expected a number, got 'abc'."))
    annotations.csv, line 12, column 'x3': expected a number, got 'abc'.
    """

    path: str
    line: int | None
    column: str | None
    reason: str
    at: str = ""

    def __str__(self) -> str:
        return f"{self.path}, {self.place}: {self.reason}" if self.place else f"{self.path}: {self.reason}"

    @property
    def place(self) -> str:
        """Line and column, or the place in a file that is not a table; without the file."""
        line = [self.at] if self.at else [] if self.line is None else [f"line {self.line}"]
        column = [] if self.column is None else [f"column {self.column!r}"]
        return ", ".join(line + column)


def settle(problems: Sequence[Problem], whole: Path, *, skip_bad: bool) -> tuple[Problem, ...]:
    """Raise one error for all problems, or return those of rows that may be left out.

    Args:
        problems: what was found.
        whole: the path of the table or folder; a problem of this path without a line concerns all of it.
        skip_bad: whether rows may be left out.

    Raises:
        DataError: a problem of the whole, or any problem without ``skip_bad``.

    Warns:
        DataWarning: rows are left out.
    """
    of_all = [problem.line is None and problem.path == str(whole) for problem in problems]
    fatal = [problem for problem, alone in zip(problems, of_all, strict=True) if alone]
    rows = sorted((problem for problem, alone in zip(problems, of_all, strict=True) if not alone), key=_line)
    files = any(problem.line is None for problem in rows)
    if fatal or (rows and not skip_bad):  # a row first: what is wrong with the whole may only follow from it
        remedy = f" {_REMOVE}" if files and not skip_bad else ""
        raise DataError(report(fatal if skip_bad else [*rows[:1], *fatal, *rows[1:]]) + remedy)
    if rows:
        count, what = len({(problem.path, problem.line) for problem in rows}), "image" if files else "row"
        left_out = f"1 {what} is" if count == 1 else f"{count} {what}s are"
        warnings.warn(f"{left_out} left out. The first: {rows[0]}", DataWarning, stacklevel=4)
    return tuple(rows)


def _line(problem: Problem) -> int:
    return problem.line or 0


def report(problems: Sequence[Problem]) -> str:
    """The first problem in full, the number of further ones, and a few of them."""
    text = str(problems[0])
    rest = problems[1:]
    if rest:
        shown = "".join(f"\n  {problem.place or problem.path}: {problem.reason}" for problem in rest[:_SHOWN])
        text += f"\n{len(rest)} more {'problem' if len(rest) == 1 else 'problems'}:{shown}"
        text += "\n  ..." if len(rest) > _SHOWN else ""
    if all(problem.line is not None for problem in problems):
        text += f"\n{_REMEDY}" if rest else f" {_REMEDY}"
    return text
