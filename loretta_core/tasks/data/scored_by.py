"""The scorer of a task: the metric that its config names, or its own, checked against its labels."""

from __future__ import annotations

from collections.abc import Sequence

from loretta_core.config.task import Chat, Decoder, Glue, Instruct, Jsonl, TaskConfig, ToyInstruct, ToyQa
from loretta_core.tasks.data.benchmarks import BENCHMARKS
from loretta_core.tasks.scoring.scorer import NEGATED, Scorer, positive_index


def scorer_of(task: TaskConfig, names: Sequence[str]) -> Scorer:
    """Return the scorer of a task whose labels have these names. Raises DataError if the metric is about one class and does not say which."""
    match task:
        case Jsonl() | Instruct() | Chat():
            metric = task.resolved_metric
            return Scorer(
                NEGATED.get(metric, metric),
                positive_index(metric, names, task.positive_label if isinstance(task, Jsonl) else None),
                task.extract,
                task.extract_pattern,
                task.ignore_case,
                task.ignore_blanks,
            )
        case Glue() | Decoder():
            metric = task.metric or BENCHMARKS[task.type].metric
            return Scorer(NEGATED.get(metric, metric), positive_index(metric, names, task.positive_label))
        case ToyInstruct():
            return Scorer("exact_match")
    return Scorer("squad_f1" if isinstance(task, ToyQa) else "accuracy")
