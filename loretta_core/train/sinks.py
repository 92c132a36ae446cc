"""Sinks: receivers of a cell's metrics while it trains. The loop knows the protocol MetricSink only."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

Outcome = Literal["finished", "failed"]

JOURNAL_NAME = "metrics.jsonl"
"""File name of the JsonlSink in the directory of a cell."""

SYSTEM_JOURNAL_NAME = "system.jsonl"
"""File name of the samples of processors, memory, disk and network that are taken while a cell trains for long; lines as in the journal."""

UNALIGNED = "starts_unaligned"
"""Metric of step 0 that is 1 where a zeroth-order cell's prompt answers no better than the most frequent label, and missing elsewhere."""


EQUAL_REWARDS = "equal_rewards"
"""Metric that is 1 at a step whose rewards were all equal, so that nothing was learned from it, and missing elsewhere."""


@runtime_checkable
class MetricSink(Protocol):
    """Receives the metrics of one cell, in order of steps."""

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Take the metrics of one step. Must return quickly: it is called inside the training loop."""
        ...

    def close(self, status: Outcome, summary: Mapping[str, float]) -> None:
        """Take the status and the final numbers of a cell that has ended. Called exactly once."""
        ...


class JsonlSink:
    """A sink that writes one JSON object a line: {"step", "time", metrics…}; it appends, so a resumed cell continues its file."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.file = path.open("a", encoding="utf-8", buffering=1)

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Append a line with the metrics of one step."""
        self.file.write(json.dumps({"step": step, "time": round(time.time(), 3), **metrics}) + "\n")

    def close(self, status: Outcome, summary: Mapping[str, float]) -> None:
        """Append the outcome and close the file."""
        self.file.write(json.dumps({"status": status, "time": round(time.time(), 3), **summary}) + "\n")
        self.file.close()
