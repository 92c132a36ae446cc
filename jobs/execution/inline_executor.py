"""The executor `inline`: a trial's process computes its cell itself. For cells of one process; nothing has to be formed, so the first cell starts sooner.

Tune keeps a trial's process for the next trial (`reuse_actors`), and with it what the process has loaded: the base model and the tokenised rows. The cell is
computed by the same `attempt` as in a worker group, so that the results are the same. A cell that runs out of memory is tried again at once, in smaller
pieces (`failures/retry.py`); a process that died, or makes room after a SIGTERM, is started anew by Tune, with what `orchestration/tune_trials.py` gives it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Self

import ray

from jobs.execution.worker_config import WorkerConfig
from jobs.failures import retry
from jobs.failures.outcome import PREEMPTED, Outcome, Preempted
from jobs.scheduling.driver_node import driver_node_options
from jobs.scheduling.resources import WorkerGroupSpec
from loretta_core.config import CellConfig


class StopFlag:
    """An actor that running cells ask, now and then, whether to end early."""

    def __init__(self) -> None:
        self._interrupted = False

    def interrupt(self) -> None:
        """End them."""
        self._interrupted = True

    def is_interrupted(self) -> bool:
        """Whether running cells should end early."""
        return self._interrupted


class InlineExecutor:
    """Trial processes of one shape. A context manager like every executor; Tune starts and ends the processes.

    Args:
        shape: of one worker.
        processes: how many at the same time, at first.
        worker: what each needs to know.
    """

    in_trials = True

    def __init__(self, *, shape: WorkerGroupSpec, processes: int, worker: WorkerConfig) -> None:
        assert shape.workers == 1, f"{shape}: one process computes a cell"
        self.at_once = processes
        self.trial_resources = {"CPU": shape.cpus} | ({"GPU": shape.gpus} if shape.gpus else {})
        self._worker = worker
        self._flag = ray.remote(StopFlag).options(**driver_node_options()).remote()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        """The processes are gone with Tune's run."""

    def client(self) -> InlineClient:
        """For trials."""
        return InlineClient(self._worker, self._flag)

    def grow(self, places: int) -> None:
        """Further processes: Tune starts them."""
        self.at_once = places

    def interrupt(self) -> None:
        """Running cells end at their next step."""
        ray.get(self._flag.interrupt.remote())


@dataclass(frozen=True)
class InlineClient:
    """The CellRunner of the `inline` executor."""

    worker: WorkerConfig
    flag: Any

    def run(self, cells: Sequence[CellConfig]) -> Iterator[Outcome]:
        """Compute the cells in this process, one after the other."""
        return map(self._run, cells)

    def _run(self, cell: CellConfig) -> Outcome:
        compute = _ready(self.worker)
        outcome = with_retries(cell, lambda cell_json: self._attempt(cell.cell_id, cell_json, compute))
        if outcome.kind == PREEMPTED:
            raise Preempted(outcome.message)  # ends this process; Tune starts the trial in another
        return outcome

    def _attempt(self, cell_id: str, cell_json: str, compute: Callable[..., Any]) -> Outcome:
        from jobs.execution.group_comm import SingleProcess
        from jobs.execution.worker import attempt

        return attempt(cell_id, cell_json, config=self.worker, compute=compute, interrupts=self.flag, ranks=SingleProcess())


def with_retries(cell: CellConfig, attempt: Callable[[str], Outcome]) -> Outcome:
    """Attempt a cell until it ends in a way that another attempt, in this process, would not mend."""
    cell_json, failures = cell.to_json(), []
    while True:
        outcome = attempt(cell_json)
        if outcome.kind == PREEMPTED:
            return outcome
        if outcome.status != "failed":
            return replace(outcome, message=outcome.message or retry.remark(failures))
        failures.append(outcome.kind)
        changed = retry.again(cell_json, kind=outcome.kind, failures=failures.count(outcome.kind))
        if changed is None:
            return outcome
        cell_json = changed


@lru_cache(maxsize=1)
def _ready(worker: WorkerConfig) -> Callable[..., Any]:
    """Set the process up once, not once per cell. It imports torch, which the driver need not."""
    from jobs.execution.worker import set_up

    return set_up(worker)
