"""Variance components of contenders that were trained with several seeds and scored on the same rows.

    x_isr = μ_i + a_is + b_ir + e_isr        contender i, seed s, row r

    a   training noise: drawn anew by every seed, independent between contenders
    b   rows: some are hard for a contender; shared rows make the b of two contenders correlated
    e   seed × row: which rows a seed happens to get right

What is estimated is μ_i, the expected test score of a setting over training seeds and rows. Its mean over S seeds and R rows varies by

    Var(x̄_i) = σ²_a / S + σ²_b / R + σ²_e / (S R)

Seeds alone (the spread of S means) leave out the rows, rows alone (a bootstrap of one run) leave out the seeds. A metric that is no mean over rows (F1,
Matthews, correlations) has no x_isr; its values over bootstrap samples of the rows, the same samples for every cell, take the place of the rows. Both are
replicates here: their covariance, scaled, is that of the scores over rows.

Legend: K contenders, S seeds, M replicates (rows or bootstrap samples), R rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loretta_core.store.predictions import Predictions

Array = NDArray[np.float64]


@dataclass(frozen=True)
class SeedScores:
    """The test scores of one contender.

    Args:
        score_S: one score per seed.
        replicate_SM: values per seed whose covariance over M, times `scale`, is the covariance of scores over samples of rows.
        scale: 1 / R for rows; R / (R - 1) for bootstrap samples, which are too narrow by this factor.
        rows: R.
    """

    score_S: Array
    replicate_SM: Array
    scale: float
    rows: int

    @classmethod
    def from_rows(cls, value_SR: Array) -> SeedScores:
        """Build from the value of every row (1 for right, 0 for wrong; or token F1) for every seed: the score is their mean."""
        value_SR = np.asarray(value_SR, dtype=np.float64)
        return cls(value_SR.mean(axis=1), value_SR, 1 / value_SR.shape[1], value_SR.shape[1])

    @classmethod
    def from_predictions(cls, scores: Sequence[float], predictions: Sequence[Predictions]) -> SeedScores:
        """Build from the test score and the predictions of every seed, which must be of the same rows and metric."""
        first = predictions[0]
        if first.right:
            return cls.from_rows(np.array([np.frombuffer(each.right.encode(), dtype=np.uint8) == ord("1") for each in predictions], dtype=np.float64))
        return cls.from_resamples(np.array(scores), np.array([each.resampled for each in predictions]), rows=len(first.predictions))

    @classmethod
    def from_resamples(cls, score_S: Array, resampled_SM: Array, *, rows: int) -> SeedScores:
        """Build from scores and their values over M bootstrap samples of `rows` rows, sample m being the same rows in every cell."""
        return cls(np.asarray(score_S, dtype=np.float64), np.asarray(resampled_SM, dtype=np.float64), rows / (rows - 1), rows)


@dataclass(frozen=True)
class Components:
    """Estimates for K contenders."""

    mean_K: Array
    """Mean score over seeds."""
    seeds_K: NDArray[np.int64]
    """S of each contender."""
    seed_variance_K: Array
    """Variance of a contender's seed scores; estimates σ²_a + σ²_e / R. Zero for one seed, where nothing is known of it."""
    row_covariance_KK: Array
    """Covariance of the means over samples of rows; its diagonal estimates σ²_b / R + σ²_e / (S R)."""
    interaction_K: Array
    """Variance of one seed's score that is due to seed × row; estimates σ²_e / R."""
    rows: int

    def __len__(self) -> int:
        return len(self.mean_K)

    @property
    def seed_part(self) -> Array:
        """Variance of each mean over seeds, seed × row included: σ²_a / S + σ²_e / (S R)."""
        return self.seed_variance_K / self.seeds_K

    @property
    def shared_part(self) -> Array:
        """The variance that the seed part and the row part of a mean both contain: σ²_e / (S R)."""
        return self.interaction_K / self.seeds_K


def estimate(contenders: Sequence[SeedScores]) -> Components:
    """Estimate the components. Raises ValueError unless all contenders were scored on the same number of rows, at least two."""
    rows = {contender.rows for contender in contenders}
    if len(rows) != 1 or min(rows) < 2:
        raise ValueError(f"contenders scored on {sorted(rows)} rows; expected the same rows, at least 2")
    mean_replicate_KM = np.stack([contender.replicate_SM.mean(axis=0) for contender in contenders])
    scale = contenders[0].scale
    row_covariance_KK = scale * np.atleast_2d(np.cov(mean_replicate_KM))
    seeds_K = np.array([len(contender.score_S) for contender in contenders])
    return Components(
        mean_K=np.array([contender.score_S.mean() for contender in contenders]),
        seeds_K=seeds_K,
        seed_variance_K=np.array([contender.score_S.var(ddof=1) if len(contender.score_S) > 1 else 0.0 for contender in contenders]),
        row_covariance_KK=row_covariance_KK,
        interaction_K=np.array([_interaction(contender, row_covariance_KK[index, index]) for index, contender in enumerate(contenders)]),
        rows=next(iter(rows)),
    )


def matrix_root(covariance_KK: Array) -> Array:
    """Return A with A Aᵀ = covariance. It may be singular: two contenders may have made the same predictions."""
    values, vectors = np.linalg.eigh(covariance_KK)
    noise = 1e-12 * max(float(values[-1]), 0.0)
    return vectors * np.sqrt(np.where(values > noise, values, 0.0))


def _interaction(contender: SeedScores, variance_of_mean: float) -> float:
    """σ²_e / R: by how much the row variance of single seeds exceeds that of their mean, which averages seed × row over S seeds."""
    seeds = len(contender.score_S)
    if seeds == 1:
        return 0.0
    of_single_seeds = contender.scale * contender.replicate_SM.var(axis=1, ddof=1).mean()
    return max(0.0, float(of_single_seeds - variance_of_mean) * seeds / (seeds - 1))
