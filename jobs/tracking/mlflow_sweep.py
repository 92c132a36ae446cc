"""MLflow as a sink of a sweep: its experiment, and the parent run with what the sweep found.

experiment      description: the verdict
parent run      description: verdict and table; metrics: cells by state; artifacts: sweep.toml, report.html, table.md, verdict.json
runs of cells   told their part again where it changed (the trial that was chosen), and which contender the verdict recommends
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.tracking.facts.sweep_facts import Part, SweepFacts
from jobs.tracking.mlflow_repair import close_orphan_runs
from jobs.tracking.mlflow_setup import Tracking, connect
from jobs.tracking.mlflow_sink import NOTE_TAG, MlflowSink, run_note, run_tags
from loretta_core.config import CellConfig
from loretta_core.report.tables import lines_to_markdown, to_markdown
from loretta_core.store.layout import cell_directory
from loretta_core.store.manifest import SWEEP_FILE_NAME, sweep_directory
from loretta_core.store.notes.sent import Sent, find_sent, note_sent, without_credentials

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from loretta_core.report.compare import SweepComparison

REPORT_TAG = "loretta.report"
_ARTIFACTS = (SWEEP_FILE_NAME, "report.html", "table.md", "table.json", "verdict.json")


class MlflowSweep:
    """The MLflow experiment of a sweep."""

    name = "mlflow"

    def __init__(self, tracking: Tracking, *, out: Path) -> None:
        self.tracking = tracking
        self.to = without_credentials(tracking.uri)
        self._out = out
        self._facts = SweepFacts(out, name=tracking.sweep)

    def open_cell(self, cell: CellConfig) -> MlflowSink:
        """Return the sink of a cell."""
        return MlflowSink(self.tracking, cell, directory=cell_directory(self._out, cell.cell_id), facts=self._facts)

    def begin(self) -> None:
        """End the runs that a killed driver left running."""
        close_orphan_runs(self.tracking)

    def publish(self, comparison: SweepComparison | None, *, complete: bool) -> None:
        """Send what the sweep has found, and end its parent run."""
        client, run_id = connect(self.tracking.uri), self.tracking.parent_run_id
        if comparison is not None:
            self._describe(client, comparison)
            found = standings(comparison)
            for row in comparison.rows:
                self._tell_part(client, row.cell, found.get(row.cell_id, {}))
        client.set_terminated(run_id, status="FINISHED" if complete else "KILLED")

    def _describe(self, client: MlflowClient, comparison: SweepComparison) -> None:
        from mlflow.entities import Metric

        tracking, now = self.tracking, int(time.time() * 1000)
        directory = sweep_directory(self._out, name=comparison.name)
        verdict = lines_to_markdown(comparison.findings.lines)
        counts = Counter[str](row.status for row in comparison.rows)
        states = {f"cells.{state.replace(' ', '_')}": float(counts[state]) for state in {"finished", "failed", *counts}}
        said = {NOTE_TAG: f"{verdict}\n\n{to_markdown(comparison.table())}", REPORT_TAG: str(comparison.report.resolve()), "verdict": _headline(verdict)}
        metrics = [Metric(name, value, now, 0) for name, value in {**states, "cells": float(len(comparison.rows))}.items()]
        client.log_batch(tracking.parent_run_id, metrics=metrics, tags=run_tags(said))
        client.set_experiment_tag(tracking.experiment_id, NOTE_TAG, verdict[:5000])
        for name in _ARTIFACTS:
            if (directory / name).is_file():
                client.log_artifact(tracking.parent_run_id, str(directory / name))

    def _tell_part(self, client: MlflowClient, cell: CellConfig, standing: Mapping[str, str]) -> None:
        """Tell the run of a cell, and its model, what has changed since it was sent."""
        directory = cell_directory(self._out, cell.cell_id)
        note = find_sent(directory, sink=self.name, to=self.to, sweep=self.tracking.sweep)
        known = self._facts.part(cell)
        part = Part(known.name, {**known.tags, **standing})
        if note is None or note.facts == part.digest:
            return
        tags = {**part.tags, NOTE_TAG: run_note(self.tracking, cell, part)}
        client.log_batch(note.run_id, tags=run_tags(tags))
        client.update_run(note.run_id, name=part.name)
        if note.model_id:
            client.set_logged_model_tags(note.model_id, dict(part.tags))
        note_sent(directory, Sent(**{**note.model_dump(), "facts": part.digest}))


def standings(comparison: SweepComparison) -> dict[str, dict[str, str]]:
    """Return cell id → its contender, and for replicates and the chosen trial what the verdict says of it: recommended, not separated, worse, …"""
    found: dict[str, dict[str, str]] = {}
    for verdict in comparison.findings.verdicts:
        for standing in verdict.standings:
            contender = standing.contender
            found |= {row.cell_id: {"contender": contender.name} for row in contender.trials}
            decisive = (*([contender.winner] if contender.winner else []), *contender.replicates)
            found |= {row.cell_id: {"contender": contender.name, "verdict": standing.relation} for row in decisive}
    return found


def _headline(markdown: str) -> str:
    """Return the first line of a verdict, without marks of emphasis."""
    first = next((line for line in markdown.splitlines() if line.strip("> ")), "")
    return first.strip("> ").replace("*", "").replace("\\", "")
