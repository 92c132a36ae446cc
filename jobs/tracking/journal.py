"""Reading a cell's metrics.jsonl, the journal that MLflow's metrics are sent from: it survives the process, so that what is missing can be sent later.

A line is {"step", "time", metrics…}, or {"status", "time", final numbers…} at the end of an attempt. A resumed cell appends, so that steps after its
checkpoint come twice.
"""

from __future__ import annotations

import json
import math
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
        return [point for line in complete.splitlines() for point in _points(line)]


def _points(line: bytes) -> list[Point]:
    try:
        entry = json.loads(line)
        time_ms = int(entry.pop("time") * 1000)
    except (ValueError, TypeError, KeyError, AttributeError):
        return []  # torn by a crash; the attempt after it wrote the step again
    final = "status" in entry
    step = 0 if final else entry["step"]
    values = {name: value for name, value in entry.items() if name not in ("status", "step")}
    return [Point(name, float(value), time_ms, step, final) for name, value in values.items() if math.isfinite(value) or not final]
