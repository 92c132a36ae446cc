"""Tuning in words: whether the order of the contenders depends on the number of trials, and notes on the choice of their settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from loretta_core.report import units
from loretta_core.report.inference.tuning_budget import best_so_far, expected_best
from loretta_core.report.rows import ResultRow
from loretta_core.report.verdict.contenders import ContenderResult, validation_score

FEWEST_TRIALS = 4

Algorithm = Literal["random", "optuna"]


def budget_sentence(contenders: Sequence[ContenderResult], *, algorithm: Algorithm) -> str:
    """Say whether the contenders' order by validation score depends on the number of trials; empty where fewer than two have trials enough.

    For random search by the expected best of k trials, for k up to half of them. A search that learns from its trials has no such estimator: best so far.
    """
    tuned = [contender for contender in contenders if has_budget(contender)]
    if len(tuned) < 2:
        return ""
    random = algorithm == "random"
    curves = [expected_best(contender.trial_scores) if random else best_so_far(contender.trial_scores) for contender in tuned]
    most = min(map(len, curves))
    orders = [sorted(range(len(tuned)), key=lambda index: (-curves[index][k], index)) for k in range(most)]
    by = "expected best validation score" if random else "best validation score so far (not an expectation: the search learns from its trials)"
    if all(order == orders[0] for order in orders):
        return f"The order by {by} is the same from 1 to {most} trials."
    leaders = [(k + 1, tuned[order[0]].spoken) for k, order in enumerate(orders) if k == 0 or order[0] != orders[k - 1][0]]
    if len(leaders) == 1:
        return f"The order by {by} depends on the number of trials (1 to {most}); {leaders[0][1]} leads throughout."
    said = ", ".join(f"{name} from {units.counted(k, 'trial')} on" for k, name in leaders)
    return f"Who leads by {by} depends on the number of trials: {said}."


def has_budget(contender: ContenderResult) -> bool:
    """Return whether enough trials finished to say what fewer would have found."""
    return len(contender.trial_scores) >= FEWEST_TRIALS


def has_learning_rates(contender: ContenderResult) -> bool:
    """Return whether trials finished at two learning rates at least."""
    return len({rate for rate, _ in trial_points(contender)}) > 1


def trial_points(contender: ContenderResult) -> list[tuple[float, float]]:
    """Return (learning rate, validation score) of the trials that have both, by learning rate."""
    found = ((learning_rate(row), validation_score(row)) for row in contender.trials)
    return sorted((rate, score) for rate, score in found if rate and score is not None)


def learning_rate(row: ResultRow) -> float | None:
    """Return the learning rate of a cell, None where its trainer has none."""
    value = getattr(row.cell.trainer, "lr", None)
    return float(value) if isinstance(value, int | float) else None


def tuning_notes(contenders: Sequence[ContenderResult]) -> list[str]:
    """Return what people should know of the chosen settings: near-ties, values at the edge of their range."""
    return [f"{contender.spoken}: {note}" for contender in contenders for note in contender.notes]
