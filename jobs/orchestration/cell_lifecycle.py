"""What happens around each cell while a sweep runs: may it begin, what became of it, who is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from jobs.console.reporter import SweepReporter
from jobs.failures.outcome import Outcome
from jobs.failures.retry import is_storage_full
from jobs.scheduling import asha_actor
from jobs.scheduling.budget import Account
from jobs.storage.failure_record import write_failure
from jobs.storage.ledger import read_status
from jobs.tracking.mlflow_setup import Tracking
from jobs.tracking.mlflow_sink import close_run
from loretta_core.config import CellConfig
from loretta_core.store.early_stops import EarlyStop, write_early_stop
from loretta_core.store.layout import cell_directory
from loretta_core.store.records import Record
from loretta_core.train.sinks import JOURNAL_NAME


@dataclass
class CellLifecycle:
    """Of one start of a sweep."""

    out: Path
    name: str
    tracking: Tracking
    account: Account
    progress: SweepReporter
    copy: Callable[[str], None] | None = None
    """Told the id of every cell that is finished: a mirror sends it."""
    cells: dict[str, CellConfig] = field(default_factory=dict)
    """Those that are ahead or over, by id."""
    finished: list[CellConfig] = field(default_factory=list)
    no_room: str = ""
    """Storage is full or read-only: why no further cell begins. Such a cell has not failed; it goes on when there is room."""

    def expects(self, cells: Sequence[CellConfig], placed: Sequence[CellConfig], *, predicted_s: Mapping[str, float]) -> None:
        """These cells are ahead, `placed` as they will be computed."""
        self.cells |= {cell.cell_id: cell for cell in cells}
        self.progress.expects(cells, placed, predicted_s=predicted_s)

    def begins(self, cell: CellConfig, together: int = 1) -> bool:
        """Whether the next cell may begin, as one of so many that are computed together; it is counted then."""
        if self.no_room or not self.account.may_begin():
            return False
        self.progress.begins(cell, together)
        return True

    def done(self, outcome: Outcome) -> None:
        """A cell is over."""
        cell = self.cells[outcome.cell_id]
        self.account.charge(cell, seconds=outcome.seconds)
        if outcome.kind == "storage":
            self.no_room = self.no_room or outcome.message
            return
        try:
            outcome, record = settle(outcome, cell=cell, out=self.out, name=self.name, tracking=self.tracking)
        except OSError as error:
            if not is_storage_full(error):
                raise
            self.no_room = self.no_room or str(error)
            return
        if outcome.status == "finished":
            self.finished.append(cell)
            if self.copy is not None:
                self.copy(cell.cell_id)
        self.progress.done(outcome, record)


def settle(outcome: Outcome, *, cell: CellConfig, out: Path, name: str, tracking: Tracking) -> tuple[Outcome, Record | None]:
    """Compare an outcome with the record it left, which decides; record a failure, note an early stop. Returns the outcome as it stands now, and the record.

    Args:
        name: of the sweep.
    """
    record = read_status(out, [cell]).finished.get(cell.cell_id)
    if record is not None:
        return replace(outcome, status="finished"), record  # a process that died, or a sink that broke, after the record was written
    if outcome.status == "finished":
        message = f"the worker wrote no record that can be read at {cell_directory(out, cell.cell_id)}: do all nodes of the cluster share {out}?"
        outcome = replace(outcome, status="failed", kind="infrastructure", message=message)
    if outcome.status == "failed":
        record = write_failure(out, cell, outcome)
        if outcome.kind == "infrastructure":
            close_run(tracking, cell, outcome, directory=cell_directory(out, cell.cell_id))
    if outcome.status == "stopped":
        points = tuple(asha_actor.points_in(cell_directory(out, cell.cell_id) / JOURNAL_NAME))
        now = datetime.now(UTC).isoformat(timespec="seconds")
        write_early_stop(EarlyStop(cell_id=cell.cell_id, reason=outcome.message, points=points, stopped_at=now), out, name=name)
    return outcome, record
