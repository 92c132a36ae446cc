"""Computes the cells that need one kind of worker group: packs them, opens an executor, and runs Tune trials in front of it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.execution.connection.ray_session import nodes
from jobs.execution.worker_config import RUN_CELL, WorkerConfig
from jobs.failures.outcome import Outcome
from jobs.orchestration.cell_lifecycle import CellLifecycle
from jobs.orchestration.reward_watch import watch_rewards
from jobs.orchestration.start_watch import watch_starts
from jobs.orchestration.watchers import run_watchers, watch_capacity, watch_interrupt
from jobs.scheduling.backlog import CellBacklog
from jobs.scheduling.packing import Pack, form_packs
from jobs.scheduling.resources import Node, WorkerGroupSpec, explain_single_process, explain_unplaceable, groups_that_fit
from loretta_core.config import CellConfig
from loretta_core.config.sweep.load import ExecutorName, PackSetting
from loretta_core.report.units import counted

if TYPE_CHECKING:
    from jobs.execution.executor import Executor

GROUP_NOUN = {"train": "worker group", "inline": "trial worker"}


@dataclass(frozen=True)
class GroupSettings:
    """The settings that all worker groups of a sweep share."""

    executor: ExecutorName
    pack: PackSetting
    max_concurrent: int | None
    """Most groups at the same time; None fills the cluster."""
    cells_per_round: int
    """Cells of a round of a search; 0 without one. The cells that are missing when the sweep starts may be fewer."""
    directory: Path
    """The sweep's own directory, for the bookkeeping of Ray."""
    worker: WorkerConfig


@dataclass
class GroupRun:
    """The cells that need one kind of worker group; a `TrialSource` (tune_trials.py) of their packs."""

    spec: WorkerGroupSpec
    cells: Sequence[CellConfig]
    _: KW_ONLY
    settings: GroupSettings
    lifecycle: CellLifecycle
    backlog: CellBacklog
    stop: threading.Event
    """Set when the sweep is interrupted."""
    _groups: int = field(init=False)
    """Worker groups at the start."""
    _nodes: Sequence[Node] = field(init=False)
    """Nodes at the start: packs of all rounds are formed for these."""

    def run(self) -> None:
        """Compute the cells, and those of further rounds for the same groups, until none is left, none may start, or the sweep is interrupted."""
        if self._refuse():
            return
        from jobs.orchestration.tune_trials import run_trials  # imports Ray Train: seconds that a refusal need not wait for

        self._groups, self._nodes = self._capacity(), nodes()
        packs = self._form_packs(self.cells)
        self._report_start(packs)
        executor = self._executor()
        interrupted = watch_interrupt(self.stop, interrupt=executor.interrupt)
        grown = watch_capacity(self._groups, capacity=self._capacity, grow=partial(self._grow, executor))
        started = watch_starts(self.cells, out=self.lifecycle.out, say=self.lifecycle.events.on_message)
        rewarded = watch_rewards(self.cells, out=self.lifecycle.out, say=self.lifecycle.events.on_message)
        with executor, run_watchers(interrupted, grown, started, rewarded):
            run_trials(packs, source=self, executor=executor, directory=self.settings.directory / "tune", stop=self.stop)

    @property
    def has_rounds(self) -> bool:
        """True when a search may add cells while the sweep runs."""
        return self.settings.cells_per_round > 0

    def next_packs(self) -> Sequence[Pack]:
        """Return the packs of the next round for these groups, now that no cell runs; none at the end, or when another kind of group comes first."""
        return self._form_packs(self.backlog.pop(self.spec))

    def try_start(self, cell: CellConfig, *, pack_size: int) -> bool:
        """Start the next cell if it may start; returns whether it may."""
        return self.lifecycle.try_start(cell, pack_size=pack_size)

    def on_outcome(self, outcome: Outcome) -> None:
        """Take the outcome of a cell."""
        self.lifecycle.on_outcome(outcome)

    def _refuse(self) -> bool:
        """Record all cells as failed when no such group can be formed; returns whether it was so."""
        if self.settings.executor == "inline" and self.spec.workers > 1:
            # An `auto` cell that fits no single device; sweep files that ask for several workers are refused when they are read.
            kind, reason = "config", explain_single_process(self.spec)
        elif unplaceable := explain_unplaceable(self.spec, nodes()):
            kind, reason = "infrastructure", unplaceable
        else:
            return False
        for cell in self.cells:
            self.lifecycle.on_outcome(Outcome(cell.cell_id, "failed", kind=kind, message=reason))
        return True

    def _capacity(self) -> int:
        """Return how many groups may run at the same time on the cluster as it is now."""
        useful = max(len(self.cells), self.settings.cells_per_round)
        return min(groups_that_fit(self.spec, nodes()), useful, self.settings.max_concurrent or useful)

    def _form_packs(self, cells: Sequence[CellConfig]) -> list[Pack]:
        packable = self.settings.executor == "train" and self.spec.workers == 1 and self.settings.worker.run_cell == RUN_CELL
        return form_packs(cells, setting=self.settings.pack if packable else "off", groups=self._groups, nodes=self._nodes)

    def _report_start(self, packs: Sequence[Pack]) -> None:
        self.lifecycle.events.on_concurrency_changed(self._groups)
        cells = counted(len(self.cells), "cell") + (f" in {counted(len(packs), 'pack')}" if len(packs) < len(self.cells) else "")
        groups = f"{counted(self._groups, GROUP_NOUN[self.settings.executor])} ({self.spec}{' each' * (self._groups > 1)})"
        self.lifecycle.events.on_message(f"{cells} on {groups}; starting takes 10-20 s")

    def _grow(self, executor: Executor, groups: int) -> None:
        self.lifecycle.events.on_concurrency_changed(groups)
        self.lifecycle.events.on_message(f"the cluster has grown: {counted(groups, GROUP_NOUN[self.settings.executor])} from now on")
        executor.grow(groups)

    def _executor(self) -> Executor:
        worker = self.settings.worker.for_shape(self.spec)
        if self.settings.executor == "inline":
            from jobs.execution.inline_executor import InlineExecutor

            return InlineExecutor(shape=self.spec, processes=self._groups, worker=worker)
        from jobs.execution.train_executor import TrainExecutor

        storage = self.settings.directory.resolve() / "train"
        return TrainExecutor(shape=self.spec, groups=self._groups, storage=storage, worker=worker, say=self.lifecycle.events.on_message)
