"""Links from a cell to its run in the MLflow UI."""

from __future__ import annotations

import json
from pathlib import Path

from loretta_core.store.layout import ARRIVED_NAME, cell_directory


def mlflow_link(out: Path, cell_id: str, *, url: str) -> str | None:
    """Return the address of a cell's run, None without a server or before the run is there."""
    if not url:
        return None
    try:
        run = json.loads((cell_directory(out, cell_id) / ARRIVED_NAME).read_text(encoding="utf-8"))
        return f"{url}/#/experiments/{run['experiment_id']}/runs/{run['run_id']}"
    except (OSError, ValueError, KeyError, TypeError):
        return None
