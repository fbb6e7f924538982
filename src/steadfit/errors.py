"""The exceptions that callers catch.

Wrong arguments raise ``TypeError`` (kind, dtype) or ``ValueError`` (value, shape). The classes here are for what
comes from outside the program: files, configurations, earlier runs.
"""

from __future__ import annotations


class SteadfitError(Exception):
    """Base of every error that steadfit raises for something outside the program."""


class DataError(SteadfitError, ValueError):
    """A table, a ``dataset.yaml`` or an image cannot be used; the message names file, line and column."""


class SchemaError(DataError):
    """The meanings given to columns contradict each other, wherever they were given.

    Args:
        rule: what was expected and got, without who expected it.
    """

    def __init__(self, rule: str) -> None:
        super().__init__(f"Schema: {rule}")
        self.rule = rule

    def __reduce__(self) -> tuple[type[SchemaError], tuple[str]]:
        return SchemaError, (self.rule,)


class ConfigError(SteadfitError, ValueError):
    """Options contradict each other, or a configuration file has an unknown key or value."""


class RunError(SteadfitError, RuntimeError):
    """A run folder is missing, incomplete, or does not fit what is asked of it."""


class DivergedError(RunError):
    """A training whose loss, outputs or weights are no longer finite.

    Args:
        message: the text of the error.
        epoch: the first such epoch, counted from 1.
        batch: the first such batch of the epoch, counted from 1; None where only the weights show it.
    """

    def __init__(self, message: str, *, epoch: int = 0, batch: int | None = None) -> None:
        super().__init__(message)
        self.epoch, self.batch = epoch, batch


class ProcessLostError(SteadfitError, RuntimeError):
    """A process of a distributed training has ended, or no longer answers."""


class ConvergenceWarning(UserWarning):
    """An iteration stopped before it converged; the message names remedies."""


class DataWarning(UserWarning):
    """Something in the data is suspicious but does not stop the work."""
