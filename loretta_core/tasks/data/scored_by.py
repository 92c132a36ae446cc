"""The scorer of a task: the metric that its config names, or its own, checked against its labels."""

from __future__ import annotations

from collections.abc import Sequence

from loretta_core.config.task import Decoder, Glue, Jsonl, TaskConfig, ToyQa
from loretta_core.tasks.data.benchmarks import BENCHMARKS
from loretta_core.tasks.scoring.scorer import Scorer, positive_index, recorded_name


def scorer_of(task: TaskConfig, names: Sequence[str]) -> Scorer:
    """Return the scorer of a task whose labels have these names. Raises DataError if the metric is about one class and does not say which, or if
    its library is missing."""
    match task:
        case Jsonl():
            metric = task.resolved_metric
            return Scorer(
                recorded_name(metric, task.predicts),
                positive_index(metric, names, task.positive_label),
                task.extract,
                task.extract_pattern,
                task.ignore_case,
                task.ignore_blanks,
            )
        case Glue() | Decoder():
            metric = task.metric or BENCHMARKS[task.type].metric
            return Scorer(recorded_name(metric, task.predicts), positive_index(metric, names, task.positive_label))
    return Scorer("squad_f1" if isinstance(task, ToyQa) else "accuracy")
