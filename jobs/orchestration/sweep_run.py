"""One start of a sweep, in four phases.

    plan      read which cells are finished, check the inputs of the others       writes nothing but an empty output directory
    prepare   archive what is computed again, fetch from the mirror, write the    from here on with the lock of the output directory;
              manifest, read what earlier starts left                             the status is read again, since another driver may have run before
    execute   tracking stores and Ray, then the cells, one kind of worker group after the other
    finish    the comparison, what tracking stores lack of it, and the exit code

`jobs/sweep.py` calls them in this order. Nothing here imports Ray, MLflow or torch before there is a cell to compute.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from jobs.console.reporter import SweepReporter, print_line
from jobs.console.start_lines import start_lines
from jobs.execution.connection.knock import knock
from jobs.execution.connection.ray_address import check_address
from jobs.execution.connection.ray_session import cluster_address, nodes, ray_session
from jobs.execution.worker_config import RUN_CELL, WorkerConfig
from jobs.orchestration.cell_lifecycle import CellLifecycle
from jobs.orchestration.group_run import GroupRun, GroupSettings
from jobs.orchestration.preflight import check_inputs
from jobs.orchestration.prior_results import PriorResults, read_prior_results
from jobs.orchestration.search_rounds import SearchRounds, write_named_manifest
from jobs.orchestration.signals import Interrupts
from jobs.scheduling.admission import gpu_price
from jobs.scheduling.asha_actor import start_asha_actor
from jobs.scheduling.backlog import CellBacklog
from jobs.scheduling.budget import Account, open_account
from jobs.scheduling.local_machine import check_placeable
from jobs.scheduling.optuna_search import check_search
from jobs.scheduling.protocol.stages import settled_failures
from jobs.storage.ledger import SweepStatus, read_status, refresh_status
from jobs.storage.mirror import Mirror
from jobs.storage.rerun import archive_cells, resolve_cell_ids
from jobs.tracking.shipper import PATIENCE_S, Shipper
from jobs.tracking.sink import Sink, unsynced_cells
from jobs.tracking.sinks import check_sinks, destinations, open_sinks
from loretta_core.config import CellConfig, SweepConfig
from loretta_core.config.engine import Auto
from loretta_core.errors import ConfigError
from loretta_core.plan.tuning import fix_trials
from loretta_core.report.compare import SweepComparison, write_comparison
from loretta_core.report.units import counted
from loretta_core.store.early_stops import clear_early_stop, read_early_stops
from loretta_core.store.manifest import sweep_directory
from loretta_core.store.notes.sent import find_sent
from loretta_core.store.output_dir import check_output_dir
from loretta_core.store.protocol_state import restore_protocol
from loretta_core.store.search_state import restore_search

INTERRUPTED_PATIENCE_S = 5.0
"""Seconds that an interrupted sweep waits for tracking stores that take nothing."""


@dataclass(frozen=True, kw_only=True)
class SweepOptions:
    """The options of one start of a sweep, beside its file."""

    out: Path
    max_concurrent: int | None = None
    """Most worker groups; None takes the file's."""
    tracking_uri: str = ""
    """MLflow; "" takes the default."""
    rerun: Sequence[str] = ()
    """Ids, or first digits, of cells to compute again."""
    command: str = "the same command"
    """The command that resumes the sweep after an interruption."""
    run_cell: str = RUN_CELL
    """module:function that computes a cell."""


@dataclass
class SweepRun:
    """One start of a sweep; its phases are called in the order in which they stand here."""

    config: SweepConfig
    options: SweepOptions
    rerun: Sequence[CellConfig] = field(init=False)
    status: SweepStatus = field(init=False)
    mirror: Mirror | None = field(init=False)
    search: SearchRounds = field(init=False)
    prior: PriorResults = field(init=False)
    reporter: SweepReporter = field(init=False)
    shipper: Shipper = field(init=False)
    interrupts: Interrupts = field(default_factory=lambda: Interrupts(print_line), init=False)
    remark: str = field(default="", init=False)
    """The budget's line for the end; "" when it did not stop the sweep."""

    def plan(self) -> None:
        """Read which cells are finished and check the inputs of the others.

        Raises ConfigError when RAY_ADDRESS, a model, a data file, a package or the output directory cannot be used, this machine can never hold a cell, or
        `rerun` names none.
        """
        self.config = fix_trials(restore_protocol(restore_search(self.config, self.options.out), self.options.out))
        check_search(self.config)
        check_sinks(self.config.sinks)
        self.rerun = resolve_cell_ids(self.config.cells, self.options.rerun)
        self.status = read_status(self.options.out, self.config.cells)
        missing = [*(cell for cell in self.config.cells if cell.cell_id not in self.status.finished), *self.rerun]
        check_inputs(missing)
        if missing and (address := cluster_address()):
            check_address(address)
            knock(address)
        else:
            check_placeable(missing)
        check_output_dir(self.options.out)

    def prepare(self, mirror: Mirror | None) -> None:
        """Make the output directory ready and print what will be computed. The caller holds its lock."""
        out = self.options.out
        self.mirror = mirror
        self._archive_reruns()
        self._clear_early_stops()
        write_named_manifest(self.config, out)
        self.search = SearchRounds(self.config, out=out, mirror=mirror)
        self.prior = read_prior_results(self.config, out=out, known=self.status)
        self.shipper = Shipper(out=out)
        self.reporter = SweepReporter(self.config.cells, over=len(self.prior.over))
        settled = settled_failures(self.config, self.prior.status.failed)
        stopped = len(self.prior.stopped.keys() - self.prior.status.finished.keys())
        for line in start_lines(self.config, self.prior.status, stopped=stopped, settled=len(settled), out=out):
            self.reporter.on_message(line)
        if mirror is not None:
            mirror.send_missing(self.prior.status.finished)

    def execute(self) -> None:
        """Compute the cells that are missing; without any, send what tracking stores lack."""
        over = self.prior.over | settled_failures(self.config, self.prior.status.failed)
        cells = [cell for cell in self.config.cells if cell.cell_id not in over] or self.search.next_round()
        if cells:
            with self.interrupts:
                self.remark = self._compute(cells)
        elif self._unsynced():
            self._send_finished()

    def finish(self) -> int:
        """Print the comparison, or how to resume after an interruption, and return the exit code."""
        out, config = self.options.out, self.search.config
        status = refresh_status(out, config.cells, known=self.prior.status)
        finished = status.finished
        if self.interrupts.requested.is_set():
            self._end_sinks(None, complete=False, patience_s=INTERRUPTED_PATIENCE_S)
            total = counted(len(config.cells), "cell")
            self.reporter.on_message(f"stopped: {len(finished)} of {total} are finished and kept; go on with:\n  {self.options.command}")
            return self.interrupts.exit_code
        comparison = write_comparison(out, name=config.name)
        print_line(comparison.text)
        if self.remark:
            self.reporter.on_message(self.remark)
        over = finished.keys() | read_early_stops(out, name=config.name).keys() | settled_failures(config, status.failed)
        self._end_sinks(comparison, complete=len(over) == len(config.cells))
        return 0 if len(over) == len(config.cells) or (self.remark and not self.reporter.failed) else 1

    def _archive_reruns(self) -> None:
        """Make the cells to compute again unfinished, here and in the mirror, and fetch what else is finished there."""
        again = {cell.cell_id for cell in self.rerun}
        archive_cells(self.options.out, self.rerun)
        if self.mirror is not None:
            self.mirror.invalidate(again)
            known = self.status.finished.keys() | again
            fetched = self.mirror.fetch(cell for cell in self.config.cells if cell.cell_id not in known)
            print_line(f"mirror {self.config.mirror}: {counted(fetched, 'finished cell')} fetched")
        self.status = replace(self.status, finished={cell_id: record for cell_id, record in self.status.finished.items() if cell_id not in again})

    def _clear_early_stops(self) -> None:
        """Delete the notes of early stops of the cells that are to be computed to their end."""
        cells = self.rerun if self.config.early_stopping else self.config.cells
        noted = read_early_stops(self.options.out, name=self.config.name)
        for cell_id in {cell.cell_id for cell in cells} & noted.keys():
            clear_early_stop(self.options.out, name=self.config.name, cell_id=cell_id)

    def _compute(self, cells: Sequence[CellConfig]) -> str:
        """Compute the cells and those of further rounds. Every one leaves a record, or a note of its early stop, except when interrupted or left by the budget.
        Returns what the budget has to say."""
        with self._sinks_and_ray():
            account = open_account(self.config.budget, price=gpu_price(nodes()))
            lifecycle = self._lifecycle(account)
            backlog, settings = CellBacklog(lifecycle), self._group_settings()
            with self.reporter.live():
                backlog.add(lifecycle.add(cells))
                while not (self.interrupts.requested.is_set() or account.spent) and (group := backlog.pop_largest()):
                    GroupRun(*group, settings=settings, lifecycle=lifecycle, backlog=backlog, stop=self.interrupts.requested).run()
            lifecycle.check_room()
            return account.remark(lifecycle.placed - account.started)

    def _lifecycle(self, account: Account) -> CellLifecycle:
        return CellLifecycle(
            out=self.options.out, search=self.search, shipper=self.shipper, account=account, events=self.reporter, nodes=nodes, mirror=self.mirror
        )

    def _group_settings(self) -> GroupSettings:
        config, out = self.config, self.options.out
        asha_actor = start_asha_actor(config.early_stopping, self.prior.asha_history) if config.early_stopping else None
        return GroupSettings(
            executor=config.executor,
            pack=config.pack,
            max_concurrent=self.options.max_concurrent or config.max_concurrent,
            cells_per_round=self.search.cells_per_round,
            directory=sweep_directory(out, name=config.name),
            worker=WorkerConfig(out=out.resolve(), home=Path.cwd(), run_cell=self.options.run_cell, asha_actor=asha_actor, stops_scored=not config.contenders),
        )

    @contextmanager
    def _sinks_and_ray(self) -> Iterator[None]:
        """Connect to Ray, and open the sinks while Ray starts: each takes seconds, and most of Ray's are waiting."""
        with ThreadPoolExecutor(max_workers=1) as pool:
            opening = pool.submit(self._open_sinks)
            groups = any(isinstance(cell.engine, Auto) or cell.engine.workers > 1 for cell in self.config.cells)
            try:
                with ray_session(self._describe_loss, process_groups=groups):
                    self._start_shipper(opening.result())
                    yield
            except BaseException:
                self._end_sinks(None, complete=False, patience_s=INTERRUPTED_PATIENCE_S)
                raise

    def _describe_loss(self, died: str) -> str:
        """Return the message about a Ray that died: what is kept, and how to go on. Called from a thread that watches Ray."""
        config = self.search.config
        finished = len(refresh_status(self.options.out, config.cells, known=self.prior.status).finished)
        return f"{died}; {finished} of {counted(len(config.cells), 'cell')} are finished and kept; go on with:\n  {self.options.command}"

    def _open_sinks(self) -> list[Sink]:
        config, options = self.config, self.options
        return open_sinks(config.sinks, sweep=config.name, out=options.out, tracking_uri=options.tracking_uri, max_upload_mib=config.max_upload_mib)

    def _start_shipper(self, sinks: Sequence[Sink]) -> None:
        """Supply the sinks from now on, first with what earlier starts could not send."""
        self.shipper = Shipper(sinks, out=self.options.out)
        self.shipper.send_missing(self.prior.finished(self.config.cells), sweep=self.config.name)

    def _send_finished(self) -> None:
        """Send finished cells alone. What goes wrong is said: it is no reason to withhold the comparison."""
        try:
            self._start_shipper(self._open_sinks())
        except ConfigError as error:
            self.reporter.on_message(str(error))

    def _unsynced(self) -> bool:
        """Whether a sink does not have all finished cells, or not what was found."""
        places = destinations(self.config.sinks, out=self.options.out, tracking_uri=self.options.tracking_uri)
        cells, name = self.prior.finished(self.config.cells), self.config.name
        found, out = sweep_directory(self.options.out, name=name), self.options.out
        return any(
            find_sent(found, sink=sink, to=to, sweep=name) is None or unsynced_cells(out, cells, sink=sink, to=to, sweep=name) for sink, to in places.items()
        )

    def _end_sinks(self, comparison: SweepComparison | None, *, complete: bool, patience_s: float = PATIENCE_S) -> None:
        for problem in self.shipper.finish(comparison, complete=complete, patience_s=patience_s):
            self.reporter.on_message(problem)
