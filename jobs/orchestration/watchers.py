"""Threads beside the trials of a worker group that pass on an interrupt and growth of the cluster: a signal handler must not call Ray, and Tune is busy."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

INTERRUPT_POLL_S = 0.2
CAPACITY_POLL_S = 5.0

Watcher = Callable[[threading.Event], None]
"""Runs until the event is set."""


@contextmanager
def run_watchers(*watchers: Watcher) -> Iterator[None]:
    """Run each watcher in a thread of its own until the end of the block."""
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


def polling(look: Callable[[], None], *, every_s: float) -> Watcher:
    """Return a watcher that calls `look` every so many seconds, and once more at the end."""

    def watch(over: threading.Event) -> None:
        while not over.wait(every_s):
            look()
        look()

    return watch


def watch_interrupt(requested: threading.Event, *, interrupt: Callable[[], None]) -> Watcher:
    """Return a watcher that calls `interrupt` once when the event is set."""

    def watch(over: threading.Event) -> None:
        while not over.is_set():
            if requested.wait(INTERRUPT_POLL_S):
                interrupt()
                return

    return watch


def watch_capacity(concurrency: int, *, capacity: Callable[[], int], grow: Callable[[int], None]) -> Watcher:
    """Return a watcher that calls `grow` with the capacity whenever it exceeds the concurrency so far: nodes came to the cluster."""

    def watch(over: threading.Event) -> None:
        largest = concurrency
        while not over.wait(CAPACITY_POLL_S):
            try:
                now = capacity()
            except Exception:  # a cluster that does not answer is noticed where cells are waited for
                continue
            if now > largest:
                largest = now
                grow(now)

    return watch
