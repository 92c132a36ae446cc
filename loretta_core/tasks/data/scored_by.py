"""The scorer of a task: the metric that its config names, or its own, checked against its labels."""

from __future__ import annotations

from collections.abc import Sequence

from loretta_core.config.metrics import MetricName
from loretta_core.config.task import (
    Chat,
    Decoder,
    Glue,
    Instruct,
    Intents,
    Jsonl,
    Maths,
    Mmlu,
    MultiLabel,
    MultipleChoice,
    TaskConfig,
    TokenClassification,
    ToyInstruct,
    ToyQa,
)
from loretta_core.errors import DataError
from loretta_core.tasks.data.benchmarks import BENCHMARKS
from loretta_core.tasks.scoring.scorer import Scorer, positive_index, recorded_name


def scorer_of(task: TaskConfig, names: Sequence[str]) -> Scorer:
    """Return the scorer of a task whose labels have these names. Raises DataError if the metric is about one class and does not say which, or if
    its library is missing."""
    match task:
        case MultipleChoice():
            return Scorer()
        case MultiLabel():
            return Scorer(recorded_name(task.resolved_metric, task.predicts))
        case TokenClassification():
            return Scorer(recorded_name(_metric_of_tags(task, names), task.predicts), tags=tuple(names))
        case Jsonl() | Instruct() | Chat():
            metric = task.resolved_metric
            return Scorer(
                recorded_name(metric, task.predicts),
                positive_index(metric, names, task.positive_label if isinstance(task, Jsonl) else None),
                task.extract,
                task.extract_pattern,
                task.ignore_case,
                task.ignore_blanks,
            )
        case Glue() | Decoder() | Maths() | Mmlu() | Intents():
            metric = task.metric or BENCHMARKS[task.type].metric
            return Scorer(recorded_name(metric, task.predicts), positive_index(metric, names, task.positive_label))
        case ToyInstruct():
            return Scorer("exact_match")
    return Scorer("squad_f1" if isinstance(task, ToyQa) else "accuracy")


def _metric_of_tags(task: TokenClassification, names: Sequence[str]) -> MetricName:
    """Return the metric of a task with these tags. Raises DataError if entities are to be scored and no tag begins one."""
    begins = any(name.startswith(("B-", "I-")) for name in names)
    if task.metric == "span_f1" and not begins:
        raise DataError(
            f'task.metric = "span_f1" reads entities from tags such as B-PER and I-PER, and the tags are {", ".join(names[:10])}; name them in task.labels, in '
            'the order of their numbers, or set task.metric = "token_accuracy"'
        )
    return task.metric or ("span_f1" if begins else "token_accuracy")
