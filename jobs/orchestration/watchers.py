"""What goes on beside the trials of a shape, each in a thread of its own: a signal handler must not call Ray, and Tune is busy."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from jobs.orchestration.signals import Interrupts

INTERRUPT_LOOK_S = 0.2
ROOM_LOOK_S = 5.0

Watcher = Callable[[threading.Event], None]
"""Runs until the event is set."""


@contextmanager
def beside(*watchers: Watcher) -> Iterator[None]:
    """Run functions until the end of the block."""
    over = threading.Event()
    threads = [threading.Thread(target=watcher, args=(over,), daemon=True) for watcher in watchers]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def passes_on(interrupts: Interrupts, *, to: Callable[[], None]) -> Watcher:
    """Calls `to` when an interrupt is requested."""

    def watch(over: threading.Event) -> None:
        while not over.is_set():
            if interrupts.requested.wait(INTERRUPT_LOOK_S):
                to()
                return

    return watch


def grows(places: int, *, room: Callable[[], int], grow: Callable[[int], None]) -> Watcher:
    """Calls `grow` with the number of places whenever there is room for more: machines came to the cluster."""

    def watch(over: threading.Event) -> None:
        most = places
        while not over.wait(ROOM_LOOK_S):
            try:
                now = room()
            except Exception:  # a cluster that does not answer is noticed where cells are waited for
                continue
            if now > most:
                most = now
                grow(now)

    return watch
