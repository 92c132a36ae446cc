"""The executor `train`: warm worker groups that pull cells from a queue.

Starting a worker group costs 10-20 s (processes, imports, process group); a cell that finds a warm one, milliseconds. So groups live as long as the executor.
Each is kept by a thread here and pulls cells from a queue actor (`worker_group.py`, `worker.py`, `cell_queue.py`): `run_group` returns when the queue says
stop, and raises when a process died; then the thread forms a new group as soon as a cell waits for one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import ray.exceptions

from jobs.execution.queue_client import QueueClient, QueueHandle
from jobs.execution.worker_config import WorkerConfig, WorkerJob
from jobs.execution.worker_group import GroupLost, run_group
from jobs.failures.outcome import PREEMPTED
from jobs.failures.retry import classify_process_loss
from jobs.scheduling.resources import TRIAL_CPUS, WorkerGroupSpec

MAX_FRUITLESS_STARTS = 3
"""A group that dies so often in a row without having held a cell is given up."""

POLL_S = 0.5
"""Seconds between two checks of a lost group whether a cell waits."""

CLOSE_S = 120.0
"""Seconds that groups may take to stop at the end. One that is being formed stops when it is complete; a thread that calls Ray after its shutdown would end
the driver process on the spot, before the comparison."""


class TrainExecutor:
    """The Executor whose cells are computed by worker groups of one shape.

    Args:
        shape: processes of a group and the resources of each.
        groups: number of groups, at first.
        storage: directory for Ray Train's own bookkeeping.
        worker: settings of each worker.
        say: prints a line for people.
    """

    in_trials = False

    def __init__(self, *, shape: WorkerGroupSpec, groups: int, storage: Path, worker: WorkerConfig, say: Callable[[str], None] = print) -> None:
        self.at_once = 0
        self.trial_resources = {"CPU": TRIAL_CPUS}
        self._shape = shape
        self._storage = storage
        self._worker = worker
        self._say = say
        self._queue = QueueHandle.start()
        self._closing = threading.Event()
        self._groups = groups
        self._live_groups = 0
        """Groups that are not given up."""
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self.grow(self._groups)
        return self

    def client(self) -> QueueClient:
        """Return what a trial waits in the queue with."""
        return QueueClient(self._queue)

    def grow(self, places: int) -> None:
        """Add groups up to `places`; those that are added later form when a cell waits."""
        with self._lock:
            later = bool(self._threads)
            given_up = later and self._live_groups == 0
            if self._closing.is_set() or given_up:
                return
            new = [threading.Thread(target=self._run_group, args=(index, later), daemon=True) for index in range(len(self._threads), places)]
            self._threads += new
            self._live_groups += len(new)
            for thread in new:
                thread.start()
            self.at_once = len(self._threads) + 1  # the next cell waits in the queue already when a group is through with one

    def interrupt(self) -> None:
        """Let running cells end at their next step, and start no more."""
        self._closing.set()
        self._queue.stop(interrupt=True)

    def __exit__(self, *exc_info: object) -> None:
        self._closing.set()
        try:
            self._queue.stop(interrupt=exc_info[0] is not None, timeout_s=CLOSE_S)
        except ray.exceptions.RayError:
            return
        deadline = time.monotonic() + CLOSE_S
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _run_group(self, index: int, later: bool) -> None:
        """Keep one group alive until the executor closes: the body of a thread."""
        fruitless, start = 0, 0
        while self._is_wanted(later=later or start > 0):
            start += 1
            group = f"group-{index}-{start}"
            try:
                run_group(self._shape, WorkerJob(config=self._worker, queue=self._queue, group=group), storage=self._storage)
                return
            except GroupLost as lost:
                if self._closing.is_set():
                    return
                reason, kind = classify_process_loss(lost.error)
                held = self._queue.on_group_lost(group, reason, kind=kind)
                fruitless = 0 if held or kind == PREEMPTED else fruitless + 1
                if fruitless == MAX_FRUITLESS_STARTS:
                    self._give_up(index, reason)
                    return
                self._say(f"worker group {index} is lost ({reason}); it starts anew when a cell waits for it")

    def _is_wanted(self, *, later: bool) -> bool:
        """Return True as soon as a group should form, False when the executor closes. `later` than at the beginning, only a waiting cell is a reason."""
        while not self._closing.is_set():
            if not later or self._queue.has_waiting():
                return True
            self._closing.wait(POLL_S)
        return False

    def _give_up(self, index: int, reason: str) -> None:
        self._say(f"worker group {index} is given up: it died {MAX_FRUITLESS_STARTS} times before it got a cell ({reason})")
        with self._lock:
            self._live_groups -= 1
        if self._live_groups == 0:
            self._queue.fail_waiting(f"no worker group could be kept alive: {reason}")
