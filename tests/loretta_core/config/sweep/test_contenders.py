"""Contenders: their trials, the seeds of these and of replicates."""

from dataclasses import replace

import pytest

from loretta_core.config.sweep.protocol import FIRST_REPLICATE_SEED
from loretta_core.config.sweep.spaces import setting_of
from loretta_core.errors import ConfigError
from tests.which import SWEEP


def won(sweep, *, trial=1, seeds=3):
    """The sweep after every contender's trial of this index has won."""
    return sweep.with_contenders(replace(contender, winner=contender.trials[trial].cell_id, seeds=seeds) for contender in sweep.contenders)


def test_every_point_is_a_contender_with_the_same_number_of_trials(load_which):
    sweep = load_which()
    assert [(contender.cell.method.type, contender.cell.trainer.type) for contender in sweep.contenders] == [
        ("lora", "adam"),
        ("lora", "zo_sgd"),
        ("ft", "adam"),
    ]
    assert [len(contender.trials) for contender in sweep.contenders] == [3, 3, 3]
    assert len(sweep.cells) == 9


def test_the_first_trial_is_the_setting_of_the_file(load_which):
    for contender in load_which("batch_size=8").contenders:
        assert contender.trials[0] == contender.cell
        assert contender.cell.trainer.lr == type(contender.cell.trainer).model_fields["lr"].default
        assert contender.cell.batch_size == 8


def test_trials_are_a_function_of_the_file_and_more_keep_those_that_were_there(load_which):
    few, again, many, other = load_which(), load_which(), load_which("tune.trials=5"), load_which("tune.seed=1")
    assert [cell.cell_id for cell in few.cells] == [cell.cell_id for cell in again.cells]
    for contender, more, drawn in zip(few.contenders, many.contenders, other.contenders, strict=True):
        assert more.trials[:3] == contender.trials
        assert drawn.trials[0] == contender.trials[0]
        assert drawn.trials[1] != contender.trials[1]


def test_trials_are_never_scored_on_test_rows_and_lie_within_their_ranges(load_which):
    for contender in load_which("tune.trials=20").contenders:
        assert not any(trial.score_test for trial in contender.trials)
        for name, values in contender.space.items():
            assert all(values.low <= setting_of(trial, name) <= values.high for trial in contender.trials[1:])


def test_no_replicate_shares_a_seed_with_a_trial(load_which):
    for seed in (0, 7, FIRST_REPLICATE_SEED - 1):
        sweep = won(load_which(f"seed={seed}"), seeds=10)
        trials = {trial.seed for contender in sweep.contenders for trial in contender.trials}
        replicates = {cell.seed for contender in sweep.contenders for cell in contender.replicates}
        assert trials == {seed}
        assert replicates == {*range(FIRST_REPLICATE_SEED, FIRST_REPLICATE_SEED + 10)}


def test_replicates_have_the_settings_of_the_winner_and_are_scored_on_test_rows(load_which):
    sweep = won(load_which())
    assert len(sweep.cells) == 18
    for contender in sweep.contenders:
        assert {cell.trainer for cell in contender.replicates} == {contender.trials[1].trainer}
        assert all(cell.score_test for cell in contender.replicates)


def test_without_tuning_the_point_itself_is_replicated(load_which):
    sweep = load_which(text=SWEEP.replace("[tune]\ntrials = 3\n", ""))
    assert [contender.trials for contender in sweep.contenders] == [()] * 3
    assert len(sweep.cells) == 9
    assert all(cell.score_test and cell.seed >= FIRST_REPLICATE_SEED for cell in sweep.cells)


def test_what_does_not_train_is_not_tuned(load_which):
    sweep = load_which(text=SWEEP.replace('"zo_sgd"]', '"none"]'))
    untuned = [contender for contender in sweep.contenders if contender.cell.trainer.type == "none"]
    assert untuned
    assert all(not contender.trials and len(contender.replicates) == 3 and contender.notes == ("nothing to tune",) for contender in untuned)


def test_an_axis_and_an_override_are_not_sampled(load_which):
    rates = load_which(text=SWEEP.replace("[axes]", '[axes]\n"trainer.lr" = [1e-3, 1e-4]')).contenders
    assert all("trainer.lr" not in contender.space for contender in rates)
    assert all("trainer.lr" not in contender.space for contender in load_which("trainer.lr=1e-3").contenders)


def test_a_space_holds_for_the_contenders_that_have_the_setting(load_which):
    sweep = load_which('tune.space={"trainer.zo_eps"={low=1e-3, high=1e-2, log=true}, batch_size=[8, 16]}')
    assert [[*contender.space] for contender in sweep.contenders] == [["batch_size"], ["trainer.zo_eps", "batch_size"], ["batch_size"]]


def test_points_that_differ_in_their_seed_alone_are_one_contender(load_which):
    include = 'model = "toy-bert"\ntask = "toy_sentiment"\nmethod = "lora"\ntrainer = "adam"\nseed = 5'
    sweep = load_which(text=SWEEP + f"[[include]]\n{include}\n")
    assert len(sweep.contenders) == 3
    assert len(sweep.duplicates) == 1


def test_impossible_trials_are_refused_or_left_out(load_which):
    space = 'tune.space={"method.r"=[0, 4]}'
    with pytest.raises(ConfigError, match=r"tune\.space\.method\.r"):
        load_which(space, "tune.trials=8")
    sweep = load_which(space, "tune.trials=8", "skip_invalid=true")
    assert sweep.skipped
    assert 1 < len(sweep.contenders[0].trials) < 8


def test_optuna_begins_with_a_few_trials(load_which):
    contender = load_which("tune.algorithm=optuna", "tune.trials=8").contenders[0]
    assert (len(contender.trials), contender.lacks_trials) == (4, 4)
    assert replace(contender, drawn=contender.trials).lacks_trials == 0


def test_single_cells_are_contenders_without_a_grid(load_which):
    include = '[[include]]\nmodel = "toy-bert"\ntask = "toy_sentiment"\nmethod = "lora"\ntrainer = "adam"\n'
    sweep = load_which(text=include + SWEEP[SWEEP.index("[tune]") :])
    assert [len(contender.trials) for contender in sweep.contenders] == [3]
