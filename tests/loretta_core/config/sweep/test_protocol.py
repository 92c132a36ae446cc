"""The tables [tune] and [replicate]: what they take and what they refuse."""

import pytest

from loretta_core.config import load_sweep
from loretta_core.config.sweep.protocol import Replicate
from loretta_core.errors import ConfigError
from tests.paths import ROOT
from tests.which import SWEEP


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["tune.trials=0"], "tune.trials = 0"),
        (["tune.trails=3"], "unknown key. Did you mean 'trials'"),
        (["tune.budget={hours=1}"], "both are given"),
        (["tune={}"], "neither is given"),
        (["tune={budget={hours=1, usd=2}}"], "expected one of forwards, hours, usd"),
        (["replicate.seeds=0"], "expected a number of seeds, or"),
        (['replicate.seeds="many"'], "expected a number of seeds, or"),
        (["replicate.seeds={race=[5, 3]}"], "at least 2 seeds, then more"),
        (["replicate.seeds={race=[1, 3]}"], "at least 2 seeds, then more"),
        (["seed=1000"], "replicates have the seeds from 1000 on"),
        (['tune.space={"trainer.lrate"=[1]}'], "no contender has such a setting"),
        (['tune.space={"method.r"=[]}'], "expected values to choose from"),
        (['tune.space={"trainer.lr"=[1e-3]}', "trainer.lr=1e-2"], "axes or --set give trainer.lr too"),
        (["tune.space={seed=[1, 2]}"], "seeds are given by [replicate] seeds"),
        (["tune.startup=2"], 'only algorithm = "optuna" draws in rounds'),
        (["search.samples=3"], "[tune] supersedes [search]"),
        (["decide.within=-1"], "decide.within = -1"),
        (["decide.max_usd=1"], "what a device costs is not known; give budget.usd_per_hour"),
    ],
)
def test_what_is_refused_says_what_to_do(load_which, overrides, words):
    with pytest.raises(ConfigError) as refusal:
        load_which(*overrides)
    assert words in str(refusal.value)


def test_a_seed_is_no_axis(load_which):
    for text in (SWEEP, SWEEP.replace("[tune]\ntrials = 3\n", "")):
        with pytest.raises(ConfigError, match="seeds are given by \\[replicate\\] seeds"):
            load_which(text=text.replace("[axes]", "[axes]\nseed = [0, 1]"))


def test_a_seed_is_not_given_to_what_is_replicated_alone(load_which):
    with pytest.raises(ConfigError, match="seed = 3: seeds are given by"):
        load_which("seed=3", text=SWEEP.replace("[tune]\ntrials = 3\n", ""))


def test_numbers_can_be_set_on_the_command_line(load_which):
    sweep = load_which("tune.trials=4", "replicate.seeds={race=[3, 10]}", "decide.within=0.02")
    assert (sweep.tune.trials, sweep.replicate.first, sweep.replicate.most, sweep.decide.within) == (4, 3, 10, 0.02)
    assert sweep.replicate.looks == [3, 4, 5, 6, 7, 8, 9, 10]


def test_a_number_of_seeds_has_no_looks():
    assert Replicate(seeds=5).looks == []
    assert Replicate(seeds=5).first == Replicate(seeds=5).most == 5


def test_a_sweep_without_the_protocol_has_no_contenders(load_which):
    sweep = load_which(text=SWEEP[: SWEEP.index("[tune]")])
    assert sweep.contenders == ()
    assert all(cell.score_test for cell in sweep.cells)


def test_the_committed_sweep_asks_which_method():
    assert [len(contender.trials) for contender in load_sweep(ROOT / "jobs/sweeps/which.toml").contenders] == [3, 3, 3]
