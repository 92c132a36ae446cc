"""The choice of a contender's winner among its trials, from validation rows alone.

    best validation score  ─►  near-ties: smaller validation loss  ─►  fewer trainable parameters  ─►  less training time  ─►  earlier trial

A near-tie is closer to the best than one validation row (or `tune.tolerance`). Trials that failed or were stopped early do not win. Test scores are not read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from loretta_core.config import CellConfig
from loretta_core.config.sweep.contenders import GridContender, sample_of
from loretta_core.config.sweep.search import Range
from loretta_core.report.units import counted
from loretta_core.store.records import Record

EDGE = 0.1
"""A value is at the edge of its range in the outer tenth of it, in the logarithm where the range is."""


@dataclass(frozen=True)
class Choice:
    """The outcome of a contender's tuning."""

    winner: str | None
    """Id of the trial that won; None where none finished."""
    notes: tuple[str, ...]
    """What people should know: the alternative, a value at the edge of its range, trials that did not finish."""


def choose_winner(contender: GridContender, records: Mapping[str, Record], *, tolerance: float | None = None) -> Choice:
    """Choose among the trials of a contender.

    Args:
        records: finished trials by cell id; others do not win.
        tolerance: of a near-tie; None takes one validation row.
    """
    trials = list({trial.cell_id: trial for trial in contender.trials}.values())
    found = [trial for trial in trials if trial.cell_id in records and math.isfinite(_score(records[trial.cell_id]))]
    lost = (f"{len(trials) - len(found)} of {counted(len(trials), 'trial')} did not finish",) if len(found) < len(trials) else ()
    if not found:
        return Choice(None, (f"no winner: none of {counted(len(trials), 'trial')} finished",))
    margin = _one_row(contender.cell) if tolerance is None else tolerance
    ranked = rank(found, records, margin=margin)
    alternative = (_alternative(contender, ranked[0], ranked[1], records, margin=margin),) if len(ranked) > 1 else ()
    return Choice(ranked[0].cell_id, (*alternative, *edges(contender, ranked[0]), *lost))


def rank(trials: Sequence[CellConfig], records: Mapping[str, Record], *, margin: float) -> list[CellConfig]:
    """Return finished trials, the winner first: near-ties of the best by loss and cost, then the others by score."""
    best = max(_score(records[trial.cell_id]) for trial in trials)
    near = [trial for trial in trials if _is_near(_score(records[trial.cell_id]), best, margin)]
    rest = [trial for trial in trials if trial not in near]
    return [*sorted(near, key=lambda trial: _cost_key(records[trial.cell_id])), *sorted(rest, key=lambda trial: -_score(records[trial.cell_id]))]


def edges(contender: GridContender, winner: CellConfig) -> tuple[str, ...]:
    """Return a note for every setting whose best value is at the edge of its range."""
    found = []
    for name, values in (contender.space or {}).items():
        value = sample_of(winner, [name])[name]
        if isinstance(values, Range) and isinstance(value, int | float):
            share = _share(values, value)
            if min(share, 1 - share) <= EDGE:
                side = "lower" if share < 0.5 else "upper"
                found.append(f"the best {name} = {value:g} is at the {side} edge of its range, {values.low:g} to {values.high:g}: better ones may lie beyond")
        elif isinstance(values, list) and len(values) > 2 and value in (values[0], values[-1]) and all(type(each) in (int, float) for each in values):
            found.append(f"the best {name} = {value} is at the edge of its values: better ones may lie beyond")
    return tuple(found)


def _alternative(contender: GridContender, winner: CellConfig, second: CellConfig, records: Mapping[str, Record], *, margin: float) -> str:
    first, other = records[winner.cell_id], records[second.cell_id]
    setting = ", ".join(f"{name} = {value}" for name, value in sample_of(second, contender.space or ()).items())
    if not _is_near(_score(other), max(_score(first), _score(other)), margin):
        return f"next best: {setting}, validation {_score(other):.3f} instead of {_score(first):.3f}"
    return f"near-tie with {setting} (validation {_score(other):.3f} and {_score(first):.3f}), decided by {_decided_by(first, other)}"


def _decided_by(first: Record, other: Record) -> str:
    names = ("validation loss", "trainable parameters", "training time")
    return next((name for name, mine, its in zip(names, _cost_key(first), _cost_key(other), strict=True) if mine != its), "order")


def _score(record: Record) -> float:
    return -math.inf if record.score.validation is None else record.score.validation


def _is_near(score: float, best: float, margin: float) -> bool:
    return score == best or best - score < margin * (1 - 1e-9)


def _cost_key(record: Record) -> tuple[float, float, float]:
    values = (record.score.validation_loss, record.cost.trainable_params, record.cost.train_s)
    loss, parameters, seconds = (math.inf if value is None or math.isnan(value) else float(value) for value in values)
    return loss, parameters, seconds


def _one_row(cell: CellConfig) -> float:
    """Return by how much one validation row changes a mean over rows; 0 where the number of rows is not known from the settings."""
    rows = cell.task.validation_rows
    return 1 / rows if isinstance(rows, int) and rows > 0 else 0.0


def _share(values: Range, value: float) -> float:
    """Return where a value lies in its range: 0 at the lower end, 1 at the upper; beyond for a value outside."""
    if values.log:
        return math.log(value / values.low) / math.log(values.high / values.low) if value > 0 else 0.0
    return (value - values.low) / (values.high - values.low)
