"""Leaves out the helpers of a Ray of our own that serve nobody: each is a Python process that imports Ray, a second or two of the first that a sweep spends.

monitor       asks a cloud for machines; a Ray of our own has the one on which it runs
log monitor   sends the workers' output to the driver, which does not want it (`log_to_driver=False`)
API server    without a dashboard it has nothing but usage statistics left, which are off
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def lean_ray(*, dashboard: bool) -> Iterator[None]:
    """Start Ray in this block without them. `dashboard`: with the API server."""
    from ray._private.node import Node

    left_out = ["start_monitor", "start_log_monitor", *([] if dashboard else ["start_api_server"])]
    before = {name: getattr(Node, name) for name in left_out}
    for name in left_out:
        setattr(Node, name, _start_nothing)
    try:
        yield
    finally:
        for name, method in before.items():
            setattr(Node, name, method)


def _start_nothing(node: Any, **options: Any) -> None:
    """Stand in for a method of Ray's that starts a process."""
