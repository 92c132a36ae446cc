"""The remaining time of a sweep: the planner's seconds per cell, corrected by the measured times of finished cells.

    expected(cell)  =  predicted(cell) · Σ measured / Σ predicted over the finished cells of the same trainer, else of all
                       of a trained cell whose test rows are scored: what it took beside training, corrected by other such cells alone
    left            =  max( Σ expected of what waits and runs / concurrency,  longest rest of what runs )

A cell that the planner cannot predict is taken to last as long as the finished ones did on average; while there is none of these, there is no estimate. All
sums are kept as cells come and go: a sweep may have ten thousand.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from jobs.scheduling.admission import devices_for
from jobs.scheduling.resources import Node
from loretta_core.config import CellConfig
from loretta_core.errors import ConfigError
from loretta_core.plan.placement.engine_options import try_engine
from loretta_core.plan.sizing import size

SCORING = "scoring of test rows"
"""Stands for the trainer of a cell that is trained already."""


@dataclass
class _TrainerSums:
    """Sums over the cells of one trainer."""

    waiting_s: float = 0.0
    """Predicted time of the cells that wait."""
    unknown: int = 0
    """The number of waiting cells without a prediction."""
    predicted_s: float = 0.0
    """Predicted time of the finished cells that have a prediction."""
    measured_s: float = 0.0
    """Measured time of the same cells."""


@dataclass
class Estimate:
    """Estimates the time of single cells and of the rest of a sweep, from sums over its cells by trainer."""

    predicted_s: dict[str, float]
    """Cell id → the planner's seconds; cells that it does not know are left out."""
    scoring_s: dict[str, float] = field(default_factory=dict)
    """Cell id → expected seconds, for cells that are trained and lack their test score."""
    _by_trainer: dict[str, _TrainerSums] = field(default_factory=lambda: defaultdict(_TrainerSums))
    _finished: int = 0
    _finished_s: float = 0.0

    def add_waiting(self, cell: CellConfig) -> None:
        """Count a cell that waits to be computed."""
        self._count_waiting(cell, 1)

    def remove_waiting(self, cell: CellConfig) -> None:
        """Count a cell no longer as waiting: it was started."""
        self._count_waiting(cell, -1)

    def add_finished(self, cell: CellConfig, seconds: float) -> None:
        """Count a finished cell with the time that it took."""
        if cell.cell_id not in self.scoring_s:
            self._finished += 1
            self._finished_s += seconds
        predicted = self._predicted_s(cell)
        if predicted:
            sums = self._by_trainer[self._kind(cell)]
            sums.predicted_s += predicted
            sums.measured_s += seconds

    def expected_s(self, cell: CellConfig) -> float | None:
        """Return the expected seconds of one cell; None while nothing is known."""
        predicted = self._predicted_s(cell)
        return self._mean_s() if predicted is None else predicted * self._correction(self._kind(cell))

    def remaining_s(self, running: Sequence[tuple[CellConfig, float, int]], *, concurrency: int) -> float | None:
        """Return the seconds until the sweep is over; None while nothing is known.

        Args:
            running: cells that run, each with the seconds since it started and the size of its pack: a cell's own time is its share of the pack's.
            concurrency: how many cells, or packs of them, are computed at the same time.
        """
        expected = [(self.expected_s(cell), elapsed / pack_size, pack_size) for cell, elapsed, pack_size in running]
        unknown, mean_s = sum(sums.unknown for sums in self._by_trainer.values()), self._mean_s()
        if any(seconds is None for seconds, *_ in expected) or (unknown and mean_s is None):
            return None
        rests = [(max(0.0, (seconds or 0.0) - own), pack_size) for seconds, own, pack_size in expected]
        waiting_s = sum(sums.waiting_s * self._correction(trainer) for trainer, sums in list(self._by_trainer.items()))
        all_s = waiting_s + unknown * (mean_s or 0.0) + sum(rest for rest, _ in rests)
        return max(all_s / max(1, concurrency), max((rest * pack_size for rest, pack_size in rests), default=0.0))

    def _count_waiting(self, cell: CellConfig, times: int) -> None:
        sums, predicted = self._by_trainer[self._kind(cell)], self._predicted_s(cell)
        sums.waiting_s += times * (predicted or 0.0)
        sums.unknown += times * (predicted is None)

    def _predicted_s(self, cell: CellConfig) -> float | None:
        return self.scoring_s.get(cell.cell_id, self.predicted_s.get(cell.cell_id))

    def _kind(self, cell: CellConfig) -> str:
        return SCORING if cell.cell_id in self.scoring_s else cell.trainer.type

    def _mean_s(self) -> float | None:
        return self._finished_s / self._finished if self._finished else None

    def _correction(self, trainer: str) -> float:
        own = self._by_trainer[trainer]
        if own.predicted_s:
            return own.measured_s / own.predicted_s
        trained = [sums for kind, sums in self._by_trainer.items() if kind != SCORING and trainer != SCORING]
        predicted_s = sum(sums.predicted_s for sums in trained)
        return sum(sums.measured_s for sums in trained) / predicted_s if predicted_s else 1.0


def predict_durations(cells: Iterable[CellConfig], nodes: Sequence[Node]) -> dict[str, float]:
    """Predict the seconds of every cell that the planner knows, on the nodes of the cluster, by cell id."""
    found: dict[str, float] = {}
    for cell in cells:
        try:
            devices, sized = devices_for(cell, nodes), size(cell)
        except ConfigError:
            continue
        if devices is not None and sized is not None:
            found[cell.cell_id] = try_engine(sized, cell.engine, devices).cost.total_s
    return found
