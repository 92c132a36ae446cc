"""Render templates of pages. Every value in a template is escaped, and a missing one is an error."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FunctionLoader, StrictUndefined

from loretta_core.report import units
from services.api.dependencies import get_services
from services.server.auth import Caller


def render(
    request: Request, template: str, *, caller: Caller | None = None, values: Mapping[str, object] | None = None, status: int = 200, live: bool = False
) -> HTMLResponse:
    """Return a rendered template as a response. A `live` page is refreshed by the script."""
    tokens_required = bool(caller and get_services(request).tokens().required)
    common = {"caller": caller, "live": live, "tokens": tokens_required, "path": request.url.path}
    return HTMLResponse(_environment().get_template(template).render({**common, **(values or {})}), status_code=status)


@cache
def _environment() -> Environment:
    environment = Environment(loader=FunctionLoader(_read_template), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template_globals: dict[str, Any] = environment.globals  # jinja2 annotates it with the types of its own entries
    template_globals["units"] = units
    return environment


def _read_template(name: str) -> str:
    return resources.files("services.web").joinpath("templates", name).read_text(encoding="utf-8")
