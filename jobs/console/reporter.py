"""The console output of a running sweep: one plain line per cell, flushed, so that it reads the same in a terminal and in a job's log. On a terminal a live
table of the running cells stands below the lines (`live_table.py`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from jobs.console import live_table
from jobs.console.live_table import PrintLine, Snapshot
from jobs.failures.outcome import Outcome
from jobs.scheduling.estimate import Estimate
from loretta_core.config import CellConfig
from loretta_core.report import units
from loretta_core.report.labels import component_labels, varying_columns
from loretta_core.report.units import DASH
from loretta_core.store.records import Record


def print_line(text: str) -> None:
    """Print a line now."""
    print(text, flush=True)


@dataclass
class SweepReporter:
    """Prints the events of a sweep (`SweepEvents` of orchestration/events.py), with a count of the cells that are over and the time that the rest takes."""

    cells: Sequence[CellConfig]
    """The cells of the sweep, as far as they are known."""
    over: int = 0
    """The number of cells that are over; those that were finished before count from the start."""
    failed: int = 0
    concurrency: int = 1
    """The number of cells, or packs of them, that are computed at the same time."""
    _print: PrintLine = print_line
    _names: dict[str, str] = field(init=False)
    _by_id: dict[str, CellConfig] = field(init=False)
    _estimate: Estimate = field(default_factory=lambda: Estimate({}))
    _running: dict[str, tuple[float, int]] = field(default_factory=dict)
    """Cell id → when it started, and the size of its pack."""

    def __post_init__(self) -> None:
        self._names = names(self.cells)
        self._by_id = {cell.cell_id: cell for cell in self.cells}

    def on_cells_added(
        self,
        cells: Sequence[CellConfig],
        *,
        placed: Sequence[CellConfig],
        predicted_s: Mapping[str, float],
        scoring_s: Mapping[str, float],
        roles: Mapping[str, str],
    ) -> None:
        """Count the cells that will be computed; a search adds some that the sweep did not know when it started."""
        new = [cell for cell in cells if cell.cell_id not in self._by_id]
        if new:
            self.cells = (*self.cells, *new)
            self._names, self._by_id = names(self.cells), {cell.cell_id: cell for cell in self.cells}
        self._names |= roles
        self._estimate.predicted_s |= predicted_s
        self._estimate.scoring_s |= scoring_s
        for cell in placed:
            self._estimate.add_waiting(cell)

    @contextmanager
    def live(self) -> Iterator[None]:
        """Show the live table until the end of the block, where the output is a terminal."""
        if not live_table.is_interactive():
            yield
            return
        plain = self._print
        try:
            with live_table.live_table(self.snapshot) as self._print:
                yield
        finally:
            self._print = plain

    def on_cell_started(self, cell: CellConfig, *, pack_size: int = 1) -> None:
        """Note when the cell started."""
        self._estimate.remove_waiting(cell)
        self._running[cell.cell_id] = time.monotonic(), pack_size

    def on_outcome(self, outcome: Outcome, record: Record | None) -> None:
        """Print the line of a cell that is over."""
        self._running.pop(outcome.cell_id, None)
        if outcome.status == "interrupted":
            return
        self.over += 1
        self.failed += outcome.status == "failed"
        if outcome.status == "finished":
            self._estimate.add_finished(self._by_id[outcome.cell_id], outcome.seconds)
        left = self.time_left()
        self._print(f"[{self.over}/{len(self.cells)}] {self._names[outcome.cell_id]}: {_result(outcome, record)}{f'; {left} left' if left else ''}")

    def on_concurrency_changed(self, concurrency: int) -> None:
        """Note how many cells are computed at the same time, for the estimate of the time left."""
        self.concurrency = concurrency

    def on_message(self, text: str) -> None:
        """Print a line for people."""
        self._print(text)

    def time_left(self) -> str:
        """Return `about 3 min 20 s`; "" when nothing is left, or nothing is known."""
        now = time.monotonic()
        running = [(self._by_id[cell_id], now - started, pack_size) for cell_id, (started, pack_size) in list(self._running.items())]
        seconds = self._estimate.remaining_s(running, concurrency=self.concurrency)
        return f"about {duration(seconds)}" if seconds and seconds >= 1 else ""

    def snapshot(self) -> Snapshot:
        """Return the content of the live table. Called from its thread, so that the dictionary is copied first."""
        now, running = time.monotonic(), dict(self._running)
        rows = tuple((self._names[cell_id], duration(now - started), self._expected(cell_id, pack_size)) for cell_id, (started, pack_size) in running.items())
        failed = f", {self.failed} failed" if self.failed else ""
        waiting, left = len(self.cells) - self.over - len(running), self.time_left()
        return Snapshot(f"{self.over} of {len(self.cells)} cells are over{failed}", rows, f"{waiting} to come{f'; {left} left' if left else ''}")

    def _expected(self, cell_id: str, pack_size: int) -> str:
        seconds = self._estimate.expected_s(self._by_id[cell_id])
        return DASH if seconds is None else duration(seconds * pack_size)


def names(cells: Sequence[CellConfig]) -> dict[str, str]:
    """Name every cell by the settings that differ within its sweep: cell id → `toy-bert · toy_sentiment · lora r=8 · adam · seed 0`."""
    extra = [name for name in varying_columns(cells) if name != "seed"]
    labels = zip(cells, component_labels(cells), strict=True)
    return {cell.cell_id: " · ".join([*label.values(), *(f"{name}={getattr(cell, name)}" for name in extra), f"seed {cell.seed}"]) for cell, label in labels}


def duration(seconds: float) -> str:
    """Format seconds as 21 s, 3 min 20 s or 2 h 05 min."""
    whole = round(seconds)
    if whole < 1:
        return f"{seconds:.1f} s"
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def _result(outcome: Outcome, record: Record | None) -> str:
    if outcome.status == "stopped":
        return f"stopped early: {outcome.message}"
    if outcome.status == "failed" or record is None:
        return f"failed ({outcome.kind}): {outcome.message}"
    late = f" ({outcome.message})" if outcome.message else ""
    split, value = ("validation ", record.score.validation) if record.unscored else ("", record.score.value)
    return f"{split}{record.score.name} {units.share(value)} in {duration(outcome.seconds)}{late}"
