"""Routes of sweeps: validate and plan one that has not started; list, show and compare those that have."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from fastapi.responses import PlainTextResponse, Response

from loretta_core.report.cost_notes import cost_notes
from loretta_core.report.pareto import COSTS, fronts
from loretta_core.report.rows import Status
from loretta_core.report.tables import comparison_table, to_latex, to_markdown, to_text, without_score
from services.api.dependencies import Reader, ServicesDep
from services.api.problems import problem_responses
from services.api.schemas import (
    CellPage,
    Comparison,
    Limit,
    Offset,
    Plan,
    PlannedCell,
    PlanRequest,
    SortKey,
    SweepName,
    SweepPage,
    SweepSummary,
    SweepText,
    ValidatedSweep,
)
from services.api.views import cell_summary, sweep_summary
from services.queries.filters import Selection, paginate, select
from services.queries.submissions import submission_id
from services.queries.sweep_preview import predict_on_devices, preview_cells
from services.server.submission_policy import read_sweep

router = APIRouter(tags=["sweeps"])


@router.post("/sweeps/validate", responses=problem_responses(401, 403, 413, 422, 429))
def validate(body: SweepText, services: ServicesDep, caller: Reader) -> ValidatedSweep:
    """Expand a sweep and say where each of its cells stands. Starts nothing."""
    sweep = read_sweep(body.toml, policy=services.settings.policy, overrides=body.overrides)
    return ValidatedSweep(
        name=sweep.name,
        submission_id=submission_id(sweep),
        cells=[PlannedCell.model_validate(cell.to_json()) for cell in preview_cells(sweep, out=services.runs.out)],
        duplicates=list(sweep.duplicates),
        skipped=[{"cell": cell, "reason": reason} for cell, reason in sweep.skipped],
        excluded=sweep.excluded,
        notices=list(sweep.notices),
    )


@router.post("/plans", responses=problem_responses(401, 403, 413, 422, 429))
def plan(body: PlanRequest, services: ServicesDep, caller: Reader) -> Plan:
    """Predict memory, time and cost of every cell on given devices. Starts nothing."""
    sweep = read_sweep(body.toml, policy=services.settings.policy, overrides=body.overrides)
    return Plan(rows=[row.to_json() for row in predict_on_devices(sweep, devices=body.devices)])


@router.get("/sweeps", responses=problem_responses(401, 403, 422, 429))
def sweeps(services: ServicesDep, caller: Reader, offset: Offset = 0, limit: Limit = 50) -> SweepPage:
    """Sweeps that were started, the last one first, with their progress."""
    names = services.runs.names()
    shown, after = paginate(names, offset=offset, limit=limit)
    views, damaged = services.runs.sweeps(shown)
    return SweepPage(total=len(names), next_offset=after, sweeps=[sweep_summary(view) for view in views], damaged=damaged)


@router.get("/sweeps/{name}", responses=problem_responses(401, 403, 404, 422, 429))
def sweep(name: SweepName, services: ServicesDep, caller: Reader) -> SweepSummary:
    """Progress of one sweep."""
    return sweep_summary(services.runs.sweep(name))


@router.get("/sweeps/{name}/cells", responses=problem_responses(401, 403, 404, 422, 429))
def cells(
    name: SweepName,
    services: ServicesDep,
    caller: Reader,
    offset: Offset = 0,
    limit: Limit = 50,
    method: Annotated[str, Query(max_length=200)] = "",
    trainer: Annotated[str, Query(max_length=200)] = "",
    task: Annotated[str, Query(max_length=200)] = "",
    model: Annotated[str, Query(max_length=200)] = "",
    status: Status | Literal[""] = "",
    sort: SortKey | None = None,
    descending: bool = False,
) -> CellPage:
    """Rows of the comparison: filtered by label, sorted by a column (by default by task, best first)."""
    chosen = Selection(model=model, task=task, method=method, trainer=trainer, status=status, sort=sort or "", descending=descending)
    rows = select(services.runs.sweep(name).rows, chosen)
    shown, after = paginate(rows, offset=offset, limit=limit)
    return CellPage(total=len(rows), next_offset=after, cells=[cell_summary(row) for row in shown])


@router.get("/sweeps/{name}/comparison", responses=problem_responses(401, 403, 404, 422, 429))
def comparison(name: SweepName, services: ServicesDep, caller: Reader) -> Comparison:
    """What the sweep says: verdicts, contenders, Pareto sets, cells without a score. Its rows are under cells."""
    view = services.runs.sweep(name)
    return Comparison(
        name=name,
        verdict=view.findings.lines,
        verdicts=view.findings.verdicts_json(),
        contenders=view.findings.contenders_json(),
        mean_ranks=view.findings.ranks_json(),
        predictions=cost_notes(view.rows),
        pareto={cost: sorted(fronts(view.rows, cost=of)) for cost, of in COSTS.items()},
        damaged=view.damaged,
        missing=without_score(view.rows)[:100],
    )


_TABLES = {"text": to_text, "markdown": to_markdown, "latex": to_latex}


@router.get("/sweeps/{name}/table", response_class=PlainTextResponse, responses=problem_responses(401, 403, 404, 422, 429))
def table(name: SweepName, services: ServicesDep, caller: Reader, format: Literal["text", "markdown", "latex"] = "markdown", cells: bool = False) -> Response:
    """The comparison's table as text: by contender, or with `cells` by cell."""
    view = services.runs.sweep(name)
    return PlainTextResponse(_TABLES[format](comparison_table(view.rows) if cells else view.findings.table) + "\n")
