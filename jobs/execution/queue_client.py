"""The queue actor as other processes see it: a typed handle, and the trial's CellRunner.

In a module of its own because a trial only waits: unpickling its client must not cost it the import of torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import ray

from jobs.execution.cell_queue import CellQueue, Order
from jobs.failures.outcome import Outcome
from jobs.scheduling.driver_node import driver_node_options
from loretta_core.config import CellConfig

if TYPE_CHECKING:
    from ray.actor import ActorHandle

MAX_CALLS = 1000
"""Calls that the actor may serve at the same time: every trial waits in one, and so does every idle group."""


@dataclass(frozen=True)
class QueueHandle:
    """A CellQueue in an actor: the same methods, called from any process, each waiting for its answer."""

    actor: ActorHandle

    @classmethod
    def start(cls) -> QueueHandle:
        """Start the actor, on the driver's node."""
        return cls(ray.remote(CellQueue).options(**driver_node_options(), max_concurrency=MAX_CALLS).remote())

    def run(self, cells: Sequence[tuple[str, str]]) -> Iterator[Outcome]:
        """Queue cells, (id, JSON) each; yield each outcome when its cell is over."""
        return map(ray.get, self.actor.run.remote(cells))

    def pull(self, group: str, timeout_s: float) -> Order:
        """Return what a group computes next."""
        return ray.get(self.actor.pull.remote(group, timeout_s))

    def finish(self, group: str, outcome: Outcome) -> None:
        """Report the outcome of a cell that a group held."""
        ray.get(self.actor.finish.remote(group, outcome))

    def on_group_lost(self, group: str, reason: str, *, kind: str) -> bool:
        """Requeue or fail the cells of a group whose processes are gone; return whether it held any."""
        return ray.get(self.actor.on_group_lost.remote(group, reason, kind=kind))

    def fail_waiting(self, reason: str) -> None:
        """Fail every cell that waits, now or later."""
        ray.get(self.actor.fail_waiting.remote(reason))

    def stop(self, *, interrupt: bool, timeout_s: float | None = None) -> None:
        """Tell all groups to stop; with `interrupt`, running cells too. Raises GetTimeoutError when the actor does not answer in time."""
        ray.get(self.actor.stop.remote(interrupt), timeout=timeout_s)

    def is_interrupted(self) -> bool:
        """Return whether running cells should end early."""
        return ray.get(self.actor.is_interrupted.remote())

    def has_waiting(self) -> bool:
        """Return whether a cell waits for a group."""
        return ray.get(self.actor.has_waiting.remote())


@dataclass(frozen=True)
class QueueClient:
    """The CellRunner of the `train` executor."""

    queue: QueueHandle

    def run(self, cells: Sequence[CellConfig]) -> Iterator[Outcome]:
        """Put the cells in the queue and wait for their outcomes."""
        return self.queue.run([(cell.cell_id, cell.to_json()) for cell in cells])
