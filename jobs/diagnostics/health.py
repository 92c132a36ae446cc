"""Health checks of Ray, MLflow and an output directory, and their repairs: the part of `loretta doctor` that knows them.

    session directories of Rays that are gone  hold disk, and now and then agents of Ray; removed
    placement groups whose driver is gone      hold CPUs and GPUs of a shared cluster for ever; freed
    MLflow runs that no process computes       say "running" for ever; end as KILLED
    lock of a driver that was killed           emptied; harmless, but it names a process that is gone
    half-written temporary files               deleted
    damaged files of cells and sweeps          named (damage.py); a person decides what to delete

The last four are checked only while no sweep runs in the output directory, and repaired under its lock.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

from jobs.diagnostics import placement_groups
from jobs.diagnostics.damage import damage_findings
from jobs.execution.connection import session_directory
from jobs.execution.connection.ray_session import cluster_address, ray_session
from jobs.storage import lock
from jobs.tracking import mlflow_repair
from jobs.tracking.mlflow_setup import connect, default_uri
from loretta_core.errors import ConfigError, OutputError
from loretta_core.findings import Finding
from loretta_core.report.units import counted
from loretta_core.store.output_dir import check_output_dir


def examine(out: Path, *, fix: bool) -> Iterator[Finding]:
    """Check everything; with `fix`, repair what can be repaired."""
    yield _session_finding(fix=fix)
    yield from ray_findings(fix=fix)
    yield from output_findings(out, fix=fix)


def ray_findings(*, fix: bool) -> Iterator[Finding]:
    """Check the cluster of RAY_ADDRESS: its version, and leaked placement groups."""
    if not cluster_address():
        yield Finding("ray", "ok", "RAY_ADDRESS is not set: each sweep starts a Ray of its own on this machine")
        return
    try:
        with ray_session():
            yield Finding("ray", "ok", placement_groups.describe_cluster())
            leaked = placement_groups.find_leaked()
            if not leaked:
                yield Finding("placement groups", "ok", "none is left behind")
            elif fix:
                placement_groups.remove(leaked)
                yield Finding(
                    "placement groups", "fixed", f"{counted(len(leaked), 'leaked placement group')} freed: {placement_groups.describe_resources(leaked)}"
                )
            else:
                text = f"{counted(len(leaked), 'placement group')} of drivers that are gone hold {placement_groups.describe_resources(leaked)}"
                yield Finding("placement groups", "problem", text, "loretta doctor --fix frees them")
    except (ConfigError, RuntimeError) as error:  # RuntimeError: Ray's word for another version of itself
        yield Finding("ray", "problem", str(error).strip().splitlines()[0], "install the cluster's version of Ray, correct RAY_ADDRESS, or unset it")


def output_findings(out: Path, *, fix: bool) -> Iterator[Finding]:
    """Check an output directory and the tracking store of its runs."""
    if not (out / "FORMAT.json").exists() and not (out / "cells").is_dir():
        yield Finding("output", "ok", f"{out}: no output directory of ours yet")
        return
    try:
        check_output_dir(out)
        stale = lock.stale_owner(out)
        if lock.is_held(out):
            yield Finding("output", "ok", f"{out}: a sweep is at work there; what it writes was not looked at")
            return
        with lock.output_lock(out) if fix else nullcontext():
            yield _lock_finding(stale, out=out, fix=fix)
            yield _temporary_finding(out, fix=fix)
            yield from damage_findings(out)
            yield _mlflow_finding(out, fix=fix)
    except (OutputError, OSError) as error:
        yield Finding("output", "problem", str(error), "make it readable and writable, or give another directory with --out")


def _session_finding(*, fix: bool) -> Finding:
    dead = session_directory.dead_session_directories()
    if not dead:
        return Finding("ray sessions", "ok", "none is left behind on this machine")
    processes = [process for directory in dead for process in session_directory.processes_of(directory)]
    agents = f" and {counted(len(processes), 'agent')} of it" if processes else ""
    text = f"killed sweeps left {counted(len(dead), 'session')} of Ray{agents}, e.g. {dead[0]}"
    if not fix:
        return Finding("ray sessions", "problem", text, "loretta doctor --fix removes them")
    for directory in dead:
        session_directory.remove_session(directory)
    return Finding("ray sessions", "fixed", f"removed: {text}")


def temporary_files(out: Path) -> list[Path]:
    """Return the half-written files that `write_atomically` and checkpoints leave when their process is killed."""
    return sorted(path for path in out.rglob(".*.tmp") if path.is_file())


def _lock_finding(stale: str, *, out: Path, fix: bool) -> Finding:
    if not stale:
        return Finding("lock", "ok", f"{out} is free")
    text = f"{out}: left locked by {stale}, which is gone"
    return Finding("lock", "fixed", text) if fix else Finding("lock", "problem", text, "the next sweep takes it over; loretta doctor --fix removes it now")


def _temporary_finding(out: Path, *, fix: bool) -> Finding:
    found = temporary_files(out)
    if not found:
        return Finding("temporary files", "ok", "none")
    text = f"{counted(len(found), 'half-written file')}, {sum(path.stat().st_size for path in found)} bytes, e.g. {found[0].relative_to(out)}"
    if not fix:
        return Finding("temporary files", "problem", text, "loretta doctor --fix deletes them")
    for path in found:
        path.unlink(missing_ok=True)
    return Finding("temporary files", "fixed", f"deleted {text}")


def _mlflow_finding(out: Path, *, fix: bool) -> Finding:
    uri = default_uri(out)
    if uri.startswith("sqlite:") and not Path(uri.removeprefix("sqlite:///")).is_file():
        return Finding("mlflow", "ok", "no runs yet")
    try:
        client = connect(uri)
        running = mlflow_repair.find_orphan_runs(client, out)
        if fix:
            mlflow_repair.terminate_runs(client, running)
    except Exception as error:  # a process edge: MLflow's clients raise anything
        advice = "start the server, or correct MLFLOW_TRACKING_URI; metrics are safe in each cell's metrics.jsonl and are sent by the next sweep"
        return Finding("mlflow", "problem", f"{uri} cannot be used ({type(error).__name__})", advice)
    if not running:
        return Finding("mlflow", "ok", f"{uri} answers; no run is left running")
    text = f"{counted(len(running), 'run')} of this directory left running"
    return Finding("mlflow", "fixed", f"{text}: ended as KILLED") if fix else Finding("mlflow", "problem", text, "loretta doctor --fix ends them as KILLED")
