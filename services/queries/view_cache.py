"""A cache that serves a stale value while a thread makes the new one, as HTTP's stale-while-revalidate does.

A value is stale when it is older than ten times what it cost to make, and at least a second old: so making values never takes more than a tenth of the time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")

MIN_FRESH_S = 1.0
FRESH_PER_COST = 10.0
"""Time that a value counts as fresh, as a multiple of the time that it took to make."""

BACKGROUND_COST_S = 0.2
"""Values that cost more are made again in the background; cheaper ones while the caller waits."""


@dataclass
class _Entry(Generic[T]):
    value: T
    made_at: float
    cost_s: float
    refreshing: bool = False

    def is_stale(self) -> bool:
        return time.monotonic() - self.made_at > max(MIN_FRESH_S, FRESH_PER_COST * self.cost_s)


@dataclass
class StaleWhileRevalidateCache(Generic[T]):
    """Values by key, made again once they are stale: by the first caller that asks, while the others get the old value.

    Args:
        make: called with a key and its previous value, or None.
    """

    make: Callable[[str, T | None], T]
    _entries: dict[str, _Entry[T]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _making: dict[str, threading.Lock] = field(default_factory=dict)

    def get(self, key: str) -> T:
        """Return the value of a key; callers wait only where there is none yet or it is cheap to make."""
        with self._lock:
            entry = self._entries.get(key)
            making = self._making.setdefault(key, threading.Lock())
            if entry is not None and (entry.refreshing or not entry.is_stale()):
                return entry.value
            if entry is not None and entry.cost_s > BACKGROUND_COST_S:
                entry.refreshing = True
                threading.Thread(target=self._refresh, args=(key,), daemon=True, name=f"view {key}").start()
                return entry.value
        with making:
            with self._lock:
                current = self._entries.get(key)
            if current is not entry and current is not None:  # another thread made it while this one waited
                return current.value
            return self._refresh(key)

    def _refresh(self, key: str) -> T:
        started = time.monotonic()
        previous = self._entries.get(key)
        try:
            value = self.make(key, previous.value if previous else None)
        except BaseException:
            with self._lock:
                self._entries.pop(key, None)
            raise
        with self._lock:
            self._entries[key] = _Entry(value, time.monotonic(), time.monotonic() - started)
        return value
