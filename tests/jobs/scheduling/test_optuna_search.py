"""A search in rounds: what comes next is a function of the records, whoever asks and however often."""

import json
import math
from importlib.util import find_spec

import pytest

from jobs.scheduling import optuna_search
from jobs.scheduling.optuna_search import OptunaSearch, suggest
from jobs.sweep import main
from loretta_core.config import load_sweep
from loretta_core.config.sweep.search import Search
from loretta_core.store.layout import cell_directory
from loretta_core.store.manifest import read_manifest
from loretta_core.store.record_files import write_record
from loretta_core.store.search_state import SEARCH_STATE_NAME, restore_search
from tests.jobs.head import stop_all
from tests.jobs.synthetic import finished_record
from tests.jobs.test_sweep import Place, run, shared, start, wait_until

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

SEARCH = Search(
    algorithm="optuna",
    samples=30,
    startup=6,
    space={"trainer.lr": {"low": 1e-5, "high": 1e-1, "log": True}, "batch_size": [8, 16, 32], "method.r": {"low": 2, "high": 9, "integer": True}},
)


def goodness(sample):
    return -abs(math.log10(sample["trainer.lr"]) + 3) - 0.5 * (sample["batch_size"] != 16) - 0.1 * abs(sample["method.r"] - 5)


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
    searching = OptunaSearch(load_sweep(file), out=out)
    compute(out, searching.config.cells)
    while cells := searching.grow():
        compute(out, cells)
    return [cell.cell_id for cell in searching.config.cells]


@needs_optuna
def test_it_finds_better_settings_than_as_many_random_ones():
    scored = [(sample, goodness(sample)) for sample in SEARCH.samples_of([])]
    while len(scored) < SEARCH.samples:
        scored += [(sample, goodness(sample)) for sample in suggest(SEARCH, scored, point="p", count=4)]
    assert max(score for _, score in scored) > max(goodness(SEARCH.sample(index)) for index in range(SEARCH.samples))


@needs_optuna
def test_the_same_scores_suggest_the_same_samples_and_others_others():
    scored = [(sample, goodness(sample)) for sample in SEARCH.samples_of([])]
    once, again = (suggest(SEARCH, scored, point="p", count=4) for _ in range(2))
    assert once == again
    assert once != suggest(SEARCH, scored, point="q", count=4)
    assert once != suggest(SEARCH, [(sample, -score) for sample, score in scored], point="p", count=4)


@needs_optuna
def test_what_has_no_score_teaches_nothing_and_hinders_nothing():
    samples = SEARCH.samples_of([])
    assert len(suggest(SEARCH, [(sample, None) for sample in samples], point="p", count=3)) == 3


@needs_optuna
def test_a_search_that_starts_again_anywhere_draws_what_it_would_have_drawn(sweep_file, tmp_path, out):
    expected = rounds(sweep_file, tmp_path / "other")
    assert len(expected) == 7
    config = load_sweep(sweep_file)
    while True:  # a driver that dies after every single cell
        config = restore_search(load_sweep(sweep_file), out)
        searching = OptunaSearch(config, out=out)
        missing = optuna_search.unfinished(out, config.cells) or searching.grow()
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
    searching = OptunaSearch(restore_search(load_sweep(sweep_file, overrides=["search.samples=9"]), out), out=out)
    assert len(searching.grow()) == 2
    assert [cell.cell_id for cell in searching.config.cells][:7] == before


@needs_optuna
def test_the_score_of_a_sample_is_the_mean_of_its_seeds(sweep_file, out, monkeypatch):
    sweep_file.write_text(SWEEP % [0, 1])
    seen = []
    monkeypatch.setattr(
        optuna_search, "suggest", lambda rules, scored, *, point, count: seen.append(scored) or [rules.sample(100 + index) for index in range(count)]
    )
    searching = OptunaSearch(load_sweep(sweep_file), out=out)
    for cell in searching.config.cells:
        write_record(finished_record(cell, validation=0.5 + cell.seed / 10), cell_directory(out, cell.cell_id))
    assert len(searching.grow()) == 4
    assert [score for _, score in seen[0]] == [pytest.approx(0.55)] * 3


def test_without_optuna_it_is_refused_before_anything_is_written(sweep_file, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(optuna_search, "find_spec", lambda name: None)
    assert main([str(sweep_file), "--out", str(tmp_path / "out")]) == 2
    assert 'needs Optuna, which is not installed; pip install "loretta-on-ray[search]"' in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@needs_optuna
@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.parametrize("executor", ["inline", "train"])
def test_a_killed_search_goes_on_with_the_same_cells(executor, tmp_path, head):
    here = Place(tmp_path / "synthetic.toml", tmp_path / "out")
    here.file.write_text(SWEEP % [300])  # cells of 1.5 s, whose scores are equal
    command = [*here.command, "--set", f"executor={executor}"]
    notes = here.out / "sweeps" / "synthetic" / SEARCH_STATE_NAME
    process = start(command, shared(head))
    try:
        wait_until(notes.exists, process)  # the first round of suggestions runs
        wait_until(lambda: len(list(here.out.glob("cells/*/record.json"))) >= 4, process)
    finally:
        stop_all(process.pid)
        process.communicate()
    drawn = next(iter(json.loads(notes.read_text())["points"].values()))
    ran = run(command, shared(head))
    assert ran.code == 0, ran.output + ran.errors
    assert "[7/7]" in ran.output
    config = restore_search(load_sweep(here.file), here.out)
    assert len(config.cells) == 7
    assert optuna_search.unfinished(here.out, config.cells) == []
    assert next(iter(config.rounds.drawn.values()))[: len(drawn)] == drawn
    for cell in config.cells:
        directory = cell_directory(here.out, cell.cell_id)
        assert (directory / "attempts.txt").stat().st_mtime <= (directory / "record.json").stat().st_mtime, "it ran again after it had finished"
