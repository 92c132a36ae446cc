"""`loretta replay`, `loretta export` and `loretta evaluate` load weights, so they run in a process of their own and torch stays out of this one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def replay_cell(cell: str, *, step: int | None, out: Path, to: Path | None, as_json: bool) -> int:
    """Run `python -m jobs.replay` and return its exit code."""
    optional = [*(["--step", str(step)] if step is not None else []), *(["--to", str(to)] if to is not None else [])]
    return _run_module("jobs.replay", cell, "--out", str(out), *optional, *_json_flag(as_json))


def export_cell(cell: str, directory: Path, *, merge: bool, form: str | None, out: Path, as_json: bool) -> int:
    """Run `python -m jobs.export` and return its exit code."""
    optional = [*(["--merge"] if merge else []), *(["--as", form] if form else [])]
    return _run_module("jobs.export", cell, str(directory), "--out", str(out), *optional, *_json_flag(as_json))


def evaluate_cell(cell: str, *, tasks: str, include: Path | None, limit: int | None, shots: int | None, out: Path, as_json: bool) -> int:
    """Run `python -m jobs.evaluate` and return its exit code."""
    asked = {"--include-path": include, "--limit": limit, "--shots": shots}
    optional = [word for name, value in asked.items() if value is not None for word in (name, str(value))]
    return _run_module("jobs.evaluate", cell, "--tasks", tasks, "--out", str(out), *optional, *_json_flag(as_json))


def _json_flag(as_json: bool) -> list[str]:
    return ["--json"] if as_json else []


def _run_module(*words: str) -> int:
    return subprocess.run([sys.executable, "-m", *words], check=False).returncode
