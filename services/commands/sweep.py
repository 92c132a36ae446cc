"""`loretta sweep` and `loretta run`: compute cells here, or on the Ray cluster of RAY_ADDRESS. Like doctor.py, one of the modules that import `jobs`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from loretta_core.config import SweepConfig, load_sweep, sweep_from_overrides
from loretta_core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Options of a start that are no part of a sweep file, but for `max_concurrent`, which has precedence over the file's."""

    rerun: Sequence[str] = ()
    max_concurrent: int | None = None
    tracking_uri: str = ""


def run_sweep_file(file: Path, *, overrides: Sequence[str], out: Path | None, options: RunOptions, dry_run: bool, as_json: bool) -> int:
    """Run the cells of a sweep file that are not finished, or print the plan; return the exit code."""
    config = load_sweep(file, overrides=overrides)
    directory = out or Path(config.output)
    if dry_run:
        print_dry_run(config, out=directory, as_json=as_json)
        return 0
    if as_json:
        raise ConfigError("--json goes with --dry-run; for results as JSON use `loretta compare --json`")
    return _run(config, out=directory, options=options)


def run_one_cell(overrides: Sequence[str], *, out: Path | None, options: RunOptions) -> int:
    """Run a cell made of overrides alone, as a sweep of one cell; return the exit code."""
    config = sweep_from_overrides(overrides)
    return _run(config, out=out or Path(config.output), options=options)


def print_dry_run(config: SweepConfig, *, out: Path, as_json: bool) -> None:
    """Print the plan of a sweep, then raise ConfigError for inputs of unfinished cells that are not usable: they do not hide the plan."""
    from jobs.execution.connection.ray_session import cluster_address
    from jobs.orchestration.preflight import check_inputs
    from jobs.scheduling.local_machine import check_placeable
    from jobs.storage.ledger import unfinished
    from jobs.tracking.sinks import check_sinks
    from services.commands.dry_run import dry_run

    print(dry_run(config, out=out, as_json=as_json), flush=True)
    missing = unfinished(out, config.cells)
    check_sinks(config.sinks)
    check_inputs(missing)
    if not cluster_address():
        check_placeable(missing)


def _run(config: SweepConfig, *, out: Path, options: RunOptions) -> int:
    from jobs.sweep import resume_arguments
    from jobs.sweep import sweep as run_sweep

    command = shlex.join(["loretta", *resume_arguments(sys.argv[1:])])
    return run_sweep(config, out=out, max_concurrent=options.max_concurrent, tracking_uri=options.tracking_uri, rerun=options.rerun, command=command)
