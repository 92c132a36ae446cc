"""A search in rounds: what comes next is a function of the records, whoever asks and however often."""

import math
from importlib.util import find_spec

import pytest

from jobs.orchestration.search_rounds import SearchRounds
from jobs.scheduling import optuna_search
from jobs.storage.ledger import unfinished
from loretta_core.config import load_sweep
from loretta_core.store.layout import cell_directory
from loretta_core.store.manifest import read_manifest
from loretta_core.store.record_files import write_record
from loretta_core.store.search_state import SEARCH_STATE_NAME, restore_search
from tests.jobs.synthetic import finished_record

needs_optuna = pytest.mark.skipif(find_spec("optuna") is None, reason='needs Optuna: pip install "loretta-on-ray[search]"')


SWEEP = """
name = "synthetic"
[defaults]
model = "toy-bert"
task = "toy_sentiment"
trainer = "adam"
method = "lora"
[axes]
seed = %s
[search]
algorithm = "optuna"
samples = 7
startup = 3
per_round = 2
space = { "trainer.lr" = { low = 1e-5, high = 1e-1, log = true }, batch_size = [8, 16] }
"""


@pytest.fixture
def sweep_file(tmp_path):
    file = tmp_path / "synthetic.toml"
    file.write_text(SWEEP % [0])
    return file


def compute(out, cells):
    """Records whose validation score falls with the distance of the learning rate from 1e-3."""
    for cell in cells:
        record = finished_record(cell, validation=1 / (1 + abs(math.log10(cell.trainer.lr) + 3)))
        write_record(record, cell_directory(out, cell.cell_id))


def rounds(file, out):
    """The sweep to its end, as a driver that is never killed computes it."""
    search = SearchRounds(load_sweep(file), out=out)
    compute(out, search.config.cells)
    while cells := search.next_round():
        compute(out, cells)
    return [cell.cell_id for cell in search.config.cells]


@needs_optuna
def test_a_search_that_starts_again_anywhere_draws_what_it_would_have_drawn(sweep_file, tmp_path, out):
    expected = rounds(sweep_file, tmp_path / "other")
    assert len(expected) == 7
    config = load_sweep(sweep_file)
    while True:  # a driver that dies after every single cell
        config = restore_search(load_sweep(sweep_file), out)
        search = SearchRounds(config, out=out)
        missing = unfinished(out, config.cells) or search.next_round()
        if not missing:
            break
        compute(out, missing[:1])
    assert [cell.cell_id for cell in config.cells] == expected
    assert list(read_manifest(out, name="synthetic").cells) == expected


@needs_optuna
def test_what_was_drawn_stays_drawn_although_a_score_changes(sweep_file, out):
    before = rounds(sweep_file, out)
    cell = load_sweep(sweep_file).cells[0]
    write_record(finished_record(cell, validation=0.99), cell_directory(out, cell.cell_id))
    assert [cell.cell_id for cell in restore_search(load_sweep(sweep_file), out).cells] == before
    (out / "sweeps" / "synthetic" / SEARCH_STATE_NAME).write_text("damaged")
    assert len(restore_search(load_sweep(sweep_file), out).cells) == 3


@needs_optuna
def test_more_samples_go_on_from_those_that_were_there(sweep_file, out):
    before = rounds(sweep_file, out)
    search = SearchRounds(restore_search(load_sweep(sweep_file, overrides=["search.samples=9"]), out), out=out)
    assert len(search.next_round()) == 2
    assert [cell.cell_id for cell in search.config.cells][:7] == before


@needs_optuna
def test_the_score_of_a_sample_is_the_mean_of_its_seeds(sweep_file, out, monkeypatch):
    sweep_file.write_text(SWEEP % [0, 1])
    seen = []
    monkeypatch.setattr(
        optuna_search, "suggest", lambda rules, scored, *, point, count: seen.append(scored) or [rules.sample(100 + index) for index in range(count)]
    )
    search = SearchRounds(load_sweep(sweep_file), out=out)
    for cell in search.config.cells:
        write_record(finished_record(cell, validation=0.5 + cell.seed / 10), cell_directory(out, cell.cell_id))
    assert len(search.next_round()) == 4
    assert [score for _, score in seen[0]] == [pytest.approx(0.55)] * 3
