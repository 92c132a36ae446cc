"""One cell: settings, record, how to compute it again, how to load it."""

from __future__ import annotations

from fastapi import APIRouter

from services.api.problems import answers
from services.api.schemas import Cell, CellId
from services.api.state import Here, Reader
from services.api.views import cell_of

router = APIRouter(tags=["cells"])


@router.get("/cells/{cell_id}", responses=answers(401, 403, 404, 422, 429))
def cell(cell_id: CellId, here: Here, caller: Reader) -> Cell:
    """A cell by its id or first digits."""
    config, record = here.runs.cell(cell_id)
    return cell_of(config, record, out=here.runs.out, mlflow_url=here.settings.mlflow_url)
