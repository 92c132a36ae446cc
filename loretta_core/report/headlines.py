"""What a comparison says, in a sentence per task and model."""

from __future__ import annotations

from collections.abc import Sequence

from loretta_core.report import units
from loretta_core.report.paired import LEVEL
from loretta_core.report.rows import ResultRow

NAMED = 3
"""How many cells a sentence names before it counts."""


def headlines(rows: Sequence[ResultRow]) -> list[str]:
    """The best cell of each task and model, and what that model scored before training, in words; the order of the rows does not matter."""
    lines = []
    models = {row.labels["model"] for row in rows}
    for task, model in dict.fromkeys((row.labels["task"], row.labels["model"]) for row in rows):
        scored = [row for row in rows if (row.labels["task"], row.labels["model"]) == (task, model) and row.record and row.score is not None]
        if scored:
            best = max(scored, key=lambda row: row.score or 0.0)
            where = f"{task} with {model}" if len(models) > 1 else task
            sentences = [f"Best on {where}: {best.labels['method']} with {best.labels['trainer']}, {_score(best)}.", _before(scored), _told_apart(best, scored)]
            lines.append(" ".join(sentence for sentence in sentences if sentence))
    return lines


def _before(rows: Sequence[ResultRow]) -> str:
    scores = [row.record.score.initial for row in rows if row.record and row.record.score.initial is not None]
    if not scores:
        return ""
    low, high = min(scores), max(scores)
    return f"Before training: {low:.3f}." if high - low < 0.0005 else f"Before training: {low:.3f} to {high:.3f}."


def _told_apart(best: ResultRow, rows: Sequence[ResultRow]) -> str:
    """Which cells a paired test on the same rows cannot tell from the best one; nothing where a filter hid the cell they were tested against."""
    tested = [(row, row.paired.p) for row in rows if row.paired]
    if not tested or best.paired:
        return ""
    equal = [f"{row.labels['method']} with {row.labels['trainer']}" for row, p in tested if p >= LEVEL]
    if not equal:
        return f"Row by row, {'the other is' if len(tested) == 1 else f'all {len(tested)} others are'} worse (paired test, p < {LEVEL})."
    more = f" and {len(equal) - NAMED} more" if len(equal) > NAMED else ""
    return f"Not told apart from it row by row (paired test, p ≥ {LEVEL}): {', '.join(equal[:NAMED])}{more}, of {units.counted(len(tested), 'other')}."


def _score(row: ResultRow) -> str:
    assert row.record is not None
    return f"{row.record.score.name} " + units.with_interval(row.score, low=row.record.score.low, high=row.record.score.high)
