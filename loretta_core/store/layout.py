"""Where the files of a cell lie in an output directory."""

from pathlib import Path

ARRIVED_NAME = "mlflow.json"
"""Written beside a cell's record once all of its journal is in MLflow."""


def cell_directory(out: Path, cell_id: str) -> Path:
    """Return the directory that keeps everything of a cell."""
    return out / "cells" / cell_id
