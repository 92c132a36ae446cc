"""A setting for all cells is left out where the type of a component lacks it, and told; one that no cell has is an error."""

import pytest

from loretta_core.config.sweep.load import resolve_sweep
from loretta_core.errors import ConfigError

DEFAULTS = {"model": "toy-bert", "task": "toy_sentiment", "method": "lora"}


def resolved(*overrides, defaults=None, **more):
    return resolve_sweep({"name": "a", "defaults": {**DEFAULTS, **(defaults or {})}, **more}, overrides=overrides)


def test_a_default_is_left_out_for_the_trainers_that_lack_it():
    sweep = resolved(defaults={"trainer": {"steps": 10, "momentum": 0.5}}, axes={"trainer": ["adam", "zo_momentum"]}, include=[{"trainer": "none"}])
    assert [(cell.trainer.type, getattr(cell.trainer, "steps", None)) for cell in sweep.cells] == [("adam", 10), ("zo_momentum", 10), ("none", None)]
    assert sweep.notices == (
        "defaults.trainer.momentum = 0.5: left out for trainer adam, trainer none, which has no such setting",
        "defaults.trainer.steps = 10: left out for trainer none, which has no such setting",
    )


def test_so_is_an_override_and_a_whole_table_of_another_type():
    sweep = resolved("trainer.steps=10", axes={"trainer": ["adam", "none"]})
    assert sweep.notices == ("--set trainer.steps = 10: left out for trainer none, which has no such setting",)
    sweep = resolved(defaults={"method": {"type": "lora", "r": 4}, "trainer": "adam"}, axes={"method": ["ft", "lora"]})
    assert [cell.method.caption for cell in sweep.cells] == ["ft", "lora(r=4)"]


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        (
            {"defaults": {"trainer.steps": 10}, "axes": {"trainer": ["none"], "seed": [0, 1]}},
            "defaults.trainer.steps = 10: unknown key. Nothing can be set there",
        ),
        ({"defaults": {"trainer.stepps": 10}, "axes": {"trainer": ["adam", "none"]}}, "stepps = 10: unknown key. Did you mean 'steps'"),
        ({"axes": {"trainer": ["adam", {"type": "none", "steps": 10}]}}, r"axes.trainer\[1\].steps = 10: unknown key"),
        ({"axes": {"trainer": ["adam", "none"], "trainer.steps": [10]}}, r"axes.trainer.steps\[0\] = 10: unknown key"),
        ({"defaults": {"trainer": "adam"}, "include": [{"trainer": {"type": "none", "steps": 1}}]}, r"include\[0\].trainer.steps = 1: unknown key"),
    ],
)
def test_what_no_cell_has_and_what_is_given_to_one_is_an_error(tables, message):
    with pytest.raises(ConfigError, match=message):
        resolved(**tables)
