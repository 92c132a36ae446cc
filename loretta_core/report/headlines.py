"""Sentences that sum a comparison up: the best cell of each task and model, and which others a paired test cannot tell from it."""

from __future__ import annotations

from collections.abc import Sequence

from loretta_core.report import units
from loretta_core.report.paired import SIGNIFICANCE_LEVEL
from loretta_core.report.rows import ResultRow

MAX_NAMED = 3
"""Cells that a sentence names; it counts the others."""


def headlines(rows: Sequence[ResultRow]) -> list[str]:
    """Return one line per task and model: its best cell, and the score before training. The order of the rows does not matter."""
    lines = []
    models = {row.labels["model"] for row in rows}
    for task, model in dict.fromkeys((row.labels["task"], row.labels["model"]) for row in rows):
        scored = [row for row in rows if (row.labels["task"], row.labels["model"]) == (task, model) and row.record and row.score is not None]
        if scored:
            best = max(scored, key=lambda row: row.score or 0.0)
            where = f"{task} with {model}" if len(models) > 1 else task
            sentences = [
                f"Best on {where}: {_named(best)}, {_score_text(best)}.",
                _initial_score(scored),
                _paired_tests(best, scored),
            ]
            lines.append(" ".join(sentence for sentence in sentences if sentence))
    return lines


def _initial_score(rows: Sequence[ResultRow]) -> str:
    scores = [row.record.score.initial for row in rows if row.record and row.record.score.initial is not None]
    if not scores:
        return ""
    low, high = min(scores), max(scores)
    return f"Before training: {low:.3f}." if high - low < 0.0005 else f"Before training: {low:.3f} to {high:.3f}."


def _paired_tests(best: ResultRow, rows: Sequence[ResultRow]) -> str:
    """Name the cells that a paired test on the same rows cannot tell from the best one; nothing where a filter hid the cell they were tested against."""
    tested = [(row, row.paired.p) for row in rows if row.paired]
    if not tested or best.paired:
        return ""
    equal = [_named(row) for row, p in tested if p >= SIGNIFICANCE_LEVEL]
    if not equal:
        return f"Row by row, {'the other is' if len(tested) == 1 else f'all {len(tested)} others are'} worse (paired test, p < {SIGNIFICANCE_LEVEL})."
    more = f" and {len(equal) - MAX_NAMED} more" if len(equal) > MAX_NAMED else ""
    names = ", ".join(equal[:MAX_NAMED]) + more
    return f"Not told apart from it row by row (paired test, p ≥ {SIGNIFICANCE_LEVEL}): {names}, of {units.counted(len(tested), 'other')}."


def _named(row: ResultRow) -> str:
    return f"{row.labels['method']} with {row.labels['trainer']}"


def _score_text(row: ResultRow) -> str:
    assert row.record is not None
    return f"{row.record.score.name} " + units.with_interval(row.score, low=row.record.score.low, high=row.record.score.high)
