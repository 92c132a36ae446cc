"""The outcome of one attempt at a cell, as it travels from a worker to the driver, and the exceptions that end a cell early.

A small picklable value. The full result of a finished cell is its record on disk; an outcome only says where to look and what to print. How an exception
becomes a class of failure is in `retry.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from loretta_core.errors import LorettaError

Status = Literal["finished", "failed", "interrupted", "stopped"]

PREEMPTED = "preempted"
"""Class of the failure of a cell whose machine was preempted."""


class Interrupted(LorettaError):
    """The sweep was told to stop; the cell ends early and resumes next time."""


class Preempted(LorettaError):
    """The machine of this process is being preempted; the cell resumes elsewhere (`preemption.py`)."""


class StoppedEarly(LorettaError):
    """The cell did worse than others of its kind (`scheduling/asha.py`)."""


@dataclass(frozen=True)
class Outcome:
    """The end of one attempt at a cell."""

    cell_id: str
    status: Status
    kind: str = ""
    """Class of the failure, as in the record."""
    message: str = ""
    trace: str = ""
    """Python traceback of a failure that is not explained by its message."""
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values, for a Tune result."""
        return asdict(self)

    @classmethod
    def process_lost(cls, cell_id: str, *, reason: str, kind: str, times: int) -> Outcome:
        """Return the failure of a cell whose process died, for the last of so many times."""
        return cls(cell_id, "failed", kind=kind, message=f"the worker process died while it computed this cell, {times} times: {reason}")


def merge_outcomes(outcomes: Sequence[Outcome]) -> Outcome:
    """Return the outcome of a group from those of its ranks: the first failure counts, else the first interruption or early stop, else rank 0."""
    for status in ("failed", "interrupted", "stopped"):
        for rank, outcome in enumerate(outcomes):
            if outcome.status == status:
                where = f"rank {rank} of {len(outcomes)}: " if len(outcomes) > 1 and status != "stopped" else ""
                return Outcome(outcome.cell_id, outcome.status, outcome.kind, where + outcome.message, outcome.trace, outcome.seconds)
    return outcomes[0]
