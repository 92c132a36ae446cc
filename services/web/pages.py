"""The pages: sweeps, a sweep with its comparison, a cell, a job, submitting. Rendered here; the script only refreshes, copies and reads a chosen file.

Every value in a template is escaped. A page that needs a token sends to /login, which keeps it in a cookie that scripts cannot read.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from importlib import resources
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, FastAPI, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, FunctionLoader, StrictUndefined
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from loretta_core.config import CellConfig
from loretta_core.errors import ConfigError
from loretta_core.report import units
from loretta_core.report.cost_notes import cost_notes, memory_ratio, step_ratio
from loretta_core.report.headlines import headlines
from loretta_core.report.paper import paper_score
from loretta_core.report.rows import ResultRow
from services.api.schemas import CellId, JobId, SortKey, SweepName
from services.api.state import COOKIE, Here, Services, asking, services
from services.api.views import cell_of
from services.commands.dry_run import standing_of
from services.commands.plan import plan_text
from services.queries.filters import Selection, choices, select
from services.queries.ray_jobs import ACTIVE, RayUnavailable
from services.queries.run_index import page_of
from services.queries.submissions import Job
from services.server.auth import Caller, Role
from services.server.submission_policy import read_sweep
from services.web.figures import NAMES, Figures, standalone
from services.web.forms import form
from services.web.table import ROWS_SHOWN, build_table, query, shared, telling

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

ASSETS = {"page.css": "text/css; charset=utf-8", "page.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml"}

SWEEPS_SHOWN = 100
JOBS_SHOWN = 50


class SignIn(Exception):
    """A page needs a token."""


def visitor(role: Role) -> Callable[..., Caller]:
    """A dependency: the caller of a page, who has this role."""

    def check(request: Request) -> Caller:
        caller = asking(request, services(request))
        if caller is None:
            raise SignIn
        if not caller.may(role):
            raise HTTPException(403, f"the token of {caller.name!r} has the role {caller.role!r}, and this needs {role!r}")
        return caller

    return check


Reader = Annotated[Caller, Depends(visitor("read"))]
Submitter = Annotated[Caller, Depends(visitor("submit"))]


@router.get("/")
def home(request: Request, here: Here, caller: Reader) -> Response:
    """Sweeps with their progress, and jobs."""
    names = here.runs.names()
    views, problems = here.runs.views(names[:SWEEPS_SHOWN])
    jobs: list[Job] = []
    try:
        jobs = here.submissions.jobs()[:JOBS_SHOWN]
    except RayUnavailable as error:
        problems.append(str(error))
    live = any(view.progress.running for view in views) or any(job.status in ACTIVE for job in jobs)
    return page(request, "home.html", caller, views=views, more=max(0, len(names) - SWEEPS_SHOWN), jobs=jobs, problems=problems, live=live)


@router.get("/sweeps/{name}")
def sweep(
    name: SweepName,
    request: Request,
    here: Here,
    caller: Reader,
    model: str = "",
    task: str = "",
    method: str = "",
    trainer: str = "",
    status: str = "",
    sort: Literal["", SortKey] = "",
    descending: bool = False,
    offset: Annotated[int, Query(ge=0)] = 0,
) -> Response:
    """A sweep: progress, failures, the comparison, its figures."""
    view = here.runs.sweep(name)
    chosen = Selection(model=model, task=task, method=method, trainer=trainer, status=status, sort=sort, descending=descending)
    rows = select(view.rows, chosen)
    shown, after = page_of(rows, offset=offset, limit=ROWS_SHOWN)
    head, lines = build_table(shown, selection=chosen, address=f"/sweeps/{name}", all_rows=view.rows)
    scored = any(row.score is not None for row in rows)
    return page(
        request,
        "sweep.html",
        caller,
        view=view,
        headings=head,
        lines=lines,
        shared=shared(view.rows),
        score_at=len(telling(view.rows)),
        total=len(rows),
        filters=choices(view.rows),
        chosen=chosen,
        query=query(chosen),
        offset=offset,
        after=after,
        figures=NAMES if scored else {},
        headlines=headlines(rows) if scored else [],
        predictions=cost_notes(rows),
        failures=[row for row in rows if row.status == "failed"][:50],
        names={row.cell_id: row.name for row in view.rows} if view.progress.running else {},
        mlflow=here.settings.mlflow_url,
        live=bool(view.progress.running) or _is_active(here, name),
    )


@router.get("/sweeps/{name}/figures/{figure}.svg")
def figure(
    name: SweepName,
    figure: str,
    request: Request,
    here: Here,
    caller: Reader,
    model: str = "",
    task: str = "",
    method: str = "",
    trainer: str = "",
    status: str = "",
) -> Response:
    """One figure of the cells that match."""
    view = here.runs.sweep(name)
    chosen = Selection(model=model, task=task, method=method, trainer=trainer, status=status)
    if figure not in NAMES:
        raise HTTPException(404, f"no figure {figure!r}")
    figures: Figures = request.app.state.figures
    return _image(figures.of_rows(figure, rows=select(view.rows, chosen), key=f"{name} {view.version} {query(chosen)}"))


@router.get("/cells/{cell_id}")
def cell(cell_id: CellId, request: Request, here: Here, caller: Reader) -> Response:
    """One cell: what came out, what it was expected to cost, how to load it and how to train it again."""
    config, record = here.runs.cell(cell_id)
    found = cell_of(config, record, out=here.runs.out, mlflow_url=here.settings.mlflow_url)
    return page(
        request,
        "cell.html",
        caller,
        cell=found,
        record=record,
        settings=json.dumps(found.settings, indent=2, ensure_ascii=False),
        sweeps=here.runs.sweeps_of(config.cell_id),
        export=f"loretta export {config.cell_id} DIR --out {here.runs.out}",
        memory_ratio=memory_ratio(record) if record else None,
        step_ratio=step_ratio(record) if record else None,
        curves=bool(record and record.curves.get("train_loss") and record.status == "finished"),
        paper=_paper_of(config),
        live=record is None,
    )


@router.get("/cells/{cell_id}/curve.svg")
def curve(cell_id: CellId, request: Request, here: Here, caller: Reader) -> Response:
    """The training loss of a cell."""
    config, record = here.runs.cell(cell_id)
    labels = {"model": config.model.caption, "task": config.task.type, "method": config.method.short_name, "trainer": config.trainer.type}
    row = ResultRow(cell_id=config.cell_id, cell=config, labels=labels, record=record)
    figures: Figures = request.app.state.figures
    return _image(figures.of_cell(row, key=str(record.finished_at if record else "")))


@router.get("/submit")
def blank(request: Request, here: Here, caller: Submitter) -> Response:
    """The form."""
    return page(request, "submit.html", caller, toml="", overrides="", devices="cpu", plan=None, error="", cells=None, sweep=None)


@router.post("/submit")
async def submit(request: Request, here: Here, caller: Submitter) -> Response:
    """The plan of what was typed, or the start of it."""
    fields = await form(request)
    return await run_in_threadpool(_submit, request, here, caller, fields)


def _submit(request: Request, here: Services, caller: Caller, fields: dict[str, str]) -> Response:
    toml, devices = fields.get("toml", "").replace("\r\n", "\n"), fields.get("devices", "cpu")
    overrides = [line.strip() for line in fields.get("overrides", "").splitlines() if line.strip()]
    shown: dict[str, Any] = {
        "toml": toml,
        "overrides": fields.get("overrides", ""),
        "devices": devices,
        "plan": None,
        "error": "",
        "cells": None,
        "sweep": None,
    }
    try:
        sweep = read_sweep(toml, policy=here.settings.policy, overrides=overrides)
        if fields.get("action") == "submit":
            job, _ = here.submissions.submit(toml, overrides=overrides, by=caller.name)
            return RedirectResponse(f"/jobs/{job.submission_id}", status_code=303)
        shown |= {"sweep": sweep, "cells": standing_of(sweep, out=here.runs.out), "plan": plan_text(sweep, devices=devices.replace(",", " ").split())}
    except ConfigError as error:
        return page(request, "submit.html", caller, status=422, **shown | {"error": str(error)})
    except RayUnavailable as error:  # what was typed stays: the cluster may be back in a moment
        return page(request, "submit.html", caller, status=503, **shown | {"error": str(error)})
    return page(request, "submit.html", caller, **shown)


@router.get("/jobs/{job_id}")
def job(job_id: JobId, request: Request, here: Here, caller: Reader) -> Response:
    """A job with its log."""
    found = here.submissions.job(job_id)
    may_stop = found.status in ACTIVE and (caller.may("admin") or (caller.may("submit") and found.submitted_by == caller.name))
    started = found.sweep in here.runs.names()
    view = here.runs.sweep(found.sweep) if started else None
    return page(request, "job.html", caller, job=found, logs=here.submissions.logs(job_id), may_stop=may_stop, view=view, live=found.status in ACTIVE)


@router.post("/jobs/{job_id}/stop")
def stop(job_id: JobId, here: Here, caller: Submitter) -> Response:
    """Stop a job, then show it."""
    if here.submissions.job(job_id).submitted_by != caller.name and not caller.may("admin"):
        raise HTTPException(403, "stopping somebody else's job needs the role 'admin'")
    here.submissions.stop(job_id)
    return RedirectResponse(f"/jobs/{job_id}", status_code=303)


@router.get("/login")
def login(request: Request) -> Response:
    """Ask for a token."""
    return page(request, "login.html", None, error="")


@router.post("/login")
async def sign_in(request: Request, here: Here) -> Response:
    """Keep the token in a cookie."""
    token = (await form(request)).get("token", "").strip()
    if here.tokens().caller(token) is None:
        return page(request, "login.html", None, status=401, error="This is no token of this server.")
    response = RedirectResponse("/", status_code=303)
    secure = request.url.scheme == "https"
    response.set_cookie(COOKIE, token, httponly=True, samesite="strict", secure=secure, max_age=30 * 86400)
    return response


@router.post("/logout")
def sign_out() -> Response:
    """Forget it."""
    response = RedirectResponse("/login", status_code=303)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return response


@router.get("/static/{name}")
def asset(name: str) -> Response:
    """The style, the script, the icon."""
    if name not in ASSETS:
        raise HTTPException(404, "no such file")
    text = resources.files("services.web").joinpath("static", name).read_bytes()
    return Response(text, media_type=ASSETS[name], headers={"cache-control": "max-age=300"})


def page(request: Request, template: str, caller: Caller | None, *, status: int = 200, live: bool = False, **values: Any) -> HTMLResponse:
    """A rendered template. `live`: the script refreshes it."""
    shared = {"caller": caller, "live": live, "tokens": bool(caller and services(request).tokens().required), "path": request.url.path}
    return HTMLResponse(_templates().get_template(template).render(**shared, **values), status_code=status)


def install(app: FastAPI) -> None:
    """Pages, and what happens when one needs a token."""
    app.include_router(router)
    app.state.figures = Figures()

    @app.exception_handler(SignIn)
    def ask(request: Request, error: SignIn) -> Response:
        return RedirectResponse("/login", status_code=303)


def error_page(request: Request, status: int, detail: str) -> Response:
    """For people what a problem document is for programs."""
    return page(request, "error.html", None, status=status, code=status, detail=detail)


def _image(svg: str) -> Response:
    if not svg:
        raise HTTPException(404, "nothing to draw")
    # An image runs no script, but opened on its own it is a document; its styles are inside it.
    policy = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
    return Response(standalone(svg), media_type="image/svg+xml", headers={"content-security-policy": policy, "cache-control": "private, max-age=3600"})


def _is_active(here: Services, sweep: str) -> bool:
    """Whether a job of ours computes the sweep."""
    try:
        return any(job.sweep == sweep and job.status in ACTIVE for job in here.submissions.jobs())
    except RayUnavailable:
        return False


def _paper_of(cell: CellConfig) -> str:
    found = paper_score(cell)
    return found.text if found else ""


@cache
def _templates() -> Environment:
    environment = Environment(loader=FunctionLoader(_source), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    shared: dict[str, Any] = environment.globals  # jinja2 annotates it with the types of its own entries
    shared["units"] = units
    return environment


def _source(name: str) -> str:
    return resources.files("services.web").joinpath("templates", name).read_text(encoding="utf-8")
