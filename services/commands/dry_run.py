"""`loretta sweep FILE --dry-run`: the cells of a sweep, where each stands and what it would train. Reads; writes nothing, starts nothing, imports no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from loretta_core.config import CellConfig, SweepConfig
from loretta_core.config.sweep.limits import Budget
from loretta_core.config.sweep.load import Rounds
from loretta_core.errors import OutputError
from loretta_core.plan.cell import CellPlan, plan_cell
from loretta_core.report import units
from loretta_core.report.labels import component_labels, varying_columns
from loretta_core.report.tables import Table, to_text
from loretta_core.report.units import counted
from loretta_core.store.early_stops import read_early_stops
from loretta_core.store.output_dir import check_output_dir
from loretta_core.store.record_files import RECORD_NAME, read_record
from loretta_core.store.search_state import restore_search


def dry_run(sweep: SweepConfig, *, out: Path, as_json: bool) -> str:
    """The plan as text or JSON. Raises OutputError when `out` holds something that is not ours."""
    if out.exists() and (out.is_file() or any(out.iterdir())):
        check_output_dir(out)
    sweep = restore_search(sweep, out)
    standing, plans = _look(sweep, out=out)
    return _json(sweep, standing, plans, out=out) if as_json else _text(sweep, standing, plans, out=out)


def standing_of(sweep: SweepConfig, *, out: Path) -> list[dict[str, Any]]:
    """One row per cell: cell_id, label, status, trainable_params, refusal."""
    standing, plans = _look(sweep, out=out)
    return [_entry(cell, status, plan) for cell, status, plan in zip(sweep.cells, standing, plans, strict=True)]


def _look(sweep: SweepConfig, *, out: Path) -> tuple[list[str], list[CellPlan]]:
    stopped = read_early_stops(out, name=sweep.name) if sweep.early_stopping else {}
    standing = [where_it_stands(cell, out=out, stopped=cell.cell_id in stopped) for cell in sweep.cells]
    return standing, [plan_cell(cell) for cell in sweep.cells]


def _entry(cell: CellConfig, status: str, plan: CellPlan) -> dict[str, Any]:
    return {"cell_id": cell.cell_id, "label": cell.label, "status": status, "trainable_params": plan.trainable_params, "refusal": plan.refusal}


def where_it_stands(cell: CellConfig, *, out: Path, stopped: bool = False) -> str:
    """finished, new, failed (runs again), damaged (runs again) or, by this sweep, stopped early."""
    directory = out / "cells" / cell.cell_id
    if not (directory / RECORD_NAME).exists():
        return "stopped early" if stopped else "new"
    try:
        return read_record(directory).status
    except OutputError:
        return "damaged"


def _text(sweep: SweepConfig, standing: list[str], plans: list[CellPlan], *, out: Path) -> str:
    labels = component_labels(sweep.cells)
    extra = [name for name in varying_columns(sweep.cells) if name != "seed"]
    columns = ("cell", "model", "task", "method", "trainer", *(name.replace("_", " ") for name in extra), "seed", "status", "trainable parameters")
    body = tuple(
        (
            cell.cell_id,
            *label.values(),
            *(str(getattr(cell, name)) for name in extra),
            str(cell.seed),
            _status(status, plan),
            units.count(plan.trainable_params),
        )
        for cell, label, status, plan in zip(sweep.cells, labels, standing, plans, strict=True)
    )
    return "\n".join([to_text(Table(columns=columns, body=body, numeric=1)), "", *_remarks(sweep, standing, plans, out=out)])


def _status(status: str, plan: CellPlan) -> str:
    return "cannot run" if plan.refusal and status != "finished" else _SHOWN[status]


_SHOWN = {"finished": "finished", "new": "new", "failed": "failed, runs again", "damaged": "damaged record, runs again", "stopped early": "stopped early"}


def _remarks(sweep: SweepConfig, standing: list[str], plans: list[CellPlan], *, out: Path) -> list[str]:
    finished, stopped = standing.count("finished"), standing.count("stopped early")
    early = f", {stopped} stopped early" if stopped else ""
    cautions = {caution: None for cell in sweep.cells for caution in cell.cautions}
    return [
        f"{counted(len(standing), 'cell')}: {finished} finished{early}, {len(standing) - finished - stopped} to run. Output: {out}",
        *([f"budget of one start: {_budget(sweep.budget)}"] if sweep.budget else []),
        *([_search(sweep.rounds)] if sweep.rounds and not sweep.rounds.complete else []),
        *([f"{sweep.excluded} excluded by the sweep's rules"] if sweep.excluded else []),
        *(f"duplicate, runs once: {label}" for label in sweep.duplicates),
        *(f"skipped: {description}: {reason}" for description, reason in sweep.skipped),
        *dict.fromkeys(f"cannot run: {plan.refusal}" for plan in plans if plan.refusal),
        *(f"caution: {caution}" for caution in cautions),
        "Nothing was started.",
    ]


def _search(rounds: Rounds) -> str:
    known = min(map(len, rounds.tried.values()))
    return f"search: {known} of {rounds.search.samples} samples per point of the grid are known; the others depend on the scores of these"


def _budget(budget: Budget) -> str:
    return ", ".join(f"{name} = {value:g}" for name, value in budget.model_dump(exclude_none=True).items())


def _json(sweep: SweepConfig, standing: list[str], plans: list[CellPlan], *, out: Path) -> str:
    cells = [{**_entry(cell, status, plan), "cell": cell.to_dict()} for cell, status, plan in zip(sweep.cells, standing, plans, strict=True)]
    content = {
        "name": sweep.name,
        "output": str(out),
        "cells": cells,
        "duplicates": list(sweep.duplicates),
        "skipped": [{"cell": description, "reason": reason} for description, reason in sweep.skipped],
        "excluded": sweep.excluded,
    }
    return json.dumps(content, indent=1, ensure_ascii=False)
