"""Compute cells: MLflow made ready, Ray connected, one executor per shape of worker group, Tune trials in front, failures recorded.

The only caller of all the rest, used by `sweep.py` and `cell.py`. Shapes come one after the other: a small group that ran beside a large one would keep its
cores for ever, and the large one would never start.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from jobs import janitor, tracking_db
from jobs.admission import admit
from jobs.interrupts import Interrupts
from jobs.ledger import cell_directory, standing, write_failure
from jobs.mlflow_sink import close_run
from jobs.outcome import Outcome
from jobs.progress import Progress
from jobs.resources import Shape, by_shape, groups_that_fit, refusal, several_for_inline
from jobs.session import nodes, ray_session
from jobs.tracking_db import Tracking
from jobs.worker_config import RUN_CELL, WorkerConfig
from loretta_core.config import CellConfig
from loretta_core.config.load import ExecutorName
from loretta_core.errors import ConfigError
from loretta_core.report.records import Record
from loretta_core.report.units import counted

if TYPE_CHECKING:
    from jobs.executors import Executor


@dataclass(frozen=True)
class Request:
    """How to compute; says nothing about what."""

    out: Path
    name: str
    """Of the sweep: its directory and MLflow experiment."""
    max_concurrent: int | None = None
    """Most worker groups; None fills the cluster."""
    tracking_uri: str = ""
    run_cell: str = RUN_CELL
    executor: ExecutorName = "train"

    @property
    def directory(self) -> Path:
        """The sweep's own."""
        return self.out / "sweeps" / self.name


def run_cells(cells: Sequence[CellConfig], *, late: Sequence[CellConfig], request: Request, progress: Progress, interrupts: Interrupts) -> None:
    """Compute the cells; every one of them leaves a record, except when interrupted. `late`: finished cells that are not all in MLflow."""
    by_id = {cell.cell_id: cell for cell in cells}
    tracking = _tracking(request)
    janitor.end_abandoned(tracking)
    janitor.send_late(tracking, out=request.out, cells=late)

    def done(outcome: Outcome) -> None:
        progress.done(*settle(outcome, cell=by_id[outcome.cell_id], out=request.out, tracking=tracking))

    complete = False
    try:
        with ray_session():
            worker = WorkerConfig(out=request.out.resolve(), home=Path.cwd(), tracking=tracking, run_cell=request.run_cell)
            admission = admit(cells, nodes())
            for cell, why in admission.refused:
                done(Outcome(cell.cell_id, "failed", kind="memory", message=why))
            for shape, members in by_shape(admission.placed).items():
                if not interrupts.requested.is_set():
                    _run_shape(shape, members, request=request, worker=worker, done=done, progress=progress, interrupts=interrupts)
        complete = not interrupts.requested.is_set()
    finally:
        problem = tracking_db.close(tracking, complete=complete)
        if problem:
            progress.say(problem)


def catch_up(late: Sequence[CellConfig], *, request: Request) -> str:
    """Send what MLflow lacks of finished cells when there is nothing to compute. Returns what went wrong: no reason to withhold the comparison."""
    try:
        tracking = _tracking(request)
    except ConfigError as error:
        return str(error)
    return janitor.send_late(tracking, out=request.out, cells=late) or tracking_db.close(tracking, complete=True)


def settle(outcome: Outcome, *, cell: CellConfig, out: Path, tracking: Tracking) -> tuple[Outcome, Record | None]:
    """Compare an outcome with the record it left, which decides; record a failure. Returns the outcome as it stands now, and the record."""
    record = standing(out, [cell]).finished.get(cell.cell_id)
    if record is not None:
        return replace(outcome, status="finished"), record  # a process that died, or a sink that broke, after the record was written
    if outcome.status == "finished":
        message = f"the worker wrote no record that can be read at {cell_directory(out, cell.cell_id)}: do all nodes of the cluster share {out}?"
        outcome = replace(outcome, status="failed", kind="infrastructure", message=message)
    if outcome.status == "failed":
        record = write_failure(out, cell, outcome)
        if outcome.kind == "infrastructure":
            close_run(tracking, cell, outcome, directory=cell_directory(out, cell.cell_id))
    return outcome, record


def _tracking(request: Request) -> Tracking:
    return tracking_db.prepare(request.tracking_uri or tracking_db.default_uri(request.out), name=request.name, out=request.out)


def _run_shape(
    shape: Shape,
    cells: Sequence[CellConfig],
    *,
    request: Request,
    worker: WorkerConfig,
    done: Callable[[Outcome], None],
    progress: Progress,
    interrupts: Interrupts,
) -> None:
    why, kind = refusal(shape, nodes()), "infrastructure"
    if request.executor == "inline" and shape.workers > 1:  # an `auto` cell that fits no single device; sweep files that ask for several are refused
        why, kind = several_for_inline(shape), "config"
    if why:
        for cell in cells:
            done(Outcome(cell.cell_id, "failed", kind=kind, message=why))
        return
    from jobs.trials import run_trials  # imports Ray Train: seconds that a refusal need not wait for

    groups = min(groups_that_fit(shape, nodes()), len(cells), request.max_concurrent or len(cells))
    places = {"train": "worker group", "inline": "trial worker"}[request.executor]
    progress.say(f"{counted(len(cells), 'cell')} on {counted(groups, places)} ({shape}{' each' * (groups > 1)}); starting takes 10-20 s")
    executor = _executor(shape, groups, request=request, worker=worker.for_shape(shape), progress=progress)
    with executor, _interruptible(executor, interrupts):
        run_trials(
            cells,
            client=executor.client(),
            at_once=executor.at_once,
            resources=executor.trial_resources,
            directory=request.directory / "tune",
            done=done,
            stop=interrupts.requested,
        )


def _executor(shape: Shape, groups: int, *, request: Request, worker: WorkerConfig, progress: Progress) -> Executor:
    if request.executor == "inline":
        from jobs.inline import InlineExecutor

        return InlineExecutor(shape=shape, processes=groups, worker=worker)
    from jobs.executors import TrainExecutor

    return TrainExecutor(shape=shape, groups=groups, storage=request.directory.resolve() / "train", worker=worker, say=progress.say)


@contextmanager
def _interruptible(executor: Executor, interrupts: Interrupts) -> Iterator[None]:
    """Pass an interrupt on to the executor, from a thread: a signal handler must not call Ray."""
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            if interrupts.requested.wait(0.2):
                executor.interrupt()
                return

    thread = threading.Thread(target=watch, daemon=True, name="interrupts")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
