"""Paired tests of each cell against the best one of its task and model, on the rows that both were scored on: is it worse, or only unlucky with the rows?

McNemar's exact test where rows are right or wrong, else the paired bootstrap; corrected for the number of cells by Holm's method. It speaks about the rows, not
about the seed, and the best cell was chosen by the same rows: where the test tells two cells apart, seeds may still differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from loretta_core.report.rows import PairedTest, ResultRow
from loretta_core.report.stats import holm, mcnemar, paired_bootstrap
from loretta_core.store.predictions import Predictions

SIGNIFICANCE_LEVEL = 0.05
"""Cells with a p-value below it are called worse."""


def pair_with_best(rows: Sequence[ResultRow], *, predictions: Mapping[str, Predictions]) -> list[ResultRow]:
    """Return the rows in their order (best first within a task), each with its test against the best of its task and model where there is one."""
    found: dict[str, PairedTest] = {}
    for task, model in dict.fromkeys(_group(row) for row in rows):
        scored = [row for row in rows if _group(row) == (task, model) and row.score is not None]
        if scored:
            found |= _test_against(scored[0], scored[1:], predictions)
    return [replace(row, paired=found.get(row.cell_id)) for row in rows]


def _group(row: ResultRow) -> tuple[str, str]:
    return row.labels["task"], row.labels["model"]


def _test_against(best: ResultRow, others: Sequence[ResultRow], predictions: Mapping[str, Predictions]) -> dict[str, PairedTest]:
    reference = predictions.get(best.cell_id)
    if reference is None:
        return {}
    comparable = [row for row in others if row.cell_id in predictions and _same_rows(predictions[row.cell_id], reference)]
    corrected = holm([_p_value(reference, predictions[row.cell_id]) for row in comparable])
    return {row.cell_id: PairedTest((row.score or 0.0) - (best.score or 0.0), p) for row, p in zip(comparable, corrected, strict=True)}


def _same_rows(first: Predictions, second: Predictions) -> bool:
    return first.test_sha256 == second.test_sha256 and first.metric == second.metric and len(first.predictions) == len(second.predictions)


def _p_value(first: Predictions, second: Predictions) -> float:
    return mcnemar(first.right, second.right) if first.right else paired_bootstrap(first.resampled, second.resampled)
