"""The results that earlier starts of a sweep left, read once when it starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jobs.scheduling.asha_actor import PastCell, asha_history
from jobs.storage.ledger import SweepStatus, refresh_status
from loretta_core.config import CellConfig, SweepConfig
from loretta_core.store.early_stops import EarlyStop, read_early_stops


@dataclass(frozen=True)
class PriorResults:
    """The results of a sweep before its cells are computed."""

    status: SweepStatus
    stopped: Mapping[str, EarlyStop]
    """Cell id → the note of its early stop."""
    asha_history: Sequence[PastCell]
    """Cells with which those that run are compared; none without early stopping."""

    def finished(self, cells: Sequence[CellConfig]) -> list[CellConfig]:
        """Return those of the cells that were finished before this start."""
        return [cell for cell in cells if cell.cell_id in self.status.finished]

    @property
    def over(self) -> set[str]:
        """Ids of the cells that are finished or were stopped early."""
        return self.status.finished.keys() | self.stopped.keys()


def read_prior_results(config: SweepConfig, *, out: Path, known: SweepStatus) -> PriorResults:
    """Read the results of a sweep. The caller holds the lock of the output directory, so that no other driver changes them.

    Args:
        known: what was read some moments ago; cells that were finished then are not read again.
    """
    status = refresh_status(out, config.cells, known=known)
    stopped = read_early_stops(out, name=config.name)
    compared = [cell for cell in config.cells if not (config.contenders and cell.score_test)]
    history = asha_history(compared, finished=status.finished, stopped=stopped) if config.early_stopping else []
    return PriorResults(status, stopped, history)
