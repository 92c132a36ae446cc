"""One driver per output directory.

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
"""A lock of another host that was refreshed so recently, by our clock, is held."""
WATCH_S = 2.5 * REFRESH_S
"""How long one that looks older is watched."""


@contextmanager
def output_lock(out: Path) -> Iterator[None]:
    """Hold OUT for this process. Raises OutputError that names the owner when another process holds it."""
    path = out / LOCK_NAME
    with _opened(path) as file:
        if not _taken(file) or _held_elsewhere(file, path):
            raise OutputError(f"{out}: in use by {_owner(file)}; wait for it, stop it, or give another directory with --out. (Lock file: {path})")
        over = threading.Event()
        _write_owner(file)
        threading.Thread(target=_refresh, args=(path, over), daemon=True, name="output-lock").start()
        try:
            yield
        finally:
            over.set()
            file.truncate(0)


def _opened(path: Path) -> TextIO:
    try:
        return path.open("a+", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path.parent}: cannot be written ({error.strerror}); make it writable, or give another directory with --out") from None


def is_held(out: Path) -> bool:
    """Whether a living process holds OUT."""
    try:
        with (out / LOCK_NAME).open("a+", encoding="utf-8") as file:
            return not _taken(file) or _held_elsewhere(file, out / LOCK_NAME)
    except OSError:
        return False


def left_behind(out: Path) -> str:
    """The owner of a lock that nobody holds any more, in words; "" when there is none."""
    if is_held(out):
        return ""
    try:
        with (out / LOCK_NAME).open("r", encoding="utf-8") as file:
            return _owner(file) if file.read() else ""
    except OSError:
        return ""


def _taken(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _held_elsewhere(file: TextIO, path: Path) -> bool:
    owner = _read(file)
    if owner.get("host", socket.gethostname()) == socket.gethostname():
        return False
    refreshed = path.stat().st_mtime
    return 0 <= time.time() - refreshed < STALE_S or _is_refreshed(path, since=refreshed)


def _is_refreshed(path: Path, *, since: float) -> bool:
    """Whether somebody refreshes the file while we watch, whatever its clock says."""
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


def _refresh(path: Path, over: threading.Event) -> None:
    while not over.wait(REFRESH_S):
        with suppress(OSError):  # deleted by somebody, or storage away for a moment: the next time will do
            os.utime(path)


def _read(file: TextIO) -> dict[str, str]:
    file.seek(0)
    try:
        return dict(json.loads(file.read()))
    except (json.JSONDecodeError, TypeError, ValueError):
        return {}


def _owner(file: TextIO) -> str:
    owner = _read(file)
    if not {"pid", "host", "since", "command"} <= owner.keys():
        return "another process"
    return f"process {owner['pid']} on {owner['host']} since {owner['since']} ({owner['command']})"
