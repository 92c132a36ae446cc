"""The part of a record that comes from the test rows: score, interval, baselines, the digest of the predictions, and what the reader should know."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from loretta_core.config.task import Glue
from loretta_core.store.predictions import Predictions
from loretta_core.store.records import Record
from loretta_core.tasks.data.rows import TaskData
from loretta_core.tasks.data.scored_rows import count_shared, repeated_texts
from loretta_core.tasks.scoring.metrics import resampled, right_rows
from loretta_core.train.build import Run
from loretta_core.train.evaluate import Evaluation, score_interval
from loretta_core.train.reporting.by_class import class_scores
from loretta_core.train.reporting.data_facts import data_facts
from loretta_core.train.reporting.majority_baseline import majority_score, no_better_than_majority


def with_test_scores(record: Record, run: Run, *, initial: Evaluation, final: Evaluation) -> tuple[Record, Predictions]:
    """Add the evaluations of the test rows, before training and with the chosen weights, to the record of a cell. Returns the predictions, too."""
    predictions = _predictions(run, final)
    references = [example.reference for example in run.examples["test"]]
    low, high = score_interval(run.data.metric, final.values, run.data.scorer.truths(references))
    scores = {
        "value": final.score,
        "low": low,
        "high": high,
        "rows": len(final.predictions),
        "initial": initial.score,
        "majority": majority_score(run.data),
        "by_class": class_scores(run.data, final.predictions, references),
        "scored_on": run.data.scored_on,
    }
    seen = record.data if record.data is not None and "test" in record.data.splits else data_facts(run.data)
    changed = {
        "data": seen,
        "score": record.score.model_copy(update=scores),
        "digests": record.digests.model_copy(update={"predictions": predictions.sha256}),
        "warnings": [*notes_on(run), *notes_on_rewards(record), *_notes_on_test_rows(run, initial)],
    }
    return record.model_copy(update=changed), predictions


def notes_on(run: Run) -> list[str]:
    """Return what the reader of a record should know of its settings and of the rows that the cell has seen."""
    cut = {split: (sum(example.cut for example in examples), len(examples)) for split, examples in run.examples.items()}
    too_long = [f"{number} of {rows} {split} texts are longer than task.max_length and were cut" for split, (number, rows) in cut.items() if number]
    unwritable = {split: sum(example.unwritable for example in examples) for split, examples in run.examples.items()}
    longer = [f"{number} {split} references are longer than task.max_new_tokens: no answer can equal them" for split, number in unwritable.items() if number]
    form = (
        ["task.objective is causal: the decoder ranks the answers, without a head"]
        if isinstance(run.cell.task, Glue) and run.cell.task.objective == "causal"
        else []
    )
    return [*run.cell.cautions, *form, *run.data.notes, *repeated_texts(run.data), *too_long, *longer]


def notes_on_rewards(record: Record) -> list[str]:
    """Return what the reader of a record should know of steps that could not tell their rewards apart, where these are more than a few."""
    counters, steps = record.zeroth_order, record.cost.steps or 0
    equal = counters.equal_rewards if counters is not None else None
    if not equal or equal <= steps / 10:
        return []
    return [f"in {equal} of {steps} steps all rewards were equal, and nothing was learned: try a larger batch, population or zo_eps, or another metric"]


def _notes_on_test_rows(run: Run, initial: Evaluation) -> list[str]:
    data, notes = run.data, []
    others = {"training": data.train} | ({"validation": data.validation} if data.scored_on == "test" else {})
    for name, rows in others.items():
        if shared := count_shared(data.test, others=rows):
            notes.append(f"{shared} of {len(data.test)} test texts are also {name} texts")
    if no_better_than_majority(run, initial):
        notes.append(
            "zero-shot, the prompt is no better than always giving the most frequent label: zeroth-order training from there rarely learns "
            "(MeZO, arXiv 2305.17333, appendix A); try another prompt or model, or a first-order trainer"
        )
    if data.scored_on == "validation":
        notes.append("there are no rows that nothing was chosen on: the score is on the validation rows, which also chose the checkpoint, and is optimistic")
    return notes


def _predictions(run: Run, final: Evaluation) -> Predictions:
    metric, data = run.data.metric, run.data
    examples = run.examples["test"]
    references = [example.reference for example in examples]
    truths = data.scorer.truths(references)
    right = right_rows(metric, final.values, truths)
    texts = ["\n".join(row.text.values()) for row in data.test]
    return Predictions(
        metric=metric,
        test_sha256=data.test_sha256,
        predictions=tuple(_shown(value, data) for value in final.predictions),
        rows=tuple(row.place.rpartition("/")[2] or str(number) for number, row in enumerate(data.test)),
        texts_sha256=tuple(hashlib.sha256(text.encode()).hexdigest()[:16] for text in texts),
        texts=tuple(texts) if run.cell.keep_texts else (),
        references=tuple(
            _shown(reference, data) if isinstance(reference, tuple) and not example.answers else reference
            for example, reference in zip(examples, references, strict=True)
        ),
        label_names=data.label_names,
        probabilities=_rounded(final.probabilities),
        log_likelihoods=_rounded(final.log_likelihoods),
        row_scores=tuple(_rounded(scores) for scores in final.row_scores),
        right=right,
        resampled=() if right else _rounded(resampled(metric, final.values, truths).tolist()),
    )


def _shown(value: Any, data: TaskData) -> Any:
    """Return a prediction or label as the file has it: a set of labels as their numbers, tags of words by their names, numbers rounded."""
    if data.scorer.tags:
        return data.scorer.tagged(value)
    if isinstance(value, tuple) and data.label_names:
        return tuple(index for index, is_set in enumerate(value) if is_set)
    return _rounded(value) if isinstance(value, tuple) else round(value, 6) if isinstance(value, float) else value


def _rounded(values: Iterable[float]) -> tuple[float, ...]:
    return tuple(round(value, 6) for value in values)
