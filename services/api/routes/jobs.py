"""Routes of jobs, each a sweep on the cluster: submit, list, show, stop, logs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

import anyio
from anyio.to_thread import run_sync
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import PlainTextResponse, StreamingResponse
from starlette.exceptions import HTTPException

from services.api.dependencies import Reader, ServicesDep, Submitter
from services.api.problems import problem_responses
from services.api.schemas import JobId, JobPage, Limit, Offset, SweepText
from services.queries.filters import paginate
from services.queries.ray_jobs import ACTIVE
from services.queries.submissions import Job, Submissions

router = APIRouter(tags=["jobs"])

FOLLOW_INTERVAL_S = 1.0
FOLLOW_TIMEOUT_S = 6 * 3600.0


@router.post("/jobs", status_code=201, responses={200: {"model": Job, "description": "It runs already"}, **problem_responses(401, 403, 413, 422, 429, 503)})
def submit(body: SweepText, services: ServicesDep, caller: Submitter, response: Response) -> Job:
    """Start a sweep on the cluster, or find it running."""
    job, started = services.submissions.submit(body.toml, overrides=body.overrides, submitted_by=caller.name)
    response.status_code = 201 if started else 200
    response.headers["Location"] = f"/api/v1/jobs/{job.submission_id}"
    return job


@router.get("/jobs", responses=problem_responses(401, 403, 422, 429, 503))
def jobs(services: ServicesDep, caller: Reader, offset: Offset = 0, limit: Limit = 50) -> JobPage:
    """Jobs, the newest first."""
    found = services.submissions.jobs()
    shown, after = paginate(found, offset=offset, limit=limit)
    return JobPage(total=len(found), next_offset=after, jobs=list(shown))


@router.get("/jobs/{job_id}", responses=problem_responses(401, 403, 404, 422, 429, 503))
def job(job_id: JobId, services: ServicesDep, caller: Reader) -> Job:
    """One job."""
    return services.submissions.job(job_id)


@router.post("/jobs/{job_id}/stop", responses=problem_responses(401, 403, 404, 413, 422, 429, 503))
def stop(job_id: JobId, services: ServicesDep, caller: Submitter) -> Job:
    """Ask a job to end; its finished cells are kept. Somebody else's needs the role admin."""
    found = services.submissions.job(job_id)
    if found.submitted_by != caller.name and not caller.has_role("admin"):
        raise HTTPException(403, f"job {job_id!r} was submitted by {found.submitted_by!r}; stopping somebody else's needs the role 'admin'")
    return services.submissions.stop(job_id)


@router.get("/jobs/{job_id}/logs", response_class=PlainTextResponse, responses=problem_responses(401, 403, 404, 422, 429, 503))
def logs(
    job_id: JobId, services: ServicesDep, caller: Reader, request: Request, follow: Annotated[bool, Query(description="Go on until the job is over.")] = False
) -> Response:
    """What a job printed."""
    first = services.submissions.logs(job_id)
    if not follow:
        return PlainTextResponse(first)
    return StreamingResponse(_follow_logs(services.submissions, job_id, first=first, request=request), media_type="text/plain; charset=utf-8")


async def _follow_logs(submissions: Submissions, job_id: str, *, first: str, request: Request) -> AsyncIterator[str]:
    """Yield new text of a log until the job is over. The log is read once more after that, or its last lines would be missing."""
    sent = 0
    text = first
    with anyio.move_on_after(FOLLOW_TIMEOUT_S):
        while True:
            if len(text) > sent:
                yield text[sent:]
                sent = len(text)
            over = (await run_sync(submissions.job, job_id)).status not in ACTIVE
            text = await run_sync(submissions.logs, job_id)
            if over or await request.is_disconnected():
                break
            await anyio.sleep(FOLLOW_INTERVAL_S)
        if len(text) > sent:
            yield text[sent:]
