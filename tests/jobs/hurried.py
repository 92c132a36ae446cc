"""Real cells that save a checkpoint at every evaluation, however short they are: `python -m tests.jobs.hurried FILE …` for `python -m jobs.sweep FILE …`."""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from pathlib import Path

from loretta_core.config import CellConfig
from loretta_core.store.records import Record
from loretta_core.train.pack_context import SOLO, PackContext
from loretta_core.train.sinks import MetricSink
from loretta_core.train.state import StopReason, never_stop


def run_cell(cell: CellConfig, *, directory: Path, sinks: Sequence[MetricSink] = (), pack_context: PackContext = SOLO, stop: StopReason = never_stop) -> Record:
    """Compute a cell as usual, with a checkpoint at every evaluation."""
    from loretta_core.train import checkpoint, run  # torch: for workers, not for the driver

    checkpoint.MIN_INTERVAL_S = 0.0
    return run.run_cell(cell, directory=directory, sinks=sinks, pack_context=pack_context, stop=stop)


if __name__ == "__main__":
    from jobs import sweep

    sweep.sweep = functools.partial(sweep.sweep, run_cell="tests.jobs.hurried:run_cell")
    sys.exit(sweep.main())
