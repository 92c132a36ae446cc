"""Conversions from results of queries to response models."""

from __future__ import annotations

from pathlib import Path

from loretta_core.config import CellConfig
from loretta_core.report.adapter_docs.loading_code import loading_code, reproduce_command
from loretta_core.report.rows import ResultRow
from loretta_core.store.layout import cell_directory
from loretta_core.store.records import Record
from services.api.schemas import Cell, CellSummary, RunningCell, SweepSummary
from services.queries.links import mlflow_link
from services.queries.run_index import SweepView
from services.queries.sweep_progress import CellProgress


def sweep_summary(view: SweepView) -> SweepSummary:
    """Return the progress of a sweep."""
    progress = view.progress
    return SweepSummary(
        name=view.name,
        description=view.manifest.description,
        total=progress.total,
        finished=progress.finished,
        failed=progress.failed,
        stopped=progress.stopped,
        waiting=progress.waiting,
        running=[running_cell(each) for each in progress.running],
        eta_s=progress.eta_s,
        version=view.version,
    )


def running_cell(cell: CellProgress) -> RunningCell:
    """Return the progress of a cell in training."""
    return RunningCell(cell_id=cell.cell_id, step=cell.step, steps=cell.steps, loss=cell.loss, seconds=cell.elapsed_s)


def cell_summary(row: ResultRow) -> CellSummary:
    """Return a row of the comparison."""
    record = row.record
    return CellSummary(
        cell_id=row.cell_id,
        labels=dict(row.labels),
        status=row.status,
        reason=row.reason or None,
        score=row.score,
        score_low=record.score.low if record else None,
        score_high=record.score.high if record else None,
        score_name=record.score.name if record and row.score is not None else None,
        initial_score=record.score.initial if record else None,
        trainable_params=record.cost.trainable_params if record else None,
        train_seconds=record.cost.train_s if record else None,
        peak_memory_bytes=record.cost.peak_memory_bytes if record else None,
        forwards=record.cost.forwards if record else None,
        paper=row.paper.text if row.paper else None,
    )


def cell_view(cell: CellConfig, record: Record | None, *, out: Path, mlflow_url: str) -> Cell:
    """Return everything about a cell."""
    adapter = cell_directory(out, cell.cell_id) / record.adapter if record and record.adapter else None
    return Cell(
        cell_id=cell.cell_id,
        label=cell.label,
        status=record.status if record else "not run",
        settings=cell.to_dict(),
        record=record.model_dump(mode="json", exclude={"cell"}) if record else None,
        reproduce=reproduce_command(cell),
        load=loading_code(cell, adapter=adapter) if adapter else None,
        mlflow=mlflow_link(out, cell.cell_id, url=mlflow_url),
    )
