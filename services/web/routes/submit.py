"""The page that plans and submits a sweep."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.concurrency import run_in_threadpool

from loretta_core.errors import ConfigError
from services.api.dependencies import Services, ServicesDep
from services.queries.errors import RayUnavailable
from services.queries.sweep_preview import predict_on_devices, preview_cells
from services.server.auth import Caller
from services.server.submission_policy import read_sweep
from services.web.forms import read_form
from services.web.session import Submitter
from services.web.templating import render

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

EMPTY_FORM: Mapping[str, Any] = {"toml": "", "overrides": "", "devices": "cpu", "plan": None, "error": "", "cells": None, "sweep": None}


@router.get("/submit")
def empty_form(request: Request, caller: Submitter) -> Response:
    """Show the empty submission form."""
    return render(request, "submit.html", caller=caller, values=EMPTY_FORM)


@router.post("/submit")
async def submit(request: Request, services: ServicesDep, caller: Submitter) -> Response:
    """Plan the sweep in the form, or start it."""
    fields = await read_form(request)
    return await run_in_threadpool(_plan_or_start, request, services, caller, fields)


def _plan_or_start(request: Request, services: Services, caller: Caller, fields: Mapping[str, str]) -> Response:
    toml, devices = fields.get("toml", "").replace("\r\n", "\n"), fields.get("devices", "cpu")
    overrides = [line.strip() for line in fields.get("overrides", "").splitlines() if line.strip()]
    values: dict[str, Any] = {**EMPTY_FORM, "toml": toml, "overrides": fields.get("overrides", ""), "devices": devices}
    status = 200
    try:
        sweep = read_sweep(toml, policy=services.settings.policy, overrides=overrides)
        if fields.get("action") == "submit":
            job, _ = services.submissions.submit(toml, overrides=overrides, submitted_by=caller.name)
            return RedirectResponse(f"/jobs/{job.submission_id}", status_code=303)
        cells = [cell.to_json() for cell in preview_cells(sweep, out=services.runs.out)]
        values |= {"sweep": sweep, "cells": cells, "plan": predict_on_devices(sweep, devices=devices.replace(",", " ").split())}
    except ConfigError as error:
        status, values["error"] = 422, str(error)
    except RayUnavailable as error:  # the form keeps its text: the cluster may be back in a moment
        status, values["error"] = 503, str(error)
    return render(request, "submit.html", caller=caller, values=values, status=status)
