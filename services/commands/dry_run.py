"""`loretta sweep FILE --dry-run`: the cells of a sweep with their status and their trainable parameters. Reads only, starts nothing, imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jobs.console.protocol_lines import contender_lines, protocol_lines
from loretta_core.config import SweepConfig
from loretta_core.config.sweep.contenders import GridContender
from loretta_core.config.sweep.limits import Budget
from loretta_core.config.sweep.load import Rounds
from loretta_core.report import units
from loretta_core.report.labels import component_labels, contender_names, varying_columns
from loretta_core.report.tables import Table, to_text
from loretta_core.report.units import counted
from services.commands.output import to_json
from services.queries.sweep_preview import CellPreview, as_started, preview_cells


def dry_run(sweep: SweepConfig, *, out: Path, as_json: bool) -> str:
    """Return the plan as text or JSON. Raise OutputError when `out` is not an output directory of ours."""
    sweep = as_started(sweep, out=out)
    cells = preview_cells(sweep, out=out)
    return _json(sweep, cells, out=out) if as_json else _text(sweep, cells, out=out)


def _text(sweep: SweepConfig, cells: Sequence[CellPreview], *, out: Path) -> str:
    labels = component_labels(sweep.cells)
    extra = [name for name in varying_columns(sweep.cells) if name != "seed"]
    columns = ("cell", "model", "task", "method", "trainer", *(name.replace("_", " ") for name in extra), "seed", "status", "trainable parameters")
    body = tuple(
        (
            preview.cell.cell_id,
            *label.values(),
            *(str(getattr(preview.cell, name)) for name in extra),
            str(preview.cell.seed),
            _status_text(preview),
            units.count(preview.plan.trainable_params),
        )
        for preview, label in zip(cells, labels, strict=True)
    )
    return "\n".join([to_text(Table(columns=columns, body=body, numeric=1)), "", *_remarks(sweep, cells, out=out)])


def _status_text(cell: CellPreview) -> str:
    return "cannot run" if cell.plan.refusal and cell.status != "finished" else _STATUS_TEXTS[cell.status]


_STATUS_TEXTS = {
    "finished": "finished",
    "new": "new",
    "failed": "failed, runs again",
    "damaged": "damaged record, runs again",
    "unscored": "trained, test rows to score",
    "stopped early": "stopped early",
}


def _remarks(sweep: SweepConfig, cells: Sequence[CellPreview], *, out: Path) -> list[str]:
    statuses = [cell.status for cell in cells]
    finished, stopped = statuses.count("finished"), statuses.count("stopped early")
    early = f", {stopped} stopped early" if stopped else ""
    scored = statuses.count("unscored")
    trained = f", {scored} of them trained already: only the test rows are scored" if scored else ""
    cautions = {caution: None for cell in sweep.cells for caution in cell.cautions}
    return [
        f"{counted(len(cells), 'cell')}: {finished} finished{early}, {len(cells) - finished - stopped} to run{trained}. Output: {out}",
        *([f"budget of one start: {_budget(sweep.budget)}"] if sweep.budget else []),
        *([_search(sweep.rounds)] if sweep.rounds and not sweep.rounds.complete else []),
        *protocol_lines(sweep),
        *contender_lines(sweep),
        *([f"{sweep.excluded} excluded by the sweep's rules"] if sweep.excluded else []),
        *(f"duplicate, runs once: {label}" for label in sweep.duplicates),
        *(f"skipped: {description}: {reason}" for description, reason in sweep.skipped),
        *sweep.notices,
        *dict.fromkeys(f"cannot run: {cell.plan.refusal}" for cell in cells if cell.plan.refusal),
        *(f"caution: {caution}" for caution in cautions),
        "Nothing was started.",
    ]


def _search(rounds: Rounds) -> str:
    known = min(map(len, rounds.tried.values()))
    return f"search: {known} of {rounds.search.samples} samples per point of the grid are known; the others depend on the scores of these"


def _budget(budget: Budget) -> str:
    return ", ".join(f"{name} = {value:g}" for name, value in budget.model_dump(exclude_none=True).items())


def _json(sweep: SweepConfig, cells: Sequence[CellPreview], *, out: Path) -> str:
    content: dict[str, object] = {
        "name": sweep.name,
        "output": str(out),
        "cells": [{**cell.to_json(), "cell": cell.cell.to_dict()} for cell in cells],
        "duplicates": list(sweep.duplicates),
        "skipped": [{"cell": description, "reason": reason} for description, reason in sweep.skipped],
        "excluded": sweep.excluded,
        "notices": list(sweep.notices),
    }
    if sweep.contenders:
        names = contender_names([contender.cell for contender in sweep.contenders])
        content["contenders"] = [_contender(contender, name) for contender, name in zip(sweep.contenders, names, strict=True)]
    return to_json(content)


def _contender(contender: GridContender, name: str) -> dict[str, object]:
    return {
        "name": name,
        "trials": [trial.cell_id for trial in contender.trials],
        "trials_wanted": contender.count if contender.tuned else None,
        "space": {key: values if isinstance(values, list) else values.model_dump() for key, values in (contender.space or {}).items()},
        "winner": contender.winner,
        "replicates": [cell.cell_id for cell in contender.replicates],
        "notes": list(contender.notes),
    }
