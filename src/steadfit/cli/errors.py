"""How a command ends: an error that a user can repair becomes one message and an exit code, any other a traceback."""

from __future__ import annotations

import errno
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from steadfit._console import visible
from steadfit.cli.signals import Terminated, ended_by_signals, ignore_more
from steadfit.errors import ConfigError, ConvergenceWarning, DataError, DataWarning, RunError, SteadfitError

EXIT_CODES = (
    "Exit codes: 0 done; 2 wrong usage or contradicting options; 3 the data cannot be used (one message names file, "
    "line and column); 4 the run folder does not fit or is damaged, or the training diverged; 130 interrupted, 143 "
    "terminated, 129 hung up; 1 'check' found errors, or anything else, such as a full disk. Errors go to standard "
    "error."
)
CODES = {ConfigError: 2, DataError: 3, RunError: 4}
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
RESUME = "Continue with --resume."
HINTS = {
    "fit": RESUME,
    "compare": RESUME,
    "convergence": RESUME,
    "demo": "The same command continues.",
    "corrupt": "Delete the folder that was begun, and run the command again.",
}
"""How to continue after a command that did not finish."""


class Commands(TyperGroup):
    """The group of all commands, which turns errors that a user can repair into one message and an exit code.

    The message goes to standard error. Any other error keeps its traceback.
    """

    def invoke(self, ctx: Any) -> Any:
        with _readable_warnings(), ended_by_signals() as asked:
            try:
                return super().invoke(ctx)
            except SteadfitError as error:
                _stop(f"error: {error}", next((code for kind, code in CODES.items() if isinstance(error, kind)), 1))
            except BrokenPipeError:
                raise
            except OSError as error:
                _stop(_system(error, ctx), 1)
            except KeyboardInterrupt:
                _interrupted(ctx)
            except Terminated as error:
                _terminated(ctx, error.number)
            except SystemExit as error:  # Lightning turns signals into this
                if asked.number is not None:
                    _terminated(ctx, asked.number)
                if isinstance(error.__context__, KeyboardInterrupt):
                    _interrupted(ctx)
                raise


def _stop(message: str, code: int) -> NoReturn:
    with suppress(OSError):  # the terminal may be closed, so that nobody can read it
        typer.echo(visible(message), err=True)
    raise typer.Exit(code) from None


def _system(error: OSError, ctx: Any) -> str:
    """File and reason; after a full disk also how to continue."""
    text = f"error: {error.filename or 'system'}: {error.strerror or error}"
    return f"{text}. Make room. {_hint(ctx)}" if error.errno in NO_ROOM else text


def _hint(ctx: Any) -> str:
    return HINTS.get(ctx.invoked_subcommand, "Run the command again.")


def _interrupted(ctx: Any) -> NoReturn:
    ignore_more()
    _stop(f"interrupted. {_hint(ctx)}", 130)


def _terminated(ctx: Any, number: int) -> NoReturn:
    ignore_more()
    _stop(f"terminated. {_hint(ctx)}", 128 + number)


@contextmanager
def _readable_warnings() -> Iterator[None]:
    """Show warnings about the user's data, each once and in words; those of other packages only with ``python -W``."""
    told: set[str] = set()

    def show(message: Warning | str, *_args: Any, **_kw: Any) -> None:
        if str(message) not in told:
            told.add(str(message))
            typer.echo(visible(f"warning: {message}"), err=True)

    with warnings.catch_warnings():
        if not sys.warnoptions:
            warnings.simplefilter("ignore")
        for category in (DataWarning, ConvergenceWarning):
            warnings.simplefilter("always", category)
        warnings.showwarning = show
        yield
