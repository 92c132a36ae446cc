"""Ending a running cell early: its check before every step, and the flag of the `inline` executor that the check asks.

A cell ends because its process got SIGTERM (`failures/preemption.py`), or because the sweep was told to stop: then the queue actor says so to worker groups,
the StopFlag actor to the cells of the `inline` executor.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import ray

from jobs.failures import preemption
from jobs.failures.outcome import Interrupted, Preempted
from jobs.scheduling.driver_node import driver_node_options

if TYPE_CHECKING:
    from ray.actor import ActorHandle

    from jobs.execution.group_comm import GroupComm


class InterruptSource(Protocol):
    """The interface that a running cell asks whether the sweep was told to stop."""

    def is_interrupted(self) -> bool:
        """Return whether running cells should end early."""
        ...


class StopFlag:
    """A flag that is set once; lives in an actor."""

    def __init__(self) -> None:
        self._interrupted = False

    def interrupt(self) -> None:
        """Set the flag: running cells end at their next step."""
        self._interrupted = True

    def is_interrupted(self) -> bool:
        """Return whether the flag is set."""
        return self._interrupted


@dataclass(frozen=True)
class StopFlagHandle:
    """A StopFlag in an actor: the same methods, called from any process."""

    actor: ActorHandle

    @classmethod
    def start(cls) -> StopFlagHandle:
        """Start the actor, on the driver's node."""
        return cls(ray.remote(StopFlag).options(**driver_node_options()).remote())

    def interrupt(self) -> None:
        """Set the flag: running cells end at their next step."""
        ray.get(self.actor.interrupt.remote())

    def is_interrupted(self) -> bool:
        """Return whether the flag is set."""
        return ray.get(self.actor.is_interrupted.remote())


class StopCheck:
    """The check before every step of a running cell: the reason to end it there, the same on all ranks, or None to go on.

    Args:
        interrupts: asked by rank 0, at most every `every_s` seconds.
    """

    def __init__(self, interrupts: InterruptSource, comm: GroupComm, *, every_s: float = 1.0) -> None:
        self._interrupts = interrupts
        self._comm = comm
        self._every_s = every_s
        self._asked = time.monotonic()

    def __call__(self, step: int) -> Exception | None:
        """Return the reason that the most urgent rank has: every rank reads its own SIGTERM flag, rank 0 also asks about the sweep."""
        own = 2 if preemption.preemption_requested() else int(self._comm.rank == 0 and self._interrupted())
        reasons = {1: Interrupted(f"the sweep was stopped at step {step}"), 2: Preempted(f"SIGTERM at step {step}")}
        return reasons.get(self._comm.max(own))

    def _interrupted(self) -> bool:
        now = time.monotonic()
        if now - self._asked < self._every_s:
            return False
        self._asked = now
        return self._interrupts.is_interrupted()
