"""Default ranges: every method has some for both families of trainers."""

import pytest

from loretta_core.config import FAMILIES, cell_from_overrides
from loretta_core.config.sweep.spaces import default_ranges, has_setting, setting_of, trainer_ranges
from loretta_core.methods.table import METHODS

LEARNING = [name for name in FAMILIES["trainer"] if name not in ("none", "icl")]


def make(method, trainer):
    peft = 'method={type="peft", peft_type="VERA"}'
    return cell_from_overrides(["model=toy-bert", "task=toy_sentiment", peft if method == "peft" else f"method={method}", f"trainer={trainer}"])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("trainer", LEARNING)
def test_every_learning_rate_has_a_range_with_its_source(method, trainer):
    ranges = default_ranges(make(method, trainer))
    assert "trainer.lr" in ranges
    for found in ranges.values():
        assert 0 < found.low < found.high
        assert found.source


@pytest.mark.parametrize("trainer", LEARNING)
def test_the_ranges_name_settings_that_the_trainer_has(trainer):
    cell = make("lora", trainer)
    assert all(has_setting(cell, name) for name in default_ranges(cell))
    assert all(setting_of(cell, f"trainer.{name}") for name in trainer_ranges(trainer))


def test_nothing_is_tuned_where_nothing_trains():
    assert default_ranges(make("lora", "none")) == {}


def test_all_weights_at_once_take_smaller_steps():
    rates = {
        (method, trainer): default_ranges(make(method, trainer))["trainer.lr"].high
        for method in ("lora", "ft")
        for trainer in ("adam", "zo_sgd", "zo_momentum")
    }
    assert rates["ft", "adam"] < rates["lora", "adam"]
    assert rates["ft", "zo_sgd"] < rates["lora", "zo_sgd"]
    assert rates["lora", "zo_momentum"] == pytest.approx(rates["lora", "zo_sgd"] / 10)


def test_settings_are_found_by_their_dotted_names():
    cell = make("lora", "adam")
    assert [has_setting(cell, name) for name in ("batch_size", "method.r", "method.tensor_rank", "nothing", "nothing.r")] == [True, True, False, False, False]
    assert setting_of(cell, "method.r") == 8
