"""Signals that ask a process to end: handled once nothing is left half done."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any, NoReturn

#: Exit status of a process that got SIGTERM and saved its run first: 128 and the number of the signal.
ENDED = 143


class Ending:
    """Whether SIGTERM or SIGINT asked the process to end, where nobody else handles them."""

    def __init__(self, at_once: bool = False) -> None:
        self.signal: int | None = None
        #: Whether what is under way is dropped as soon as it is asked for.
        self.at_once = at_once
        #: Whether there is something to put in order first: a lease in the taking, a run to save. Where there is not,
        #: and at a second SIGINT, an interrupt is one at once.
        self.saves = True

    @property
    def asked(self) -> bool:
        """Whether a signal asked for it."""
        return self.signal is not None

    def ask(self, number: int, _: Any = None) -> None:
        """Handle a signal."""
        if number == signal.SIGINT and (self.asked or not self.saves):
            raise KeyboardInterrupt
        self.signal = number
        if self.at_once:
            self.leave()

    def leave(self) -> NoReturn:
        """End as the signal asks for."""
        if self.signal == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(ENDED)


@contextlib.contextmanager
def asked_to_end(at_once: bool = False) -> Iterator[Ending]:
    """What the signals asked for while this holds; `at_once` ends it by an exception, so that it can clear up."""
    ending = Ending(at_once)
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number, usual in ((signal.SIGTERM, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler)):
            if signal.getsignal(number) == usual:
                before[number] = signal.signal(number, ending.ask)
    try:
        yield ending
    finally:
        for heard, earlier in before.items():
            signal.signal(heard, earlier)
