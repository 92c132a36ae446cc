"""The part of a record that comes from the test rows: score, interval, baselines, the digest of the predictions, and what the reader should know."""

from __future__ import annotations

from loretta_core.store.predictions import Predictions
from loretta_core.store.records import Record
from loretta_core.tasks.data.scored_rows import count_shared
from loretta_core.tasks.scoring.metrics import resampled, right_rows
from loretta_core.train.build import Run
from loretta_core.train.evaluate import Evaluation, score_interval
from loretta_core.train.reporting.majority_baseline import majority_score, no_better_than_majority


def with_test_scores(record: Record, run: Run, *, initial: Evaluation, final: Evaluation) -> tuple[Record, Predictions]:
    """Add the evaluations of the test rows, before training and with the chosen weights, to the record of a cell. Returns the predictions, too."""
    predictions = _predictions(run, final)
    low, high = score_interval(run.data.metric, final.predictions, [example.reference for example in run.examples["test"]])
    scores = {
        "value": final.score,
        "low": low,
        "high": high,
        "rows": len(final.predictions),
        "initial": initial.score,
        "majority": majority_score(run.data),
        "scored_on": run.data.scored_on,
    }
    changed = {
        "score": record.score.model_copy(update=scores),
        "digests": record.digests.model_copy(update={"predictions": predictions.sha256}),
        "warnings": [*notes_on(run), *_notes_on_test_rows(run, initial)],
    }
    return record.model_copy(update=changed), predictions


def notes_on(run: Run) -> list[str]:
    """Return what the reader of a record should know of its settings and of the rows that the cell has seen."""
    cut = {split: (sum(example.cut for example in examples), len(examples)) for split, examples in run.examples.items()}
    too_long = [f"{number} of {rows} {split} texts are longer than task.max_length and were cut" for split, (number, rows) in cut.items() if number]
    return [*run.cell.cautions, *run.data.notes, *too_long]


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
    metric, references = run.data.metric, [example.reference for example in run.examples["test"]]
    right = right_rows(metric, final.predictions, references)
    values = () if right else tuple(round(value, 6) for value in resampled(metric, final.predictions, references).tolist())
    rounded = tuple(round(value, 6) if isinstance(value, float) else value for value in final.predictions)
    return Predictions(metric=metric, test_sha256=run.data.test_sha256, predictions=rounded, right=right, resampled=values)
