"""Real cells of which one worker dies of kill -9 once, half-way. `python -m tests.jobs.killed FILE …` is `python -m jobs.sweep FILE …` with such cells."""

from __future__ import annotations

import functools
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch.distributed as dist

from loretta_core.config import CellConfig
from loretta_core.store.records import Record
from loretta_core.train import checkpoint, run
from loretta_core.train.pack_context import SOLO, PackContext
from loretta_core.train.sinks import MetricSink
from loretta_core.train.state import StopReason, never_stop

AT_STEP = 15


class KillOnce:
    """Ends its process as the kernel would, once per cell."""

    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Die at AT_STEP, unless it has happened."""
        if step == AT_STEP and not self._marker.exists():
            self._marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    def close(self, status: str, summary: object) -> None:
        """Do nothing: nothing is open."""


def run_cell(cell: CellConfig, *, directory: Path, sinks: Sequence[MetricSink] = (), pack_context: PackContext = SOLO, stop: StopReason = never_stop) -> Record:
    """Compute a cell as usual, with a checkpoint at every evaluation; the second worker is the one that dies."""
    checkpoint.MIN_INTERVAL_S = 0.0
    own = [*sinks, KillOnce(directory / "was-killed")] if dist.get_rank() == 1 else sinks
    return run.run_cell(cell, directory=directory, sinks=own, pack_context=pack_context, stop=stop)


if __name__ == "__main__":
    from jobs import sweep

    sweep.sweep = functools.partial(sweep.sweep, run_cell="tests.jobs.killed:run_cell")
    sys.exit(sweep.main())
