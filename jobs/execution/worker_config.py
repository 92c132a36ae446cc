"""What a worker needs to know, as it travels from the driver: small, picklable, free of Ray and torch."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from jobs.scheduling.asha_actor import AshaActor
from jobs.scheduling.resources import WorkerGroupSpec
from jobs.tracking.mlflow_setup import Tracking

RUN_CELL = "loretta_core.train.run:run_cell"
"""The function that computes a cell."""


@dataclass(frozen=True)
class WorkerConfig:
    """The same for all groups of a shape."""

    out: Path
    threads: int = 1
    """torch threads of each worker."""
    home: Path | None = None
    """The driver's working directory: relative paths in a sweep mean this one, where it exists."""
    tracking: Tracking | None = None
    """Where MLflow is; None records nothing there."""
    run_cell: str = RUN_CELL
    """module:function with the signature of `loretta_core.train.run.run_cell`."""
    asha_actor: AshaActor | None = field(default=None, compare=False)
    """The actor of early stopping; None lets every cell run to its end."""

    def for_shape(self, shape: WorkerGroupSpec) -> WorkerConfig:
        """With the threads of a shape."""
        return replace(self, threads=shape.threads)
