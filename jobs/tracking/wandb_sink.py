"""Weights & Biases as a sink of a sweep: one run per cell, in the project with the sweep's name, sent when the cell is over.

    WANDB_MODE=offline     runs go to OUT/wandb/offline-run-*; `wandb sync` sends them later
    otherwise              to the server of WANDB_BASE_URL, with the login of `wandb login` or WANDB_API_KEY

A run has the cell's id. One that a killed process began is continued where the server knows it, and written anew where it lies in files.
"""

from __future__ import annotations

import os
import shutil
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.failures.outcome import Outcome
from jobs.tracking.facts import cell_facts
from jobs.tracking.facts.sweep_facts import SweepFacts
from jobs.tracking.journal import Journal, Point, select_unsent
from loretta_core.config import CellConfig
from loretta_core.errors import ConfigError
from loretta_core.store.adapter_files import ADAPTER_NAME
from loretta_core.store.layout import cell_directory
from loretta_core.store.notes.sent import Sent, note_sent, without_credentials
from loretta_core.train.sinks import JOURNAL_NAME, SYSTEM_JOURNAL_NAME

if TYPE_CHECKING:
    from loretta_core.report.compare import SweepComparison

SERVER = "https://api.wandb.ai"
OFFLINE_MODES = ("offline", "dryrun")


def wandb_place(out: Path) -> str:
    """Return the server that runs are sent to, or the directory that they lie in while W&B is offline."""
    if _offline():
        return str((out / "wandb").resolve())
    return without_credentials(os.environ.get("WANDB_BASE_URL", SERVER))


class WandbSweep:
    """The W&B project of a sweep."""

    name = "wandb"

    def __init__(self, out: Path, *, sweep: str) -> None:
        _check_login()
        self.to = wandb_place(out)
        self._out = out
        self._sweep = sweep
        self._facts = SweepFacts(out, name=sweep)

    def open_cell(self, cell: CellConfig) -> WandbSink:
        """Return the sink of a cell."""
        return WandbSink(cell, out=self._out, to=self.to, sweep=self._sweep, facts=self._facts)

    def begin(self) -> None:
        """A run that a killed process left is found when its cell is sent."""

    def publish(self, comparison: SweepComparison | None, *, complete: bool) -> None:
        """The verdict is in the report and in MLflow; W&B has the runs."""


class WandbSink:
    """The W&B run of one cell."""

    def __init__(self, cell: CellConfig, *, out: Path, to: str, sweep: str, facts: SweepFacts) -> None:
        self._cell = cell
        self._out = out
        self._directory = cell_directory(out, cell.cell_id)
        self._to = to
        self._sweep = sweep
        self._facts = facts
        self.problem = ""
        """The reason why the run is missing; "" when it is not."""

    def flush(self) -> None:
        """Send nothing: a run is sent whole, when its cell is over."""

    def end_run(self, outcome: Outcome) -> None:
        """Send a finished cell; another one is sent when it has finished."""
        if outcome.status != "finished":
            return
        try:
            run_id = self._send()
        except Exception as error:  # a process edge: whatever the library raises, the sweep goes on
            self.problem = f"W&B does not take the run ({type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}); it is in {JOURNAL_NAME}"
            return
        self.problem = ""
        note_sent(self._directory, Sent(sink="wandb", to=self._to, sweep=self._sweep, run_id=run_id))

    def _send(self) -> str:
        os.environ.setdefault("WANDB_SILENT", "true")
        import wandb

        part = self._facts.part(self._cell)
        run_id = f"{self._sweep}-{self._cell.cell_id}"
        if _offline():
            for begun in (self._out / "wandb").glob(f"offline-run-*-{run_id}"):
                shutil.rmtree(begun)
        run = wandb.init(
            project=self._sweep,
            id=run_id,
            name=part.name,
            dir=self._out,
            config={**cell_facts.params(self._cell), **cell_facts.numbers(self._cell), **cell_facts.tags(self._cell), **part.tags},
            group=part.tags.get("contender"),
            job_type=part.tags.get("role"),
            resume=None if _offline() else "allow",
            reinit="create_new",
            settings=wandb.Settings(console="off", x_disable_stats=True, disable_git=True, save_code=False),
        )
        try:
            self._log(run)
            self._log_adapter(run, wandb)
        finally:
            run.finish()
        return run_id

    def _log(self, run: Any) -> None:
        """Log the points that the run does not have, a step at a time, and the final numbers as its summary."""
        points = [point for name in (JOURNAL_NAME, SYSTEM_JOURNAL_NAME) for point in Journal(self._directory / name).new_points()]
        fresh, _ = select_unsent([point for point in points if not point.final and point.step >= run.step], {})
        for step, at in groupby(sorted(fresh, key=_step), key=_step):
            run.log({point.name: point.value for point in at}, step=step)
        for point in points:
            if point.final:
                run.summary[point.name] = point.value

    def _log_adapter(self, run: Any, wandb: Any) -> None:
        """Name the trained weights by their path and digest; they stay where they are."""
        if (self._directory / ADAPTER_NAME).is_dir():
            artifact = wandb.Artifact(f"adapter-{self._cell.cell_id}", type="model", metadata={"cell_id": self._cell.cell_id})
            artifact.add_reference((self._directory / ADAPTER_NAME).resolve().as_uri(), name=ADAPTER_NAME)
            run.log_artifact(artifact)


def _check_login() -> None:
    """Raise ConfigError where W&B would ask for a key, which nobody sees in a thread."""
    if not _offline():
        import wandb

        if not wandb.api.api_key:
            raise ConfigError("sinks: W&B has no login here: run `wandb login`, set WANDB_API_KEY, or WANDB_MODE=offline")


def _offline() -> bool:
    return os.environ.get("WANDB_MODE", "") in OFFLINE_MODES


def _step(point: Point) -> int:
    return point.step
