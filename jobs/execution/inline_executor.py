"""The executor `inline`: a trial's process computes its cell itself. For cells of one process; without a worker group, the first cell starts sooner.

Tune keeps a trial's process for the next trial (`reuse_actors`), and with it what the process has loaded: the base model and the tokenised rows. The cell is
computed by the same `attempt` as in a worker group, so that the results are the same. A cell that runs out of memory is tried again at once, in smaller
pieces (`failures/retry.py`); a process that died, or was preempted by SIGTERM, is started anew by Tune, with what `orchestration/tune_trials.py` gives it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Self

from jobs.execution.stop_check import StopFlagHandle
from jobs.execution.worker_config import WorkerConfig
from jobs.failures import retry
from jobs.failures.outcome import PREEMPTED, Outcome, Preempted
from jobs.scheduling.resources import WorkerGroupSpec
from loretta_core.config import CellConfig

if TYPE_CHECKING:
    from jobs.execution.attempt import ComputeCell


class InlineExecutor:
    """The Executor whose cells are computed by Tune's trial processes. Tune starts and ends them.

    Args:
        shape: resources of one worker.
        processes: number of trials at the same time, at first.
        worker: settings of each process.
    """

    in_trials = True

    def __init__(self, *, shape: WorkerGroupSpec, processes: int, worker: WorkerConfig) -> None:
        assert shape.workers == 1, f"{shape}: one process computes a cell"
        self.at_once = processes
        self.trial_resources = {"CPU": shape.cpus} | ({"GPU": shape.gpus} if shape.gpus else {})
        self._worker = worker
        self._flag = StopFlagHandle.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Do nothing: the processes end with Tune's run."""

    def client(self) -> InlineClient:
        """Return what a trial computes its cell with."""
        return InlineClient(self._worker, self._flag)

    def grow(self, places: int) -> None:
        """Raise the number of trials at the same time: Tune starts further processes."""
        self.at_once = places

    def interrupt(self) -> None:
        """Let running cells end at their next step."""
        self._flag.interrupt()


@dataclass(frozen=True)
class InlineClient:
    """The CellRunner of the `inline` executor."""

    worker: WorkerConfig
    flag: StopFlagHandle

    def run(self, cells: Sequence[CellConfig]) -> Iterator[Outcome]:
        """Compute the cells in this process, one after the other."""
        return map(self._run, cells)

    def _run(self, cell: CellConfig) -> Outcome:
        compute = _set_up_once(self.worker)
        outcome = with_retries(cell, lambda cell_json: self._attempt(cell.cell_id, cell_json, compute))
        if outcome.kind == PREEMPTED:
            raise Preempted(outcome.message)  # ends this process; Tune starts the trial in another
        return outcome

    def _attempt(self, cell_id: str, cell_json: str, compute: ComputeCell) -> Outcome:
        from jobs.execution.attempt import attempt
        from jobs.execution.group_comm import SingleProcess

        return attempt(cell_id, cell_json, config=self.worker, compute=compute, interrupts=self.flag, comm=SingleProcess())


def with_retries(cell: CellConfig, attempt: Callable[[str], Outcome]) -> Outcome:
    """Attempt a cell, in this process, until another attempt would not help."""
    cell_json, failures = cell.to_json(), []
    while True:
        outcome = attempt(cell_json)
        if outcome.kind == PREEMPTED:
            return outcome
        if outcome.status != "failed":
            return replace(outcome, message=outcome.message or retry.retry_note(failures))
        failures.append(outcome.kind)
        next_json = retry.next_attempt(cell_json, kind=outcome.kind, failures=failures.count(outcome.kind))
        if next_json is None:
            return outcome
        cell_json = next_json


@lru_cache(maxsize=1)
def _set_up_once(worker: WorkerConfig) -> ComputeCell:
    """Set the process up for its first cell only. It imports torch, which the driver need not."""
    from jobs.execution.worker import set_up

    return set_up(worker)
