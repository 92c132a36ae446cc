"""`loretta serve`: the MLflow server, the API and the pages, together until Ctrl-C. If one of them dies, the other is ended and the command says why."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from services.server.mlflow_server import mlflow_server, running_mlflow
from services.server.processes import Server, Stopped, running, stop_signals, wait_for_one
from services.server.settings import SETTINGS_VARIABLE, ApiSettings, ServerSettings


def serve_until_stopped(mlflow: ServerSettings, api: ApiSettings) -> int:
    """Start both, say where they are, wait. Returns 0 after Ctrl-C or SIGTERM. Raises LorettaError when one does not come up or dies."""
    pages = api_server(api)
    logs = {"the MLflow server": mlflow_server(mlflow).log, pages.name: pages.log}
    with stop_signals(), suppress(Stopped), running_mlflow(mlflow) as first, running(pages) as second:
        print("\n".join(_welcome(mlflow, api)), flush=True)
        wait_for_one({"the MLflow server": first, pages.name: second}, logs=logs)
    print("stopped", flush=True)
    return 0


def api_server(settings: ApiSettings) -> Server:
    """What to start for the API and the pages."""
    return Server(
        name="the server of API and pages",
        command=[sys.executable, "-m", "services.app"],
        environment={**os.environ, SETTINGS_VARIABLE: settings.model_dump_json()},
        health=f"{settings.url}/api/v1/health",
        log=settings.out / "api-server.log",
    )


def _welcome(mlflow: ServerSettings, api: ApiSettings) -> list[str]:
    access = "a token is needed (loretta token NAME)" if api.tokens_required else "no token is needed, and every user of this machine can reach it"
    return [
        f"Sweeps: {api.url}  ({access})",
        f"MLflow UI: {mlflow.url}  (data: {mlflow.out}, logs: *-server.log there)",
        f"Ray: {api.ray or 'none, so nothing can be submitted; give the address of a dashboard with --ray'}",
        "Ctrl-C stops both.",
    ]
