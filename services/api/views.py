"""Services' values → response models."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from loretta_core.config import CellConfig
from loretta_core.report.adapter_docs.loading_code import loading_code, reproduce_command
from loretta_core.report.rows import ResultRow
from loretta_core.store.records import Record
from services.api.schemas import Cell, CellSummary, RunningCell, SweepSummary
from services.queries.links import mlflow_link
from services.queries.run_index import SweepView


def summary_of(view: SweepView) -> SweepSummary:
    """How far a sweep is."""
    progress = view.progress
    return SweepSummary(
        name=view.name,
        description=view.manifest.description,
        total=progress.total,
        finished=progress.finished,
        failed=progress.failed,
        stopped=progress.stopped,
        waiting=progress.waiting,
        running=[RunningCell(**asdict(each)) for each in progress.running],
        eta_s=progress.eta_s,
        version=view.version,
    )


def cell_summary(row: ResultRow) -> CellSummary:
    """A row of the comparison."""
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
        paired_difference=row.paired.difference if row.paired else None,
        paired_p=row.paired.p if row.paired else None,
        paper=row.paper.text if row.paper else None,
    )


def cell_of(cell: CellConfig, record: Record | None, *, out: Path, mlflow_url: str) -> Cell:
    """Everything about a cell."""
    adapter = out / "cells" / cell.cell_id / record.adapter if record and record.adapter else None
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
