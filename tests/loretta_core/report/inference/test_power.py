"""What could have been shown, and what would be needed."""

import numpy as np
import pytest

from loretta_core.report.inference.components import SeedScores, estimate
from loretta_core.report.inference.max_t import compare_all_pairs
from loretta_core.report.inference.power import needed_to_separate, smallest_difference


def two(difference, *, seeds=3, rows=100, seed_spread=0.02, seed=0):
    generator = np.random.default_rng(seed)
    hard_R = generator.standard_normal(rows)
    made = [
        SeedScores.from_rows(mean + seed_spread * generator.standard_normal((seeds, 1)) + 0.1 * hard_R + 0.1 * generator.standard_normal((seeds, rows)))
        for mean in (0.8 + difference, 0.8)
    ]
    components = estimate(made)
    return components, compare_all_pairs(components)


def test_more_seeds_show_smaller_differences():
    few, many = (smallest_difference(two(0.0, seeds=seeds)[1]) for seeds in (3, 10))
    assert many < few


def test_the_number_of_seeds_that_separates_does_so():
    components, pairs = two(0.03, seeds=5, seed_spread=0.03)
    needed = needed_to_separate(components, pairs, first=0, second=1)
    assert needed.seeds is not None
    assert needed.seeds > 5
    separated = [two(pairs.difference_P[0], seeds=needed.seeds, seed_spread=0.03, seed=seed)[1].adjusted[0] < 0.05 for seed in range(40)]
    assert np.mean(separated) > 0.3  # about half of the time, by what it means


def test_seeds_that_dominate_cannot_be_made_up_for_with_rows():
    components, pairs = two(0.005, seed_spread=0.1)
    assert needed_to_separate(components, pairs, first=0, second=1).rows is None


def test_no_difference_is_never_separated():
    components = estimate([SeedScores.from_rows(np.random.default_rng(0).random((3, 20)))] * 2)
    needed = needed_to_separate(components, compare_all_pairs(components), first=0, second=1)
    assert (needed.seeds, needed.rows) == (None, None)


@pytest.mark.parametrize("first", [0, 1])
def test_the_order_of_the_two_does_not_matter(first):
    components, pairs = two(0.03)
    assert needed_to_separate(components, pairs, first=first, second=1 - first) == needed_to_separate(components, pairs, first=0, second=1)


def test_two_rows_that_do_not_vary_need_more():
    components = estimate([SeedScores.from_rows(np.full((3, 2), value)) for value in (1.0, 0.0)])
    needed = needed_to_separate(components, compare_all_pairs(components), first=0, second=1)
    assert (needed.seeds, needed.rows > 2) == (None, True)
