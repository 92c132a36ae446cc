"""The cells of a sweep joined with their records: one row per cell, best score first, cells without a score last."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from loretta_core.config import COMPONENTS, CellConfig
from loretta_core.report.labels import component_labels, varying_columns
from loretta_core.report.paper import PaperScore, paper_score
from loretta_core.store.early_stops import EarlyStop
from loretta_core.store.manifest import Manifest
from loretta_core.store.records import Record

NOT_RUN = "not run yet, or interrupted; start the sweep again to run it"
NOT_SCORED = "trained already, and its test rows are not scored yet; start the sweep again to score them"

Status = Literal["finished", "failed", "stopped early", "not run", "damaged"]
"""Status of a cell in a sweep."""


@dataclass(frozen=True)
class ResultRow:
    """One cell of a comparison."""

    cell_id: str
    cell: CellConfig
    labels: Mapping[str, str]
    """model, task, method, trainer, and whichever of precision, batch_size, seed varies in the sweep."""
    record: Record | None
    stop: EarlyStop | None = None
    """The sweep ended the cell early."""
    damage: str = ""
    """Path of a file of the cell that cannot be used, what is wrong with it and what to do; empty where all can be read."""

    @property
    def status(self) -> Status:
        """Status of the cell; a finished cell is finished, even where this sweep once stopped it."""
        if self.damage:
            return "damaged"
        if self.record is not None and self.record.unscored and self.cell.score_test:
            return "not run"  # a trial of another sweep, whose test rows are not scored yet
        if self.record is not None and (self.stop is None or self.record.status == "finished"):
            return self.record.status
        return "stopped early" if self.stop else "not run"

    @property
    def score(self) -> float | None:
        """Score of a finished cell; None for any other."""
        return self.record.score.value if self.record and self.status == "finished" else None

    @cached_property
    def old(self) -> bool:
        """True for a cell of an earlier schema: its settings have another id by now, so it is shown, and no sweep takes it for finished."""
        return self.cell.cell_id != self.cell_id

    @cached_property
    def paper(self) -> PaperScore | None:
        """The paper's score for the same model, task and method, where it prints one."""
        return paper_score(self.cell)

    @property
    def reason(self) -> str:
        """Reason why there is no score; empty for a finished cell."""
        if self.damage:
            return self.damage
        if self.stop is not None and self.status == "stopped early":
            return f"{self.stop.reason}; it counts as finished nowhere, and without early_stopping it goes on"
        if self.record is None or self.status == "not run":
            return NOT_SCORED if self.record is not None and self.record.unscored else NOT_RUN
        if self.record.error is None:
            return "" if self.record.status == "finished" else "failed without a reason"
        return f"{self.record.error.kind}: {self.record.error.message}"

    @property
    def name(self) -> str:
        """The labels in one line."""
        return " · ".join(value if name in COMPONENTS else f"{name} {value}" for name, value in self.labels.items())

    def to_json(self) -> dict[str, Any]:
        """Return the row with every number unrounded, as in table.json."""
        numbers = {name: value(self.record) if self.record else None for name, value in _JSON_NUMBERS.items()}
        evaluations = self.record.evaluations if self.record else {}
        paper = {"paper_score": self.paper.value, "paper_source": self.paper.text} if self.paper else {}
        return {
            "cell_id": self.cell_id,
            **self.labels,
            "status": self.status,
            "reason": self.reason or None,
            **numbers,
            **paper,
            **({"old": True} if self.old else {}),
            **({"evaluations": {task: scores.model_dump() for task, scores in evaluations.items()}} if evaluations else {}),
            "cell": self.cell.to_dict(),
        }


_JSON_NUMBERS: dict[str, Callable[[Record], object]] = {
    "score": lambda record: record.score.value,
    "score_low": lambda record: record.score.low,
    "score_high": lambda record: record.score.high,
    "score_name": lambda record: record.score.name,
    "test_rows": lambda record: record.score.rows,
    "initial_score": lambda record: record.score.initial,
    "validation_score": lambda record: record.score.validation,
    "best_step": lambda record: record.score.best_step,
    "trainable_params": lambda record: record.cost.trainable_params,
    "total_params": lambda record: record.cost.total_params,
    "train_seconds": lambda record: record.cost.train_s,
    "wall_seconds": lambda record: record.cost.wall_s,
    "peak_memory_bytes": lambda record: record.cost.peak_memory_bytes,
    "predicted_peak_memory_bytes": lambda record: record.cost.predicted_peak_memory_bytes,
    "step_seconds": lambda record: record.cost.step_s,
    "predicted_step_seconds": lambda record: record.cost.predicted_step_s,
    "checkpoint_bytes": lambda record: record.cost.checkpoint_bytes,
    "test_seconds": lambda record: record.cost.test_s,
    "steps": lambda record: record.cost.steps,
    "forwards": lambda record: record.cost.forwards,
    "pack_id": lambda record: record.pack.pack_id if record.pack else None,
    "pack_cells": lambda record: record.pack.cells if record.pack else None,
    "inputs_sha256": lambda record: record.digests.inputs,
    "warnings": lambda record: record.warnings,
}
"""Key of table.json → its value in a record. Scripts read these keys: they stay, however records are laid out."""


def build_rows(
    manifest: Manifest, *, records: Mapping[str, Record], stops: Mapping[str, EarlyStop] | None = None, damaged: Mapping[str, str] | None = None
) -> list[ResultRow]:
    """Join the cells of a manifest with their records, early stops and damaged files (cell id → reason), sorted."""
    stopped, reasons = stops or {}, damaged or {}
    cells = [manifest.resolved[cell_id] for cell_id in manifest.cells]
    extra = varying_columns(cells)
    rows = [
        ResultRow(
            cell_id,
            cell,
            {**labels, **{name: str(getattr(cell, name)) for name in extra}},
            record=records.get(cell_id),
            stop=stopped.get(cell_id),
            damage=reasons.get(cell_id, ""),
        )
        for cell_id, cell, labels in zip(manifest.cells, cells, component_labels(cells), strict=True)
    ]
    return _sorted(rows)


def damaged_cells(valid: Mapping[str, Record], *, records: Mapping[str, str], predictions: Mapping[str, str], stops: Mapping[str, str]) -> dict[str, str]:
    """Return the cells that a damaged file takes out of the comparison, with the reason. A finished cell does not need the note of its early stop."""
    finished = {cell_id for cell_id, record in valid.items() if record.status == "finished"}
    return {**{cell_id: reason for cell_id, reason in stops.items() if cell_id not in finished}, **predictions, **records}


def _sorted(rows: Sequence[ResultRow]) -> list[ResultRow]:
    """Sort by task (scores of different tasks do not compare), in the order of the sweep; then by score."""
    tasks = list(dict.fromkeys(row.labels["task"] for row in rows))
    return sorted(rows, key=lambda row: (tasks.index(row.labels["task"]), row.score is None, -(row.score or 0.0)))
