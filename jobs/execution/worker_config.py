"""The settings of a worker, as they travel from the driver: small, picklable, free of torch."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from jobs.scheduling.resources import WorkerGroupSpec

if TYPE_CHECKING:
    from jobs.execution.asha_sink import AshaClient
    from jobs.execution.queue_client import QueueHandle

RUN_CELL = "loretta_core.train.run:run_cell"
"""The function that computes a cell."""


@dataclass(frozen=True)
class WorkerConfig:
    """Settings that all worker groups of a shape share."""

    out: Path
    threads: int = 1
    """torch threads of each worker."""
    home: Path | None = None
    """The driver's working directory: relative paths in a sweep mean this one, where it exists."""
    run_cell: str = RUN_CELL
    """module:function with the signature of `loretta_core.train.run.run_cell` (`attempt.ComputeCell`)."""
    asha_actor: AshaClient | None = field(default=None, compare=False)
    """The actor of early stopping; None lets every cell run to its end."""
    stops_scored: bool = True
    """Whether early stopping ends cells that are scored on the test rows; False in a sweep with [tune] or [replicate], where it ends trials alone."""

    def for_shape(self, shape: WorkerGroupSpec) -> WorkerConfig:
        """Return a copy with the threads of a shape."""
        return replace(self, threads=shape.threads)


class WorkerJob(TypedDict):
    """The job of the processes of a worker group; a dict, since Ray Train passes nothing else."""

    config: WorkerConfig
    queue: QueueHandle
    group: str
    """Name of the group in the queue."""
