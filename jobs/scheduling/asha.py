"""Early stopping by asynchronous successive halving (ASHA, arXiv 1810.05934), by shares of a cell's steps.

    at rung r (a share of its steps) a cell goes on if it is among the best ⌈n / keep⌉ of the n cells of its bracket that have come to r so far

A bracket is a model, a task and a family of trainers: a zeroth-order cell needs many times the steps of a first-order one, so that at equal steps it would
always lose; at equal shares of their own budgets each is compared with its kind. Scores of different tasks do not compare at all. This module is free of Ray:
`asha_actor.py` makes an actor of it, to which every running cell reports after an evaluation.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable

from loretta_core.config import CellConfig
from loretta_core.config.sweep.limits import EarlyStopping

Bracket = tuple[str, str, str]


class AshaScores:
    """The scores of all cells of a sweep at all rungs."""

    def __init__(self, rule: EarlyStopping) -> None:
        self._rule = rule
        self._best: dict[str, float] = {}
        self._scores: dict[tuple[Bracket, float], dict[str, float]] = defaultdict(dict)

    def report_score(self, cell_json: str, *, share: float, score: float) -> str:
        """Note a validation score after a share of a cell's steps. Returns why the cell should end there, or ""."""
        cell = CellConfig.from_json(cell_json)
        best = self._best[cell.cell_id] = max(score, self._best.get(cell.cell_id, -math.inf))
        if share >= 1.0:
            return ""  # it has done all its steps
        reached = [rung for rung in self._rule.rungs if share >= rung and cell.cell_id not in self._scores[bracket(cell), rung]]
        for rung in reached:
            self._scores[bracket(cell), rung][cell.cell_id] = best
        return self._stop_reason(cell, reached[-1], best) if reached else ""

    def load_history(self, cell_json: str, points: Iterable[tuple[float, float]]) -> None:
        """Note the (share, score) points of a cell that no longer runs."""
        for share, score in points:
            self.report_score(cell_json, share=share, score=score)

    def _stop_reason(self, cell: CellConfig, rung: float, best: float) -> str:
        scores = self._scores[bracket(cell), rung].values()
        places, better = math.ceil(len(scores) / self._rule.keep), sum(score > best for score in scores)
        if better < places:
            return ""
        family = bracket(cell)[2]
        return (
            f"after {100 * rung:.0f} % of its steps its validation score, {best:.3f}, was number {better + 1} of the {len(scores)} {family} cells of its model "
            f"and task that had come so far; the best {places} go on"
        )


def bracket(cell: CellConfig) -> Bracket:
    """Return the group of cells with which a cell competes: model, task and family of trainers."""
    return cell.model.model_dump_json(), cell.task.model_dump_json(), "zeroth-order" if cell.trainer.zeroth_order else "first-order"
