"""The protocols of executors (`train_executor.py`, `inline_executor.py`) and of the clients that trials compute cells with.

with TrainExecutor(...) as executor:
    client = executor.client()            small and picklable; goes to a Tune trial
    for outcome in client.run(cells):     each when its cell is over
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, Self

from jobs.failures.outcome import Outcome
from loretta_core.config import CellConfig


class CellRunner(Protocol):
    """Computes cells; picklable, and used from any process."""

    def run(self, cells: Sequence[CellConfig]) -> Iterator[Outcome]:
        """Compute cells together; each outcome comes when its cell is over. Raises nothing for a cell that fails: that is an outcome."""
        ...


class Executor(Protocol):
    """A place where cells are computed, open between `__enter__` and `__exit__`."""

    at_once: int
    """Number of trials that should run at the same time, now."""
    trial_resources: dict[str, float]
    """Ray resources that each trial asks for."""
    in_trials: bool
    """True where a trial's process computes its cell, whose death may then be the cell's doing."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc_info: object) -> None: ...

    def client(self) -> CellRunner:
        """Return what a trial runs its cells with."""
        ...

    def grow(self, places: int) -> None:
        """Compute so many cells at the same time from now on, more than before: the cluster has room for them."""
        ...

    def interrupt(self) -> None:
        """Let running cells end early and start no more; all calls of `run` return soon."""
        ...
