"""The directory in which a Ray of our own keeps sockets and logs for as long as a sweep runs, and what is left of it when a driver is killed.

    /tmp/lor-xxxxxxxx/       short, since the whole path of a socket may have 107 characters, and TMPDIR is often too long
        owner                process id of the driver
        session_…/           Ray's own: sockets, logs; raylet and GCS write their debug_state.txt there every ten seconds

A driver removes it at its end. When the driver is killed, its reaper does (`reaper.py`); what earlier versions left is swept by `loretta doctor --fix`.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psutil

PREFIX = "lor-"
_NAME = re.compile(rf"{PREFIX}[a-z0-9_]{{8}}")
_OWNER = "owner"

SILENT_S = 120.0
"""A directory in which nothing was written for so long has no Ray at work, whichever machine or container it may run in."""

_MAIN_PROCESSES = ("raylet", "gcs_server")
"""Without them there is no Ray; agents that outlive them serve nobody."""


def make_session_directory() -> Path:
    """Create a directory for a Ray of this process."""
    directory = Path(tempfile.mkdtemp(prefix=PREFIX, dir=_base()))
    (directory / _OWNER).write_text(str(os.getpid()), encoding="utf-8")
    return directory


def dead_session_directories() -> list[Path]:
    """Return our directories that certainly no Ray uses any more: their driver is gone, neither raylet nor GCS is left, and nothing is written there."""
    candidates = [path for path in sorted(Path(_base()).glob(f"{PREFIX}*")) if _NAME.fullmatch(path.name) and _is_ours(path)]
    return [path for path in candidates if not _has_owner(path) and not _is_written(path) and not _has_main_process(path)]


def processes_of(directory: Path) -> list[psutil.Process]:
    """Return this user's processes of Ray that were started with the directory; who looks at a log there is none.

    Agents and workers name themselves `ray::…` some time after their start; then only the logs that they write tell whose they are.
    """
    lines = {process: " ".join(process.info["cmdline"] or []) for process in _own_processes()}
    return [process for process, line in lines.items() if (str(directory) in line and f"{os.sep}ray{os.sep}" in line) or _is_renamed(process, line, directory)]


def remove_session(directory: Path) -> None:
    """End the processes of a directory, and delete it."""
    left = processes_of(directory)
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=5)
    shutil.rmtree(directory, ignore_errors=True)


def _base() -> str:
    return "/tmp" if Path("/tmp").is_dir() else tempfile.gettempdir()


def _own_processes() -> Iterable[psutil.Process]:
    me = psutil.Process().username()
    return (process for process in psutil.process_iter(["cmdline", "name", "username"]) if process.info["username"] == me)


def _is_renamed(process: psutil.Process, line: str, directory: Path) -> bool:
    """Return whether a process that has Ray's name for it writes in the directory."""
    if not line.startswith("ray::"):
        return False
    try:
        return any(Path(file.path).is_relative_to(directory) for file in process.open_files())
    except psutil.Error:
        return False


def _is_ours(path: Path) -> bool:
    """Return whether the directory is this user's and holds nothing but what Ray and we put there."""
    try:
        return path.is_dir() and not path.is_symlink() and path.stat().st_uid == os.getuid() and all(map(_is_known, path.iterdir()))
    except OSError:
        return False


def _is_known(path: Path) -> bool:
    return path.name == _OWNER or path.name.startswith(("session_", "ray_current_cluster", "node_ip_address"))


def _has_owner(path: Path) -> bool:
    """Return whether the driver that the directory names is alive; earlier versions named none."""
    try:
        return psutil.pid_exists(int((path / _OWNER).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return False


def _is_written(path: Path) -> bool:
    newest = max((entry.lstat().st_mtime for entry in [path, *path.rglob("*")]), default=0.0)
    return time.time() - newest < SILENT_S


def _has_main_process(path: Path) -> bool:
    return any(process.info["name"] in _MAIN_PROCESSES for process in processes_of(path))
