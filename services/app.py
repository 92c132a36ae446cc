"""The FastAPI application: API under /api/v1, pages beside it, the request guard around both.

`python -m services.app` serves it with the settings in LORETTA_API_SETTINGS, as `loretta serve` does.
"""

from __future__ import annotations

import os

import uvicorn
from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute

from loretta_core.errors import LorettaError
from services.api.dependencies import Services
from services.api.problems import Problem, install_error_handlers
from services.api.request_guard import RequestGuard
from services.api.routes import cells, health, jobs, sweeps
from services.queries.ray_jobs import JobsClient, jobs_client
from services.queries.run_index import RunIndex
from services.queries.submissions import Submissions
from services.server.settings import SETTINGS_VARIABLE, ApiSettings
from services.web.pages import error_page, install_pages

DESCRIPTION = """Submit sweeps, watch them, compare their cells.

Errors are [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) problem documents with the field at fault. Lists are paged with `offset` and `limit`."""


def create_app(settings: ApiSettings, *, client: JobsClient | None = None) -> FastAPI:
    """Return the application with its services, without the guard. Raise ConfigError for a Ray address that cannot be used."""
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
    install_pages(app)
    install_error_handlers(app, error_page=error_page)
    _add_problem_schema(app)
    return app


def add_request_guard(app: FastAPI, settings: ApiSettings) -> RequestGuard:
    """Wrap the whole application, so that responses to internal errors have the security headers too."""
    return RequestGuard(app, allowed_hosts=settings.allowed_hosts, requests_per_s=settings.requests_per_s)


def make_services(settings: ApiSettings, *, client: JobsClient) -> Services:
    """Return the services that the routes work with."""
    submissions = Submissions(out=settings.out, client=client, policy=settings.policy, tracking_uri=settings.tracking_uri, pin_versions=settings.pin_versions)
    return Services(settings, RunIndex(settings.out), submissions)


def _operation_id(route: APIRoute) -> str:
    return route.name


def _add_problem_schema(app: FastAPI) -> None:
    """Add Problem to the OpenAPI document: routes refer to it, and none returns it on success."""
    make_document = app.openapi

    def openapi() -> dict:
        document = make_document()
        schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        document["components"]["schemas"].update({**schema.pop("$defs", {}), "Problem": schema})
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def main() -> None:
    """Serve with the settings of the environment until a signal arrives."""
    settings = ApiSettings.model_validate_json(os.environ[SETTINGS_VARIABLE])
    try:
        app = add_request_guard(create_app(settings), settings)
    except LorettaError as error:
        raise SystemExit(f"error: {error}") from None
    # Do not reveal name and version of the server; take the address of a client from the connection alone, not from headers.
    uvicorn.run(app, host=settings.host, port=settings.port, server_header=False, proxy_headers=False, log_level="info", timeout_graceful_shutdown=3)


if __name__ == "__main__":
    main()
