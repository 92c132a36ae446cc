"""The lines of a running sweep."""

import pytest

from jobs.console.reporter import SweepReporter, duration, names
from jobs.failures.outcome import Outcome
from tests.jobs.synthetic import finished_record


@pytest.mark.parametrize(("seconds", "text"), [(0.04, "0.0 s"), (0.4, "0.4 s"), (21, "21 s"), (59.6, "1 min 00 s"), (200, "3 min 20 s"), (7500, "2 h 05 min")])
def test_duration(seconds, text):
    assert duration(seconds) == text


def test_lines_count_what_is_over(cell, capsys):
    cells = [cell("seed=0"), cell("seed=1"), cell("seed=2"), cell("seed=3")]
    reporter = SweepReporter(cells, over=1)
    reporter.on_outcome(Outcome(cells[1].cell_id, "finished", seconds=21), finished_record(cells[1]))
    reporter.on_outcome(Outcome(cells[2].cell_id, "interrupted"), None)
    reporter.on_outcome(Outcome(cells[3].cell_id, "failed", kind="nan", message="the loss is nan at step 3"), None)
    assert capsys.readouterr().out.splitlines() == [
        "[2/4] toy-bert · toy_sentiment · lora · adam · seed 1: accuracy 0.900 in 21 s",
        "[3/4] toy-bert · toy_sentiment · lora · adam · seed 3: failed (nan): the loss is nan at step 3",
    ]
    assert (reporter.over, reporter.failed) == (3, 1)


def test_a_trial_has_a_validation_score_only(cell, capsys):
    trial = cell().model_copy(update={"score_test": False})
    SweepReporter([trial]).on_outcome(Outcome(trial.cell_id, "finished", seconds=21), finished_record(trial))
    assert capsys.readouterr().out.endswith("seed 0: validation accuracy 0.900 in 21 s\n")


def test_names_tell_cells_apart_by_what_varies(cell):
    cells = [cell(f"trainer.lr={lr}", f"batch_size={size}", f"method.r={r}") for lr, size, r in ((1e-3, 8, 8), (1e-2, 8, 8), (1e-3, 16, 8), (1e-3, 8, 4))]
    shown = names(cells)
    assert len(set(shown.values())) == 4
    assert "batch_size=16" in shown[cells[2].cell_id]


def test_names_say_nothing_that_all_cells_share(cell):
    assert list(names([cell("batch_size=8", "seed=0"), cell("batch_size=8", "seed=1")]).values()) == [
        f"toy-bert · toy_sentiment · lora · adam · seed {seed}" for seed in (0, 1)
    ]


def test_a_cell_with_a_role_is_named_by_it(cell, capsys):
    trial = cell().model_copy(update={"score_test": False})
    reporter = SweepReporter([trial])
    role = {trial.cell_id: "trial 3 of 8 of lora · adam"}
    reporter.on_cells_added([trial], placed=[trial], predicted_s={}, scoring_s={}, roles=role)
    reporter.on_cell_started(trial)
    assert reporter.snapshot().rows[0][0] == "trial 3 of 8 of lora · adam"
    reporter.on_outcome(Outcome(trial.cell_id, "finished", seconds=21), finished_record(trial))
    assert capsys.readouterr().out == "[1/1] trial 3 of 8 of lora · adam: validation accuracy 0.900 in 21 s\n"
