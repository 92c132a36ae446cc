"""Expansion of axes into cells, and the precedence defaults < component axis < leaf axis < override."""

import pytest

from loretta_core.config import SweepConfig, load_sweep
from loretta_core.errors import ConfigError

BASE = """
name = "grid"
[defaults]
model = "toy-bert"
task = "toy_sentiment"
trainer.steps = 100
"""


@pytest.fixture
def sweep(tmp_path):
    def load(text: str, *overrides: str) -> SweepConfig:
        path = tmp_path / "sweep.toml"
        path.write_text(BASE + text)
        return load_sweep(path, overrides=overrides)

    return load


def test_axes_are_crossed_in_the_order_of_tables_with_seed_fastest(sweep):
    cells = sweep('[axes]\nseed = [0, 1]\ntrainer = ["adam"]\nmethod = ["lora", "ft"]').cells
    assert [(cell.method.type, cell.seed) for cell in cells] == [("lora", 0), ("lora", 1), ("ft", 0), ("ft", 1)]


def test_defaults_reach_every_value_of_an_axis_and_the_value_wins(sweep):
    cells = sweep('[axes]\nmethod = ["lora"]\ntrainer = ["adam", {type = "zo_sgd", steps = 700}]').cells
    assert [cell.trainer.steps for cell in cells] == [100, 700]


def test_a_leaf_axis_is_laid_over_component_values_quoted_or_not(sweep):
    quoted = sweep('[axes]\nmethod = ["lora"]\ntrainer = ["adam"]\n"trainer.lr" = [1e-4, 1e-3]').cells
    nested = sweep('[axes]\nmethod = ["lora"]\n[axes.trainer]\ntype = ["adam"]\nlr = [1e-4, 1e-3]').cells
    assert [cell.trainer.lr for cell in quoted] == [cell.trainer.lr for cell in nested] == [1e-4, 1e-3]
    assert [cell.cell_id for cell in quoted] == [cell.cell_id for cell in nested]


def test_an_override_replaces_the_axis_it_names_and_is_laid_over_all_cells_otherwise(sweep):
    text = '[axes]\nmethod = ["lora", "ft"]\ntrainer = ["adam"]\nseed = [0, 1, 2]'
    cells = sweep(text, "seed=[7]", "trainer.lr=0.01", "batch_size=4").cells
    assert [(cell.method.type, cell.seed, cell.trainer.lr, cell.batch_size) for cell in cells] == [("lora", 7, 0.01, 4), ("ft", 7, 0.01, 4)]


def test_exclude_rules_drop_grid_points_and_include_adds_cells_beyond_their_reach(sweep):
    rules = '[[exclude]]\nmethod = "ft"\n"trainer.type" = ["zo_sgd"]\n[[include]]\nmethod = "ft"\ntrainer = {type = "zo_sgd", lr = 1e-6}'
    expanded = sweep(f'[axes]\nmethod = ["lora", "ft"]\ntrainer = ["adam", "zo_sgd"]\n{rules}')
    assert [(cell.method.type, cell.trainer.type) for cell in expanded.cells] == [("lora", "adam"), ("lora", "zo_sgd"), ("ft", "adam"), ("ft", "zo_sgd")]
    assert expanded.excluded == 1
    assert expanded.cells[-1].trainer.lr == 1e-6


def test_the_same_cell_twice_runs_once_and_is_reported(sweep):
    expanded = sweep('[axes]\nmethod = ["lora", {type = "lora", r = 8}]\ntrainer = ["adam"]')
    assert len(expanded.cells) == 1
    assert expanded.duplicates == ("toy-bert · toy_sentiment · lora · adam · seed 0",)


def test_skip_invalid_lists_what_it_left_out_with_the_reason(sweep):
    text = 'skip_invalid = true\n[axes]\nmethod = ["lora", "ft"]\ntrainer = ["adam", "zo_adam"]\nprecision = ["mixed"]'
    expanded = sweep(text.replace("skip_invalid = true\n", ""), "skip_invalid=true")
    assert len(expanded.cells) == 3
    ((description, reason),) = expanded.skipped
    assert description == "toy-bert · toy_sentiment · ft · zo_adam · seed 0"
    assert "rounds stochastically" in reason


def test_a_sweep_without_axes_is_one_cell_or_what_it_includes(sweep):
    assert [cell.method.type for cell in sweep("", "method=lora", "trainer=adam").cells] == ["lora"]
    assert [cell.method.type for cell in sweep('[[include]]\nmethod = "ft"\ntrainer = "adam"').cells] == ["ft"]
    with pytest.raises(ConfigError, match="method: missing"):
        sweep("", "trainer=adam")


@pytest.mark.parametrize("axis", ['engine = ["plain", "ddp"]', '"engine.cpus" = [1, 2]', 'executor = ["train", "inline"]', "pack = [2, 4]"])
def test_an_axis_over_placement_is_refused(axis, sweep):
    with pytest.raises(ConfigError, match=r"where a cell is computed is no part of it, .* compare placements with a sweep each"):
        sweep(f'[axes]\nmethod = ["lora"]\ntrainer = ["adam"]\n{axis}')


def test_rules_that_match_nothing_are_told(sweep):
    rules = 'priority = [{ method = "nope" }, { method = "ft" }]'
    text = '[axes]\nmethod = ["lora", "ft"]\ntrainer = ["adam"]\n[[exclude]]\nseed = 7\n[[exclude]]\nmethod = "lora"\n'
    expected = ("exclude[0] = {'seed': 7}: matches no cell", "priority[0] = {'method': 'nope'}: matches no cell")
    assert sweep(text, rules).notices == expected
    assert sweep(text, 'priority=[{seed = 1000, "trainer.lr" = 3e-4}]', "tune.trials=2", "replicate.seeds=2").notices == expected[:1]


def test_more_points_than_a_sweep_may_have_are_refused_before_they_are_made(sweep):
    with pytest.raises(ConfigError, match="1,000,000 combinations; a sweep has at most 100,000"):
        sweep(f'[axes]\nmethod = ["lora"]\ntrainer = ["adam"]\nseed = {[*range(1000)]}\nbatch_size = {[*range(1, 1001)]}')


def test_everything_excluded_is_an_error_with_the_count(sweep):
    with pytest.raises(ConfigError, match="expands to no cell: 1 excluded"):
        sweep('[axes]\nmethod = ["ft"]\ntrainer = ["adam"]\n[[exclude]]\nmethod = "ft"')
