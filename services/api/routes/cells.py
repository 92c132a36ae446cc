"""Route of one cell: settings, record, how to compute it again, how to load it."""

from __future__ import annotations

from fastapi import APIRouter

from services.api.dependencies import Reader, ServicesDep
from services.api.problems import problem_responses
from services.api.schemas import Cell, CellId
from services.api.views import cell_view

router = APIRouter(tags=["cells"])


@router.get("/cells/{cell_id}", responses=problem_responses(401, 403, 404, 422, 429))
def cell(cell_id: CellId, services: ServicesDep, caller: Reader) -> Cell:
    """A cell by its id or first digits."""
    return cell_view(services.runs.cell(cell_id), out=services.runs.out, mlflow_url=services.settings.mlflow_url)
