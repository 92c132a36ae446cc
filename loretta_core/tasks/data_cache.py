"""Data of tasks, read once per process: a warm worker runs many cells on the same files.

The key is the task and what the file system says of its files (path, size, time of the last change): changed files are read again. The tasks used longest ago
are dropped. Rows are frozen, so sharing them is safe.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path

from loretta_core.config.task import Chat, Decoder, Glue, Instruct, TaskConfig, ToyEntailment, ToyInstruct, ToyQa, ToySentiment
from loretta_core.config.tasks.conversations import BUILT_IN_TEMPLATES
from loretta_core.config.tasks.own_files import OwnFiles
from loretta_core.tasks.build import load_data
from loretta_core.tasks.data.drawn_splits import named_sources
from loretta_core.tasks.data.reading.hub import PREFIX
from loretta_core.tasks.data.reading.sources import names_of
from loretta_core.tasks.data.rows import TaskData

TASKS_KEPT = 2
"""Tasks whose rows stay in memory."""

Key = tuple[str, tuple[tuple[str, int, int], ...]]
_cache: OrderedDict[Key, TaskData] = OrderedDict()


def load_data_once(task: TaskConfig) -> TaskData:
    """Return `load_data(task)`, from the cache if its files are as they were. Raises DataError."""
    files = _files(task)
    if files is None:
        return load_data(task)
    key = task.model_dump_json(), tuple(_state(path) for path in files)
    if key not in _cache:
        _cache[key] = load_data(task)
    _cache.move_to_end(key)
    while len(_cache) > TASKS_KEPT:
        _cache.popitem(last=False)
    return _cache[key]


def clear_data_cache() -> None:
    """Drop the rows of every task."""
    _cache.clear()


def _files(task: TaskConfig) -> Iterable[Path] | None:
    """Return the files of a task; None where they are not known, which is never cached."""
    match task:
        case ToySentiment() | ToyEntailment() | ToyQa() | ToyInstruct():
            return ()
        case OwnFiles():
            names = [name for source in named_sources(task).values() for name in names_of(source)]
            named = (task.chat_template or "") if isinstance(task, Instruct | Chat) else ""
            template = [named] if named and named not in BUILT_IN_TEMPLATES else []
            return [Path(name).expanduser() for name in (*names, *template) if not name.startswith(PREFIX)]
        case Glue() | Decoder():
            return sorted(path for path in Path(task.path).expanduser().rglob("*") if path.is_file()) if task.path else ()
    return None


def _state(path: Path) -> tuple[str, int, int]:
    """Return path, size and time of change; zeros for a file that is not there, which reading it says."""
    if not path.is_file():
        return str(path), 0, 0
    stat = path.stat()
    return str(path), stat.st_size, stat.st_mtime_ns
