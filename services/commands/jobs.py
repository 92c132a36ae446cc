"""`loretta submit | status | logs | stop`: jobs of a server, through its API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from loretta_core.config import load_sweep
from loretta_core.config.sweep.load import read_toml
from loretta_core.report import units
from loretta_core.report.tables import Table
from services.commands.api_client import connect
from services.commands.output import print_table, to_json

MAX_RUNNING = 12
"""Most running cells of a sweep that are named."""


def submit_sweep(file: Path, *, overrides: Sequence[str], as_json: bool) -> None:
    """Send a sweep file to the server and print its job. Raise ConfigError for a mistake in it, without asking a server."""
    sweep = load_sweep(file, overrides=overrides)
    text = file.read_text(encoding="utf-8")
    # Without a `name`, a sweep is called after its file; a text that is sent has to name it.
    named = text if "name" in read_toml(file) else f"name = {to_json(sweep.name)}\n{text}"
    job, started = connect().submit(named, overrides=overrides)
    print(to_json(job) if as_json else f"{'started' if started else 'running already'}: {job_text(job)}")


def print_job(job_id: str, *, as_json: bool) -> None:
    """Print one job and the progress of its sweep."""
    server = connect()
    job = server.job(job_id)
    progress = server.progress(job["sweep"])
    print(to_json({**job, "progress": progress}) if as_json else job_text(job, progress=progress))


def print_jobs(*, limit: int, as_json: bool) -> None:
    """Print the newest jobs."""
    jobs = connect().jobs(limit=limit)
    if as_json:
        print(to_json(jobs))
    else:
        print_table(jobs_table(jobs))


def print_logs(job_id: str, *, follow: bool, as_json: bool) -> None:
    """Print the log of a job as it arrives; as JSON an object a line for each piece."""
    for piece in connect().logs(job_id, follow=follow):
        print(to_json({"job_id": job_id, "text": piece}, indent=None) + "\n" if as_json else piece, end="", flush=True)


def stop_job(job_id: str, *, as_json: bool) -> None:
    """Ask a job to end and print it."""
    job = connect().stop(job_id)
    print(to_json(job) if as_json else job_text(job))


def job_text(job: Mapping[str, Any], *, progress: Mapping[str, Any] | None = None) -> str:
    """Return a job in a few lines."""
    lines = [f"{job['submission_id']}: {job['status'].lower()}, {units.counted(job['cells'], 'cell')} of {job['sweep']}, by {job['submitted_by']}"]
    if job["message"]:
        lines.append(job["message"])
    if progress:
        parts = [f"{progress['finished']} of {progress['total']} finished", f"{progress['failed']} failed", f"{len(progress['running'])} running"]
        left = f", about {units.seconds(progress['eta_s'])} left" if progress["eta_s"] is not None else ""
        lines.append(", ".join(parts) + left)
        lines += [_running_text(each) for each in progress["running"][:MAX_RUNNING]]
    return "\n".join(lines)


def _running_text(cell: Mapping[str, Any]) -> str:
    of = f" of {cell['steps']}" if cell["steps"] else ""
    return f"  {cell['name']}: step {cell['step']}{of}, {units.seconds(cell['seconds'])}"


def jobs_table(jobs: Sequence[Mapping[str, Any]]) -> Table:
    """Return jobs as a table."""
    body = tuple(
        (job["submission_id"], job["status"].lower(), job["submitted_at"][:16].replace("T", " "), job["submitted_by"], str(job["cells"])) for job in jobs
    )
    return Table(columns=("job", "status", "submitted (UTC)", "by", "cells"), body=body, numeric=1)
