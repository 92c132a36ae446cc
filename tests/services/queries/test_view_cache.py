"""The stale-while-revalidate cache: a costly value is made once, and the old one is served meanwhile."""

import threading
import time

from services.queries import view_cache
from services.queries.view_cache import StaleWhileRevalidateCache


def test_a_costly_view_is_made_once_and_served_stale_meanwhile(monkeypatch):
    monkeypatch.setattr(view_cache, "MIN_FRESH_S", 0.0)
    monkeypatch.setattr(view_cache, "FRESH_PER_COST", 0.0)
    made = []

    def make(key, before):
        made.append(key)
        time.sleep(0.25)
        return len(made)

    fresh = StaleWhileRevalidateCache(make)
    threads = [threading.Thread(target=fresh.get, args=("a",)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == ["a"]
    started = time.monotonic()
    assert fresh.get("a") == 1
    assert time.monotonic() - started < 0.1
    deadline = time.monotonic() + 5
    while len(made) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(made) == 2
