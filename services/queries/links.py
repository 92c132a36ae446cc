"""From a cell to its run in the MLflow UI."""

from __future__ import annotations

import json
from pathlib import Path

ARRIVED = "mlflow.json"
"""Left beside a finished cell by the job that sent it: which run it is."""


def mlflow_link(out: Path, cell_id: str, *, url: str) -> str | None:
    """None when there is no server, or the cell has not arrived in it."""
    if not url:
        return None
    try:
        where = json.loads((out / "cells" / cell_id / ARRIVED).read_text(encoding="utf-8"))
        return f"{url}/#/experiments/{where['experiment_id']}/runs/{where['run_id']}"
    except (OSError, ValueError, KeyError, TypeError):
        return None
