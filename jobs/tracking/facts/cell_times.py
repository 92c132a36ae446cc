"""When a cell began and ended, as its directory says: the times of its run in a tracking store, whenever that is written.

    began    the first line of its journal, or the writing of cell.json by its last attempt, whichever is earlier
    ended    the last line of its journal

Records have whole seconds; they are used where there is nothing better.
"""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path

from loretta_core.errors import OutputError
from loretta_core.store.record_files import read_record


def started_ms(directory: Path, *, first_point_ms: int | None) -> int:
    """Return the begin of a cell in milliseconds since 1970; now for one that has left nothing."""
    recorded = _recorded_ms(directory, "started_at")
    known = [
        *([first_point_ms] if first_point_ms is not None else []),
        *([_modified_ms(directory / "cell.json")] if (directory / "cell.json").is_file() else []),
        *([recorded + 999] if recorded is not None else []),  # of whole seconds: it may be that much later
    ]
    return min(known, default=_now_ms())


def ended_ms(directory: Path, *, last_point_ms: int | None) -> int:
    """Return the end of a cell in milliseconds since 1970; now for one that has left nothing."""
    recorded = _recorded_ms(directory, "finished_at")
    return max((time_ms for time_ms in (last_point_ms, recorded) if time_ms is not None), default=_now_ms())


def _recorded_ms(directory: Path, name: str) -> int | None:
    try:
        value = getattr(read_record(directory), name)
    except OutputError:
        return None
    return None if value is None else int(datetime.fromisoformat(value).timestamp() * 1000)


def _modified_ms(path: Path) -> int:
    return path.stat().st_mtime_ns // 1_000_000


def _now_ms() -> int:
    return int(time.time() * 1000)
