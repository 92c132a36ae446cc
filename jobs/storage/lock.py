"""The lock of an output directory: one driver at a time.

OUT/.lock names its owner (pid, host, command). On one machine the kernel's file lock decides, so a lock dies with its process, however that ends.
File locks do not reach across every network file system: another host's lock counts while its owner refreshes the file. One that looks fresh is believed;
one that looks old is watched for a while before it is taken, since the clocks of two machines may differ and either may be set while a sweep runs.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from loretta_core.errors import OutputError

LOCK_NAME = ".lock"
REFRESH_S = 10.0
STALE_S = 60.0
"""Another host's lock that was refreshed so recently, by our clock, counts as held."""
WATCH_S = 2.5 * REFRESH_S
"""Seconds that another host's lock is watched for a refresh when it looks older."""


@contextmanager
def output_lock(out: Path) -> Iterator[None]:
    """Lock OUT for this process. Raises OutputError that names the owner when another process holds it."""
    path = out / LOCK_NAME
    with _open_file(path) as file:
        if not _flock(file) or _held_by_other_host(file, path):
            raise OutputError(f"{out}: in use by {_describe_owner(file)}; wait for it, stop it, or give another directory with --out. (Lock file: {path})")
        released = threading.Event()
        _write_owner(file)
        threading.Thread(target=_refresh, args=(path, released), daemon=True, name="output-lock").start()
        try:
            yield
        finally:
            released.set()
            file.truncate(0)


def _open_file(path: Path) -> TextIO:
    try:
        return path.open("a+", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path.parent}: cannot be written ({error.strerror}); make it writable, or give another directory with --out") from None


def is_held(out: Path) -> bool:
    """Return whether a living process holds OUT."""
    try:
        with (out / LOCK_NAME).open("a+", encoding="utf-8") as file:
            return not _flock(file) or _held_by_other_host(file, out / LOCK_NAME)
    except OSError:
        return False


def stale_owner(out: Path) -> str:
    """Describe the owner of a lock that nobody holds any more: its process was killed. "" when there is none."""
    if is_held(out):
        return ""
    try:
        with (out / LOCK_NAME).open("r", encoding="utf-8") as file:
            return _describe_owner(file) if file.read() else ""
    except OSError:
        return ""


def _flock(file: TextIO) -> bool:
    """Take the kernel's file lock; return whether it was free."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _held_by_other_host(file: TextIO, path: Path) -> bool:
    """Return whether the lock file names another host that still refreshes it."""
    owner = _read_owner(file)
    if owner.get("host", socket.gethostname()) == socket.gethostname():
        return False
    refreshed = path.stat().st_mtime
    return 0 <= time.time() - refreshed < STALE_S or _is_refreshed(path, since=refreshed)


def _is_refreshed(path: Path, *, since: float) -> bool:
    """Watch the file; return whether somebody refreshes it meanwhile, whatever its clock says."""
    ends = time.monotonic() + WATCH_S
    while time.monotonic() < ends:
        time.sleep(WATCH_S / 50)
        if path.stat().st_mtime != since:
            return True
    return False


def _write_owner(file: TextIO) -> None:
    owner = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(sys.argv),
    }
    file.truncate(0)
    file.write(json.dumps(owner))
    file.flush()


def _refresh(path: Path, released: threading.Event) -> None:
    while not released.wait(REFRESH_S):
        with suppress(OSError):  # deleted meanwhile, or storage unreachable for a moment: the next refresh will do
            os.utime(path)


def _read_owner(file: TextIO) -> dict[str, str]:
    file.seek(0)
    try:
        return dict(json.loads(file.read()))
    except (json.JSONDecodeError, TypeError, ValueError):
        return {}


def _describe_owner(file: TextIO) -> str:
    owner = _read_owner(file)
    if not {"pid", "host", "since", "command"} <= owner.keys():
        return "another process"
    return f"process {owner['pid']} on {owner['host']} since {owner['since']} ({owner['command']})"
