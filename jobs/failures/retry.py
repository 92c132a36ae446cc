"""Classes of failure, and which of them are worth another attempt. What a cell says or computes (config, nan, error) would come out the same again.

infrastructure    once more, as it is: its process was killed or lost
preempted         always, as it is: its machine was preempted, which is not the cell's fault
memory            with twice the gradient accumulation, until a piece of the batch is one row: the same global batch, half the activations
storage           not at all: it ends the sweep (`orchestration/cell_lifecycle.py`)
"""

from __future__ import annotations

import errno
import os
import traceback
from collections.abc import Sequence

from jobs.failures.outcome import PREEMPTED, Interrupted, Outcome, Preempted, StoppedEarly
from loretta_core.config import CellConfig
from loretta_core.errors import CellFailed, ConfigError

MAX_PROCESS_LOSSES = 2
"""A cell whose process died so often is not tried again: it would kill further ones."""

_MEMORY_SIGNS = ("out of memory", "can't allocate memory", "cannot allocate memory", "bad_alloc")
_PREEMPTED_REASON = "its machine is being taken away"
_OUT_OF_MEMORY_REASON = "out of memory: Ray ended a worker to save the machine"
_DIED_REASON = "a worker process ended unexpectedly: killed, out of memory, or crashed"


def outcome_of_error(cell_id: str, error: BaseException, *, seconds: float) -> Outcome:
    """Return the outcome of an attempt that raised `error`."""
    if isinstance(error, Interrupted):
        return Outcome(cell_id, "interrupted", message=str(error), seconds=seconds)
    if isinstance(error, Preempted):
        return Outcome(cell_id, "failed", kind=PREEMPTED, message=str(error), seconds=seconds)
    if isinstance(error, StoppedEarly):
        return Outcome(cell_id, "stopped", message=str(error), seconds=seconds)
    expected = isinstance(error, (CellFailed, ConfigError))
    message = str(error) if expected else f"{type(error).__name__}: {error}"
    trace = "" if expected else "".join(traceback.format_exception(error))
    return Outcome(cell_id, "failed", kind=classify_error(error), message=message, trace=trace, seconds=seconds)


def classify_error(error: BaseException) -> str:
    """Return the class of an exception: nan, memory, config, storage or error (infrastructure is known only outside the process that died)."""
    if isinstance(error, CellFailed):
        return error.kind
    if isinstance(error, ConfigError):
        return "config"
    if is_storage_full(error):
        return "storage"
    if isinstance(error, MemoryError) or any(sign in str(error).lower() for sign in _MEMORY_SIGNS):
        return "memory"
    return "error"


def is_storage_full(error: BaseException) -> bool:
    """Return whether storage is full or read-only. Libraries often keep only the words of the system's error."""
    numbers = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
    return (isinstance(error, OSError) and error.errno in numbers) or any(os.strerror(number).lower() in str(error).lower() for number in numbers)


def classify_process_loss(error: Exception) -> tuple[str, str]:
    """Return (one line for people, class: memory, preempted or infrastructure) from the page of text that Ray gives when processes are lost."""
    import ray.exceptions  # seconds of import that trials, and the simulation of a sweep, do without
    import ray.train

    causes = list(error.worker_failures.values()) if isinstance(error, ray.train.WorkerGroupError) else [error]
    if any(map(_is_preemption, causes)):
        return _PREEMPTED_REASON, PREEMPTED
    if any(isinstance(cause, (ray.exceptions.OutOfMemoryError, MemoryError)) or "memory usage threshold" in str(cause) for cause in causes):
        return _OUT_OF_MEMORY_REASON, "memory"
    created_badly = [str(cause) for cause in causes if "error raised in its creation task" in str(cause)]
    if not created_badly and any(isinstance(cause, ray.exceptions.RayActorError) or "worker process has died" in str(cause) for cause in causes):
        return _DIED_REASON, "infrastructure"
    lines = [line.strip() for text in created_badly or map(str, causes) for line in text.splitlines() if line.strip()]
    return (lines or [type(error).__name__])[-1][:300], "infrastructure"


def next_attempt(cell_json: str, *, kind: str, failures: int) -> str | None:
    """Return the cell as it should be tried again after a failure, or None to give up.

    Args:
        kind: class of the failure.
        failures: how often the cell has failed in this way, this time included.
    """
    if kind == PREEMPTED:
        return cell_json
    if kind == "infrastructure":
        return cell_json if failures < MAX_PROCESS_LOSSES else None
    return double_accumulation(cell_json) if kind == "memory" else None


def double_accumulation(cell_json: str) -> str | None:
    """Return the cell with twice the gradient accumulation; None if its batch cannot be split further. This is placement: neither the cell's id nor, but for
    rounding, its result changes."""
    cell = CellConfig.from_json(cell_json)
    pieces = 2 * cell.engine.gradient_accumulation
    rows = cell.batch_size // cell.engine.rows_in_parts
    if rows % pieces:
        return None
    return cell.model_copy(update={"engine": cell.engine.model_copy(update={"gradient_accumulation": pieces})}).to_json()


def retry_note(kinds: Sequence[str]) -> str:
    """Return the remark on a cell that succeeded after failures of these classes, "" for none."""
    halvings = list(kinds).count("memory")
    return f"after running out of memory: in {2**halvings} times as many pieces" if halvings else ""


def _is_preemption(cause: Exception) -> bool:
    """Return whether a process was lost to a preemption. Of Tune's trials there is only the text."""
    import ray.exceptions

    if isinstance(cause, ray.exceptions.RayActorError):
        return cause.preempted
    return isinstance(cause, Preempted) or f"{Preempted.__module__}.{Preempted.__name__}" in str(cause)
