"""One attempt at a cell inside a worker: whatever happens, an outcome comes back."""

import time

import pytest
import ray

from jobs.execution import worker
from jobs.execution.group_comm import SingleProcess
from jobs.execution.worker import StopCheck, attempt
from jobs.execution.worker_config import WorkerConfig
from jobs.failures import preemption
from jobs.failures.outcome import Interrupted, Preempted
from loretta_core.store.layout import cell_directory
from tests.jobs import synthetic


class Queue:
    """Stands in for the actor: calls answer at once."""

    def __init__(self, *, interrupted: bool = False) -> None:
        self.is_interrupted = self
        self.interrupted = interrupted
        self.asked = 0

    def remote(self) -> bool:
        self.asked += 1
        return self.interrupted


@pytest.fixture(autouse=True)
def _answers_are_there(monkeypatch):
    monkeypatch.setattr(ray, "get", lambda answer: answer)


@pytest.fixture
def compute(out):
    """Attempt a cell without MLflow."""

    def run(the_cell, function=synthetic.run_cell):
        return attempt(the_cell.cell_id, the_cell.to_json(), config=WorkerConfig(out=out), compute=function, interrupts=Queue(), ranks=SingleProcess())

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


def test_a_running_cell_ends_when_the_sweep_is_stopped(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    queue = Queue(interrupted=True)
    stop = StopCheck(queue, SingleProcess(), every_s=1.0)
    assert [stop(step) for step in range(1000)] == [None] * 1000
    assert queue.asked == 0  # not at every step
    now[0] += 1.0
    reason = stop(1000)
    assert isinstance(reason, Interrupted)
    assert str(reason) == "the sweep was stopped at step 1000"


def test_a_running_cell_goes_on_while_nobody_stops_the_sweep(monkeypatch):
    queue = Queue()
    stop = StopCheck(queue, SingleProcess(), every_s=0.0)
    assert [stop(step) for step in range(3)] == [None] * 3
    assert queue.asked == 3


def test_a_running_cell_ends_at_the_step_after_sigterm_without_asking_anybody(monkeypatch):
    queue = Queue(interrupted=True)
    stop = StopCheck(queue, SingleProcess(), every_s=0.0)
    monkeypatch.setattr(preemption, "told", lambda: True)
    assert isinstance(stop(7), Preempted)
    assert queue.asked == 0


def test_a_cell_that_comes_after_sigterm_is_given_back(cell, out, compute, monkeypatch):
    monkeypatch.setattr(preemption, "told", lambda: True)
    outcome = compute(cell())
    assert (outcome.status, outcome.kind, outcome.message) == ("failed", "preempted", "SIGTERM at step 0")
    assert not cell_directory(out, cell().cell_id).exists()


def test_a_worker_starts_where_the_driver_was_and_imports_the_function_it_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    monkeypatch.setattr(preemption, "listen", lambda: None)
    monkeypatch.setattr("torch.set_num_threads", lambda threads: tmp_path.joinpath(str(threads)).touch())
    assert worker.set_up(WorkerConfig(out=tmp_path, home=tmp_path, threads=3, run_cell="tests.jobs.synthetic:run_cell")) is synthetic.run_cell
    assert tmp_path.joinpath("3").exists()
    assert tmp_path.samefile(".")
