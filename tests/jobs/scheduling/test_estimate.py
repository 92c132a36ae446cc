"""The remaining time of a sweep: predictions corrected by measurements."""

import pytest

from jobs.scheduling.estimate import Estimate, predict_durations
from jobs.scheduling.resources import Node


def test_nothing_is_said_while_nothing_is_known(cell):
    estimate = Estimate({})
    estimate.add_waiting(cell())
    assert estimate.remaining_s([], concurrency=1) is None
    estimate.add_finished(cell("seed=1"), 30.0)
    assert estimate.remaining_s([], concurrency=1) == 30.0


def test_predictions_are_shared_among_concurrent_cells_and_corrected(cell):
    cells = [cell(f"seed={seed}") for seed in range(4)]
    estimate = Estimate({each.cell_id: 10.0 for each in cells})
    for each in cells:
        estimate.add_waiting(each)
    assert estimate.remaining_s([], concurrency=2) == 20.0
    estimate.remove_waiting(cells[0])
    estimate.add_finished(cells[0], 30.0)  # three times as long as predicted
    assert estimate.expected_s(cells[1]) == 30.0
    assert estimate.remaining_s([], concurrency=2) == 45.0


def test_a_trainer_is_corrected_by_its_own_cells(cell):
    first, slow = cell("seed=0"), cell("trainer=zo_sgd")
    estimate = Estimate({first.cell_id: 10.0, slow.cell_id: 10.0})
    estimate.add_finished(slow, 50.0)
    assert estimate.expected_s(first) == 50.0  # the only measurement there is
    estimate.add_finished(first, 20.0)
    assert (estimate.expected_s(first), estimate.expected_s(slow)) == (20.0, 50.0)


def test_what_runs_counts_with_the_rest_of_its_time(cell):
    estimate = Estimate({cell().cell_id: 100.0, cell("seed=1").cell_id: 10.0})
    assert estimate.remaining_s([(cell(), 40.0, 1), (cell("seed=1"), 11.0, 1)], concurrency=4) == 60.0  # no faster than its longest cell


def test_the_time_of_a_pack_is_that_of_its_cells(cell):
    estimate = Estimate({cell().cell_id: 100.0, cell("seed=1").cell_id: 100.0})
    assert estimate.remaining_s([(cell(), 40.0, 2), (cell("seed=1"), 40.0, 2)], concurrency=1) == 160.0
    assert estimate.remaining_s([(cell(), 40.0, 2), (cell("seed=1"), 40.0, 2)], concurrency=4) == 160.0


def test_the_planner_knows_the_toy_models(cell):
    known = predict_durations([cell()], [Node(cpus=2, memory_bytes=10**10)])
    assert known[cell().cell_id] > 0


@pytest.mark.parametrize("concurrency", [0, 1])
def test_an_empty_sweep_is_over(concurrency):
    assert Estimate({}).remaining_s([], concurrency=concurrency) == 0.0


def test_a_trained_cell_whose_test_rows_are_scored_is_no_training(cell):
    trained, new = cell("seed=0"), cell("seed=1")
    estimate = Estimate({trained.cell_id: 100.0, new.cell_id: 100.0}, scoring_s={trained.cell_id: 2.0})
    for each in (trained, new):
        estimate.add_waiting(each)
    assert estimate.remaining_s([], concurrency=1) == 102.0
    estimate.remove_waiting(trained)
    estimate.add_finished(trained, 20.0)  # says nothing about trainings
    assert (estimate.expected_s(new), estimate.expected_s(trained)) == (100.0, 20.0)
    assert estimate.expected_s(cell("seed=2")) is None
    estimate.add_finished(new, 50.0)
    assert estimate.expected_s(trained) == 20.0
