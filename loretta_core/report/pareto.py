"""Pareto sets: the cells that no other beats, i.e. none is at most as costly and at least as good, and better in one of the two."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from loretta_core.report.rows import ResultRow

CostOf = Callable[[ResultRow], float | None]
"""Reads a cost from a row; None where it was not measured."""

COSTS: dict[str, CostOf] = {
    "trainable_params": lambda row: row.record.cost.trainable_params if row.record else None,
    "train_seconds": lambda row: row.record.cost.train_s if row.record else None,
    "peak_memory_bytes": lambda row: row.record.cost.peak_memory_bytes if row.record else None,
    "forwards": lambda row: row.record.cost.forwards if row.record else None,
}
"""Costs that a score may be weighed against, by their key in table.json."""


def front(rows: Sequence[ResultRow], *, cost: CostOf) -> list[ResultRow]:
    """Return the Pareto set of rows of one task and model, the cheapest first. Rows without a score or a cost are in none; of equal ones the first stays."""
    known = [(value, row.score, row) for row in rows if row.score is not None and (value := cost(row)) is not None]
    return [known[index][2] for index in front_of([(value, score) for value, score, _ in known])]


def front_of(points: Sequence[tuple[float, float]]) -> list[int]:
    """Return the places of the (cost, score) pairs that no other beats, the cheapest first; of equal ones the first stays."""
    kept: list[int] = []
    best = float("-inf")
    for _, negated, index in sorted((cost, -score, index) for index, (cost, score) in enumerate(points)):
        if -negated > best:
            kept.append(index)
            best = -negated
    return kept


def fronts(rows: Sequence[ResultRow], *, cost: CostOf) -> set[str]:
    """Return the ids of the cells in the Pareto set of their task and model."""
    groups: dict[tuple[str, str], list[ResultRow]] = {}
    for row in rows:
        groups.setdefault((row.labels["task"], row.labels["model"]), []).append(row)
    return {row.cell_id for members in groups.values() for row in front(members, cost=cost)}
