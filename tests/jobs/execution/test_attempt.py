"""One attempt at a cell: whatever happens, an outcome comes back."""

import pytest

from jobs.execution.attempt import attempt
from jobs.execution.group_comm import SingleProcess
from jobs.execution.stop_check import StopFlag
from jobs.execution.worker_config import WorkerConfig
from jobs.failures import preemption
from loretta_core.store.layout import cell_directory
from tests.jobs import synthetic


@pytest.fixture
def compute(out):
    """Attempt a cell without MLflow."""

    def run(the_cell, function=synthetic.run_cell, *, asha=None, stops_scored=True):
        config = WorkerConfig(out=out, asha_actor=asha, stops_scored=stops_scored)
        return attempt(the_cell.cell_id, the_cell.to_json(), config=config, compute=function, interrupts=StopFlag(), comm=SingleProcess())

    return run


def test_a_cell_that_ends_well(cell, out, compute):
    outcome = compute(cell())
    assert (outcome.cell_id, outcome.status) == (cell().cell_id, "finished")
    assert (cell_directory(out, cell().cell_id) / "record.json").is_file()


@pytest.mark.parametrize(
    ("seed", "kind", "message"), [(synthetic.FAILING_SEED, "nan", "the loss is nan at step 3"), (synthetic.BROKEN_SEED, "error", "KeyError: 'a bug'")]
)
def test_every_exception_is_an_outcome(seed, kind, message, cell, compute):
    outcome = compute(cell(f"seed={seed}"))
    assert (outcome.status, outcome.kind, outcome.message) == ("failed", kind, message)
    assert ("KeyError" in outcome.trace) == (kind == "error")


def test_the_traceback_of_an_earlier_attempt_is_gone(cell, out, compute):
    trace = cell_directory(out, cell().cell_id) / "error.txt"
    trace.parent.mkdir(parents=True)
    trace.write_text("Traceback …")
    compute(cell())
    assert not trace.exists()


def test_a_cell_that_comes_after_sigterm_is_given_back(cell, out, compute, monkeypatch):
    monkeypatch.setattr(preemption, "preemption_requested", lambda: True)
    outcome = compute(cell())
    assert (outcome.status, outcome.kind, outcome.message) == ("failed", "preempted", "SIGTERM at step 0")
    assert not cell_directory(out, cell().cell_id).exists()


class Strict:
    def report_score(self, cell_json: str, *, share: float, score: float) -> str:
        return "others do better"


def test_early_stopping_ends_trials_and_no_replicates(cell, compute):
    replicate = cell(f"seed={synthetic.RANKED_SEEDS[0]}")
    trial = replicate.model_copy(update={"score_test": False})
    assert compute(trial, asha=Strict(), stops_scored=False).status == "stopped"
    assert compute(replicate, asha=Strict(), stops_scored=False).status == "finished"


def test_a_cell_that_early_stopping_ends_is_stopped(cell, compute):
    outcome = compute(cell(f"seed={synthetic.RANKED_SEEDS[0]}"), asha=Strict())
    assert (outcome.status, outcome.message) == ("stopped", "others do better")
