"""The start page: sweeps with their progress, and jobs."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from services.api.dependencies import ServicesDep
from services.queries.errors import RayUnavailable
from services.queries.ray_jobs import ACTIVE
from services.queries.submissions import Job
from services.web.session import Reader
from services.web.templating import render

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

MAX_SWEEPS = 100
MAX_JOBS = 50


@router.get("/")
def home(request: Request, services: ServicesDep, caller: Reader) -> Response:
    """Show the newest sweeps and jobs."""
    names = services.runs.names()
    views, problems = services.runs.sweeps(names[:MAX_SWEEPS])
    jobs: list[Job] = []
    try:
        jobs = services.submissions.jobs()[:MAX_JOBS]
    except RayUnavailable as error:
        problems.append(str(error))
    live = any(view.progress.running for view in views) or any(job.status in ACTIVE for job in jobs)
    values = {"views": views, "more": max(0, len(names) - MAX_SWEEPS), "jobs": jobs, "problems": problems}
    return render(request, "home.html", caller=caller, values=values, live=live)
