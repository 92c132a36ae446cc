"""Numbers as people read them: examples, and that rounding never crosses a unit."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loretta_core.report import units


@pytest.mark.parametrize(("value", "text"), [(None, "–"), (0, "0"), (999, "999"), (1_234_567, "1,234,567")])
def test_count(value, text):
    assert units.count(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(1, "1"), (999, "999"), (1000, "1k"), (16_384, "16.4k"), (999_499, "999k"), (999_999, "1M"), (1_234_567, "1.23M"), (7e9, "7G")]
)
def test_short_count(value, text):
    assert units.short_count(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"), (0.0, "0.0 s"), (0.84, "0.8 s"), (59.94, "59.9 s"), (59.96, "1 min 00 s"), (75, "1 min 15 s"), (119.6, "2 min 00 s"),
        (3599.4, "59 min 59 s"), (3599.6, "1 h 00 min"), (5000, "1 h 23 min"), (86_400, "24 h 00 min"),
    ],
)  # fmt: skip
def test_seconds(value, text):
    assert units.seconds(value) == text


@given(st.floats(0, 1e6))
def test_no_sixty_seconds_or_minutes(value):
    numbers = [int(number) for number in re.findall(r"\d+(?= min| s)", units.seconds(value).split(".")[0] + " s")]
    assert all(number < 60 for number in numbers if "." not in units.seconds(value))
    assert units.seconds(value) not in ("60.0 s",)


@given(st.floats(60, 1e6))
def test_seconds_are_right_to_a_minute(value):
    hours, minutes, seconds = (re.search(rf"(\d+) {unit}\b", units.seconds(value)) for unit in ("h", "min", "s"))
    shown = sum(int(match[1]) * scale for match, scale in ((hours, 3600), (minutes, 60), (seconds, 1)) if match)
    assert abs(shown - value) <= (30.001 if hours else 0.501)


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (0, "0 MiB"), (500_000_000, "477 MiB"), (2**30, "1.0 GiB"), (2**30 - 1, "1.0 GiB"), (3 * 2**30 // 2, "1.5 GiB")]
)
def test_size(value, text):
    assert units.size(value) == text


@pytest.mark.parametrize(("value", "text"), [(None, "–"), (0.91234, "0.912"), (1.0, "1.000")])
def test_share(value, text):
    assert units.share(value) == text


@pytest.mark.parametrize(("value", "text"), [(-0.0123, "−0.012"), (0.0123, "+0.012"), (-1e-16, "0.000"), (0.0, "0.000")])
def test_a_difference_has_a_sign_unless_it_rounds_to_zero(value, text):
    assert units.signed(value) == text


def test_interval():
    assert units.with_interval(0.9, low=0.88, high=0.92) == "0.900 ± 0.020"
    assert units.with_interval(0.9, low=None, high=0.92) == "0.900"
    assert units.with_interval(None, low=0.88, high=0.92) == "–"


def test_time_ticks_are_ordered_and_read_well():
    assert list(units.TIME_TICKS) == sorted(set(units.TIME_TICKS))
    texts = [units.tick_seconds(tick) for tick in units.TIME_TICKS]
    assert len(set(texts)) == len(texts)
    assert all(re.fullmatch(r"(0\.00[1235]|0\.0[1235]|0\.[1235]|\d+) (s|min|h)", text) for text in texts), texts
    assert [units.tick_seconds(value) for value in (0.5, 30, 120, 7200)] == ["0.5 s", "30 s", "2 min", "2 h"]


@given(st.floats(1, 9e11))
def test_short_counts_are_short_and_right(value):
    text = units.short_count(value)
    assert "e" not in text
    assert float(text.rstrip("kMG")) * {"k": 1e3, "M": 1e6, "G": 1e9}.get(text[-1], 1) == pytest.approx(value, rel=0.006)
