"""Restores the weights of a zeroth-order cell at any of its steps from its replay log."""

from __future__ import annotations

from pathlib import Path

from loretta_core.config.cell import CellConfig
from loretta_core.config.engine import Plain
from loretta_core.errors import OutputError
from loretta_core.store.adapter_files import ADAPTER_NAME
from loretta_core.store.record_files import read_record
from loretta_core.store.records import Record
from loretta_core.train.build import LOG_NAME, Run, build_run
from loretta_core.zo.optim import ZOSGD, ZerothOrder
from loretta_core.zo.replay_log import ReplayLog, check_reaches, read_log, replay


def restore_step(directory: Path, *, step: int | None, to: Path) -> tuple[int, str]:
    """Replay the cell in `directory` to `step` (None: the step that was chosen) and save its weights to `to`/adapter.

    Returns the step and the digest of the weights. Raises OutputError: no record, no log, a log of other weights, a step beyond it, or weights at the chosen
    step that are not the recorded ones (another machine type or torch build, unless the directions are signs).
    """
    record = read_record(directory)
    log = read_log(directory / LOG_NAME)
    if (owner := log.header.get("cell_id")) != record.cell_id:
        raise OutputError(f"{directory / LOG_NAME}: the log of cell {owner}, not of {record.cell_id}")
    if step is not None:
        check_reaches(log, step)
    cell = CellConfig.model_validate(record.cell)
    run = build_run(cell.model_copy(update={"engine": Plain(type="plain"), "score_test": False}))  # one process replays what several computed
    wanted = record.score.best_step if step is None else step
    assert wanted is not None, "a finished record has a chosen step"
    digest = _replayed(run, log, step=wanted)
    if wanted == record.score.best_step and digest != record.digests.weights:
        raise OutputError(_differs(directory, record, run))
    run.save(to / ADAPTER_NAME)
    return wanted, digest


def _replayed(run: Run, log: ReplayLog, *, step: int) -> str:
    optimizer = run.engine.state.optimizer
    assert isinstance(optimizer, ZOSGD | ZerothOrder), "only zeroth-order cells have a log"
    replay(log, optimizer, steps=step, set_lr=run.set_lr)
    return optimizer.storage.sha256()


def _differs(directory: Path, record: Record, run: Run) -> str:
    return (
        f"{directory}: replaying to step {record.score.best_step} gives other weights than the run recorded ({record.digests.weights}). "
        "Replay is bitwise on the same device type, torch build and thread count "
        f"(recorded: {record.environment.get('device')}, torch {record.environment.get('torch')}), and on any with "
        'trainer.distribution = "rademacher" and zo_sgd'
    )
