"""Keeps Ray, which starts in the process of people's command, off its signals, its output and its interpreter.

Ray replaces the handler of SIGTERM twice when it starts: by one that ends the process, and by one that prints the stacks of all threads. And when a raylet dies
it prints twenty lines of that raylet's log; what is to be said of it, `ray_watch.py` says. And while it waits for its GCS, no other thread of the process runs,
so that nobody can see that there is none any more.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

Function = Callable[..., Any]

SLICE_MS = 100


@contextmanager
def quiet_ray() -> Iterator[None]:
    """Keep Ray quiet until the end of the block."""
    import ray._private.node
    import ray._private.utils
    import ray._private.worker

    replaced: list[tuple[Any, str, Function]] = [
        (ray._private.utils, "set_sigterm_handler", _ignore),
        (ray._private.worker, "print_to_stdstream", _ignore),
        (ray._private.node, "wait_for_persisted_port", _in_slices(ray._private.node.wait_for_persisted_port)),
    ]
    before = [getattr(module, name) for module, name, _ in replaced]
    for module, name, function in replaced:
        setattr(module, name, function)
    try:
        yield
    finally:
        for (module, name, _), function in zip(replaced, before, strict=True):
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


@contextmanager
def own_stderr() -> Iterator[None]:
    """Keep stderr for Python in this block: Ray's library, which has no log before it has started, writes its warnings to the descriptor itself."""
    terminal, ours = os.dup(2), sys.stderr
    if _is_descriptor_2(ours):
        sys.stderr = os.fdopen(os.dup(terminal), "w", buffering=1, encoding=ours.encoding, errors=ours.errors)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)
        sys.stderr.flush()  # and not closed: whoever took it for its log keeps it
        sys.stderr = ours


def _is_descriptor_2(stream: TextIO) -> bool:
    """Return whether a stream writes there; that of a notebook does not."""
    try:
        return stream.fileno() == 2
    except (OSError, AttributeError):
        return False


def _in_slices(wait: Function) -> Function:
    """Return Ray's function with the same result, which waits a tenth of a second at a time: it does not let other threads run."""

    def waited(*arguments: Any, timeout_ms: int = 30_000) -> int:
        deadline = time.monotonic() + timeout_ms / 1000
        while True:
            try:
                return wait(*arguments, timeout_ms=min(timeout_ms, SLICE_MS))
            except RuntimeError:  # Ray's word for a time that is over
                if time.monotonic() > deadline:
                    raise
            time.sleep(0)  # whoever waits for the interpreter gets it

    return waited


def _ignore(*arguments: Any, **named: Any) -> None:
    """Stand in for a function of Ray, with whatever arguments it has."""
