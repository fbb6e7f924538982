"""Signals that ask the program to end: a job's time limit, ``docker stop``, a closed terminal."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

NAMES = ("SIGTERM", "SIGHUP")


class Terminated(BaseException):
    """The process was asked to end. It is not an :class:`Exception`, so that no handler takes it for an error.

    Args:
        number: the number of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class Asked:
    """The signal that has asked this process to end, None so far.

    The signal is also raised as :class:`Terminated` wherever the program is; this object remembers it, in case a
    library turns that into another exception.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._process = os.getpid()

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:  # a forked worker has nothing to clean up
            os._exit(128 + number)
        self.number = number
        raise Terminated(number)


@contextmanager
def ended_by_signals() -> Iterator[Asked]:
    """Raise :class:`Terminated` for SIGTERM and SIGHUP, as Python raises KeyboardInterrupt for SIGINT.

    Afterwards all handlers are as before. A signal that is ignored stays ignored (``nohup``). Only the main thread can
    receive signals; in others nothing is changed.

    Yields:
        The signal that has asked for the end, if any.
    """
    asked = Asked()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    numbers = [number for name in (*NAMES, "SIGINT") if (number := getattr(signal, name, None)) is not None]
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        for number, handler in before.items():
            if number != signal.SIGINT and handler == signal.SIG_DFL:
                signal.signal(number, asked)
        yield asked
    finally:
        for number, handler in before.items():
            if handler is not None:  # None: Python cannot restore it
                signal.signal(number, handler)


def ignore_more() -> None:
    """Ignore further signals: the process ends by itself, and another signal would only cut off the message."""
    if threading.current_thread() is threading.main_thread():
        for number in (getattr(signal, name, None) for name in (*NAMES, "SIGINT")):
            if number is not None:
                signal.signal(number, signal.SIG_IGN)
