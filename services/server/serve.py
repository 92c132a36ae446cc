"""The MLflow server and the server of API and pages, run together until Ctrl-C. If one of them exits, the other is stopped and the error says why."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from services.server.mlflow_server import mlflow_server, run_mlflow_server
from services.server.processes import ServerSpec, StopRequested, run_server, stop_signals, wait_until_one_exits
from services.server.settings import SETTINGS_VARIABLE, ApiSettings, MlflowSettings


def serve_until_stopped(mlflow: MlflowSettings, api: ApiSettings) -> int:
    """Start both servers, print their URLs and wait. Return 0 after Ctrl-C or SIGTERM. Raise LorettaError when one does not start or exits."""
    spec = api_server(api)
    logs = {"the MLflow server": mlflow_server(mlflow).log, spec.name: spec.log}
    with stop_signals(), suppress(StopRequested), run_mlflow_server(mlflow) as first, run_server(spec) as second:
        print("\n".join(_startup_message(mlflow, api)), flush=True)
        wait_until_one_exits({"the MLflow server": first, spec.name: second}, logs=logs)
    print("stopped", flush=True)
    return 0


def api_server(settings: ApiSettings) -> ServerSpec:
    """Return the spec of the server of API and pages."""
    return ServerSpec(
        name="the server of API and pages",
        command=[sys.executable, "-m", "services.app"],
        environment={**os.environ, SETTINGS_VARIABLE: settings.model_dump_json()},
        health=f"{settings.url}/api/v1/health",
        log=settings.out / "api-server.log",
    )


def _startup_message(mlflow: MlflowSettings, api: ApiSettings) -> list[str]:
    access = "a token is needed (loretta token NAME)" if api.tokens_required else "no token is needed, and every user of this machine can reach it"
    return [
        f"Sweeps: {api.url}  ({access})",
        f"MLflow UI: {mlflow.url}  (data: {mlflow.out}, logs: *-server.log there)",
        f"Ray: {api.ray or 'none, so nothing can be submitted; give the address of a dashboard with --ray'}",
        "Ctrl-C stops both.",
    ]
