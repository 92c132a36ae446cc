"""The Wilson interval, against scipy's and against its definition."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from loretta_core.report.stats import wilson_interval

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
