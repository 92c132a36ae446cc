"""The life of each cell in one start of a sweep: added, started, over. It decides whether a cell may start and what its outcome means, and reports both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from jobs.failures.outcome import Outcome
from jobs.failures.retry import is_storage_full
from jobs.orchestration.events import SweepEvents
from jobs.orchestration.search_rounds import SearchRounds, named_roles
from jobs.scheduling.admission import admit
from jobs.scheduling.asha_actor import read_points
from jobs.scheduling.budget import Account
from jobs.scheduling.estimate import predict_durations
from jobs.scheduling.resources import Node
from jobs.storage.failure_record import write_failure
from jobs.storage.ledger import read_status
from jobs.storage.mirror import Mirror
from jobs.tracking.shipper import Shipper
from loretta_core.config import CellConfig
from loretta_core.errors import OutputError
from loretta_core.store.early_stops import EarlyStop, write_early_stop
from loretta_core.store.layout import cell_directory
from loretta_core.store.records import Record
from loretta_core.train.sinks import JOURNAL_NAME


@dataclass(kw_only=True)
class CellLifecycle:
    """Takes every cell of one start of a sweep from its admission to its outcome."""

    out: Path
    search: SearchRounds
    shipper: Shipper
    """Gets every cell that starts, and its outcome."""
    account: Account
    events: SweepEvents
    nodes: Callable[[], Sequence[Node]]
    """Returns the nodes that the cluster has now."""
    mirror: Mirror | None = None
    """Gets every finished cell."""
    cells: dict[str, CellConfig] = field(default_factory=dict)
    """All cells that were added, by id."""
    placed: int = 0
    """The number of them that a node can hold."""
    no_room: str = ""
    """Storage is full or read-only: why no further cell starts. Such a cell has not failed; it goes on when there is room."""

    def add(self, cells: Sequence[CellConfig]) -> Sequence[CellConfig]:
        """Admit cells, and record the others as failed. Returns the admitted ones with their engines."""
        admission = admit(cells, self.nodes())
        self.cells |= {cell.cell_id: cell for cell in cells}
        self.placed += len(admission.placed)
        scoring_s = {cell_id: record.cost.beside_training_s for cell_id, record in read_status(self.out, cells).unscored.items()}
        predicted_s = predict_durations(admission.placed, self.nodes())
        self.events.on_cells_added(cells, placed=admission.placed, predicted_s=predicted_s, scoring_s=scoring_s, roles=named_roles(self.search.config))
        for cell, reason in admission.refused:
            self.on_outcome(Outcome(cell.cell_id, "failed", kind="memory", message=reason))
        return admission.placed

    def next_round(self) -> Sequence[CellConfig] | None:
        """Add the cells of the search's next round and return the admitted ones; None when the search is over."""
        cells = self.search.next_round()
        return self.add(cells) if cells else None

    def try_start(self, cell: CellConfig, *, pack_size: int = 1) -> bool:
        """Start a cell, in a pack of so many cells, if storage and budget allow it; returns whether they do."""
        if self.no_room or not self.account.try_start():
            return False
        self.shipper.cell_started(cell)
        self.events.on_cell_started(cell, pack_size=pack_size)
        return True

    def on_outcome(self, outcome: Outcome) -> None:
        """Take the outcome of a cell: charge its time, record what became of it, and report that."""
        cell = self.cells[outcome.cell_id]
        self.account.charge(cell, seconds=outcome.seconds)
        if outcome.kind == "storage":
            self.no_room = self.no_room or outcome.message
            self.shipper.cell_over(cell, replace(outcome, status="interrupted"))
            return
        try:
            outcome, record = reconcile(outcome, cell=cell, out=self.out, name=self.search.config.name)
        except OSError as error:
            if not is_storage_full(error):
                raise
            self.no_room = self.no_room or str(error)
            return
        self.shipper.cell_over(cell, outcome)
        if outcome.status == "finished" and self.mirror is not None:
            self.mirror.send(cell.cell_id)
        self.events.on_outcome(outcome, record)

    def check_room(self) -> None:
        """Raise OutputError when storage was full or read-only."""
        if self.no_room:
            raise OutputError(f"{self.out}: {self.no_room}; make room and start the same command again, finished cells are kept")


def reconcile(outcome: Outcome, *, cell: CellConfig, out: Path, name: str) -> tuple[Outcome, Record | None]:
    """Compare an outcome with the record it left, which decides; record a failure, note an early stop. Returns the outcome as it stands now, and the record.

    Args:
        name: of the sweep.
    """
    status = read_status(out, [cell])
    record = status.finished.get(cell.cell_id)
    if record is not None:
        return replace(outcome, status="finished"), record  # a process that died, or a sink that broke, after the record was written
    if outcome.status == "finished":
        message = f"the worker wrote no record that can be read at {cell_directory(out, cell.cell_id)}: do all nodes of the cluster share {out}?"
        outcome = replace(outcome, status="failed", kind="infrastructure", message=message)
    if outcome.status == "failed" and cell.cell_id in status.unscored:
        return outcome, status.unscored[cell.cell_id]  # what failed is the scoring of the test rows: the cell stays trained, and is scored next time
    if outcome.status == "failed":
        record = write_failure(out, cell, outcome)
    if outcome.status == "stopped":
        points = tuple(read_points(cell_directory(out, cell.cell_id) / JOURNAL_NAME))
        now = datetime.now(UTC).isoformat(timespec="seconds")
        write_early_stop(EarlyStop(cell_id=cell.cell_id, reason=outcome.message, points=points, stopped_at=now), out, name=name)
    return outcome, record
