"""Samples that Optuna suggests: better than random ones, and a function of the scores."""

import math
from importlib.util import find_spec

import pytest

from jobs.scheduling import optuna_search
from jobs.scheduling.optuna_search import suggest
from jobs.sweep import main
from loretta_core.config.sweep.search import Search
from tests.jobs.orchestration.test_search_rounds import SWEEP

needs_optuna = pytest.mark.skipif(find_spec("optuna") is None, reason='needs Optuna: pip install "loretta-on-ray[search]"')


SEARCH = Search(
    algorithm="optuna",
    samples=30,
    startup=6,
    space={"trainer.lr": {"low": 1e-5, "high": 1e-1, "log": True}, "batch_size": [8, 16, 32], "method.r": {"low": 2, "high": 9, "integer": True}},
)


def goodness(sample):
    return -abs(math.log10(sample["trainer.lr"]) + 3) - 0.5 * (sample["batch_size"] != 16) - 0.1 * abs(sample["method.r"] - 5)


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


def test_without_optuna_it_is_refused_before_anything_is_written(tmp_path, monkeypatch, capsys):
    sweep_file = tmp_path / "synthetic.toml"
    sweep_file.write_text(SWEEP % [0])
    monkeypatch.setattr(optuna_search, "find_spec", lambda name: None)
    assert main([str(sweep_file), "--out", str(tmp_path / "out")]) == 2
    assert 'needs Optuna, which is not installed; pip install "loretta-on-ray[search]"' in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
