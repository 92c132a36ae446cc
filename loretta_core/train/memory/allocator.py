"""Configures the C allocator to keep memory that torch has freed, where it is glibc; elsewhere nothing happens.

A step on a CPU frees and asks for the same megabytes at every layer. By default glibc gives what is free at the end of its heap back to the system again and
again, and each time the pages have to be found and cleared anew: 7 to 9 % of a zeroth-order step (`python tests/benchmarks/bench_heap.py`).
"""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # malloc.h
_LARGEST = 32 << 20
"""Bytes. Larger tensors are mapped outside the heap in any case."""


def configure_allocator() -> None:
    """Keep freed memory in the process from here on, up to 1 GiB at the end of the heap, until `trim`.

    Threads that start later share the main heap: their own arenas would be given back all the same.
    """
    _glibc("mallopt", _ARENA_MAX, 1)
    _glibc("mallopt", _MMAP_THRESHOLD, _LARGEST)
    _glibc("mallopt", _TRIM_THRESHOLD, 1 << 30)


def trim() -> None:
    """Return free memory to the operating system now."""
    _glibc("malloc_trim", 0)


def _glibc(function: str, *arguments: int) -> None:
    try:
        getattr(ctypes.CDLL("libc.so.6"), function)(*arguments)
    except (OSError, AttributeError):
        return
