"""Where metrics go while a cell trains. The loop knows this protocol and nothing behind it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

Outcome = Literal["finished", "failed"]

JOURNAL_NAME = "metrics.jsonl"
"""A cell's JsonlSink, in its directory."""


@runtime_checkable
class MetricSink(Protocol):
    """Receives the metrics of one cell, in order of steps."""

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Take the metrics of one step. Must return quickly: it is called inside the training loop."""
        ...

    def close(self, status: Outcome, summary: Mapping[str, float]) -> None:
        """The cell is over; `summary` holds its final numbers. Called exactly once."""
        ...


class JsonlSink:
    """One JSON object a line: {"step", "time", metrics…}; appended, so a resumed cell continues its file."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.file = path.open("a", encoding="utf-8", buffering=1)

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Append one line."""
        self.file.write(json.dumps({"step": step, "time": round(time.time(), 3), **metrics}) + "\n")

    def close(self, status: Outcome, summary: Mapping[str, float]) -> None:
        """Append the outcome and close the file."""
        self.file.write(json.dumps({"status": status, "time": round(time.time(), 3), **summary}) + "\n")
        self.file.close()
