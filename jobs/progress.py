"""What a sweep says while it runs: one plain line per cell, flushed, so that it reads the same in a terminal and in a job's log."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from jobs.mlflow_sink import flat
from jobs.outcome import Outcome
from loretta_core.config import CellConfig
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


def names(cells: Iterable[CellConfig]) -> dict[str, str]:
    """Cell id → a name that is unique among the cells: the label, and the settings in which cells of the same label differ."""
    twins: dict[str, list[CellConfig]] = {}
    for cell in cells:
        twins.setdefault(cell.label, []).append(cell)
    return {cell.cell_id: label + difference for label, group in twins.items() for cell, difference in zip(group, _differences(group), strict=True)}


def duration(seconds: float) -> str:
    """21 s, 3 min 20 s, 2 h 05 min."""
    whole = round(seconds)
    if whole < 1:
        return f"{seconds:.1f} s"
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def counted(number: int, noun: str) -> str:
    """1 cell, 2 cells."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _result(outcome: Outcome, record: Record | None) -> str:
    if outcome.status == "failed" or record is None or record.score is None:
        return f"failed ({outcome.kind}): {outcome.message}"
    late = f" ({outcome.message})" if outcome.message else ""
    return f"{record.score_name} {record.score:.3f} in {duration(outcome.seconds)}{late}"


def _differences(group: Sequence[CellConfig]) -> list[str]:
    tables = [flat(cell.to_dict()) for cell in group]
    varying = [name for name in {name: None for table in tables for name in table} if len({repr(table.get(name)) for table in tables}) > 1]
    return ["".join(f" · {name.rpartition('.')[2]} {table.get(name)}" for name in varying) for table in tables]
