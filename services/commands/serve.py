"""`loretta serve`: pages and API for an output directory, and the MLflow UI beside them."""

from __future__ import annotations

from pathlib import Path

from services.queries.ray_jobs import jobs_client
from services.server import serve as server
from services.server.settings import api_settings, mlflow_settings


def serve_output_directory(*, host: str, port: int, mlflow_port: int, out: Path, ray: str, store: str, artifacts: str) -> int:
    """Check all settings, then serve until Ctrl-C; return the exit code."""
    mlflow = mlflow_settings(host=host, port=mlflow_port, out=out, store=store, artifacts=artifacts)
    # Jobs write SQLite themselves; any other store they reach through the server, which alone knows its password.
    api = api_settings(host=host, port=port, out=out, ray=ray, mlflow_url=mlflow.public_url, tracking_uri=mlflow.public_url if mlflow.store else "")
    jobs_client(api.ray)  # refuses an address that is not safe, before anything starts
    return server.serve_until_stopped(mlflow, api)
