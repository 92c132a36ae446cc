"""The page of a sweep: progress, failures, the comparison and its figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, Response
from starlette.exceptions import HTTPException

from loretta_core.report.cost_notes import cost_notes
from loretta_core.report.rows import ResultRow
from loretta_core.report.verdict.values import Standing
from services.api.dependencies import Services, ServicesDep
from services.api.schemas import SortKey, SweepName
from services.queries.errors import RayUnavailable
from services.queries.filters import Selection, choices, paginate, select
from services.queries.ray_jobs import ACTIVE
from services.queries.run_index import SweepView
from services.web.figures import FIGURE_TITLES, FigureCache, figure_titles, svg_response
from services.web.session import Reader
from services.web.table import ROWS_PER_PAGE, build_table, distinguishing_labels, query_string, shared_labels
from services.web.templating import render

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

MAX_FAILURES = 50


def filters(model: str = "", task: str = "", method: str = "", trainer: str = "", status: str = "") -> Selection:
    """Return the filters in the query of an address."""
    return Selection(model=model, task=task, method=method, trainer=trainer, status=status)


Filters = Annotated[Selection, Depends(filters)]


@router.get("/sweeps/{name}")
def sweep(
    name: SweepName,
    request: Request,
    services: ServicesDep,
    caller: Reader,
    filters: Filters,
    sort: Literal["", SortKey] = "",
    descending: bool = False,
    offset: Annotated[int, Query(ge=0)] = 0,
) -> Response:
    """Show the page of a sweep."""
    view = services.runs.sweep(name)
    selection = filters.model_copy(update={"sort": sort, "descending": descending})
    rows = select(view.rows, selection)
    values = {
        "view": view,
        "damaged": [row for row in rows if row.status == "damaged"][:MAX_FAILURES],
        "failures": [row for row in rows if row.status == "failed"][:MAX_FAILURES],
        "names": view.names if view.progress.running else {},
        "mlflow": services.settings.mlflow_url,
        **_findings(view, rows),
        **_table(view, rows, selection=selection, offset=offset),
    }
    return render(request, "sweep.html", caller=caller, values=values, live=bool(view.progress.running) or _is_active(services, name))


@router.get("/sweeps/{name}/figures/{figure}.svg")
def figure(name: SweepName, figure: str, request: Request, services: ServicesDep, caller: Reader, filters: Filters) -> Response:
    """Draw one figure of the cells that match the filters."""
    view = services.runs.sweep(name)
    if figure not in FIGURE_TITLES:
        raise HTTPException(404, f"no figure {figure!r}")
    figures: FigureCache = request.app.state.figures
    standings = _selected(view, select(view.rows, filters))
    algorithm, key = view.findings.protocol.algorithm, f"{name} {view.version} {query_string(filters)}"
    return svg_response(figures.comparison(figure, standings=standings, algorithm=algorithm, key=key))


def _selected(view: SweepView, rows: Sequence[ResultRow]) -> list[Standing]:
    """Return the contenders that have a cell among the selected rows."""
    selected = {row.cell_id for row in rows}
    return [each for each in view.findings.standings if any(row.cell_id in selected for row in (*each.contender.replicates, *each.contender.trials))]


def _findings(view: SweepView, rows: Sequence[ResultRow]) -> dict[str, object]:
    """Return the verdict on the whole sweep, and what the selected rows say: notes on costs, and the figures that can be drawn."""
    contenders = [each.contender for each in _selected(view, rows)]
    return {
        "verdict": view.findings.lines,
        "contenders": view.findings.table,
        "predictions": cost_notes(rows),
        "figures": figure_titles(contenders, scored=any(contender.scored for contender in contenders)),
    }


def _table(view: SweepView, rows: Sequence[ResultRow], *, selection: Selection, offset: int) -> dict[str, object]:
    """Return one page of the comparison's table with the filters above it."""
    shown, next_offset = paginate(rows, offset=offset, limit=ROWS_PER_PAGE)
    headings, table_rows = build_table(shown, selection=selection, address=f"/sweeps/{view.name}", all_rows=view.rows)
    return {
        "headings": headings,
        "rows": table_rows,
        "shared_labels": shared_labels(view.rows),
        "score_column": len(distinguishing_labels(view.rows)),
        "total": len(rows),
        "filters": choices(view.rows),
        "selection": selection,
        "query": query_string(selection),
        "offset": offset,
        "next_offset": next_offset,
    }


def _is_active(services: Services, sweep: str) -> bool:
    """Return whether a job on the cluster computes the sweep; False when Ray does not answer."""
    try:
        return any(job.sweep == sweep and job.status in ACTIVE for job in services.submissions.jobs())
    except RayUnavailable:
        return False
