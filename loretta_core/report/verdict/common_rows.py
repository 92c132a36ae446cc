"""Test rows that the contenders of one task and model share. Scores on other rows do not count, and are named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from loretta_core.report import units
from loretta_core.report.rows import ResultRow
from loretta_core.report.verdict.contenders import ContenderResult
from loretta_core.store.predictions import Predictions

RowsKey = tuple[str, str, int]
"""Digest of the test rows (empty where no predictions are there), metric, number of rows."""


@dataclass(frozen=True)
class CommonRows:
    """The replicates that were scored on the same rows."""

    counted: tuple[tuple[ResultRow, ...], ...]
    """The replicates of each contender, in the order of their seeds."""
    left_out: tuple[str, ...]
    """Sentences about the others."""
    metric: str
    rows: int | None
    paired: bool
    """Predictions for every row are there, so that contenders are compared row by row."""


def common_rows(contenders: Sequence[ContenderResult], predictions: Mapping[str, Predictions]) -> CommonRows:
    """Return the replicates with the test rows and metric that most have. Where any have predictions, those without do not count: their rows are unknown."""
    keys = {row.cell_id: _key(row, predictions.get(row.cell_id)) for contender in contenders for row in contender.scored}
    known = [key for key in keys.values() if key[0]] or list(keys.values())
    if not known:
        return CommonRows(tuple(() for _ in contenders), (), "score", None, paired=False)
    numbers = Counter(known)
    chosen = max(numbers, key=lambda key: (numbers[key], key))
    counted = tuple(tuple(row for row in contender.scored if keys[row.cell_id] == chosen) for contender in contenders)
    left_out = {row.cell_id: contender for contender in contenders for row in contender.scored if keys[row.cell_id] != chosen}
    unknown, other = ([contender for cell_id, contender in left_out.items() if bool(keys[cell_id][0]) == known] for known in (False, True))
    said = (_sentence(unknown, "without predictions of the test rows"), _sentence(other, "scored on other test rows, or by another metric"))
    return CommonRows(counted, tuple(line for line in said if line), chosen[1], chosen[2] or None, paired=bool(chosen[0]))


def has_row_interval(row: ResultRow) -> bool:
    """Return whether the record of a cell says how much its score varies over rows."""
    return row.record is not None and row.record.score.low is not None and row.record.score.high is not None and (row.record.score.rows or 0) > 1


def _key(row: ResultRow, found: Predictions | None) -> RowsKey:
    assert row.record is not None
    if found is not None and (found.right or found.resampled):
        return found.test_sha256, found.metric, len(found.predictions)
    return "", row.record.score.name, row.record.score.rows or 0


def _sentence(left_out: Sequence[ContenderResult], why: str) -> str:
    """Say how many replicates of which contenders do not count; one entry for each replicate."""
    names = list(dict.fromkeys(contender.spoken for contender in left_out))
    return f"not counted: {units.counted(len(left_out), 'seed')} {why} ({units.listed(names)})" if left_out else ""
