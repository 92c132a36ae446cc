"""The winner of a contender's trials: validation alone decides."""

import pytest

from jobs.scheduling.protocol.winners import choose_winner, edges
from loretta_core.config import load_sweep
from tests.jobs.synthetic import finished_record
from tests.which import SWEEP


@pytest.fixture
def contender(tmp_path):
    file = tmp_path / "which.toml"
    file.write_text(SWEEP)
    return load_sweep(file, overrides=["tune.trials=4"]).contenders[0]


def records_of(contender, *found, test=0.9):
    """One record per trial from (validation score, changes of score and cost); None for a trial without one."""
    records = {}
    for trial, one in zip(contender.trials, found, strict=True):
        if one is not None:
            score, changes = one
            record = finished_record(trial, score=test, validation=score)
            names = type(record.score).model_fields
            scores, costs = ({k: v for k, v in changes.items() if (k in names) == flag} for flag in (True, False))
            records[trial.cell_id] = record.model_copy(update={"score": record.score.model_copy(update=scores), "cost": record.cost.model_copy(update=costs)})
    return records


def winner(contender, *found, **options):
    return [trial.cell_id for trial in contender.trials].index(choose_winner(contender, records_of(contender, *found), **options).winner)


def test_the_best_validation_score_wins(contender):
    assert winner(contender, (0.8, {}), (0.9, {}), (0.7, {}), (0.85, {})) == 1


def test_near_ties_are_decided_by_loss_then_size_then_time_then_order(contender):
    near = 0.9 - 0.5 / 500  # half a validation row
    assert winner(contender, (0.9, {"validation_loss": 0.5}), (near, {"validation_loss": 0.4}), (0.8, {"validation_loss": 0.1}), (0.7, {})) == 1
    assert winner(contender, (0.9, {"trainable_params": 20}), (0.9, {"trainable_params": 10}), (0.8, {}), (0.7, {})) == 1
    assert winner(contender, (0.9, {"train_s": 2.0}), (0.9, {"train_s": 1.0}), (0.8, {}), (0.7, {})) == 1
    assert winner(contender, (0.9, {}), (0.9, {}), (0.8, {}), (0.7, {})) == 0


def test_one_row_is_no_near_tie_unless_the_file_says_so(contender):
    found = (0.9, {"validation_loss": 0.5}), (0.898, {"validation_loss": 0.4}), (0.8, {}), (0.7, {})
    assert winner(contender, *found) == 0
    assert winner(contender, *found, tolerance=0.01) == 1
    assert winner(contender, *found, tolerance=0.0) == 0


def test_the_alternative_is_named(contender):
    notes = choose_winner(contender, records_of(contender, (0.9, {}), (0.9, {"train_s": 1.0}), (0.8, {}), (0.7, {}))).notes
    assert f"near-tie with trainer.lr = {contender.trials[1].trainer.lr} (validation 0.900 and 0.900), decided by training time" in notes
    notes = choose_winner(contender, records_of(contender, (0.9, {}), (0.85, {}), (0.8, {}), (0.7, {}))).notes
    assert f"next best: trainer.lr = {contender.trials[1].trainer.lr}, validation 0.850 instead of 0.900" in notes


def test_failed_and_stopped_trials_do_not_win(contender):
    choice = choose_winner(contender, records_of(contender, (0.6, {}), None, (0.7, {}), None))
    assert choice.winner == contender.trials[2].cell_id
    assert "2 of 4 trials did not finish" in choice.notes
    assert choose_winner(contender, {}).winner is None
    assert choose_winner(contender, {}).notes == ("no winner: none of 4 trials finished",)


def test_a_score_that_is_no_number_does_not_win(contender):
    assert winner(contender, (float("nan"), {}), (0.2, {}), (None, {}), (0.1, {})) == 1


def test_a_best_value_at_the_edge_of_its_range_is_told(contender):
    low, high = contender.trial_with({"trainer.lr": 1.5e-5}), contender.trial_with({"trainer.lr": 9e-3})
    assert "lower edge of its range, 1e-05 to 0.01" in edges(contender, low)[0]
    assert "upper edge" in edges(contender, high)[0]
    assert edges(contender, contender.trial_with({"trainer.lr": 3e-4})) == ()
    assert "upper edge" in edges(contender, contender.trial_with({"trainer.lr": 0.5}))[0]  # the file's own setting may lie beyond


@pytest.mark.parametrize("seed", range(20))
def test_test_scores_choose_no_winner(contender, seed):
    import random

    dice = random.Random(seed)
    found = [(dice.choice([0.7, 0.8, 0.9]), {"validation_loss": dice.random()}) for _ in contender.trials]
    before = choose_winner(contender, records_of(contender, *found))
    changed = {
        cell_id: record.model_copy(
            update={"score": record.score.model_copy(update={"value": dice.random(), "low": None, "high": None, "initial": dice.random()})}
        )
        for cell_id, record in records_of(contender, *found).items()
    }
    assert choose_winner(contender, changed) == before
