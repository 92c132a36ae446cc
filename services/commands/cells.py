"""`loretta replay`, `export`, `evaluate` and `sync`: they load weights or talk to tracking stores, so they run in a process of their own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


def replay_cell(cell: str, *, step: int | None, out: Path, to: Path | None, as_json: bool) -> int:
    """Run `python -m jobs.replay` and return its exit code."""
    optional = [*(["--step", str(step)] if step is not None else []), *(["--to", str(to)] if to is not None else [])]
    return _run_module("jobs.replay", cell, "--out", str(out), *optional, *_json_flag(as_json))


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """The form of an export."""

    merge: bool = False
    form: str | None = None
    register: str = ""
    """NAME[@alias] in MLflow's registry; "" registers nothing."""
    tracking_uri: str = ""


def export_cell(cell: str, directory: Path | None, *, options: ExportOptions, out: Path, as_json: bool) -> int:
    """Run `python -m jobs.export` and return its exit code."""
    optional = [*([str(directory)] if directory else []), *(["--merge"] if options.merge else []), *(["--as", options.form] if options.form else [])]
    registry = [*(["--register", options.register] if options.register else []), *(["--tracking-uri", options.tracking_uri] if options.tracking_uri else [])]
    return _run_module("jobs.export", cell, *optional, *registry, "--out", str(out), *_json_flag(as_json))


def sync_sweeps(out: Path, *, sweeps: Sequence[str], tracking_uri: str) -> int:
    """Run `python -m jobs.sync` and return its exit code."""
    named = [part for name in sweeps for part in ("--sweep", name)]
    return _run_module("jobs.sync", str(out), *named, *(["--tracking-uri", tracking_uri] if tracking_uri else []))


def evaluate_cell(cell: str, *, tasks: str, include: Path | None, limit: int | None, shots: int | None, out: Path, as_json: bool) -> int:
    """Run `python -m jobs.evaluate` and return its exit code."""
    asked = {"--include-path": include, "--limit": limit, "--shots": shots}
    optional = [word for name, value in asked.items() if value is not None for word in (name, str(value))]
    return _run_module("jobs.evaluate", cell, "--tasks", tasks, "--out", str(out), *optional, *_json_flag(as_json))


def _json_flag(as_json: bool) -> list[str]:
    return ["--json"] if as_json else []


def _run_module(*words: str) -> int:
    return subprocess.run([sys.executable, "-m", *words], check=False).returncode
