"""Baselines that need no training: the model as it is, and the most frequent label. What training has to beat."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from loretta_core.report.rows import ResultRow
from loretta_core.report.stats import Z_95, wilson_interval
from loretta_core.report.verdict.contenders import ContenderResult
from loretta_core.report.verdict.values import Baseline, Estimate

SHARES = ("accuracy", "micro_f1", "exact_match", "squad_em", "drop_em")
"""Metrics that are the share of right rows, whose interval over rows is Wilson's."""

ZERO_SHOT, BEFORE_TRAINING, MAJORITY = "zero-shot", "the model before training", "the most frequent label"


def baselines(contenders: Sequence[ContenderResult]) -> tuple[Baseline, ...]:
    """Return the baselines of one task and model. Scores that differ between seeds, as those of fresh heads do, are averaged."""
    rows = [row for contender in contenders for row in contender.scored]
    untrained = [row for contender in contenders if not contender.trains for row in contender.scored]
    found = {
        ZERO_SHOT if untrained else BEFORE_TRAINING: [row.score for row in untrained] or [row.record.score.initial for row in rows if row.record],
        MAJORITY: [row.record.score.majority for row in rows if row.record],
    }
    means = {name: statistics.fmean(known) for name, scores in found.items() if (known := sorted(score for score in scores if score is not None))}
    return tuple(Baseline(name, _estimate(mean, rows[0])) for name, mean in means.items())


def standard_error(estimate: Estimate) -> float:
    """Return the standard error over rows that an interval was made with; 0 where there is none."""
    return 0.0 if estimate.low is None or estimate.high is None else (estimate.high - estimate.low) / (2 * Z_95)


def _estimate(value: float, row: ResultRow) -> Estimate:
    assert row.record is not None
    rows = row.record.score.rows
    if row.record.score.name not in SHARES or not rows or not 0 <= value <= 1:
        return Estimate(value)
    return Estimate(value, *wilson_interval(round(value * rows), rows))
