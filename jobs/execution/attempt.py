"""One attempt at a cell in this process, alone or in a pack: whatever happens, an outcome comes back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from jobs.execution.asha_sink import AshaSink
from jobs.execution.group_comm import GroupComm
from jobs.execution.stop_check import InterruptSource, StopCheck
from jobs.execution.worker_config import WorkerConfig
from jobs.failures.outcome import Outcome
from jobs.failures.retry import outcome_of_error
from jobs.storage.failure_record import clear_stale_outputs
from jobs.tracking.system_metrics import sampled
from loretta_core.config import CellConfig
from loretta_core.store.layout import cell_directory
from loretta_core.train.memory.garbage import collect_garbage
from loretta_core.train.pack_context import SOLO, PackContext, PackInfo
from loretta_core.train.sinks import MetricSink

if TYPE_CHECKING:
    from loretta_core.store.records import Record


class ComputeCell(Protocol):
    """A function that computes a cell and leaves its record, as `loretta_core.train.run.run_cell` does."""

    def __call__(
        self, cell: CellConfig, /, *, directory: Path, sinks: Sequence[MetricSink], pack_context: PackContext, stop: Callable[[int], Exception | None]
    ) -> Record | None:
        """Compute the cell in `directory`. Raises what breaks it, and what `stop` returns."""
        ...


class Attempt(Protocol):
    """An attempt at one cell that only lacks the context of its pack."""

    def __call__(self, *, pack_context: PackContext) -> Outcome:
        """Compute the cell and return its outcome."""
        ...


def attempt(
    cell_id: str,
    cell_json: str,
    *,
    config: WorkerConfig,
    compute: ComputeCell,
    interrupts: InterruptSource,
    comm: GroupComm,
    pack_context: PackContext = SOLO,
) -> Outcome:
    """Compute this rank's part of one cell; every exception becomes an outcome."""
    started = pack_context.clock()
    cell = CellConfig.from_json(cell_json)
    directory = cell_directory(config.out, cell_id)
    sinks: list[MetricSink] = []
    if config.asha_actor is not None and (config.stops_scored or not cell.score_test):
        sinks.append(AshaSink(config.asha_actor, cell_json, comm))
    stop = StopCheck(interrupts, comm)
    try:
        if comm.rank == 0:
            clear_stale_outputs(config.out, cell_id)
        if (reason := stop(0)) is not None:  # it came while the group waited for a cell
            raise reason
        with sampled(directory) if comm.rank == 0 else nullcontext():
            compute(cell, directory=directory, sinks=sinks, pack_context=pack_context, stop=stop)
        return Outcome(cell_id, "finished", seconds=pack_context.clock() - started)
    except Exception as error:
        return outcome_of_error(cell_id, error, seconds=pack_context.clock() - started)
    finally:
        collect_garbage()


def attempt_in_lockstep(attempts: Sequence[Attempt], *, cell_ids: Sequence[str], on_outcome: Callable[[Outcome], None]) -> None:
    """Attempt the cells of a pack in this process, on one copy of their frozen model; `on_outcome` gets each outcome as soon as it is there."""
    from loretta_core.pack.lockstep import pack_id_of, run_in_lockstep  # and transformers, which this module gets on without

    info = PackInfo(pack_id=pack_id_of(cell_ids), cells=len(attempts))
    results = run_in_lockstep([partial(_with_context, one) for one in attempts], pack_info=info, on_result=lambda _, outcome: on_outcome(outcome))
    for result in results:
        if isinstance(result, BaseException):  # not a failed cell: the process is told to end
            raise result


def _with_context(one: Attempt, pack_context: PackContext) -> Outcome:
    return one(pack_context=pack_context)
