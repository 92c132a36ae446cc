"""Python's garbage collector between two cells of one process: a model holds reference cycles, and its memory is wanted by the next cell."""

from __future__ import annotations

import gc
from functools import cache


def collect_garbage() -> None:
    """Collect the cycles of the last cell. The first call also freezes what stays: half a million objects of libraries, which took 0.3 s to look through,
    twice per cell. (A base model that is kept and dropped later has no cycles.)"""
    gc.collect()
    _freeze()


@cache
def _freeze() -> None:
    """Freeze once per process: asking gc whether it was done would count all the objects."""
    gc.freeze()
