"""Signal handlers of the driver: the first Ctrl-C or SIGTERM asks the sweep to stop cleanly, the second stops it now."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Self

EXIT_BASE = 128
"""A process ended by signal n exits with 128 + n: 130 for Ctrl-C."""


class Interrupts:
    """While open, signals set the event `requested` instead of raising. `signal_number` is 0 until one came."""

    def __init__(self, print_line: Callable[[str], None] = print) -> None:
        self.requested = threading.Event()
        self.signal_number = 0
        self._print_line = print_line
        self._before: dict[int, Any] = {}

    @property
    def exit_code(self) -> int:
        """The exit code that the shell expects of a process that a signal ended."""
        return EXIT_BASE + self.signal_number

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *exc_info: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.requested.is_set():
            raise KeyboardInterrupt
        self.signal_number = number
        self.requested.set()
        self._print_line("stopping: running cells save what they have (once more to stop at once)")
