"""The application: API under /api/v1, pages beside it, the guard in front of both.

`python -m services.app` serves it with the settings in LORETTA_API_SETTINGS, as `loretta serve` does.
"""

from __future__ import annotations

import os

import uvicorn
from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute

from loretta_core.errors import LorettaError
from services.api import problems
from services.api.problems import Problem
from services.api.request_guard import Guard
from services.api.routes import cells, health, jobs, sweeps
from services.api.state import Services
from services.queries.ray_jobs import JobsClient, jobs_client
from services.queries.run_index import Runs
from services.queries.submissions import Submissions
from services.server.settings import SETTINGS_VARIABLE, ApiSettings
from services.web import pages

DESCRIPTION = """Submit sweeps, watch them, compare their cells.

Errors are [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) problem documents with the field at fault. Lists are paged with `offset` and `limit`."""


def create_app(settings: ApiSettings, *, client: JobsClient | None = None) -> FastAPI:
    """The application with its services, without the guard. Raises ConfigError for a Ray address that cannot be used."""
    app = FastAPI(
        title="LoRETTA-on-Ray",
        version=health.VERSION,
        description=DESCRIPTION,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
        generate_unique_id_function=_operation_id,
    )
    app.state.services = make_services(settings, client=client or jobs_client(settings.ray))
    api = APIRouter(prefix="/api/v1")
    for module in (health, sweeps, cells, jobs):
        api.include_router(module.router)
    app.include_router(api)
    pages.install(app)
    problems.install(app, page=pages.error_page)
    _document_problems(app)
    return app


def guarded(app: FastAPI, settings: ApiSettings) -> Guard:
    """Around everything, so that the answer to a bug has the headers too."""
    return Guard(app, allowed_hosts=settings.allowed_hosts, rate=settings.rate)


def make_services(settings: ApiSettings, *, client: JobsClient) -> Services:
    """What the routes work with."""
    submissions = Submissions(out=settings.out, client=client, policy=settings.policy, tracking_uri=settings.tracking_uri, pin=settings.pin)
    return Services(settings, Runs(settings.out), submissions)


def _operation_id(route: APIRoute) -> str:
    return route.name


def _document_problems(app: FastAPI) -> None:
    """The routes refer to Problem, which no route returns on success."""
    made = app.openapi

    def openapi() -> dict:
        document = made()
        schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        document["components"]["schemas"].update({**schema.pop("$defs", {}), "Problem": schema})
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def main() -> None:
    """Serve until a signal."""
    settings = ApiSettings.model_validate_json(os.environ[SETTINGS_VARIABLE])
    try:
        app = guarded(create_app(settings), settings)
    except LorettaError as error:
        raise SystemExit(f"error: {error}") from None
    # The server's name and version are nobody's business, and the address of a client comes from the connection alone.
    uvicorn.run(app, host=settings.host, port=settings.port, server_header=False, proxy_headers=False, log_level="info", timeout_graceful_shutdown=3)


if __name__ == "__main__":
    main()
