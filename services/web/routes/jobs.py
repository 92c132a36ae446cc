"""The page of a job: its state and its log, with a button to stop it."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

from services.api.dependencies import ServicesDep
from services.api.schemas import JobId
from services.queries.ray_jobs import ACTIVE
from services.web.session import Reader, Submitter
from services.web.templating import render

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


@router.get("/jobs/{job_id}")
def job(job_id: JobId, request: Request, services: ServicesDep, caller: Reader) -> Response:
    """Show a job with its log."""
    job = services.submissions.job(job_id)
    active = job.status in ACTIVE
    may_stop = active and (caller.has_role("admin") or (caller.has_role("submit") and job.submitted_by == caller.name))
    view = services.runs.sweep(job.sweep) if job.sweep in services.runs.names() else None
    values = {"job": job, "logs": services.submissions.logs(job_id), "may_stop": may_stop, "view": view}
    return render(request, "job.html", caller=caller, values=values, live=active)


@router.post("/jobs/{job_id}/stop")
def stop(job_id: JobId, services: ServicesDep, caller: Submitter) -> Response:
    """Stop a job, then show it."""
    if services.submissions.job(job_id).submitted_by != caller.name and not caller.has_role("admin"):
        raise HTTPException(403, "stopping somebody else's job needs the role 'admin'")
    services.submissions.stop(job_id)
    return RedirectResponse(f"/jobs/{job_id}", status_code=303)
