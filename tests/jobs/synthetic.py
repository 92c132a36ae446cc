"""Cells that cost nothing: a stand-in for `loretta_core.train.run.run_cell` that workers import by name. The seed decides what happens.

python -m tests.jobs.synthetic FILE …      `python -m jobs.sweep FILE …` with such cells
"""

from __future__ import annotations

import functools
import math
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from loretta_core.config import CellConfig
from loretta_core.errors import CellFailed
from loretta_core.store.predictions import Predictions, write_predictions
from loretta_core.store.record_files import write_record
from loretta_core.store.records import Digests, Record, RunCost, Score
from loretta_core.train.pack_context import SOLO, PackContext
from loretta_core.train.sinks import JOURNAL_NAME, JsonlSink, MetricSink

Stop = Callable[[int], Exception | None]
"""The stop check of `loretta_core.train.loop`, without the import of torch."""

STEPS = 5
FAILING_SEED, BROKEN_SEED, KILLER_SEED, KILLED_ONCE_SEED, SLOW_SEED, HUNGRY_SEED = 101, 102, 103, 104, 105, 106
FILLING_SEED = 107
"""Fills the disk, up to the last byte, with a file FILLER in OUT."""
FILLER = "filler"
STEADY_SEED = 108
LASTING = {SLOW_SEED: 300.0, STEADY_SEED: 80.0} | dict.fromkeys(range(300, 400), 1.5) | dict.fromkeys(range(400, 500), 6.0)
"""Cells that take so many seconds, with 20 steps in each."""
RANKED_SEEDS = range(200, 300)
"""Cells whose validation score is a thousandth of the seed at all of their evaluations, one per step."""

MENDED = "mended"
"""A file of this name in OUT makes every cell end well."""

WORKERS = "SYNTHETIC_WORKERS"
"""Environment variable: processes of a worker group, whatever the engine."""


FUNCTION = "SYNTHETIC_FUNCTION"
"""Environment variable: the function of this module that computes cells, `run_cell` by default."""

WILD_CLOCK = "SYNTHETIC_WILD_CLOCK"
"""Environment variable: the wall clock of the driver and of the workers jumps by up to a day, to and fro, at every look."""


def set_wild() -> None:
    """Let this process's wall clock jump, except for Ray: it waits for its nodes by the wall clock, and gives up at the first jump."""
    clock, dice = time.time, random.Random(os.getpid())

    def jumping() -> float:
        return clock() if sys._getframe(1).f_globals.get("__name__", "").startswith("ray.") else clock() + dice.uniform(-86400, 86400)

    time.time = jumping


if WILD_CLOCK in os.environ:
    set_wild()


def run_cell(
    cell: CellConfig, *, directory: Path, sinks: Sequence[MetricSink] = (), pack_context: PackContext = SOLO, stop: Stop = lambda step: None
) -> Record:
    """Compute a cell without training. Notes the process and its working directory in attempts.txt."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "attempts.txt").open("a") as attempts:
        attempts.write(f"{os.getpid()} {Path.cwd()}\n")
    every_sink = [JsonlSink(directory / JOURNAL_NAME), *sinks]
    try:
        record = _compute(cell, directory, every_sink, stop)
    except BaseException:
        for sink in every_sink:
            sink.close("failed", {})
        raise
    for sink in every_sink:
        sink.close("finished", {"score": 0.9, "trainable_params": 10.0})
    return record


def _compute(cell: CellConfig, directory: Path, sinks: Sequence[MetricSink], stop: Stop) -> Record:
    if not (directory.parents[1] / MENDED).exists():
        _misbehave(cell, directory, sinks, stop)
    for step in range(STEPS):
        for sink in sinks:
            sink.log(step, {"train_loss": 1.0 / (step + 1)})
            if cell.seed in RANKED_SEEDS:
                sink.log(step, {"validation_score": cell.seed / 1000, "share_of_steps": step / STEPS})
    record = finished_record(cell)
    write_record(record, directory)
    return record


def _misbehave(cell: CellConfig, directory: Path, sinks: Sequence[MetricSink], stop: Stop) -> None:
    seed = cell.seed
    if seed == HUNGRY_SEED and cell.engine.gradient_accumulation == 1:
        raise MemoryError("a whole batch does not fit")
    if seed == FAILING_SEED:
        raise CellFailed("the loss is nan at step 3", kind="nan")
    if seed == BROKEN_SEED:
        raise KeyError("a bug")
    if seed == KILLER_SEED:
        os.kill(os.getpid(), signal.SIGKILL)
    if seed == KILLED_ONCE_SEED and not (directory / "was-killed").exists():
        (directory / "was-killed").touch()
        os._exit(1)
    if seed == FILLING_SEED:
        _fill(directory.parents[1] / FILLER)
    if seed in LASTING:
        _last(LASTING[seed], sinks, stop)


def _last(seconds: float, sinks: Sequence[MetricSink], stop: Stop) -> None:
    for step in range(round(20 * seconds)):
        if (reason := stop(step)) is not None:
            raise reason
        time.sleep(0.05)
        for sink in sinks:
            sink.log(step, {"train_loss": 1.0})


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 10, 1):
            with suppress(OSError):
                while file.write(b"x" * size):
                    pass


def run_tuned_cell(
    cell: CellConfig, *, directory: Path, sinks: Sequence[MetricSink] = (), pack_context: PackContext = SOLO, stop: Stop = lambda step: None
) -> Record:
    """Compute a cell without training: its validation score falls with the distance of its learning rate from 1e-3. Leaves predictions if it is tested."""
    record = tuned_record(cell)
    if cell.score_test:
        given = tested(cell)
        directory.mkdir(parents=True, exist_ok=True)
        write_predictions(given, directory)
        record = record.model_copy(update={"digests": Digests(predictions=given.sha256)})
    write_record(record, directory)
    return record


def tuned_record(cell: CellConfig, *, score: float = 0.9) -> Record:
    return finished_record(cell, score=score, validation=1 / (1 + abs(math.log10(getattr(cell.trainer, "lr", 1e-3)) + 3)))


def tested(cell: CellConfig) -> Predictions:
    """Predictions on 200 rows: those of ft are clearly worse."""
    share = 0.5 if cell.method.every_weight_trains else 0.9
    right = "".join(
        "1" if random.Random(f"{row}/{cell.seed // 1000}").random() + random.Random(f"{row}/{cell.seed}").gauss(0, 0.02) < share else "0" for row in range(200)
    )
    return Predictions(metric="accuracy", test_sha256="0" * 64, predictions=(1,) * 200, right=right)


def finished_record(cell: CellConfig, *, score: float = 0.9, validation: float = 0.9) -> Record:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    scores = Score(value=score, low=0.88, high=0.92, rows=100, initial=0.5, validation=validation, best_step=STEPS)
    return Record(
        cell_id=cell.cell_id,
        cell=cell.to_dict(),
        status="finished",
        score=scores if cell.score_test else Score(validation=validation, best_step=STEPS),
        cost=RunCost(trainable_params=10, total_params=100, train_s=0.1, wall_s=0.1, steps=STEPS, forwards=STEPS, peak_memory_bytes=1000),
        curves={"validation_score": [(step, cell.seed / 1000) for step in range(STEPS)]},
        started_at=now,
        finished_at=now,
    )


if __name__ == "__main__":
    from jobs import sweep
    from jobs.scheduling import resources

    if WORKERS in os.environ:
        resources.group_spec_of = lambda cell: resources.WorkerGroupSpec(int(os.environ[WORKERS]), cell.engine.cpus, cell.engine.gpus)
    sweep.sweep = functools.partial(sweep.sweep, run_cell=f"tests.jobs.synthetic:{os.environ.get(FUNCTION, 'run_cell')}")
    sys.exit(sweep.main())
