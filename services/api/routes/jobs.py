"""Jobs: a sweep on the cluster. Submitting the same sweep twice starts it once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

import anyio
from anyio.to_thread import run_sync
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import PlainTextResponse, StreamingResponse
from starlette.exceptions import HTTPException

from services.api.problems import answers
from services.api.schemas import JobId, JobPage, Limit, Offset, SweepText
from services.api.state import Here, Reader, Submitter
from services.queries.ray_jobs import ACTIVE
from services.queries.run_index import page_of
from services.queries.submissions import Job, Submissions

router = APIRouter(tags=["jobs"])

FOLLOW_S = 1.0
FOLLOW_AT_MOST_S = 6 * 3600.0


@router.post("/jobs", status_code=201, responses={200: {"model": Job, "description": "It runs already"}, **answers(401, 403, 413, 422, 429, 503)})
def submit(body: SweepText, here: Here, caller: Submitter, response: Response) -> Job:
    """Start a sweep on the cluster, or find it running."""
    job, started = here.submissions.submit(body.toml, overrides=body.overrides, by=caller.name)
    response.status_code = 201 if started else 200
    response.headers["Location"] = f"/api/v1/jobs/{job.submission_id}"
    return job


@router.get("/jobs", responses=answers(401, 403, 422, 429, 503))
def jobs(here: Here, caller: Reader, offset: Offset = 0, limit: Limit = 50) -> JobPage:
    """Jobs, the newest first."""
    found = here.submissions.jobs()
    shown, after = page_of(found, offset=offset, limit=limit)
    return JobPage(total=len(found), next_offset=after, jobs=list(shown))


@router.get("/jobs/{job_id}", responses=answers(401, 403, 404, 422, 429, 503))
def job(job_id: JobId, here: Here, caller: Reader) -> Job:
    """One job."""
    return here.submissions.job(job_id)


@router.post("/jobs/{job_id}/stop", responses=answers(401, 403, 404, 413, 422, 429, 503))
def stop(job_id: JobId, here: Here, caller: Submitter) -> Job:
    """Ask a job to end; its finished cells are kept. Somebody else's needs the role admin."""
    found = here.submissions.job(job_id)
    if found.submitted_by != caller.name and not caller.may("admin"):
        raise HTTPException(403, f"job {job_id!r} was submitted by {found.submitted_by!r}; stopping somebody else's needs the role 'admin'")
    return here.submissions.stop(job_id)


@router.get("/jobs/{job_id}/logs", response_class=PlainTextResponse, responses=answers(401, 403, 404, 422, 429, 503))
def logs(
    job_id: JobId, here: Here, caller: Reader, request: Request, follow: Annotated[bool, Query(description="Go on until the job is over.")] = False
) -> Response:
    """What a job printed."""
    first = here.submissions.logs(job_id)
    if not follow:
        return PlainTextResponse(first)
    return StreamingResponse(_followed(here.submissions, job_id, first=first, request=request), media_type="text/plain; charset=utf-8")


async def _followed(submissions: Submissions, job_id: str, *, first: str, request: Request) -> AsyncIterator[str]:
    """New text as it comes; the last look is after the job is over, or its last lines would be missing."""
    sent = 0
    text = first
    with anyio.move_on_after(FOLLOW_AT_MOST_S):
        while True:
            if len(text) > sent:
                yield text[sent:]
                sent = len(text)
            over = (await run_sync(submissions.job, job_id)).status not in ACTIVE
            text = await run_sync(submissions.logs, job_id)
            if over or await request.is_disconnected():
                break
            await anyio.sleep(FOLLOW_S)
        if len(text) > sent:
            yield text[sent:]
