"""Links from a cell to its run in the MLflow UI."""

from __future__ import annotations

from pathlib import Path

from loretta_core.store.layout import cell_directory
from loretta_core.store.notes.sent import read_sent


def mlflow_link(out: Path, cell_id: str, *, url: str) -> str | None:
    """Return the address of a cell's run, None without a server or before the run is there. Of several stores, the server's own counts, else the last."""
    runs = [note for note in read_sent(cell_directory(out, cell_id)) if note.sink == "mlflow"] if url else []
    if not runs:
        return None
    run = next((note for note in reversed(runs) if note.to.rstrip("/") == url.rstrip("/")), runs[-1])
    return f"{url}/#/experiments/{run.experiment_id}/runs/{run.run_id}"
