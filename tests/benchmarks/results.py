"""Results of a benchmark: lines for people, JSON for the record."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch


@dataclass(frozen=True)
class Result:
    """One line of the report: `value` and what it was made of."""

    name: str
    value: float
    unit: str
    ours: float | None = None
    other: float | None = None
    target: str = ""
    met: bool | None = None
    note: str = ""

    @property
    def verdict(self) -> str:
        """Says if the target was met, for the end of a line."""
        return f"  (target {self.target}: {'met' if self.met else 'NOT MET'})" if self.target else ""


def ratio(name: str, ours: float, other: float, *, unit: str = "times", at_least: float | None = None, note: str = "") -> Result:
    """Their time, or size, over ours."""
    value = other / ours
    return Result(name, value, unit, ours, other, f">= {at_least:g}" if at_least else "", value >= at_least if at_least else None, note)


def write(path: Path, results: Sequence[Result], *, quick: bool, **machine: object) -> None:
    """The report as JSON. `machine`: what matters of it beside the versions."""
    of = {"torch": torch.__version__, "python": platform.python_version(), "threads": torch.get_num_threads(), **machine}
    path.write_text(json.dumps({"quick": quick, "machine": of, "results": [asdict(one) for one in results]}, indent=2) + "\n")
