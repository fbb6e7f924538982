"""How a command ends: what a user can mend becomes one message and an exit code, everything else a traceback."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from steadfit.errors import ConfigError, ConvergenceWarning, DataError, DataWarning, RunError, SteadfitError

EXIT_CODES = (
    "Exit codes: 0 done; 2 wrong usage or contradicting options; 3 the data cannot be used (one message names file, "
    "line and column); 4 the run folder does not fit; 130 interrupted; 1 anything else. Errors go to standard error."
)


class Commands(TyperGroup):
    """What a user can mend becomes one message on standard error and an exit code; everything else a traceback."""

    def invoke(self, ctx: Any) -> Any:
        with _readable_warnings():
            try:
                return super().invoke(ctx)
            except SteadfitError as error:
                codes = {ConfigError: 2, DataError: 3, RunError: 4}
                _stop(f"error: {error}", next((code for kind, code in codes.items() if isinstance(error, kind)), 1))
            except BrokenPipeError:
                raise
            except OSError as error:
                _stop(f"error: {error.filename or 'system'}: {error.strerror or error}", 1)
            except KeyboardInterrupt:
                _interrupted(ctx)
            except SystemExit as error:  # what Lightning makes of Ctrl-C
                if isinstance(error.__context__, KeyboardInterrupt):
                    _interrupted(ctx)
                raise


def _stop(message: str, code: int) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(code) from None


def _interrupted(ctx: Any) -> NoReturn:
    hints = {
        "fit": "Continue with --resume.",
        "compare": "Continue with --resume.",
        "convergence": "Continue with --resume.",
        "demo": "The same command continues.",
    }
    _stop(f"interrupted. {hints.get(ctx.invoked_subcommand, '')}".strip(), 130)


@contextmanager
def _readable_warnings() -> Iterator[None]:
    """Warnings about the user's data, each once and in words; those of other packages only with ``python -W``."""
    told: set[str] = set()

    def show(message: Warning | str, *_args: Any, **_kw: Any) -> None:
        if str(message) not in told:
            told.add(str(message))
            typer.echo(f"warning: {message}", err=True)

    with warnings.catch_warnings():
        if not sys.warnoptions:
            warnings.simplefilter("ignore")
        for category in (DataWarning, ConvergenceWarning):
            warnings.simplefilter("always", category)
        warnings.showwarning = show
        yield
