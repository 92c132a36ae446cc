"""The statistics on tables whose truth is known. The slow form is what the README's table is made with."""

import pytest

from tests.loretta_core.report.scenarios.simulate import EQUAL, SETTINGS, SPREAD_OUT, Setting, measure, race

THREE_STANDARD_ERRORS = 3 * (0.95 * 0.05 / 300) ** 0.5


@pytest.mark.integration
@pytest.mark.parametrize("setting", [Setting(3, 50, "high"), Setting(3, 200, "low"), Setting(5, 200, "high")], ids=str)
def test_coverage_and_wrong_claims(setting):
    found = measure(setting, draws=300, resamples=300)
    assert found.coverage_of_differences >= 0.93 - 0.01
    assert found.coverage_of_all_differences_at_once >= 0.95 - THREE_STANDARD_ERRORS
    assert found.wrong_best_when_equal <= 0.05 + THREE_STANDARD_ERRORS


@pytest.mark.integration
@pytest.mark.parametrize(("equal", "spread_out"), [(50, 20), pytest.param(150, 60, marks=pytest.mark.slow)])
def test_a_race_keeps_the_best_and_saves_seeds(equal, spread_out):
    wrong, _ = race(EQUAL, most=6, rows=200, seed_variance="high", draws=equal, resamples=300)
    assert wrong <= 0.05 + 3 * (0.95 * 0.05 / equal) ** 0.5
    wrong, saved = race(SPREAD_OUT, most=6, rows=200, seed_variance="low", draws=spread_out, resamples=300)
    assert wrong <= 0.05
    assert saved > 0.1


@pytest.mark.slow
@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_all_settings(setting):
    found = measure(setting, draws=2000)
    assert found.coverage_of_differences >= 0.93
    assert found.wrong_best_when_equal <= 0.05
