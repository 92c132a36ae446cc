"""Random search, priorities, budgets, early stopping in a sweep file."""

import pytest

from loretta_core.config import load_sweep
from loretta_core.config.sweep.search import Range
from loretta_core.errors import ConfigError

SWEEP = """
[defaults]
model = "toy-bert"
task = "toy_sentiment"
trainer = "adam"
[axes]
method = ["lora", "loretta_adp"]
[search]
samples = 4
space = { "trainer.lr" = { low = 1e-5, high = 1e-2, log = true }, batch_size = [8, 16] }
"""


@pytest.fixture
def load(tmp_path):
    def read(text=SWEEP, *overrides):
        file = tmp_path / "search.toml"
        file.write_text(text)
        return load_sweep(file, overrides=overrides)

    return read


def test_every_point_of_the_grid_gets_the_same_samples(load):
    cells = load().cells
    drawn = {name: [(cell.trainer.lr, cell.batch_size) for cell in cells if cell.method.type == name] for name in ("lora", "loretta_adp")}
    assert len(cells) == 8
    assert drawn["lora"] == drawn["loretta_adp"]
    assert all(1e-5 <= lr <= 1e-2 and rows in (8, 16) for lr, rows in drawn["lora"])


def test_more_samples_keep_those_that_were_there(load):
    few = {cell.cell_id for cell in load().cells}
    many = {cell.cell_id for cell in load(SWEEP, "search.samples=6").cells}
    assert few < many
    assert len(many) == 12


def test_another_seed_draws_others_and_the_same_one_the_same(load):
    ids = [{cell.cell_id for cell in load(SWEEP, *overrides).cells} for overrides in ((), (), ("search.seed=1",))]
    assert ids[0] == ids[1]
    assert not ids[0] & ids[2]


def test_what_results_suggested_is_laid_over_its_point_of_the_grid(load):
    known = load(SWEEP, "search.algorithm=optuna", "search.startup=2")
    assert [len(tried) for tried in known.rounds.tried.values()] == [2, 2]
    assert known.cells == load(SWEEP, "search.samples=2").cells  # the random samples come first
    first, second = known.rounds.tried
    grown = known.grown({first: [{"trainer.lr": 0.003, "batch_size": 8}] * 2, second: [{"trainer.lr": 0.004, "batch_size": 8}]})
    assert [cell for cell in grown.cells if cell in known.cells] == list(known.cells)
    assert [(cell.method.type, cell.trainer.lr) for cell in grown.cells if cell not in known.cells] == [("lora", 0.003), ("loretta_adp", 0.004)]
    assert len(grown.rounds.tried[first][2].cells) == 1
    assert not grown.rounds.complete
    assert grown.grown({name: [{"trainer.lr": 0.003, "batch_size": 8}] * 2 for name in (first, second)}).rounds.complete


def test_seeds_are_replicates_of_a_sample(load):
    rounds = load(SWEEP.replace("[axes]", "[axes]\nseed = [0, 1, 2]"), "search.algorithm=optuna").rounds
    assert len(rounds.tried) == 2
    assert {len(each.cells) for tried in rounds.tried.values() for each in tried} == {3}


def test_scores_under_other_overrides_suggest_nothing(load):
    points = [set(load(SWEEP, "search.algorithm=optuna", *overrides).rounds.tried) for overrides in ((), ("trainer.steps=7",), ("search.samples=9",))]
    assert not points[0] & points[1]
    assert points[0] == points[2]


def test_without_axes_the_defaults_are_searched(load):
    text = SWEEP.replace('[axes]\nmethod = ["lora", "loretta_adp"]', "").replace('trainer = "adam"', 'trainer = "adam"\nmethod = "lora"')
    assert len(load(text).cells) == 4


@pytest.mark.parametrize(
    ("range_", "ends"),
    [(Range(low=1, high=3), (1.0, 3.0)), (Range(low=1e-4, high=1e-2, log=True), (1e-4, 1e-2)), (Range(low=2, high=9, integer=True), (2, 9))],
)
def test_the_ends_of_a_range(range_, ends):
    assert (range_.at(0.0), range_.at(1 - 1e-12)) == pytest.approx(ends)
    assert isinstance(range_.at(0.5), int if range_.integer else float)


def test_a_logarithmic_range_is_uniform_in_the_logarithm():
    assert Range(low=1e-4, high=1e-2, log=True).at(0.5) == 1e-3


def test_priorities_order_cells_and_change_none(load):
    plain, ordered = load(), load('priority = [{ batch_size = 16 }, { method = "loretta_adp" }]\n' + SWEEP)
    assert {cell.cell_id for cell in plain.cells} == {cell.cell_id for cell in ordered.cells}
    ranks = [0 if cell.batch_size == 16 else 1 if cell.method.type == "loretta_adp" else 2 for cell in ordered.cells]
    assert ranks == sorted(ranks)


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("priority = [{ metod = 1 }]", "priority[0].metod: no cell has such a field"),
        ("budget = {}", "expected at least one of cells, hours, usd, or a price"),
        ("budget = { cels = 2 }", "budget.cels"),
        ("early_stopping = { keep = 1 }", "early_stopping.keep"),
    ],
)
def test_mistakes_in_the_head_are_named(head, message, load):
    with pytest.raises(ConfigError) as caught:
        load(f"{head}\n{SWEEP}")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("samples = 0", "search: samples"),
        ('samples = 1\nspace = { "trainer.lr" = { low = 1, high = 1 } }', "expected low < high"),
        ("samples = 1\nspace = { batch_size = [] }", "expected values to choose from"),
        ('samples = 1\nspace = { "trainer.lr" = { low = 0, high = 1, log = true } }', "low > 0 with log = true"),
        ('samples = 1\nspace = { "trainer.rate" = [1] }', "trainer.rate"),
        ("samples = 8\nstartup = 4\nspace = { batch_size = [8, 16] }", 'startup = 4: only algorithm = "optuna" draws in rounds'),
        ('samples = 8\nalgorithm = "grid"\nspace = { batch_size = [8, 16] }', "search: algorithm = 'grid'"),
    ],
)
def test_mistakes_in_a_search_are_named(wrong, message, load):
    with pytest.raises(ConfigError) as caught:
        load(SWEEP.partition("[search]")[0] + "[search]\n" + wrong)
    assert message in str(caught.value)


def test_settings_of_tables_can_be_overridden(load):
    config = load(SWEEP, "budget.cells=3", "early_stopping.keep=2")
    assert (config.budget.cells, config.early_stopping.keep) == (3, 2)


@pytest.mark.parametrize(
    ("engine", "message"),
    [('{ type = "plain", gpus = 1.5 }', "a share of one GPU below 1"), ('{ type = "ddp", gpus = 0.5 }', "they would share a GPU, which NCCL refuses")],
)
def test_shares_of_gpus(engine, message, load):
    with pytest.raises(ConfigError) as caught:
        load(SWEEP.replace("[axes]", f"engine = {engine}\n[axes]"))
    assert message in str(caught.value)
