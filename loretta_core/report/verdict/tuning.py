"""Tuning in words: whether the order of the contenders depends on the number of trials, and notes on the choice of their settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from loretta_core.report import units
from loretta_core.report.inference.tuning_budget import best_so_far, expected_best
from loretta_core.report.verdict.contenders import ContenderResult

FEWEST_TRIALS = 4

Algorithm = Literal["random", "optuna"]


def budget_sentence(contenders: Sequence[ContenderResult], *, algorithm: Algorithm) -> str:
    """Say whether the contenders' order by validation score depends on the number of trials; empty where fewer than two have trials enough.

    For random search by the expected best of k trials, for k up to half of them. A search that learns from its trials has no such estimator: best so far.
    """
    tuned = [contender for contender in contenders if len(contender.trial_scores) >= FEWEST_TRIALS]
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


def tuning_notes(contenders: Sequence[ContenderResult]) -> list[str]:
    """Return what people should know of the chosen settings: near-ties, values at the edge of their range."""
    return [f"{contender.spoken}: {note}" for contender in contenders for note in contender.notes]
