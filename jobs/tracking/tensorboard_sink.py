"""TensorBoard as a sink of a sweep: one directory of events per cell, with its settings for the HPARAMS tab.

    OUT/tensorboard/SWEEP/METHOD-TRAINER-seedN-CELL/events.out.tfevents.…         tensorboard --logdir OUT/tensorboard

Events have no name under which one could be found again, so a directory is written anew by each process that supplies it: from the first line of the journal.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.failures.outcome import Outcome
from jobs.tracking.facts import cell_facts
from jobs.tracking.journal import Journal, Point, select_unsent
from loretta_core.config import CellConfig
from loretta_core.store.layout import cell_directory
from loretta_core.store.notes.sent import Sent, note_sent
from loretta_core.train.sinks import JOURNAL_NAME, SYSTEM_JOURNAL_NAME

if TYPE_CHECKING:
    from loretta_core.report.compare import SweepComparison


def tensorboard_place(out: Path) -> str:
    """Return the directory that `tensorboard --logdir` takes."""
    return str((out / "tensorboard").resolve())


class TensorboardSweep:
    """The events of the cells of a sweep."""

    name = "tensorboard"

    def __init__(self, out: Path, *, sweep: str) -> None:
        self.to = tensorboard_place(out)
        self._out = out
        self._sweep = sweep

    def open_cell(self, cell: CellConfig) -> TensorboardSink:
        """Return the sink of a cell."""
        name = f"{cell.method.short_name}-{cell.trainer.type}-seed{cell.seed}-{cell.cell_id}"
        events = Path(self.to) / self._sweep / re.sub(r"[^\w.-]+", "_", name)
        return TensorboardSink(cell, directory=cell_directory(self._out, cell.cell_id), events=events, sweep=self._sweep)

    def begin(self) -> None:
        """Nothing is left running in files."""

    def publish(self, comparison: SweepComparison | None, *, complete: bool) -> None:
        """TensorBoard has no place for a verdict."""


class TensorboardSink:
    """The events of one cell.

    Args:
        directory: the cell's directory.
        events: the directory of its events.
    """

    def __init__(self, cell: CellConfig, *, directory: Path, events: Path, sweep: str) -> None:
        self._cell = cell
        self._directory = directory
        self._events = events
        self._sweep = sweep
        self._journals = [Journal(directory / JOURNAL_NAME), Journal(directory / SYSTEM_JOURNAL_NAME)]
        self._sent_to: dict[str, int] = {}
        self._writer: Any = None
        self.problem = ""
        """The reason why events are missing; "" when none are."""

    def flush(self) -> None:
        """Write what is new in the journals."""
        try:
            self._write([point for journal in self._journals for point in journal.new_points()])
        except OSError as error:
            self.problem = f"events cannot be written ({error.strerror}); they are in {JOURNAL_NAME}"
        else:
            self.problem = ""

    def end_run(self, outcome: Outcome) -> None:
        """Write the rest and close the file."""
        self.flush()
        if not self.problem and self._writer is not None:
            self._writer.close()
        if not self.problem and outcome.status == "finished":
            note_sent(self._directory, Sent(sink="tensorboard", to=str(self._events.parents[1]), sweep=self._sweep, run_id=self._events.name))

    def _write(self, points: list[Point]) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        if self._writer is None:
            self._writer = self._begin()
        fresh, self._sent_to = select_unsent(points, self._sent_to)
        for point in fresh:
            summary = Summary(value=[Summary.Value(tag=point.name, simple_value=point.value)])
            self._writer.add_event(Event(wall_time=point.time_ms / 1000, step=point.step, summary=summary))
        self._writer.flush()

    def _begin(self) -> Any:
        """Begin the directory anew, with the settings."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.plugins.hparams.summary_v2 import hparams_pb
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        shutil.rmtree(self._events, ignore_errors=True)
        self._events.mkdir(parents=True)
        writer = EventFileWriter(str(self._events))
        settings = cell_facts.params(self._cell) | cell_facts.numbers(self._cell) | cell_facts.tags(self._cell)
        writer.add_event(Event(summary=hparams_pb(settings, trial_id=self._cell.cell_id)))
        return writer
