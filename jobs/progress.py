"""What a sweep says while it runs: one plain line per cell, flushed, so that it reads the same in a terminal and in a job's log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from jobs.outcome import Outcome
from loretta_core.config import CellConfig
from loretta_core.report.labels import component_labels, varying_columns
from loretta_core.report.records import Record


@dataclass
class Progress:
    """Counts cells that are over and names them."""

    cells: Sequence[CellConfig]
    over: int = 0
    """Cells of the sweep that are over; those that were finished before count from the start."""
    failed: int = 0
    _names: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._names = names(self.cells)

    def done(self, outcome: Outcome, record: Record | None) -> None:
        """Print the line of a cell."""
        if outcome.status == "interrupted":
            return
        self.over += 1
        self.failed += outcome.status == "failed"
        self.say(f"[{self.over}/{len(self.cells)}] {self._names[outcome.cell_id]}: {_result(outcome, record)}")

    def say(self, text: str) -> None:
        """Print now."""
        print(text, flush=True)


def names(cells: Sequence[CellConfig]) -> dict[str, str]:
    """Cell id → `toy-bert · toy_sentiment · lora r=8 · adam · seed 0`: what tells the cell from the others of its sweep."""
    extra = [name for name in varying_columns(cells) if name != "seed"]
    labels = zip(cells, component_labels(cells), strict=True)
    return {cell.cell_id: " · ".join([*label.values(), *(f"{name}={getattr(cell, name)}" for name in extra), f"seed {cell.seed}"]) for cell, label in labels}


def duration(seconds: float) -> str:
    """21 s, 3 min 20 s, 2 h 05 min."""
    whole = round(seconds)
    if whole < 1:
        return f"{seconds:.1f} s"
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def _result(outcome: Outcome, record: Record | None) -> str:
    if outcome.status == "failed" or record is None or record.score is None:
        return f"failed ({outcome.kind}): {outcome.message}"
    late = f" ({outcome.message})" if outcome.message else ""
    return f"{record.score_name} {record.score:.3f} in {duration(outcome.seconds)}{late}"
