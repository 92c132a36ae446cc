"""The Wilson interval and the paired tests, against scipy's and against their definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from loretta_core.report.stats import holm, mcnemar, paired_bootstrap, wilson_interval
from tests.loretta_core.report.synthetic import bits

counts = st.integers(1, 20_000).flatmap(lambda rows: st.tuples(st.integers(0, rows), st.just(rows)))


@given(counts)
def test_equals_scipy(count):
    correct, rows = count
    expected = binomtest(correct, rows).proportion_ci(confidence_level=0.95, method="wilson")
    assert wilson_interval(correct, rows) == pytest.approx((expected.low, expected.high), abs=1e-12)


@given(counts)
def test_holds_the_share_and_stays_in_the_unit_interval(count):
    correct, rows = count
    low, high = wilson_interval(correct, rows)
    assert 0.0 <= low <= correct / rows <= high <= 1.0
    assert low < high


@given(counts)
def test_is_symmetric_in_right_and_wrong(count):
    correct, rows = count
    low, high = wilson_interval(correct, rows)
    assert wilson_interval(rows - correct, rows) == pytest.approx((1 - high, 1 - low), abs=1e-12)


def test_more_rows_narrow_it():
    widths = [high - low for low, high in (wilson_interval(9 * rows // 10, rows) for rows in (10, 100, 1000, 10_000))]
    assert widths == sorted(widths, reverse=True)


@pytest.mark.parametrize(("correct", "rows"), [(0, 0), (1, 0), (-1, 10), (11, 10), (0, -1)])
def test_impossible_counts_are_refused(correct, rows):
    with pytest.raises(ValueError, match=f"correct = {correct}, rows = {rows}"):
        wilson_interval(correct, rows)


@pytest.mark.parametrize(("first", "second"), [(bits(90), bits(80)), (bits(60), bits(60, first=40)), (bits(50), bits(52)), (bits(5), bits(5))])
def test_mcnemar_is_the_binomial_test_of_the_rows_that_differ(first, second):
    only = [sum(a > b for a, b in zip(*pair, strict=True)) for pair in ((first, second), (second, first))]
    expected = binomtest(only[0], sum(only)).pvalue if sum(only) else 1.0
    assert mcnemar(first, second) == pytest.approx(expected, rel=1e-12)
    assert mcnemar(second, first) == mcnemar(first, second)


def test_mcnemar_holds_for_many_rows():
    rng = np.random.default_rng(0)
    first, second = ("".join(map(str, rng.integers(0, 2, 20_000))) for _ in range(2))
    assert 0 < mcnemar(first, second) <= 1


def test_the_paired_bootstrap_counts_signs():
    rng = np.random.default_rng(0)
    base = rng.normal(0.8, 0.02, 1000)
    assert paired_bootstrap(list(base + 0.001), list(base)) == pytest.approx(2 / 1001)  # equal noise cancels
    assert paired_bootstrap(list(base), list(base)) == 1.0
    assert paired_bootstrap(list(base), list(rng.permutation(base))) > 0.5


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


@pytest.mark.parametrize("test", [mcnemar, paired_bootstrap])
def test_other_rows_are_refused(test):
    with pytest.raises(ValueError, match=r"1 .* against 2"):
        test("1", "10") if test is mcnemar else test([1.0], [1.0, 0.0])
