"""The loop of one process of a warm worker group: set up once, then compute what the queue hands out until it says stop.

    rank 0 pulls a cell ─► all ranks get it ─► all compute it ─► ranks agree on the outcome ─► rank 0 reports it

An exception ends a cell, never the group; SIGTERM ends both, once the cell is saved (`failures/preemption.py`). Nothing is reported through Ray Train:
the record is on disk, the outcome goes to the queue.
"""

from __future__ import annotations

import importlib
import os
from functools import partial

from jobs.execution.attempt import ComputeCell, attempt, attempt_in_lockstep
from jobs.execution.cell_queue import PULL_TIMEOUT_S, Order
from jobs.execution.group_comm import GroupComm, MultiProcess, SingleProcess
from jobs.execution.worker_config import WorkerConfig, WorkerJob
from jobs.failures import preemption
from jobs.failures.outcome import Outcome, Preempted


def work(job: WorkerJob) -> None:
    """Compute cells until the queue says stop: the train function of a group of several processes. Raises Preempted when one of its processes got SIGTERM, so
    that a new group is placed elsewhere."""
    import ray.train  # seconds of imports, which a process by itself does without

    context = ray.train.get_context()
    _work(job, MultiProcess(context.get_world_rank(), context.get_world_size()))


def work_alone(job: WorkerJob) -> None:
    """Compute cells until the queue says stop, as a group of this one process. Raises Preempted when it got SIGTERM."""
    _work(job, SingleProcess())


def _work(job: WorkerJob, comm: GroupComm) -> None:
    queue, group = job["queue"], job["group"]
    compute = set_up(job["config"])
    while True:
        order = comm.broadcast(lambda: queue.pull(group, PULL_TIMEOUT_S))
        if order.action == "stop":
            return
        if order.action == "work":
            _compute(order, job=job, compute=compute, comm=comm)
        if comm.max(int(preemption.preemption_requested())):
            raise Preempted("SIGTERM")


def set_up(config: WorkerConfig) -> ComputeCell:
    """Prepare this process for cells: SIGTERM handler, working directory, torch threads. Return the function that computes a cell, its imports done.

    MLflow, two seconds of import, can wait until there is something to send.
    """
    preemption.install_handler()
    if config.home is not None and config.home.is_dir():
        os.chdir(config.home)
    module, _, function = config.run_cell.partition(":")
    compute: ComputeCell = getattr(importlib.import_module(module), function)
    import torch

    torch.set_num_threads(config.threads)
    return compute


def _compute(order: Order, *, job: WorkerJob, compute: ComputeCell, comm: GroupComm) -> None:
    """Compute the cells of an order and report each outcome."""
    attempts = [partial(attempt, *cell, config=job["config"], compute=compute, interrupts=job["queue"], comm=comm) for cell in order.cells]

    def report(outcome: Outcome) -> None:
        agreed = comm.consensus(outcome)
        if comm.rank == 0:
            job["queue"].finish(job["group"], agreed)

    if len(attempts) == 1:
        report(attempts[0]())
    else:
        attempt_in_lockstep(attempts, cell_ids=[cell_id for cell_id, _ in order.cells], on_outcome=report)
