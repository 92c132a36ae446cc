"""Expected best of k trials, against all subsets."""

from itertools import combinations
from statistics import mean

import numpy as np
import pytest

from loretta_core.report.inference.tuning_budget import best_so_far, expected_best

SCORES = [0.3, 0.9, 0.5, 0.5, 0.8, 0.1, 0.75]


def test_it_is_the_mean_over_all_subsets():
    expected = [mean(max(subset) for subset in combinations(SCORES, k)) for k in range(1, 5)]
    assert expected_best(SCORES) == pytest.approx(expected)


def test_it_is_unbiased():
    generator = np.random.default_rng(0)
    found = np.mean([expected_best(generator.random(8).tolist())[3] for _ in range(4000)])
    assert found == pytest.approx(4 / 5, abs=0.005)  # the expected maximum of four uniform numbers


def test_it_grows_and_does_not_depend_on_the_order():
    curve = expected_best(SCORES)
    assert curve == sorted(curve)
    assert curve == pytest.approx(expected_best(SCORES[::-1]))


def test_best_so_far_depends_on_it():
    assert best_so_far([0.3, 0.9, 0.5]) == [0.3, 0.9, 0.9]
    assert best_so_far([0.9, 0.3, 0.5]) == [0.9, 0.9, 0.9]


def test_no_scores():
    with pytest.raises(ValueError, match="no trial"):
        expected_best([])
