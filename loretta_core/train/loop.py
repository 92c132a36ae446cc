"""The training loop, `fit`.

It calls a step, a schedule, an evaluation, sinks and a checkpointer, and knows neither Ray, nor MLflow, nor a disk layout. The parameters that scored best
on the validation rows are the result (earliest on a tie; step 0, before any training, takes part).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from loretta_core.errors import CellFailed
from loretta_core.tasks.base import Batch
from loretta_core.train.evaluate import Evaluation
from loretta_core.train.sinks import MetricSink
from loretta_core.train.state import Checkpointer, StopReason, TrainingProgress, TrainingState, never_stop
from loretta_core.train.step import Step


def fit(
    *,
    step: Step,
    batches: Callable[[int], Iterator[Sequence[Batch]]],
    total_steps: int,
    set_lr: Callable[[int], float],
    evaluate: Callable[[], Evaluation],
    eval_every: int,
    state: TrainingState,
    checkpointer: Checkpointer,
    sinks: Sequence[MetricSink] = (),
    skips_allowed: int = 0,
    stop_at_score: float | None = None,
    stop: StopReason = never_stop,
    observe: Callable[[], Mapping[str, float]] = dict,
    clock: Callable[[], float] = time.perf_counter,
) -> TrainingProgress:
    """Train for `total_steps` from the last checkpoint, and leave the best parameters in the model.

    Args:
        step: one optimizer step on the pieces of a global batch → loss.
        batches: first step → endless global batches from that step on.
        set_lr: called with the step before it is taken; sets and returns the learning rate.
        evaluate: scores the validation rows.
        state: the weights and the optimizer, as seen by the checkpointer.
        skips_allowed: steps in a row whose loss may be not finite; only for a step that then leaves the weights alone.
        stop_at_score: training ends with the first evaluation that reaches it.
        stop: called before every step. The exception that it returns is raised once the state is saved; all workers must get the same answer.
        observe: called after every step: what it has to say besides its loss, as points of curves.
        clock: seconds that the run has taken.

    Raises CellFailed (kind "nan") as soon as the loss is not finite more often than that.
    """
    progress = checkpointer.restore(state)
    if progress is None:
        progress = TrainingProgress()
        _evaluate(progress, evaluate, state, sinks, total_steps=total_steps)
    stream, skips = batches(progress.step), 0
    while progress.step < total_steps and not _good_enough(progress, stop_at_score):
        if (reason := stop(progress.step)) is not None:
            checkpointer.save(state, progress, now=True)
            raise reason
        started = clock()
        lr = set_lr(progress.step)
        loss = step(next(stream))
        progress.train_s += clock() - started
        progress.step += 1
        skips = 0 if math.isfinite(loss) else skips + 1
        if skips > skips_allowed:
            raise CellFailed(f"the loss is {loss} at step {progress.step} of {total_steps} (lr {lr:g}); lower the learning rate", kind="nan")
        if not skips:
            seen = {"train_loss": loss, **observe()}
            for name, value in seen.items():
                progress.note(name, value)
            _log(sinks, progress.step, {**seen, "lr": lr})
        if progress.step % eval_every == 0 or progress.step == total_steps:
            _evaluate(progress, evaluate, state, sinks, total_steps=total_steps)
            checkpointer.save(state, progress)
    state.load_trainable(progress.best)
    return progress


def _good_enough(progress: TrainingProgress, stop_at_score: float | None) -> bool:
    return stop_at_score is not None and progress.best_score >= stop_at_score


def _evaluate(progress: TrainingProgress, evaluate: Callable[[], Evaluation], state: TrainingState, sinks: Sequence[MetricSink], *, total_steps: int) -> None:
    outcome = evaluate()
    progress.note("validation_score", outcome.score)
    progress.note("validation_loss", outcome.loss)
    share = progress.step / total_steps if total_steps else 1.0
    _log(sinks, progress.step, {"validation_score": outcome.score, "validation_loss": outcome.loss, "share_of_steps": share})
    if outcome.score > progress.best_score:
        progress.best_score, progress.best_step, progress.best = outcome.score, progress.step, state.copy_trainable()


def _log(sinks: Sequence[MetricSink], step: int, metrics: Mapping[str, float]) -> None:
    for sink in sinks:
        sink.log(step, metrics)
