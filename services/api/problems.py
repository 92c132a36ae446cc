"""Errors as RFC 9457 problem documents: what was given, what was expected, and the field at fault, without tracebacks, paths of code or secrets."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

from loretta_core.errors import ConfigError
from services.queries.errors import NotFound, RayUnavailable

MEDIA_TYPE = "application/problem+json"

log = logging.getLogger(__name__)


class FieldError(BaseModel):
    """One thing that is wrong."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    field: str
    """Place in the request or in the sweep, e.g. axes.method[1].tensor_rank; empty if it concerns the whole."""
    detail: str


class Problem(BaseModel):
    """RFC 9457."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    type: str
    """urn:loretta:problem: and the class of error."""
    title: str
    status: int
    detail: str
    errors: list[FieldError] = []


def problem_response(
    status: int, detail: str, *, kind: str = "", errors: list[FieldError] | None = None, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Return an error as a response."""
    content = Problem(type=f"urn:loretta:problem:{kind or status}", title=HTTPStatus(status).phrase, status=status, detail=detail, errors=errors or [])
    return JSONResponse(content.model_dump(), status_code=status, media_type=MEDIA_TYPE, headers=headers)


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route for the OpenAPI document: the errors that it may answer with."""
    return {
        status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}} for status in statuses
    }


ErrorPage = Callable[[Request, int, str], Response]
"""Renders request, status and detail as a page for people."""


def install_error_handlers(app: FastAPI, *, error_page: ErrorPage) -> None:
    """Turn every error into a problem document below /api/, elsewhere into an `error_page`."""

    def respond(
        request: Request, status: int, detail: str, *, kind: str, errors: list[FieldError] | None = None, headers: Mapping[str, str] | None = None
    ) -> Response:
        if request.url.path.startswith("/api/"):
            return problem_response(status, detail, kind=kind, errors=errors, headers=headers)
        return error_page(request, status, detail)

    @app.exception_handler(ConfigError)
    def config(request: Request, error: ConfigError) -> Response:
        return respond(request, 422, str(error), kind="config", errors=field_errors(str(error)))

    @app.exception_handler(NotFound)
    def missing(request: Request, error: NotFound) -> Response:
        return respond(request, 404, str(error), kind="not-found")

    @app.exception_handler(RayUnavailable)
    def no_ray(request: Request, error: RayUnavailable) -> Response:
        return respond(request, 503, str(error), kind="ray")

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> Response:
        found = [FieldError(field=".".join(str(part) for part in each["loc"][1:]), detail=each["msg"]) for each in error.errors()]
        return respond(request, 422, "; ".join(f"{each.field}: {each.detail}" for each in found), kind="request", errors=found)

    @app.exception_handler(HTTPException)
    def http(request: Request, error: HTTPException) -> Response:
        return respond(request, error.status_code, str(error.detail), kind=str(error.status_code), headers=error.headers)

    @app.exception_handler(Exception)
    def broken(request: Request, error: Exception) -> Response:
        log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return respond(request, 500, "something broke here; the server's log says what", kind="500")


_FIELD = re.compile(r"^(?P<field>[A-Za-z_][\w.\[\]-]*)(?: = .*?)?: (?P<detail>.+)$", re.DOTALL)


def field_errors(message: str) -> list[FieldError]:
    """Split a message with one problem a line and find the field of each, as in `axes.method[0].type = 'lorra': unknown. …`."""
    errors = []
    for line in message.splitlines():
        match = _FIELD.match(line.removeprefix("--set ").strip())
        errors.append(FieldError(field=match["field"] if match else "", detail=line.strip()))
    return errors
