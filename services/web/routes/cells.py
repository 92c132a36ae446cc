"""The page of a cell: its results, its predicted cost, how to load it and how to train it again."""

from __future__ import annotations

import json

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from loretta_core.report.cost_notes import memory_ratio, step_ratio
from loretta_core.report.harness_notes import harness_lines
from loretta_core.report.paper import paper_score
from loretta_core.report.rows import ResultRow
from services.api.dependencies import ServicesDep
from services.api.schemas import CellId
from services.api.views import cell_view
from services.web.figures import FigureCache, svg_response
from services.web.session import Reader
from services.web.templating import render

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


@router.get("/cells/{cell_id}")
def cell(cell_id: CellId, request: Request, services: ServicesDep, caller: Reader) -> Response:
    """Show the page of a cell."""
    found = services.runs.cell(cell_id)
    config, record = found.cell, found.record
    view = cell_view(found, out=services.runs.out, mlflow_url=services.settings.mlflow_url)
    paper = paper_score(config)
    values = {
        "cell": view,
        "record": record,
        "settings": json.dumps(view.settings, indent=2, ensure_ascii=False),
        "sweeps": services.runs.sweeps_of(found.cell_id),
        "export": f"loretta export {found.cell_id} DIR --out {services.runs.out}",
        "memory_ratio": memory_ratio(record) if record else None,
        "step_ratio": step_ratio(record) if record else None,
        "curves": bool(record and record.curves.get("train_loss") and record.status == "finished"),
        "paper": paper.text if paper else "",
        "harness": harness_lines(record.evaluations) if record else [],
    }
    return render(request, "cell.html", caller=caller, values=values, live=record is None and not found.damage)


@router.get("/cells/{cell_id}/curve.svg")
def curve(cell_id: CellId, request: Request, services: ServicesDep, caller: Reader) -> Response:
    """Draw the training loss of a cell."""
    found = services.runs.cell(cell_id)
    config, record = found.cell, found.record
    labels = {"model": config.model.caption, "task": config.task.type, "method": config.method.short_name, "trainer": config.trainer.type}
    row = ResultRow(cell_id=found.cell_id, cell=config, labels=labels, record=record)
    figures: FigureCache = request.app.state.figures
    return svg_response(figures.training_loss(row, key=str(record.finished_at if record else "")))
