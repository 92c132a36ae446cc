"""Scores of cells by lm-evaluation-harness, where `loretta evaluate` was asked for them: notes below the table of a comparison. No verdict reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from loretta_core.report.rows import ResultRow
from loretta_core.store.records import HarnessScores


def harness_notes(rows: Sequence[ResultRow]) -> list[str]:
    """Return a line for each metric of each task that a cell was evaluated on."""
    return [f"lm-evaluation-harness, {row.name}: {line}" for row in rows if row.record for line in harness_lines(row.record.evaluations)]


def harness_lines(evaluations: Mapping[str, HarnessScores]) -> list[str]:
    """Return task, metric and value with its standard error, a line each, with the number of rows."""
    return [f"{task} {text}{_of_rows(scores)}" for task, scores in evaluations.items() for text in _metrics(scores.metrics)]


def _metrics(found: Mapping[str, float]) -> Iterator[str]:
    for name, value in found.items():
        metric, comma, of = name.partition(",")  # "exact_match,strict" is a metric behind a filter of the harness
        if not metric.endswith("_stderr"):
            error = found.get(f"{metric}_stderr{comma}{of}")
            yield f"{name} {value:.4f}" + ("" if error is None else f" ± {error:.4f}")


def _of_rows(scores: HarnessScores) -> str:
    return "" if scores.rows is None else f" ({scores.rows} rows)"
