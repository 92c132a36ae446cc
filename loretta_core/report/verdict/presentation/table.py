"""The table by contender, and contenders as JSON: what was chosen, mean score over seeds, what training and tuning cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from loretta_core.report import units
from loretta_core.report.tables import Table
from loretta_core.report.verdict.values import Standing, Verdict

TextOf = Callable[[Standing], str]
"""Writes one column of a contender."""

_MEASURED: tuple[tuple[str, TextOf], ...] = (
    ("trainable parameters", lambda each: units.count(each.contender.trainable_params)),
    ("score", lambda each: _score(each)),
    ("seeds", lambda each: _seeds(each)),
    ("paper", lambda each: _paper(each)),
    ("training time", lambda each: units.seconds(each.contender.train_s)),
    ("tuning time", lambda each: units.seconds(each.contender.tuning_s)),
    ("peak memory", lambda each: units.size(each.contender.peak_memory_bytes)),
)

_SOMETIMES: Mapping[str, Callable[[Standing], bool]] = {
    "paper": lambda each: _paper(each) != units.DASH,
    "tuning time": lambda each: bool(each.contender.trials),
}
"""Columns that are left out unless some contender has them."""


def contender_table(verdicts: Sequence[Verdict]) -> Table:
    """Return a table with one line per contender: the highest mean of each task and model first."""
    standings = [standing for verdict in verdicts for standing in verdict.standings]
    measured = [column for column in _MEASURED if column[0] not in _SOMETIMES or any(map(_SOMETIMES[column[0]], standings))]
    names: list[tuple[str, TextOf]] = [
        ("model", lambda each: each.contender.model),
        ("task", lambda each: each.contender.task),
        ("contender", lambda each: each.contender.name),
    ]
    if any(each.contender.setting for each in standings):
        names.append(("chosen setting", lambda each: each.contender.setting or units.DASH))
    columns = [*names, *measured]
    body = tuple(tuple(show(standing) for _, show in columns) for standing in standings)
    return Table(tuple(title for title, _ in columns), body, numeric=len(measured))


def contenders_json(verdicts: Sequence[Verdict]) -> list[dict[str, Any]]:
    """Return every contender with unrounded numbers."""
    return [_json(standing, verdict) for verdict in verdicts for standing in verdict.standings]


def _json(standing: Standing, verdict: Verdict) -> dict[str, Any]:
    contender, score, difference = standing.contender, standing.score, standing.difference
    return {
        "model": contender.model,
        "task": contender.task,
        "contender": contender.name,
        "method": contender.method,
        "trainer": contender.trainer,
        "setting": contender.setting or None,
        "metric": verdict.metric,
        "score": score.value if score else None,
        "score_low": score.low if score else None,
        "score_high": score.high if score else None,
        "seeds": standing.seeds,
        "scores": {str(seed): value for seed, value in contender.scores.items()},
        "probability_best": standing.probability_best,
        "relation": standing.relation,
        "difference": difference.value if difference else None,
        "difference_low": difference.low if difference else None,
        "difference_high": difference.high if difference else None,
        "difference_p": difference.p if difference else None,
        "ruled_out": list(standing.ruled_out),
        "validation_score": contender.validation,
        "trial_validation_scores": contender.trial_scores,
        "trainable_params": contender.trainable_params,
        "train_seconds": contender.train_s,
        "tuning_seconds": contender.tuning_s,
        "peak_memory_bytes": contender.peak_memory_bytes,
        "replicates": [row.cell_id for row in contender.replicates],
        "trials": [row.cell_id for row in contender.trials],
        "winner": contender.winner.cell_id if contender.winner else None,
    }


def _score(standing: Standing) -> str:
    if standing.score is None:
        rows = standing.contender.replicates or standing.contender.trials
        return " or ".join(dict.fromkeys("not counted" if row.score is not None else row.status for row in rows))
    return units.with_interval(standing.score.value, low=standing.score.low, high=standing.score.high)


def _seeds(standing: Standing) -> str:
    """Return the number of seeds that count, and of how many where some do not."""
    total = len(standing.contender.replicates)
    return str(total) if standing.seeds == total else f"{standing.seeds} of {total}"


def _paper(standing: Standing) -> str:
    papers = [row.paper.value for row in standing.contender.replicates if row.paper]
    return units.share(papers[0]) if papers else units.DASH
