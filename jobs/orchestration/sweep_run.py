"""Compute cells: MLflow made ready, Ray connected, one executor per shape of worker group, Tune trials in front, failures recorded.

The only caller of all the rest, used by `sweep.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.console.reporter import SweepReporter
from jobs.execution.asha_sink import AshaHandle
from jobs.execution.ray_session import nodes, ray_session
from jobs.execution.worker_config import RUN_CELL, WorkerConfig
from jobs.failures.outcome import Outcome
from jobs.orchestration.cell_lifecycle import CellLifecycle
from jobs.orchestration.signals import Interrupts
from jobs.orchestration.watchers import beside, grows, passes_on
from jobs.scheduling import asha_actor
from jobs.scheduling.admission import price_of
from jobs.scheduling.backlog import CellBacklog, Grow
from jobs.scheduling.budget import account as open_account
from jobs.scheduling.packing import form_packs
from jobs.scheduling.resources import WorkerGroupSpec, groups_that_fit, refusal, several_for_inline
from jobs.tracking import mlflow_repair, mlflow_setup
from jobs.tracking.mlflow_setup import Tracking
from loretta_core.config import CellConfig
from loretta_core.config.sweep.load import ExecutorName, PackSetting
from loretta_core.config.sweep.sampling import Budget, EarlyStopping
from loretta_core.errors import ConfigError, OutputError
from loretta_core.report.units import counted

if TYPE_CHECKING:
    from jobs.execution.executor import Executor


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
    pack: PackSetting = "off"
    budget: Budget | None = None
    early_stopping: EarlyStopping | None = None
    grow: Grow = tuple
    """Further cells of a search."""
    width: int = 0
    """Of a search: cells of a round. The cells that are missing now may be fewer."""
    copy: Callable[[str], None] | None = None
    """Told the id of every cell that is finished."""

    @property
    def directory(self) -> Path:
        """The sweep's own."""
        return self.out / "sweeps" / self.name


@dataclass(frozen=True)
class PriorResults:
    """Cells of the sweep that are over already."""

    late: Sequence[CellConfig] = ()
    """Finished, and not all in MLflow."""
    judged: Sequence[asha_actor.PastCell] = ()
    """What cells that run are compared with, for early stopping."""


def run_cells(cells: Sequence[CellConfig], *, before: PriorResults, request: Request, progress: SweepReporter, interrupts: Interrupts) -> str:
    """Compute the cells; every one of them leaves a record, or a note that it was stopped early, except when interrupted or left by the budget. Returns what
    the budget has to say."""
    complete = False
    with ThreadPoolExecutor(max_workers=1) as pool:
        preparing = pool.submit(_tracking, request)  # while Ray starts: each takes seconds, and most of Ray's are waiting
        try:
            with ray_session():
                remark = _run_cells(cells, tracking=preparing.result(), before=before, request=request, progress=progress, interrupts=interrupts)
            complete = not interrupts.requested.is_set()
            return remark
        finally:
            problem = "" if preparing.exception() else mlflow_setup.close(preparing.result(), complete=complete)
            if problem:
                progress.say(problem)


def _run_cells(
    cells: Sequence[CellConfig], *, tracking: Tracking, before: PriorResults, request: Request, progress: SweepReporter, interrupts: Interrupts
) -> str:
    mlflow_repair.close_orphan_runs(tracking)
    mlflow_repair.sync(tracking, out=request.out, cells=before.late)
    account = open_account(request.budget, price=price_of(nodes()))
    course = CellLifecycle(request.out, request.name, tracking, account, progress, request.copy)
    judge = asha_actor.start(request.early_stopping, before.judged) if request.early_stopping else None
    worker = WorkerConfig(out=request.out.resolve(), home=Path.cwd(), tracking=tracking, run_cell=request.run_cell, asha=AshaHandle(judge) if judge else None)
    ahead = CellBacklog(course, nodes, request.grow)
    with progress.shown():
        ahead.add(cells)
        while not (interrupts.requested.is_set() or account.spent) and (found := ahead.next_shape()):
            _run_shape(*found, ahead=ahead, request=request, worker=worker, course=course, interrupts=interrupts)
    mlflow_repair.sync(tracking, out=request.out, cells=mlflow_repair.unsynced_cells(request.out, course.finished))
    if course.no_room:
        raise OutputError(f"{request.out}: {course.no_room}; make room and start the same command again, finished cells are kept")
    return account.remark(ahead.placed - account.begun)


def catch_up(late: Sequence[CellConfig], *, request: Request) -> str:
    """Send what MLflow lacks of finished cells when there is nothing to compute. Returns what went wrong: no reason to withhold the comparison."""
    try:
        tracking = _tracking(request)
    except ConfigError as error:
        return str(error)
    return mlflow_repair.sync(tracking, out=request.out, cells=late) or mlflow_setup.close(tracking, complete=True)


def _tracking(request: Request) -> Tracking:
    return mlflow_setup.prepare(request.tracking_uri or mlflow_setup.default_uri(request.out), name=request.name, out=request.out)


def _run_shape(
    shape: WorkerGroupSpec,
    cells: Sequence[CellConfig],
    *,
    ahead: CellBacklog,
    request: Request,
    worker: WorkerConfig,
    course: CellLifecycle,
    interrupts: Interrupts,
) -> None:
    if refused := _refused(shape, request):
        for cell in cells:
            course.done(Outcome(cell.cell_id, "failed", kind=refused[0], message=refused[1]))
        return
    from jobs.orchestration.tune_trials import run_trials  # imports Ray Train: seconds that a refusal need not wait for

    most = max(len(cells), request.width)

    def room() -> int:
        return min(groups_that_fit(shape, nodes()), most, request.max_concurrent or most)

    groups = room()
    pack = request.pack if request.executor == "train" and shape.workers == 1 and request.run_cell == RUN_CELL else "off"
    in_packs = partial(form_packs, setting=pack, groups=groups, nodes=nodes())
    packs = in_packs(cells)
    place = {"train": "worker group", "inline": "trial worker"}[request.executor]
    progress = course.progress
    progress.places = groups
    together = f" in {counted(len(packs), 'pack')}" if len(packs) < len(cells) else ""
    progress.say(f"{counted(len(cells), 'cell')}{together} on {counted(groups, place)} ({shape}{' each' * (groups > 1)}); starting takes 10-20 s")
    executor = _executor(shape, groups, request=request, worker=worker.for_shape(shape), progress=progress)

    def grow(places: int) -> None:
        progress.places = places
        progress.say(f"the cluster has grown: {counted(places, place)} from now on")
        executor.grow(places)

    with executor, beside(passes_on(interrupts, to=executor.interrupt), grows(groups, room=room, grow=grow)):
        run_trials(
            packs,
            client=executor.client(),
            at_once=lambda: executor.at_once,
            resources=executor.trial_resources,
            in_trials=executor.in_trials,
            directory=request.directory / "tune",
            more=(lambda: in_packs(ahead.more(shape))) if request.width else None,
            begins=course.begins,
            done=course.done,
            stop=interrupts.requested,
        )


def _refused(shape: WorkerGroupSpec, request: Request) -> tuple[str, str] | None:
    """The class of failure and the reason, for a shape that cannot be computed."""
    if request.executor == "inline" and shape.workers > 1:  # an `auto` cell that fits no single device; sweep files that ask for several are refused
        return "config", several_for_inline(shape)
    why = refusal(shape, nodes())
    return ("infrastructure", why) if why else None


def _executor(shape: WorkerGroupSpec, groups: int, *, request: Request, worker: WorkerConfig, progress: SweepReporter) -> Executor:
    if request.executor == "inline":
        from jobs.execution.inline_executor import InlineExecutor

        return InlineExecutor(shape=shape, processes=groups, worker=worker)
    from jobs.execution.train_executor import TrainExecutor

    return TrainExecutor(shape=shape, groups=groups, storage=request.directory.resolve() / "train", worker=worker, say=progress.say)
