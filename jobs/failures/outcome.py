"""What became of one attempt at a cell, as it travels from a worker to the driver.

A small picklable value. The full result of a finished cell is its record on disk; an outcome only says where to look and what to print.
"""

from __future__ import annotations

import errno
import os
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from loretta_core.errors import CellFailed, ConfigError, LorettaError

Status = Literal["finished", "failed", "interrupted", "stopped"]

PREEMPTED = "preempted"
"""Class of a failure that is nobody's: the machine was taken away."""

_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory", "bad_alloc")


class Interrupted(LorettaError):
    """The sweep was told to stop; the cell ends early and runs again next time."""


class Preempted(LorettaError):
    """The machine of this process is being taken away; the cell goes on elsewhere (`preemption.py`)."""


class StoppedEarly(LorettaError):
    """The cell did worse than others of its kind (`scheduling/asha.py`)."""


@dataclass(frozen=True)
class Outcome:
    """One cell is over for now."""

    cell_id: str
    status: Status
    kind: str = ""
    """Class of the failure, as in the record."""
    message: str = ""
    trace: str = ""
    """Python traceback of a failure that is not explained by its message."""
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """JSON values, for a Tune result."""
        return asdict(self)

    @classmethod
    def from_error(cls, cell_id: str, error: BaseException, *, seconds: float) -> Outcome:
        """Sort an exception into a class of failure."""
        if isinstance(error, Interrupted):
            return cls(cell_id, "interrupted", message=str(error), seconds=seconds)
        if isinstance(error, Preempted):
            return cls(cell_id, "failed", kind=PREEMPTED, message=str(error), seconds=seconds)
        if isinstance(error, StoppedEarly):
            return cls(cell_id, "stopped", message=str(error), seconds=seconds)
        expected = isinstance(error, (CellFailed, ConfigError))
        message = str(error) if expected else f"{type(error).__name__}: {error}"
        trace = "" if expected else "".join(traceback.format_exception(error))
        return cls(cell_id, "failed", kind=kind_of(error), message=message, trace=trace, seconds=seconds)

    @classmethod
    def lost(cls, cell_id: str, *, reason: str, kind: str, times: int) -> Outcome:
        """Of a cell that took its process down so often."""
        return cls(cell_id, "failed", kind=kind, message=f"the worker process died while it computed this cell, {times} times: {reason}")


def no_room(error: BaseException) -> bool:
    """Whether storage is full or read-only. Libraries below us often keep nothing of it but the words."""
    numbers = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
    return (isinstance(error, OSError) and error.errno in numbers) or any(os.strerror(number).lower() in str(error).lower() for number in numbers)


def kind_of(error: BaseException) -> str:
    """nan, memory, config, storage or error (infrastructure is known only outside the process that died)."""
    if isinstance(error, CellFailed):
        return error.kind
    if isinstance(error, ConfigError):
        return "config"
    if no_room(error):
        return "storage"
    if isinstance(error, MemoryError) or any(sign in str(error).lower() for sign in _OUT_OF_MEMORY):
        return "memory"
    return "error"


def agreed(outcomes: Sequence[Outcome]) -> Outcome:
    """The outcome of a group from those of its ranks: the first failure counts, else the first interruption or early stop, else rank 0."""
    for status in ("failed", "interrupted", "stopped"):
        for rank, outcome in enumerate(outcomes):
            if outcome.status == status:
                where = f"rank {rank} of {len(outcomes)}: " if len(outcomes) > 1 and status != "stopped" else ""
                return Outcome(outcome.cell_id, outcome.status, outcome.kind, where + outcome.message, outcome.trace, outcome.seconds)
    return outcomes[0]
