"""The table of methods: every line is a class of that name, and every class is complete."""

from importlib import import_module
from typing import get_args

import pytest

from loretta_core.methods import METHODS


@pytest.mark.parametrize("name", METHODS)
def test_a_line_leads_to_the_class_of_its_name(name):
    assert get_args(METHODS[name].model_fields["type"].annotation) == (name,)


@pytest.mark.parametrize("name", METHODS)
def test_the_report_has_words_for_every_method(name):
    assert METHODS[name].explanation
    assert METHODS[name].__doc__


@pytest.mark.parametrize("name", METHODS)
def test_the_peft_config_exists(name):
    if METHODS[name].peft_config is None:
        assert METHODS[name].every_weight_trains
        return
    module, _, attribute = METHODS[name].peft_config.partition(":")
    assert callable(getattr(import_module(module), attribute))
