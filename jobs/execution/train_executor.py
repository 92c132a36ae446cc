"""Where cells are computed: the Executor protocol, and `train`, warm Ray Train worker groups. (`inline` is in inline_executor.py.)

    with TrainExecutor(...) as executor:
        client = executor.client()        small and picklable; goes to a Tune trial
        for outcome in client.run(cells):     each when its cell is over

Starting a worker group costs 10-20 s (processes, imports, process group); a cell that finds a warm one, milliseconds. So groups live as long as the executor.
Each is one `TorchTrainer.fit` whose train function pulls cells from a queue actor (`worker.py`, `cell_queue.py`), kept by a thread here: `fit` returns when
the queue says stop, and raises when a process died; then the thread forms a new group as soon as a cell waits for one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, Self

import ray
import ray.exceptions
import ray.train
from ray.train.torch import TorchConfig, TorchTrainer

from jobs.execution.cell_queue import CellQueue
from jobs.execution.queue_client import CellRunner, QueueClient
from jobs.execution.worker import work
from jobs.execution.worker_config import WorkerConfig
from jobs.failures.lost_processes import reason_of
from jobs.failures.outcome import PREEMPTED
from jobs.scheduling.driver_node import driver_node_options
from jobs.scheduling.resources import TRIAL_CPUS, WorkerGroupSpec

MOST_FRUITLESS_STARTS = 3
"""A group that dies so often in a row without having held a cell is given up."""

LOOK_S = 0.5
"""How often a lost group asks whether a cell waits."""

CLOSE_S = 120.0
"""How long groups may take to leave at the end. One that is just being formed leaves when it is complete; a thread that calls Ray after its shutdown would end
the driver process on the spot, before the comparison."""


class Executor(Protocol):
    """A place where cells are computed, open between `__enter__` and `__exit__`."""

    at_once: int
    """How many trials should run at the same time, now."""
    trial_resources: dict[str, float]
    """What each of them asks of Ray."""
    in_trials: bool
    """Whether a trial's process computes its cell. Then its death may be the cell's doing."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc_info: object) -> None: ...

    def client(self) -> CellRunner:
        """Something picklable to run cells with."""
        ...

    def grow(self, places: int) -> None:
        """Compute so many cells at the same time from now on, more than before: the cluster has room for them."""
        ...

    def interrupt(self) -> None:
        """Let running cells end early and start no more; all calls of `run` return soon."""
        ...


class TrainExecutor:
    """Warm worker groups of one shape.

    Args:
        shape: processes of a group and what each takes.
        groups: how many groups, at first.
        storage: directory for Ray Train's own bookkeeping.
        worker: what each worker needs to know.
        say: where remarks for people go.
    """

    in_trials = False

    def __init__(self, *, shape: WorkerGroupSpec, groups: int, storage: Path, worker: WorkerConfig, say: Callable[[str], None] = print) -> None:
        self.at_once = 0
        self.trial_resources = {"CPU": TRIAL_CPUS}
        self._shape = shape
        self._storage = storage
        self._worker = worker
        self._say = say
        self._queue = ray.remote(CellQueue).options(**driver_node_options(), max_concurrency=1000).remote()
        self._over = threading.Event()
        self._groups = groups
        self._left = 0
        """Groups that are not given up."""
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self.grow(self._groups)
        return self

    def client(self) -> QueueClient:
        """For trials."""
        return QueueClient(self._queue)

    def grow(self, places: int) -> None:
        """Further groups; those that come later form when a cell waits."""
        with self._lock:
            later = bool(self._threads)
            given_up = later and self._left == 0
            if self._over.is_set() or given_up:
                return
            new = [threading.Thread(target=self._keep, args=(index, later), daemon=True) for index in range(len(self._threads), places)]
            self._threads += new
            self._left += len(new)
            for thread in new:
                thread.start()
            self.at_once = len(self._threads) + 1  # the next cell waits in the queue already when a group is through with one

    def interrupt(self) -> None:
        """Running cells end at their next step."""
        self._over.set()
        ray.get(self._queue.stop.remote(interrupt=True))

    def __exit__(self, *exc_info: object) -> None:
        self._over.set()
        try:
            ray.get(self._queue.stop.remote(interrupt=exc_info[0] is not None), timeout=CLOSE_S)
        except ray.exceptions.RayError:
            return
        deadline = time.monotonic() + CLOSE_S
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _keep(self, index: int, later: bool) -> None:
        """Keep one group alive until the executor closes. The body of a thread."""
        fruitless, start = 0, 0
        while self._is_wanted(later=later or start > 0):
            start += 1
            group = f"group-{index}-{start}"
            try:
                self._fit(group)
                return
            except (ray.train.TrainingFailedError, ray.exceptions.RayError) as error:
                if self._over.is_set():
                    return
                reason, kind = reason_of(error)
                held = ray.get(self._queue.lose.remote(group, reason, kind=kind))
                fruitless = 0 if held or kind == PREEMPTED else fruitless + 1
                if fruitless == MOST_FRUITLESS_STARTS:
                    self._give_up(index, reason)
                    return
                self._say(f"worker group {index} is lost ({reason}); it starts anew when a cell waits for it")

    def _is_wanted(self, *, later: bool) -> bool:
        """Whether to form a group. Later than at the beginning only for a cell that waits: at the end of a sweep nobody should wait for it."""
        while not self._over.is_set():
            if not later or ray.get(self._queue.has_waiting.remote()):
                return True
            self._over.wait(LOOK_S)
        return False

    def _fit(self, group: str) -> None:
        TorchTrainer(
            work,
            train_loop_config={"config": self._worker, "queue": self._queue, "group": group},
            torch_config=TorchConfig(backend="gloo" if self._shape.gpus == 0 else None),
            scaling_config=ray.train.ScalingConfig(
                num_workers=self._shape.workers,
                use_gpu=self._shape.gpus > 0,
                resources_per_worker=self._shape.worker_resources,
            ),
            run_config=ray.train.RunConfig(
                name=group,
                storage_path=str(self._storage),
                failure_config=ray.train.FailureConfig(max_failures=0, controller_failure_limit=0),
            ),
        ).fit()

    def _give_up(self, index: int, reason: str) -> None:
        self._say(f"worker group {index} is given up: it died {MOST_FRUITLESS_STARTS} times before it got a cell ({reason})")
        with self._lock:
            self._left -= 1
        if self._left == 0:
            ray.get(self._queue.abandon.remote(f"no worker group could be kept alive: {reason}"))
