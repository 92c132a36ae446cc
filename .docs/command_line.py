"""The page of the command line: what `--help` says, command by command."""

import contextlib
import io
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock

from services.cli import main

ROOT = Path(__file__).resolve().parents[1]

PROGRAMS = {
    "python -m jobs.sweep": "Run a sweep without the `loretta` command; `ray job submit` starts this one.",
    "python -m jobs.export": "Write a finished cell as an adapter for others; `loretta export` starts this one.",
    "python -m jobs.replay": "Rebuild the weights of a zeroth-order cell from its log; `loretta replay` starts this one.",
    "python -m jobs.drain_node": "Save what a node computes before the node is taken away.",
    "python cluster/scale.py": "Ask the autoscaler of a cluster for devices and wait for them.",
    "python cluster/simulate.py": "Simulate a large sweep on GPUs that fail, on a fake clock.",
    "python cluster/backup.py": "Back up and restore an output directory with its MLflow database.",
}
"""Command → a sentence about it."""

WIDTH = "100"


def page() -> str:
    """Return the page, with one section per command."""
    parts = ["# Command line", "Every command ends with 0 when it is done, 1 when something failed, 2 when the request is wrong, 130 when it was interrupted."]
    parts += ["## loretta", _block(_loretta_help())]
    for command in _commands():
        parts += [f"## loretta {command}", _block(_loretta_help(command))]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for (program, sentence), text in zip(PROGRAMS.items(), pool.map(_program_help, PROGRAMS), strict=True):
            parts += [f"## {program}", sentence, _block(text)]
    return "\n\n".join(parts) + "\n"


def _commands() -> list[str]:
    """Return the names that `loretta --help` lists in its usage line."""
    usage = re.search(r"\{([a-z,]+)\}", _loretta_help())
    assert usage is not None, "`loretta --help` lists no commands"
    return usage[1].split(",")


def _block(text: str) -> str:
    return f"```text\n{text.strip()}\n```"


def _loretta_help(*words: str) -> str:
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="")  # boxes are drawn for UTF-8 only
    with mock.patch.dict(os.environ, {"COLUMNS": WIDTH, "NO_COLOR": "1"}), contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        main([*words, "--help"])
    out.seek(0)
    return out.read()


def _program_help(program: str) -> str:
    environment = {**os.environ, "COLUMNS": WIDTH, "NO_COLOR": "1", "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, *program.split()[1:], "--help"]
    return subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True).stdout
