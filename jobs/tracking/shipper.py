"""The thread of the driver that supplies the sinks of a sweep, so that neither a cell nor the driver waits for a tracking store.

    cell_started, cell_over, add ─► inbox ─► one lane per sink ─► store

A lane sends running cells every few seconds and finished ones as soon as they are over. When its store does not answer, it leaves it alone for RETRY_S. What is
not sent when the sweep ends is sent by the next start, or by `loretta sync`: nothing is kept here that is not in the output directory.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from jobs.failures.outcome import Outcome
from jobs.tracking.sink import CellSink, Sink, unsynced_cells
from loretta_core.config import CellConfig
from loretta_core.store.layout import cell_directory
from loretta_core.store.manifest import sweep_directory
from loretta_core.store.notes.sent import Sent, note_sent
from loretta_core.train.sinks import JOURNAL_NAME

if TYPE_CHECKING:
    from loretta_core.report.compare import SweepComparison

POLL_S = 0.5
FLUSH_S = 5.0
"""Seconds between two looks at the journals of running cells."""

RETRY_S = 30.0
PATIENCE_S = 30.0
"""Seconds that the end of a sweep waits for a store that takes nothing."""

GIVE_UP_AFTER = 2
"""Failures in a row with which the end of a sweep takes a store for dead: one may be a cell's own."""


@dataclass
class Lane:
    """One sink, the cells that run, and those that are over and not sent yet."""

    sink: Sink
    running: dict[str, tuple[CellConfig, CellSink]] = field(default_factory=dict)
    over: deque[tuple[CellConfig, Outcome, CellSink]] = field(default_factory=deque)
    problem: str = ""
    begun: bool = False
    next_flush: float = 0.0
    retry_at: float = 0.0
    failures: int = 0
    """Attempts in a row that failed."""

    def start(self, cell: CellConfig) -> None:
        """Note that a cell runs."""
        self.running[cell.cell_id] = (cell, self.sink.open_cell(cell))

    def end(self, cell: CellConfig, outcome: Outcome) -> None:
        """Note that a cell is over."""
        _, opened = self.running.pop(cell.cell_id, (cell, None))
        self.over.append((cell, outcome, opened or self.sink.open_cell(cell)))

    def work(self, *, out: Path, closing: bool) -> bool:
        """Send what there is. Returns whether anything was sent."""
        if self.dead if closing else time.monotonic() < self.retry_at:
            return False
        if not self.begun:
            self.begun = self._tried(self.sink.begin)
            return self.begun
        if self.over:
            return self._send_first()
        if time.monotonic() >= self.next_flush and not closing:
            self.next_flush = time.monotonic() + FLUSH_S
            return self._flush(out)
        return False

    @property
    def dead(self) -> bool:
        """True if the store has failed so often that the end of the sweep does not wait for it."""
        return self.failures >= GIVE_UP_AFTER or (self.failures > 0 and len(self.over) <= 1)

    def publish(self, comparison: SweepComparison | None, *, complete: bool) -> None:
        """Send what the sweep has found, and note that it is there."""
        if self._tried(lambda: self.sink.publish(comparison, complete=complete)) and comparison is not None and not self.over:
            note_sent(sweep_directory(comparison.out, name=comparison.name), Sent(sink=self.sink.name, to=self.sink.to, sweep=comparison.name))

    def _send_first(self) -> bool:
        entry = self.over.popleft()
        entry[2].end_run(entry[1])
        if not self._succeeded(entry[2].problem):
            self.over.append(entry)  # at the end: what is wrong with one cell must not hold up the others
            return False
        return True

    def _flush(self, out: Path) -> bool:
        for cell, opened in self.running.values():
            if (cell_directory(out, cell.cell_id) / JOURNAL_NAME).is_file():  # before, the cell waits for a worker
                opened.flush()
                if not self._succeeded(opened.problem):
                    return False
        return True

    def _tried(self, send: Callable[[], None]) -> bool:
        try:
            send()
        except Exception as error:  # a process edge: libraries of stores raise anything
            return self._succeeded(f"it does not answer ({type(error).__name__})")
        return self._succeeded("")

    def _succeeded(self, problem: str) -> bool:
        self.problem = problem
        self.failures = self.failures + 1 if problem else 0
        self.retry_at = time.monotonic() + RETRY_S if problem else 0.0
        return not problem


class Shipper:
    """Supplies sinks from an output directory. Without sinks it does nothing.

    Args:
        out: the output directory; the caller holds its lock.
    """

    def __init__(self, sinks: Sequence[Sink] = (), *, out: Path) -> None:
        self._out = out
        self._lanes = [Lane(sink) for sink in sinks]
        self._inbox: SimpleQueue[Callable[[Lane], None]] = SimpleQueue()
        self._last_progress = time.monotonic()
        self._closing = threading.Event()
        self._ending: tuple[SweepComparison | None, bool] | None = None
        self._thread = threading.Thread(target=self._run, name="shipper", daemon=True)
        if self._lanes:
            self._thread.start()

    def cell_started(self, cell: CellConfig) -> None:
        """A cell was handed out."""
        self._inbox.put(lambda lane: lane.start(cell))

    def cell_over(self, cell: CellConfig, outcome: Outcome) -> None:
        """A cell is over for this start of the sweep."""
        self._inbox.put(lambda lane: lane.end(cell, outcome))

    def send_missing(self, cells: Iterable[CellConfig], *, sweep: str) -> None:
        """Send those of the finished cells that a sink does not have."""
        finished = list(cells)

        def end_missing(lane: Lane) -> None:
            for cell in unsynced_cells(self._out, finished, sink=lane.sink.name, to=lane.sink.to, sweep=sweep):
                lane.end(cell, Outcome(cell.cell_id, "finished"))

        self._inbox.put(end_missing)

    def finish(self, comparison: SweepComparison | None, *, complete: bool, patience_s: float = PATIENCE_S) -> list[str]:
        """Send the rest and what the sweep found. Returns what went wrong, a line per sink; waits no longer than `patience_s` for one that takes nothing."""
        if not self._lanes:
            return []
        self._ending = (comparison, complete)
        self._last_progress = time.monotonic()
        self._closing.set()
        while self._thread.is_alive() and time.monotonic() - self._last_progress < patience_s:
            self._thread.join(POLL_S)
        return [
            f"{lane.sink.name} at {lane.sink.to}: {lane.problem or 'it is slow'}; `loretta sync`, or the same command, sends what is missing there"
            for lane in self._lanes
            if lane.problem or lane.over or self._thread.is_alive()
        ]

    def _run(self) -> None:
        sent = False
        while not self._closing.is_set():
            self._take_in(0.0 if sent else POLL_S)
            sent = self._work()
        self._take_in(0.0)
        while any(not lane.dead and (lane.over or not lane.begun) for lane in self._lanes):
            self._work()
        assert self._ending is not None
        for lane in self._lanes:
            if not lane.dead:
                lane.publish(self._ending[0], complete=self._ending[1])

    def _work(self) -> bool:
        sent = [lane.work(out=self._out, closing=self._closing.is_set()) for lane in self._lanes]
        if any(sent):
            self._last_progress = time.monotonic()
        return any(sent)

    def _take_in(self, wait_s: float) -> None:
        """Take what has been said in the meantime; wait so long for the first word."""
        try:
            said = self._inbox.get(timeout=wait_s) if wait_s else self._inbox.get_nowait()
            while True:
                for lane in self._lanes:
                    said(lane)
                said = self._inbox.get_nowait()
        except Empty:
            return
