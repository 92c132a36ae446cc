"""A line for people, and a class of failure, from the page of text that Ray gives when processes are lost."""

from __future__ import annotations

import ray.exceptions
import ray.train

from jobs.failures.outcome import PREEMPTED, Preempted

_TAKEN_AWAY = "its machine is being taken away"
_OUT_OF_MEMORY = "out of memory: Ray ended a worker to save the machine"


def reason_of(error: Exception) -> tuple[str, str]:
    """(reason, class of failure: memory, preempted or infrastructure)."""
    causes = list(error.worker_failures.values()) if isinstance(error, ray.train.WorkerGroupError) else [error]
    if any(map(_is_preemption, causes)):
        return _TAKEN_AWAY, PREEMPTED
    if any(isinstance(cause, (ray.exceptions.OutOfMemoryError, MemoryError)) or "memory usage threshold" in str(cause) for cause in causes):
        return _OUT_OF_MEMORY, "memory"
    created_badly = [str(cause) for cause in causes if "error raised in its creation task" in str(cause)]
    if not created_badly and any(isinstance(cause, ray.exceptions.RayActorError) or "worker process has died" in str(cause) for cause in causes):
        return "a worker process ended unexpectedly: killed, out of memory, or crashed", "infrastructure"
    lines = [line.strip() for text in created_badly or map(str, causes) for line in text.splitlines() if line.strip()]
    return (lines or [type(error).__name__])[-1][:300], "infrastructure"


def _is_preemption(cause: Exception) -> bool:
    """Of Tune's trials we have only the text."""
    if isinstance(cause, ray.exceptions.RayActorError):
        return cause.preempted
    return isinstance(cause, Preempted) or f"{Preempted.__module__}.{Preempted.__name__}" in str(cause)
