"""Inference for the contenders of one task and model: from their test scores to intervals, pairs and P(best) (`inference/`).

The one module of the package that needs numpy and scipy; import it where a comparison is made, not before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from loretta_core.report.inference.components import Components, SeedScores, estimate
from loretta_core.report.inference.intervals import mean_interval
from loretta_core.report.inference.max_t import DRAWS, AllPairs, compare_all_pairs
from loretta_core.report.inference.power import needed_to_separate, smallest_difference
from loretta_core.report.inference.ranking import probability_best
from loretta_core.report.rows import ResultRow
from loretta_core.report.stats import Z_95
from loretta_core.report.verdict.values import SIGNIFICANCE_LEVEL, Difference, Estimate, Needed
from loretta_core.store.predictions import Predictions

MOST_VALUES, FEWEST_DRAWS = 4_000_000, 500
"""Draws × pairs, which bounds memory; and the draws that are made in any case."""


@dataclass(frozen=True)
class GroupComparison:
    """Contenders with at least two seeds each on the same rows."""

    components: Components

    def __len__(self) -> int:
        return len(self.components)

    @cached_property
    def pairs(self) -> AllPairs:
        """All pairs, adjusted for each other."""
        pairs = len(self) * (len(self) - 1) // 2
        return compare_all_pairs(self.components, draws=min(DRAWS, max(FEWEST_DRAWS, MOST_VALUES // pairs)))

    @cached_property
    def probability_best(self) -> list[float]:
        """P(best) of each contender."""
        return probability_best(self.components).tolist()

    @cached_property
    def smallest_difference(self) -> float:
        """The smallest difference that would have been shown with probability 0.8."""
        return smallest_difference(self.pairs)

    def score(self, index: int) -> Estimate:
        """Return the mean score of a contender over its seeds, with the interval over seeds and rows."""
        found = mean_interval(self.components, index)
        return Estimate(found.value, found.low, found.high)

    def standard_error(self, index: int) -> float:
        """Return the standard error of a contender's mean score over seeds and rows."""
        return mean_interval(self.components, index).standard_error

    def difference(self, first: int, second: int) -> Difference:
        """Return the score of `first` less that of `second`; interval and p-value hold for all pairs together."""
        index, sign = self.pairs.index_of(first, second)
        value, half = sign * float(self.pairs.difference_P[index]), float(self._half_widths[index])
        return Difference(value, value - half, value + half, float(self._adjusted_p[index]))

    def needed(self, first: int, second: int) -> tuple[int | None, int | None]:
        """Return how many seeds, and how many rows, would separate two contenders."""
        found = needed_to_separate(self.components, self.pairs, first=first, second=second)
        return found.seeds, found.rows

    @cached_property
    def _half_widths(self) -> np.ndarray:
        return self.pairs.half_width(level=1 - SIGNIFICANCE_LEVEL)

    @cached_property
    def _adjusted_p(self) -> np.ndarray:
        return self.pairs.adjusted


def compare_paired(members: Sequence[Sequence[ResultRow]], predictions: Mapping[str, Predictions]) -> GroupComparison:
    """Compare contenders row by row: every replicate has predictions of the same rows."""
    return GroupComparison(estimate([_seed_scores(rows, predictions) for rows in members]))


def compare_unpaired(members: Sequence[Sequence[ResultRow]]) -> GroupComparison:
    """Compare contenders by their scores and their intervals over rows alone, as if each had rows of its own and every seed erred on the same ones. Wider than
    a comparison row by row, never narrower where contenders err on the same rows more often than by chance."""
    scores = [np.array([row.score for row in rows], dtype=np.float64) for rows in members]
    return GroupComparison(
        Components(
            mean_K=np.array([score_S.mean() for score_S in scores]),
            seeds_K=np.array([len(score_S) for score_S in scores]),
            seed_variance_K=np.array([score_S.var(ddof=1) for score_S in scores]),
            row_covariance_KK=np.diag(np.array([np.mean([_row_variance(row) for row in rows]) for rows in members], dtype=np.float64)),
            interaction_K=np.zeros(len(scores)),
            rows=min(_test_rows(row) for rows in members for row in rows),
        )
    )


def needed_of(comparison: GroupComparison, names: Sequence[str]) -> Needed:
    """Return what would separate the first two of contenders that are sorted by score."""
    seeds, rows = comparison.needed(0, 1)
    return Needed(names[0], names[1], seeds, rows)


def _seed_scores(rows: Sequence[ResultRow], predictions: Mapping[str, Predictions]) -> SeedScores:
    return SeedScores.from_predictions([row.score or 0.0 for row in rows], [predictions[row.cell_id] for row in rows])


def _row_variance(row: ResultRow) -> float:
    assert row.record is not None
    assert row.record.score.low is not None
    assert row.record.score.high is not None
    return ((row.record.score.high - row.record.score.low) / (2 * Z_95)) ** 2


def _test_rows(row: ResultRow) -> int:
    assert row.record is not None
    return row.record.score.rows or 0
