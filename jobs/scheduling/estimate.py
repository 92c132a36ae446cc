"""How long a sweep still takes: the planner's seconds per cell, corrected by what finished cells really took.

    expected(cell)  =  predicted(cell) · Σ measured / Σ predicted over the finished cells of the same trainer, else of all
    left            =  max( Σ expected of what waits and runs / places,  longest rest of what runs )

A cell that the planner cannot predict is taken to last as long as the finished ones did on average; while there is none of these, nothing is said. All sums are
kept as cells come and go: a sweep may have ten thousand.
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


@dataclass
class _Sums:
    """Of the cells of one trainer."""

    waiting_s: float = 0.0
    """Predicted."""
    unknown: int = 0
    """Waiting cells without a prediction."""
    predicted_s: float = 0.0
    """Of finished cells that have a prediction."""
    measured_s: float = 0.0
    """Of the same ones."""


@dataclass
class Estimate:
    """Sums over the cells of a sweep, by trainer."""

    predicted_s: dict[str, float]
    """Cell id → what the planner expects; cells it does not know are not in it."""
    _by_trainer: dict[str, _Sums] = field(default_factory=lambda: defaultdict(_Sums))
    _finished: int = 0
    _finished_s: float = 0.0

    def waits(self, cell: CellConfig, *, times: int = 1) -> None:
        """A cell is ahead; with `times` = -1 it is no longer, since it began."""
        sums, predicted = self._by_trainer[cell.trainer.type], self.predicted_s.get(cell.cell_id)
        sums.waiting_s += times * (predicted or 0.0)
        sums.unknown += times * (predicted is None)

    def finished(self, cell: CellConfig, seconds: float) -> None:
        """A cell took so long."""
        self._finished += 1
        self._finished_s += seconds
        predicted = self.predicted_s.get(cell.cell_id)
        if predicted:
            sums = self._by_trainer[cell.trainer.type]
            sums.predicted_s += predicted
            sums.measured_s += seconds

    def expected_s(self, cell: CellConfig) -> float | None:
        """Of one cell; None while nothing is known."""
        predicted = self.predicted_s.get(cell.cell_id)
        return self._mean_s() if predicted is None else predicted * self._correction(cell.trainer.type)

    def left_s(self, running: Sequence[tuple[CellConfig, float, int]], *, places: int) -> float | None:
        """Until the sweep is over; None while nothing is known.

        Args:
            running: cells that run, each with the seconds since it began and how many are computed together with it, itself included: its time is its share.
            places: cells, or packs of them, computed at the same time.
        """
        expected = [(self.expected_s(cell), elapsed / together, together) for cell, elapsed, together in running]
        unknown, mean_s = sum(sums.unknown for sums in self._by_trainer.values()), self._mean_s()
        if any(seconds is None for seconds, *_ in expected) or (unknown and mean_s is None):
            return None
        rests = [(max(0.0, (seconds or 0.0) - own), together) for seconds, own, together in expected]
        waiting_s = sum(sums.waiting_s * self._correction(trainer) for trainer, sums in list(self._by_trainer.items()))
        all_s = waiting_s + unknown * (mean_s or 0.0) + sum(rest for rest, _ in rests)
        return max(all_s / max(1, places), max((rest * together for rest, together in rests), default=0.0))

    def _mean_s(self) -> float | None:
        return self._finished_s / self._finished if self._finished else None

    def _correction(self, trainer: str) -> float:
        own = self._by_trainer[trainer]
        if own.predicted_s:
            return own.measured_s / own.predicted_s
        predicted_s = sum(sums.predicted_s for sums in self._by_trainer.values())
        return sum(sums.measured_s for sums in self._by_trainer.values()) / predicted_s if predicted_s else 1.0


def predictions(cells: Iterable[CellConfig], nodes: Sequence[Node]) -> dict[str, float]:
    """The planner's seconds for every cell that it knows, on the machines of the cluster."""
    found: dict[str, float] = {}
    for cell in cells:
        try:
            devices, sized = devices_for(cell, nodes), size(cell)
        except ConfigError:
            continue
        if devices is not None and sized is not None:
            found[cell.cell_id] = try_engine(sized, cell.engine, devices).cost.total_s
    return found
