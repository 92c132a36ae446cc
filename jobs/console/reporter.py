"""What a sweep says while it runs: one plain line per cell, flushed, so that it reads the same in a terminal and in a job's log. On a terminal a live table
of what runs stands below the lines (`live_table.py`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from jobs.console import live_table
from jobs.console.live_table import Say, View
from jobs.failures.outcome import Outcome
from jobs.scheduling.estimate import Estimate
from loretta_core.config import CellConfig
from loretta_core.report.labels import component_labels, varying_columns
from loretta_core.report.units import DASH
from loretta_core.store.records import Record


def _print(text: str) -> None:
    print(text, flush=True)


@dataclass
class SweepReporter:
    """Counts cells that are over, names them, and says how long the rest takes."""

    cells: Sequence[CellConfig]
    """Of the sweep, as far as they are known."""
    over: int = 0
    """Cells of the sweep that are over; those that were finished before count from the start."""
    failed: int = 0
    places: int = 1
    """Cells that are computed at the same time."""
    say: Say = _print
    """Prints a line now."""
    _names: dict[str, str] = field(init=False)
    _by_id: dict[str, CellConfig] = field(init=False)
    _estimate: Estimate = field(default_factory=lambda: Estimate({}))
    _running: dict[str, tuple[float, int]] = field(default_factory=dict)
    """Cell id → when it began, and how many are computed together with it, itself included."""

    def __post_init__(self) -> None:
        self._names = names(self.cells)
        self._by_id = {cell.cell_id: cell for cell in self.cells}

    def expects(self, cells: Sequence[CellConfig], placed: Sequence[CellConfig], *, predicted_s: Mapping[str, float]) -> None:
        """These cells are ahead; a search finds some that the sweep did not know when it began.

        Args:
            placed: those of them that will be computed.
            predicted_s: cell id → seconds that the planner expects.
        """
        new = [cell for cell in cells if cell.cell_id not in self._by_id]
        if new:
            self.cells = (*self.cells, *new)
            self._names, self._by_id = names(self.cells), {cell.cell_id: cell for cell in self.cells}
        self._estimate.predicted_s |= predicted_s
        for cell in placed:
            self._estimate.waits(cell)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """While cells are computed: with the live table, where a person is watching."""
        if not live_table.wanted():
            yield
            return
        plain = self.say
        try:
            with live_table.live_table(self.view) as self.say:
                yield
        finally:
            self.say = plain

    def begins(self, cell: CellConfig, together: int = 1) -> None:
        """A cell is handed out, as one of so many that are computed together."""
        self._estimate.waits(cell, times=-1)
        self._running[cell.cell_id] = time.monotonic(), together

    def done(self, outcome: Outcome, record: Record | None) -> None:
        """Print the line of a cell."""
        self._running.pop(outcome.cell_id, None)
        if outcome.status == "interrupted":
            return
        self.over += 1
        self.failed += outcome.status == "failed"
        if outcome.status == "finished":
            self._estimate.finished(self._by_id[outcome.cell_id], outcome.seconds)
        left = self.time_left()
        self.say(f"[{self.over}/{len(self.cells)}] {self._names[outcome.cell_id]}: {_result(outcome, record)}{f'; {left} left' if left else ''}")

    def time_left(self) -> str:
        """`about 3 min 20 s`; "" when nothing is left, or nothing is known."""
        now = time.monotonic()
        running = [(self._by_id[cell_id], now - began, together) for cell_id, (began, together) in list(self._running.items())]
        seconds = self._estimate.left_s(running, places=self.places)
        return f"about {duration(seconds)}" if seconds and seconds >= 1 else ""

    def view(self) -> View:
        """For the live table. Called from its thread, so that the dictionary is copied first."""
        now, running = time.monotonic(), dict(self._running)
        rows = tuple((self._names[cell_id], duration(now - since), self._expected(cell_id, together)) for cell_id, (since, together) in running.items())
        failed = f", {self.failed} failed" if self.failed else ""
        waiting, left = len(self.cells) - self.over - len(running), self.time_left()
        return View(f"{self.over} of {len(self.cells)} cells are over{failed}", rows, f"{waiting} to come{f'; {left} left' if left else ''}")

    def _expected(self, cell_id: str, together: int) -> str:
        seconds = self._estimate.expected_s(self._by_id[cell_id])
        return DASH if seconds is None else duration(seconds * together)


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
    if outcome.status == "stopped":
        return f"stopped early: {outcome.message}"
    if outcome.status == "failed" or record is None or record.score.value is None:
        return f"failed ({outcome.kind}): {outcome.message}"
    late = f" ({outcome.message})" if outcome.message else ""
    return f"{record.score.name} {record.score.value:.3f} in {duration(outcome.seconds)}{late}"
