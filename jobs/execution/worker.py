"""What each process of a warm worker group does: set up once, then pull cells until the queue says stop.

    rank 0 pulls a cell ─► all ranks get it ─► all compute it ─► ranks agree on the outcome ─► rank 0 reports it

An exception ends a cell, never the group; SIGTERM ends both, once the cell is saved (`failures/preemption.py`). Nothing is reported through Ray Train:
the record is on disk, the outcome goes to the queue.
"""

from __future__ import annotations

import gc
import importlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any

import ray
import ray.train

from jobs.execution.group_comm import MultiProcess, SingleProcess
from jobs.execution.worker_config import WorkerConfig
from jobs.failures import preemption
from jobs.failures.outcome import Interrupted, Outcome, Preempted, StoppedEarly
from jobs.scheduling.asha_actor import AshaActor
from jobs.storage.ledger import clear_stale_outputs
from jobs.tracking.mlflow_sink import MlflowSink
from loretta_core.config import CellConfig
from loretta_core.store.layout import cell_directory
from loretta_core.train.pack_context import SOLO, PackContext, PackInfo
from loretta_core.train.sinks import MetricSink

PATIENCE_S = 10.0
"""How long a pull waits before it answers "idle"."""


def work(job: dict[str, Any]) -> None:
    """The train function of a worker group. `job` has config (WorkerConfig), queue (actor handle), group (its name). Raises Preempted when one of its processes
    got SIGTERM: others that are placed anew must take over."""
    config: WorkerConfig = job["config"]
    queue = job["queue"]
    context = ray.train.get_context()
    ranks = SingleProcess() if context.get_world_size() == 1 else MultiProcess(context.get_world_rank(), context.get_world_size())
    compute = set_up(config)
    while True:
        order = ranks.from_first(lambda: ray.get(queue.pull.remote(job["group"], PATIENCE_S)))
        if order.action == "stop":
            return
        if order.action == "work":
            tries = [partial(attempt, *cell, config=config, compute=compute, interrupts=queue, ranks=ranks) for cell in order.cells]

            def over(outcome: Outcome) -> None:
                agreed = ranks.agree(outcome)
                if ranks.rank == 0:
                    ray.get(queue.finish.remote(job["group"], agreed))

            if len(tries) == 1:
                over(tries[0]())
            else:
                attempt_together(tries, cell_ids=[cell_id for cell_id, _ in order.cells], over=over)
        if ranks.largest(int(preemption.preemption_requested())):
            raise Preempted("SIGTERM")


def attempt_together(tries: Sequence[Callable[..., Outcome]], *, cell_ids: Sequence[str], over: Callable[[Outcome], None]) -> None:
    """Attempt cells in one process, on one copy of their frozen model; `over` is told each outcome as soon as it is there."""
    from loretta_core.pack.lockstep import pack_id_of, run_in_lockstep  # and transformers, which this module gets on without

    facts = PackInfo(pack_id_of(cell_ids), len(tries))
    for found in run_in_lockstep([lambda seat, one=one: one(seat=seat) for one in tries], facts=facts, over=lambda _, outcome: over(outcome)):
        if isinstance(found, BaseException):  # not a failed cell: the process is told to end
            raise found


def attempt(
    cell_id: str,
    cell_json: str,
    *,
    config: WorkerConfig,
    compute: Callable[..., Any],
    interrupts: Any,
    ranks: SingleProcess | MultiProcess,
    seat: PackContext = SOLO,
) -> Outcome:
    """Compute this rank's part of one cell; every exception becomes an outcome. Rank 0 alone writes to MLflow. `interrupts` is an actor to ask."""
    started = seat.clock()
    cell = CellConfig.from_json(cell_json)
    directory = cell_directory(config.out, cell_id)
    pack_id = seat.facts.pack_id if seat.facts else ""
    sink = MlflowSink(config.tracking, cell, directory=directory, pack_id=pack_id) if ranks.rank == 0 and config.tracking is not None else None
    stop = StopCheck(interrupts, ranks)
    sinks: list[MetricSink] = [] if sink is None else [sink]
    if config.asha_actor is not None:
        sinks.append(AshaSink(config.asha_actor, cell_json, ranks))
    try:
        if ranks.rank == 0:
            clear_stale_outputs(config.out, cell_id)
        if (reason := stop(0)) is not None:  # it came while the group waited for a cell
            raise reason
        compute(cell, directory=directory, sinks=sinks, stop=stop, **({} if seat.facts is None else {"seat": seat}))
        return Outcome(cell_id, "finished", seconds=seat.clock() - started)
    except Exception as error:
        outcome = Outcome.from_error(cell_id, error, seconds=seat.clock() - started)
        if sink is not None:
            sink.end(outcome)
        return outcome
    finally:
        collect_garbage()


def collect_garbage() -> None:
    """Free what the last cell left: its model holds reference cycles, and its memory is wanted by the next. The first time, what stays is taken out of later
    collections: half a million objects of libraries, which took 0.3 s to look through, twice per cell. (A base model that is kept and dropped later has no
    cycles.)"""
    gc.collect()
    _freeze()


@cache
def _freeze() -> None:
    """Once; to ask gc whether it was done would count all the objects."""
    gc.freeze()


def set_up(config: WorkerConfig) -> Callable[..., Any]:
    """SIGTERM, threads, working directory, and the imports that every cell needs before it begins. MLflow, two seconds, can wait until there is something
    to ship."""
    preemption.install_handler()
    if config.home is not None and config.home.is_dir():
        os.chdir(config.home)
    module, _, function = config.run_cell.partition(":")
    compute: Callable[..., Any] = getattr(importlib.import_module(module), function)
    import torch

    torch.set_num_threads(config.threads)
    return compute


class StopCheck:
    """Why the running cell ends before its next step, the same on all ranks: the machine of one of them is taken away, or the sweep was told to stop."""

    def __init__(self, interrupts: Any, ranks: SingleProcess | MultiProcess, *, every_s: float = 1.0) -> None:
        self._interrupts = interrupts
        self._ranks = ranks
        self._every_s = every_s
        self._asked = time.monotonic()

    def __call__(self, step: int) -> Exception | None:
        """Every rank looks at its own flag; rank 0 also asks, now and then, about the sweep."""
        own = 2 if preemption.preemption_requested() else int(self._ranks.rank == 0 and self._interrupted())
        reasons = {1: Interrupted(f"the sweep was stopped at step {step}"), 2: Preempted(f"SIGTERM at step {step}")}
        return reasons.get(self._ranks.largest(own))

    def _interrupted(self) -> bool:
        now = time.monotonic()
        if now - self._asked < self._every_s:
            return False
        self._asked = now
        return ray.get(self._interrupts.is_interrupted.remote())


class AshaSink:
    """Not a recorder: ends the running cell, on all ranks, when the ASHA actor finds after an evaluation that others do better."""

    def __init__(self, asha_actor: AshaActor, cell_json: str, ranks: SingleProcess | MultiProcess) -> None:
        self._asha_actor = asha_actor
        self._cell_json = cell_json
        self._ranks = ranks

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Rank 0 asks; all raise StoppedEarly."""
        if "validation_score" not in metrics:
            return
        verdict = self._verdict(metrics) if self._ranks.rank == 0 else ""
        if self._ranks.largest(int(bool(verdict))):
            raise StoppedEarly(verdict)

    def _verdict(self, metrics: Mapping[str, float]) -> str:
        return self._asha_actor.report_score(self._cell_json, share=metrics["share_of_steps"], score=metrics["validation_score"])

    def close(self, status: str, summary: object) -> None:
        """Nothing to close."""
