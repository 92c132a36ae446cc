"""Conversions from results of queries to response models."""

from __future__ import annotations

from pathlib import Path

from loretta_core.report.adapter_docs.loading_code import loading_code, reproduce_command
from loretta_core.report.rows import ResultRow
from loretta_core.store.layout import cell_directory
from services.api.schemas import Cell, CellSummary, RunningCell, SweepSummary
from services.queries.links import mlflow_link
from services.queries.run_index import CellView, SweepView
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
        damaged=progress.damaged,
        waiting=progress.waiting,
        running=[running_cell(each, name=view.names[each.cell_id]) for each in progress.running],
        eta_s=progress.eta_s,
        version=view.version,
    )


def running_cell(cell: CellProgress, *, name: str) -> RunningCell:
    """Return the progress of a cell in training."""
    return RunningCell(cell_id=cell.cell_id, name=name, step=cell.step, steps=cell.steps, loss=cell.loss, seconds=cell.elapsed_s)


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


def cell_view(view: CellView, *, out: Path, mlflow_url: str) -> Cell:
    """Return everything about a cell."""
    cell, record = view.cell, view.record
    adapter = cell_directory(out, view.cell_id) / record.adapter if record and record.adapter else None
    return Cell(
        cell_id=view.cell_id,
        label=cell.label,
        status=view.status,
        settings=cell.to_dict(),
        record=record.model_dump(mode="json", exclude={"cell"}) if record else None,
        damage=view.damage or None,
        reproduce=reproduce_command(cell),
        load=loading_code(cell, adapter=adapter) if adapter else None,
        mlflow=mlflow_link(out, view.cell_id, url=mlflow_url),
    )
