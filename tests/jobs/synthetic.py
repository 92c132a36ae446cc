"""Cells that cost nothing: stand-ins for `loretta_core.train.run.run_cell` that workers import by name."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from loretta_core.config import CellConfig
from loretta_core.errors import CellFailed
from loretta_core.report.records import Record, write_record
from loretta_core.train.sinks import MetricSink

STEPS = 5
FAILING_SEED, BROKEN_SEED, KILLER_SEED, KILLED_ONCE_SEED, SLOW_SEED = 101, 102, 103, 104, 105


def run_cell(cell: CellConfig, *, directory: Path, sinks: Sequence[MetricSink] = ()) -> Record:
    """No training; what happens is decided by the seed."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "pids.txt").open("a").write(f"{os.getpid()} {Path.cwd()}\n")
    _misbehave(cell.seed, directory)
    for step in range(STEPS):
        for sink in sinks:
            sink.log(step, {"train_loss": 1.0 / (step + 1)})
    record = finished_record(cell)
    write_record(record, directory)
    for sink in sinks:
        sink.close("finished", {"score": 0.9, "trainable_params": 10.0})
    return record


def slow_cell(cell: CellConfig, *, directory: Path, sinks: Sequence[MetricSink] = ()) -> Record:
    """A minute in small steps, so that it can be interrupted."""
    for step in range(600):
        time.sleep(0.1)
        for sink in sinks:
            sink.log(step, {"train_loss": 1.0})
    return run_cell(cell, directory=directory, sinks=())


def _misbehave(seed: int, directory: Path) -> None:
    if seed == FAILING_SEED:
        raise CellFailed("the loss is nan at step 3", kind="nan")
    if seed == BROKEN_SEED:
        raise KeyError("a bug")
    if seed == KILLER_SEED or (seed == KILLED_ONCE_SEED and not (directory / "was-killed").exists()):
        (directory / "was-killed").touch()
        os.kill(os.getpid(), signal.SIGKILL)


def finished_record(cell: CellConfig) -> Record:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Record(
        cell_id=cell.cell_id,
        cell=cell.to_dict(),
        status="finished",
        score=0.9,
        score_low=0.88,
        score_high=0.92,
        test_rows=100,
        initial_score=0.5,
        validation_score=0.9,
        best_step=STEPS,
        trainable_params=10,
        total_params=100,
        train_seconds=0.1,
        wall_seconds=0.1,
        peak_memory_bytes=1000,
        steps=STEPS,
        forwards=STEPS,
        started_at=now,
        finished_at=now,
    )
