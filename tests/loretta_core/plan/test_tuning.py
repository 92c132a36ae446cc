"""Budgets of tuning: as many trials as are predicted to fit."""

import pytest

from loretta_core.config import load_sweep
from loretta_core.errors import ConfigError
from loretta_core.plan.tuning import affordable, fix_trials
from tests.which import SWEEP


@pytest.fixture
def load(tmp_path):
    def read(*overrides):
        file = tmp_path / "which.toml"
        file.write_text(SWEEP)
        return load_sweep(file, overrides=overrides)

    return read


def counts(sweep):
    return [contender.count for contender in fix_trials(sweep).contenders]


def test_equal_budgets_are_unequal_numbers_of_trials(load):
    lora_adam, lora_zo, ft_adam = counts(load("tune={budget={forwards=60_000}}", "trainer.steps=1000"))
    assert lora_zo == 30  # two forwards a step
    assert 20 <= ft_adam < lora_adam < 30  # the backward pass of all weights counts as two


def test_hours_and_money(load):
    hours = counts(load("tune={budget={hours=0.01, device='a100-80gb'}}"))
    money = counts(load("tune={budget={usd=0.01, device='a100-80gb'}}", "budget.usd_per_hour=1.0"))
    assert hours == money
    assert all(count > 1 for count in hours)


def test_the_number_fits_the_budget(load):
    contender = load("tune={budget={forwards=10}}").contenders[0]
    assert affordable(contender, budget=load("tune={budget={forwards=10}}").tune.budget, cost_of=lambda cell: 4.0) == 2


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        ("{forwards=5}", "one trial of .* is predicted to cost"),
        ("{usd=1}", "cannot be predicted; give tune.trials"),
        ("{hours=1, device='tpu'}", "unknown device"),
    ],
)
def test_what_cannot_be_turned_into_trials_is_refused(load, budget, words):
    with pytest.raises(ConfigError, match=words):
        fix_trials(load(f"tune={{budget={budget}}}"))


def test_an_unknown_model_is_refused(load):
    with pytest.raises(ConfigError, match="cannot be predicted; give tune"):
        fix_trials(load("tune={budget={hours=1}}", "model=someone/unknown-model"))


def test_a_given_number_stays(load):
    sweep = load()
    assert fix_trials(sweep) is sweep
