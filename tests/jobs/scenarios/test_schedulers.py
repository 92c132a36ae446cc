"""A budget and early stopping in whole sweeps of synthetic cells whose validation score is known."""

from pathlib import Path

import pytest

from loretta_core.report.compare import compare
from loretta_core.store.early_stops import read_early_stops
from tests.jobs.test_sweep import Place, place, run, shared

pytestmark = [pytest.mark.ray]

RULES = ["--set", "executor=inline", "--max-concurrent", "1", "--set", "early_stopping.keep=2", "--set", "early_stopping.first=0.4"]


def stopped(here: Place) -> set[int]:
    notes = read_early_stops(here.out, name="synthetic")
    return {seed for seed, cell in here.cells.items() if cell.cell_id in notes}


def finished(here: Place) -> set[int]:
    return {seed for seed, record in here.records.items() if record.status == "finished"}


@pytest.mark.integration
def test_worse_cells_end_early_and_the_budget_leaves_the_rest(tmp_path, head):
    here = place(tmp_path, 203, 202, 201, 200)
    ran = run([*here.command, *RULES, "--set", "budget.cells=3"], shared(head))
    assert ran.code == 0, ran.errors
    assert (finished(here), stopped(here)) == ({203}, {202, 201})
    assert "stopped early: after 40 % of its steps its validation score, 0.202, was number 2 of the 2 first-order cells" in ran.output
    assert "budget.cells = 3 is spent: 1 cell not begun" in ran.output
    assert [row.status for row in compare(here.out, name="synthetic").rows] == ["finished", "stopped early", "stopped early", "not run"]
    assert "counts as finished nowhere" in ran.output


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["inline", "train"])
def test_a_stop_holds_for_the_sweep_and_for_nobody_else(executor, tmp_path, head):
    here = place(tmp_path, 203, 202)
    rules = [*RULES, "--set", f"executor={executor}"]
    assert run([*here.command, *rules], shared(head)).code == 0
    assert (finished(here), stopped(here)) == ({203}, {202})

    again = run([*here.command, *rules], shared(head))
    assert (again.code, "1 of 2 cells finished, 1 stopped early, nothing to run" in again.output) == (0, True), again.output
    assert len(here.attempts(202)) == 1

    other = Place(Path(tmp_path / "other.toml"), here.out)
    other.file.write_text(here.file.read_text())
    elsewhere = run(other.command, shared(head))
    assert (elsewhere.code, "1 of 2 cells finished, 1 to run" in elsewhere.output) == (0, True), elsewhere.output
    assert finished(here) == {203, 202}
    assert [row.status for row in compare(here.out, name="synthetic").rows] == ["finished", "finished"]  # finished is finished, here too
