"""The trial's side of the queue, in a module of its own: a trial only waits, and unpickling its client must not cost it the import of torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import ray

from jobs.failures.outcome import Outcome
from loretta_core.config import CellConfig


class CellRunner(Protocol):
    """Computes cells; used from any process."""

    def run(self, cells: Sequence[CellConfig]) -> Iterator[Outcome]:
        """Compute cells together; each outcome comes when its cell is over. Raises nothing for a cell that fails: that is an outcome."""
        ...


@dataclass(frozen=True)
class QueueClient:
    """The CellRunner of the `train` executor."""

    queue: Any

    def run(self, cells: Sequence[CellConfig]) -> Iterator[Outcome]:
        """Put the cells in the queue and wait."""
        return map(ray.get, self.queue.run.remote([(cell.cell_id, cell.to_json()) for cell in cells]))
