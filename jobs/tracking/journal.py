"""Reading a cell's metrics.jsonl, the journal that tracking stores are supplied from: it survives the process, so that what is missing can be sent later.

A line is {"step", "time", metrics…}, or {"status", "time", final numbers…} at the end of an attempt. A resumed cell appends, so that steps after its
checkpoint come twice.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple


class Point(NamedTuple):
    """One value of one metric."""

    name: str
    value: float
    time_ms: int
    step: int
    final: bool = False
    """A final number of the cell, not a point of a curve."""


class Journal:
    """Reads a journal while it is written: each time, the lines that were added since the last time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self.first_ms: int | None = None
        """Time of the first line that was read, in milliseconds since 1970."""
        self.last_ms: int | None = None
        """Time of the last one."""

    def new_points(self) -> list[Point]:
        """Return the points of the lines that are new and complete, in the order in which they were written; none when there is no file."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return []
        complete = data[: data.rfind(b"\n") + 1]
        self._offset += len(complete)
        return [point for line in complete.splitlines() for point in self._points(line)]

    def _points(self, line: bytes) -> list[Point]:
        try:
            entry = json.loads(line)
            time_ms = int(entry.pop("time") * 1000)
        except (ValueError, TypeError, KeyError, AttributeError):
            return []  # torn by a crash; the attempt after it wrote the step again
        self.first_ms, self.last_ms = time_ms if self.first_ms is None else self.first_ms, time_ms
        final = "status" in entry
        step = 0 if final else entry["step"]
        values = {name: value for name, value in entry.items() if name not in ("status", "step")}
        return [Point(name, float(value), time_ms, step, final) for name, value in values.items() if math.isfinite(value) or not final]


def select_unsent(points: Iterable[Point], sent_to: Mapping[str, int]) -> tuple[list[Point], dict[str, int]]:
    """Return the points beyond the last step of their metric that a store has, once each, and the last steps after them. Final numbers are always sent: an
    earlier attempt may have sent others."""
    fresh, reached = [], dict(sent_to)
    for point in points:
        if point.final or point.step > reached.get(point.name, -1):
            fresh.append(point)
            reached[point.name] = max(point.step, reached.get(point.name, -1))
    return fresh, reached
