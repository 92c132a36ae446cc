"""`--set` reaches every part of a sweep file, in whatever order the options stand."""

import pytest

from loretta_core.config import sweep_from_overrides
from loretta_core.config.overrides import override_file
from loretta_core.config.sweep.load import FILE_KEYS, SweepHeader, resolve_sweep
from loretta_core.errors import ConfigError

FILE = {
    "name": "a",
    "defaults": {"model": "toy-bert", "task": "toy_sentiment", "trainer": {"type": "adam", "steps": 5}},
    "axes": {"method": ["lora", "ft"], "trainer": {"lr": [1e-4, 1e-3]}},
    "tune": {"trials": 3, "space": {"trainer.weight_decay": [0.0, 0.1]}},
    "exclude": [{"method": "lora"}],
}


def of_file(name, value):
    return override_file(FILE, {name: value}, keys=FILE_KEYS)[0]


@pytest.mark.parametrize("key", FILE_KEYS)
def test_every_key_of_a_file_is_replaced_as_a_whole(key):
    assert of_file(key, "new")[key] == "new"


@pytest.mark.parametrize(
    ("name", "part", "expected"),
    [
        ("tune.trials", "tune", {"trials": 9, "space": {"trainer.weight_decay": [0.0, 0.1]}}),
        ("tune.space.trainer.weight_decay", "tune", {"trials": 3, "space": {"trainer.weight_decay": 9}}),
        ("tune.budget.forwards", "tune", {**FILE["tune"], "budget": {"forwards": 9}}),
        ("replicate.seeds.race", "replicate", {"seeds": {"race": 9}}),
        ("axes.trainer.lr", "axes", {"method": ["lora", "ft"], "trainer.lr": 9}),
        ("axes.seed", "axes", {"method": ["lora", "ft"], "trainer.lr": [1e-4, 1e-3], "seed": 9}),
        ("defaults.trainer", "defaults", {"model": "toy-bert", "task": "toy_sentiment", "trainer": 9}),
        ("defaults.trainer.lr", "defaults", {**FILE["defaults"], "trainer.lr": 9}),
    ],
)
def test_a_dotted_name_reaches_into_a_table(name, part, expected):
    before = repr(FILE)
    assert of_file(name, 9)[part] == expected
    assert repr(FILE) == before


def test_fields_of_cells_are_left_for_the_cells_components_first():
    changed, others = override_file(FILE, {"method.r": 4, "method": "lora", "seed": 1}, keys=FILE_KEYS)
    assert changed == FILE
    assert list(others) == ["method", "seed", "method.r"]


def test_a_sweep_is_resolved_with_them():
    grid = {key: table for key, table in FILE.items() if key != "tune"}

    def cells(*overrides):
        return [(cell.method.type, cell.trainer.steps) for cell in resolve_sweep(grid, overrides=overrides).cells]

    assert cells() == [("ft", 5), ("ft", 5)]
    assert cells("exclude=[]", "axes.trainer.lr=[1e-3]") == [("lora", 5), ("ft", 5)]
    assert cells('priority=[{"trainer.steps" = 7}]', "include=[{method='bitfit', trainer.steps=7}]")[0] == ("bitfit", 7)


def test_what_neither_a_file_nor_a_cell_has_is_refused_with_all_that_there_is():
    with pytest.raises(ConfigError, match=r"--set exclud = 1: unknown key. Did you mean 'exclude'\?") as error:
        of_file("exclud", 1)
    assert all(key in str(error.value) for key in [*SweepHeader.model_fields, "include", "batch_size"])
    with pytest.raises(ConfigError, match="give it as a whole"):
        of_file("exclude.method", "ft")


def test_one_cell_is_made_of_overrides_alone_with_what_a_file_may_say():
    cell = ["model=toy-bert", "task=toy_sentiment", "method.r=4", "method=lora", "trainer=adam"]
    sweep = sweep_from_overrides([*cell, "executor=inline"])
    assert (sweep.name, sweep.executor, sweep.cells[0].method.r) == (f"run-{sweep.cells[0].cell_id}", "inline", 4)
    with pytest.raises(ConfigError, match="make 2 cells, and one was asked for"):
        sweep_from_overrides([*cell, "axes.seed=[0, 1]"])
