"""Runs one cell in this process, from config to record."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from torch import Tensor

from loretta_core.config.cell import CellConfig
from loretta_core.store.adapter_files import ADAPTER_NAME, adapter_digest
from loretta_core.store.output_dir import write_atomically
from loretta_core.store.predictions import PREDICTIONS_NAME, Predictions, write_predictions
from loretta_core.store.record_files import write_record
from loretta_core.store.records import Digests, PackInfo, Record, RunCost, Score, ZerothOrderCounters
from loretta_core.train.build import Run, build_run
from loretta_core.train.checkpoint import FileCheckpointer
from loretta_core.train.evaluate import Evaluation
from loretta_core.train.loop import fit
from loretta_core.train.memory import allocator
from loretta_core.train.memory.shared_base import cached_bytes
from loretta_core.train.pack_context import SOLO, PackContext
from loretta_core.train.reporting.cost_prediction import CostPrediction, predict_cost
from loretta_core.train.reporting.data_facts import data_facts
from loretta_core.train.reporting.environment import environment
from loretta_core.train.reporting.late_scoring import TRAINED_NAME, keep_trained, score_test_rows
from loretta_core.train.reporting.majority_baseline import no_better_than_majority
from loretta_core.train.reporting.peak_memory import PeakMemory, resident_bytes
from loretta_core.train.reporting.test_scores import notes_on, notes_on_rewards, with_test_scores
from loretta_core.train.sinks import EQUAL_REWARDS, JOURNAL_NAME, UNALIGNED, JsonlSink, MetricSink
from loretta_core.train.state import StopReason, TrainingProgress, never_stop
from loretta_core.train.workers import Workers, workers_of
from loretta_core.zo.optim import ZOSGD, ZerothOrder

SKIPS_ALLOWED = 20
"""Zeroth-order steps in a row that may find no finite loss; they change nothing. A model that has diverged finds none any more."""


def run_cell(cell: CellConfig, *, directory: Path, sinks: Sequence[MetricSink] = (), pack_context: PackContext = SOLO, stop: StopReason = never_stop) -> Record:
    """Train and score a cell, together with the other workers of its engine; continue from its checkpoint if it was interrupted.

    With `score_test = False` the test rows are neither encoded nor scored. A cell that was trained so and is to be scored now is scored with its saved weights.
    Writes into `directory`: cell.json, metrics.jsonl, replay.zolog (zeroth order), adapter/, predictions.json, while training checkpoint.safetensors (or
    shards/), and last record.json: a cell with a record is finished. Only the first worker writes; `sinks` of the others get the same metrics. `pack_context`:
    how the cell shares computation with the cells of its pack (`loretta_core.pack`). `stop`: called before every step.
    Raises ConfigError when the cell cannot be built, CellFailed when training breaks, and what `stop` returns; then there is no record.
    """
    started_at, started = datetime.now(UTC), pack_context.clock()
    allocator.configure_allocator()
    workers = workers_of(cell.engine)
    every_sink = [*sinks]
    if workers.first:
        directory.mkdir(parents=True, exist_ok=True)
        write_atomically(directory / "cell.json", cell.to_json())
        every_sink.insert(0, JsonlSink(directory / JOURNAL_NAME))
    try:
        scored = score_test_rows(cell, directory=directory, workers=workers) if cell.score_test else None
        record = scored or _train_and_score(
            cell, directory=directory, sinks=every_sink, workers=workers, pack_context=pack_context, stop=stop, started_at=started_at, started=started
        )
    except BaseException:
        for sink in every_sink:
            sink.close("failed", {})
        raise
    for sink in every_sink:
        sink.close("finished", summary(record))
    return record


def summary(record: Record) -> dict[str, float]:
    """Return the final numbers of a finished cell, as sinks receive them."""
    numbers = {
        "score": record.score.value,
        "score_low": record.score.low,
        "score_high": record.score.high,
        "initial_score": record.score.initial,
        "best_validation_score": record.score.validation,
        "trainable_params": record.cost.trainable_params,
        "total_params": record.cost.total_params,
        "train_seconds": record.cost.train_s,
        "wall_seconds": record.cost.wall_s,
        "peak_memory_bytes": record.cost.peak_memory_bytes,
        "predicted_peak_memory_bytes": record.cost.predicted_peak_memory_bytes,
        "step_seconds": record.cost.step_s,
        "predicted_step_seconds": record.cost.predicted_step_s,
        "forwards": record.cost.forwards,
        "checkpoint_bytes": record.cost.checkpoint_bytes,
        "test_seconds": record.cost.test_s,
    }
    return {name: float(value) for name, value in numbers.items() if value is not None}


def _train_and_score(
    cell: CellConfig,
    *,
    directory: Path,
    sinks: Sequence[MetricSink],
    workers: Workers,
    pack_context: PackContext,
    stop: StopReason,
    started_at: datetime,
    started: float,
) -> Record:
    before = resident_bytes() - cached_bytes()
    run = build_run(cell, workers=workers, directory=directory, pack_context=pack_context)
    peak = PeakMemory(run.collate.device)
    initial = run.evaluate("test") if cell.score_test else None
    checkpointer = run.engine.checkpointer or FileCheckpointer(directory / "checkpoint.safetensors", identity=run.identity, workers=workers)
    progress = fit(
        step=run.engine.step,
        batches=run.batches,
        total_steps=run.total_steps,
        set_lr=run.set_lr,
        evaluate=lambda: _validate(run, sinks),
        eval_every=cell.trainer.evaluation_period(run.total_steps),
        state=run.engine.state,
        checkpointer=checkpointer,
        sinks=sinks,
        skips_allowed=SKIPS_ALLOWED if cell.trainer.zeroth_order else 0,
        stop_at_score=cell.trainer.stop_at_score,
        stop=stop,
        observe=partial(_equal_rewards, run),
        clock=pack_context.clock,
    )
    untrained = progress.best_step == 0  # then the weights are those that were scored at first
    scoring = pack_context.clock()
    final = (initial if untrained else run.evaluate("test")) if cell.score_test else None
    test_s = None if untrained else pack_context.clock() - scoring
    peak_bytes = max(workers.gather(peak.bytes()))
    run.save(directory / ADAPTER_NAME)
    expected = predict_cost(run, resident_bytes=before) if pack_context.pack_info is None else CostPrediction()  # the planner knows cells by themselves
    measured = Measured(peak_bytes, expected, started_at, pack_context.clock() - started, pack_context.pack_info)
    record, predictions = _record(run, progress, measured), None
    if initial is not None and final is not None:
        record, predictions = with_test_scores(record, run, initial=initial, final=final)
        record = record.model_copy(update={"cost": record.cost.model_copy(update={"test_s": test_s})})
    if workers.first:
        weights = sum(file.stat().st_size for file in (directory / ADAPTER_NAME).glob("*.safetensors"))
        changed = {
            "digests": record.digests.model_copy(update={"adapter": adapter_digest(directory / ADAPTER_NAME)}),
            "cost": record.cost.model_copy(update={"checkpoint_bytes": weights}),
        }
        record = record.model_copy(update=changed)
        _write(record, predictions, run=run, best=progress.best, directory=directory)
    checkpointer.clear()
    return record


def _validate(run: Run, sinks: Sequence[MetricSink]) -> Evaluation:
    """Score the validation rows; the first time, tell the sinks if zeroth order starts from a prompt that the model does not follow."""
    outcome, optimizer = run.evaluate("validation"), run.engine.state.optimizer
    if isinstance(optimizer, ZOSGD | ZerothOrder) and optimizer.steps_taken == 0 and no_better_than_majority(run, outcome, split="validation"):
        for sink in sinks:
            sink.log(0, {UNALIGNED: 1.0})
    return outcome


def _equal_rewards(run: Run) -> dict[str, float]:
    """Return what a step that could not tell its rewards apart has to say."""
    optimizer = run.engine.state.optimizer
    return {EQUAL_REWARDS: 1.0} if run.cell.trainer.rewarded and optimizer.trouble.level else {}


def _write(record: Record, predictions: Predictions | None, *, run: Run, best: Mapping[str, Tensor], directory: Path) -> None:
    """Write what a finished cell leaves beside its adapter, the record last. Without test scores, the weights stay such that these can be had later."""
    if predictions is None:
        (directory / PREDICTIONS_NAME).unlink(missing_ok=True)  # of an earlier computation
        keep_trained(run, best, directory)
    else:
        (directory / TRAINED_NAME).unlink(missing_ok=True)
        write_predictions(predictions, directory)
    write_record(record, directory)


@dataclass(frozen=True)
class Measured:
    """The measured cost of a run, and the predicted one."""

    peak_bytes: int
    expected: CostPrediction
    started_at: datetime
    wall_seconds: float
    pack: PackInfo | None


def _record(run: Run, progress: TrainingProgress, measured: Measured) -> Record:
    """Return the record without test scores."""
    record = Record(
        cell_id=run.cell.cell_id,
        cell=run.cell.to_dict(),
        status="finished",
        started_at=measured.started_at.isoformat(timespec="seconds"),
        finished_at=datetime.now(UTC).isoformat(timespec="seconds"),
        score=_score(run, progress),
        cost=_cost(run, progress, measured),
        pack=measured.pack,
        zeroth_order=_zeroth_order_counters(run, progress),
        curves=progress.curves,
        environment=environment(run.collate.device),
        digests=Digests(inputs=run.data.inputs_sha256, weights=run.weights_sha256),
        data=data_facts(run.data),
        adapter=ADAPTER_NAME,
        warnings=notes_on(run),
    )
    return record.model_copy(update={"warnings": [*record.warnings, *notes_on_rewards(record)]})


def _score(run: Run, progress: TrainingProgress) -> Score:
    loss = dict(progress.curves["validation_loss"])[progress.best_step]
    return Score(
        name=run.data.metric,
        validation=progress.best_score,
        validation_loss=loss if math.isfinite(loss) else None,
        best_step=progress.best_step,
    )


def _cost(run: Run, progress: TrainingProgress, measured: Measured) -> RunCost:
    return RunCost(
        trainable_params=run.trainable_params,
        total_params=run.total_params,
        train_s=progress.train_s,
        wall_s=measured.wall_seconds,
        step_s=progress.train_s / progress.step if progress.step else None,
        predicted_step_s=measured.expected.step_s if progress.step else None,
        steps=progress.step,
        forwards=run.forwards(progress.step),
        peak_memory_bytes=measured.peak_bytes,
        predicted_peak_memory_bytes=measured.expected.peak_bytes,
    )


def _zeroth_order_counters(run: Run, progress: TrainingProgress) -> ZerothOrderCounters | None:
    optimizer = run.engine.state.optimizer
    if not isinstance(optimizer, ZOSGD | ZerothOrder):
        return None
    ratio = optimizer.signal_to_noise
    return ZerothOrderCounters(
        skipped_steps=optimizer.skipped_steps,
        clipped_differences=optimizer.clipped_differences,
        signal_to_noise=ratio if math.isfinite(ratio) else None,
        update_gain=optimizer.update_gain,
        equal_rewards=len(progress.curves.get(EQUAL_REWARDS, ())) if run.cell.trainer.rewarded else None,
    )
