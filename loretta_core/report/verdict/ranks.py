"""Mean ranks over several tasks and models: the one thing that averages where scores do not.

The interval is that of ranks in joint draws of seeds and rows (`inference/ranking.py`); tasks and models are those that were chosen, not a sample of others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from loretta_core.report.verdict.common_rows import common_rows
from loretta_core.report.verdict.contenders import ContenderResult, by_task_and_model
from loretta_core.report.verdict.decide import comparable
from loretta_core.report.verdict.values import MOST_CONTENDERS
from loretta_core.store.predictions import Predictions


@dataclass(frozen=True)
class MeanRank:
    """A contender's rank, averaged over tasks and models."""

    name: str
    mean: float
    low: float
    high: float
    groups: int
    """Tasks and models."""


def mean_ranks(contenders: Sequence[ContenderResult], predictions: Mapping[str, Predictions]) -> tuple[MeanRank, ...]:
    """Return the mean ranks of the contenders that every task and model has with several seeds, the lowest first; empty for one task and model."""
    groups = []
    for members in by_task_and_model(contenders).values():
        found = common_rows(members, predictions)
        groups.append((found.paired, {contender.name: rows for contender, rows in comparable(members, found)}))
    shared = [name for name in groups[0][1] if all(name in members for _, members in groups)] if groups else []
    if len(groups) < 2 or not 2 <= len(shared) <= MOST_CONTENDERS:
        return ()
    from loretta_core.report.inference.ranking import rank_over_groups
    from loretta_core.report.verdict.comparison import compare_paired, compare_unpaired

    components = []
    for paired, members in groups:
        rows = [members[name] for name in shared]
        components.append((compare_paired(rows, predictions) if paired else compare_unpaired(rows)).components)
    ranks = [MeanRank(name, *numbers, groups=len(groups)) for name, numbers in zip(shared, rank_over_groups(components), strict=True)]
    return tuple(sorted(ranks, key=lambda rank: rank.mean))
