"""Durations, estimates and deadlines do not come from the wall clock, which people and servers set while a sweep runs."""

import ast
import re
import time

import pytest

from jobs.console.reporter import SweepReporter
from jobs.failures.outcome import Outcome
from jobs.scheduling.budget import Account
from loretta_core.config.sweep.limits import Budget
from tests.jobs.synthetic import WILD_CLOCK, finished_record
from tests.jobs.test_sweep import place, run, shared
from tests.paths import ROOT

AGES = {"jobs/execution/connection/session_directory.py": 1, "jobs/storage/lock.py": 1, "services/queries/sweep_progress.py": 2}
"""Subtractions from the wall clock that are meant: ages of files of other processes. The first is only a hint (`_is_refreshed`), the other is display."""


def test_the_wall_clock_stamps_and_measures_nothing():
    found = {
        path.relative_to(ROOT).as_posix(): _differences(ast.parse(path.read_text())) for room in ("jobs", "services") for path in (ROOT / room).rglob("*.py")
    }
    assert {name: number for name, number in found.items() if number} == AGES


def _differences(tree):
    """Subtractions and comparisons with the wall clock on either side, directly or through a name."""
    names = {
        target.id for node in ast.walk(tree) if isinstance(node, ast.Assign) and _is_now(node.value) for target in node.targets if isinstance(target, ast.Name)
    }

    def wall(node):
        return _is_now(node) or (isinstance(node, ast.Name) and node.id in names)

    pairs = [(node.left, node.right) for node in ast.walk(tree) if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub)]
    pairs += [(node.left, node.comparators[0]) for node in ast.walk(tree) if isinstance(node, ast.Compare)]
    return sum(any(wall(side) for side in pair) and not _is_duration(pair[1]) for pair in pairs)


def _is_now(node):
    return isinstance(node, ast.Call) and ast.unparse(node.func) in ("time.time", "datetime.now", "datetime.utcnow")


def _is_duration(node):
    """`now - timedelta(…)` is another stamp."""
    return isinstance(node, ast.Call) and ast.unparse(node.func) == "timedelta"


@pytest.mark.parametrize("jump_s", [-86400.0, 86400.0])
def test_a_step_of_the_wall_clock_changes_no_duration(jump_s, cell, monkeypatch, capsys):
    cells = [cell(f"seed={seed}") for seed in range(3)]
    reporter, account = SweepReporter(cells), Account(Budget(hours=1))
    reporter.on_cells_added(cells, placed=cells, predicted_s=dict.fromkeys((each.cell_id for each in cells), 1.0), scoring_s={}, roles={})
    reporter.on_cell_started(cells[0])
    clock = time.time
    monkeypatch.setattr(time, "time", lambda: clock() + jump_s)
    reporter.on_outcome(Outcome(cells[0].cell_id, "finished", seconds=2.0), finished_record(cells[0]))
    account.charge(cells[0], seconds=2.0)
    assert "in 2 s; about 4 s left" in capsys.readouterr().out
    assert account.spent == ""


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.parametrize("executor", ["inline", "train"])
def test_a_sweep_under_a_clock_that_jumps(executor, tmp_path, head):
    here = place(tmp_path, 300, 301, 302, 303)  # 1.5 s each
    ran = run([*here.command, "--set", f"executor={executor}", "--set", "budget.hours=1"], {**shared(head), WILD_CLOCK: "1"})
    assert ran.code == 0, ran.output + ran.errors
    assert {record.status for record in here.records.values()} == {"finished"}
    took = [float(seconds) for seconds in re.findall(r"accuracy 0.900 in ([\d.]+) s", ran.output)]
    assert len(took) == 4
    assert max(took) < 60
    assert not re.search(r"\d h \d\d min", ran.output)
    assert [len(here.attempts(seed)) for seed in range(300, 304)] == [1] * 4
