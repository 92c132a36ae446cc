"""Keeps Ray, which starts in the process of people's command, off its signals and its output.

Ray replaces the handler of SIGTERM twice when it starts: by one that ends the process, and by one that prints the stacks of all threads. And when a raylet dies
it prints twenty lines of that raylet's log; what is to be said of it, `ray_watch.py` says.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def quiet_ray() -> Iterator[None]:
    """Keep Ray quiet until the end of the block."""
    import ray._private.utils
    import ray._private.worker

    quieted = [(ray._private.utils, "set_sigterm_handler"), (ray._private.worker, "print_to_stdstream")]
    before = [getattr(module, name) for module, name in quieted]
    for module, name in quieted:
        setattr(module, name, _ignore)
    try:
        yield
    finally:
        for (module, name), function in zip(quieted, before, strict=True):
            setattr(module, name, function)


@contextmanager
def own_sigterm() -> Iterator[None]:
    """Put our handler of SIGTERM back at the end of the block, in which Ray starts: its second handler is the C library's, which Python does not see."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, ours)


def _ignore(*arguments: Any, **named: Any) -> None:
    """Stand in for a function of Ray, with whatever arguments it has."""
