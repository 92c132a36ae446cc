"""The thread that supplies sinks: nobody waits for it, and a store that is away, or one bad cell, holds up nothing else."""

import threading
import time

import pytest

from jobs.failures.outcome import Outcome
from jobs.tracking import shipper as shipper_module
from jobs.tracking.shipper import Shipper
from loretta_core.store.layout import cell_directory
from loretta_core.store.notes.sent import Sent, note_sent


class Store:
    """A sink that notes what arrives; cells with a seed in `bad` never do, and nothing does while it is `away`."""

    name, to = "mlflow", "somewhere"

    def __init__(self, *, away=False, bad=(), slow=None):
        self.away, self.bad, self.slow = away, bad, slow
        self.arrived, self.asked, self.published = [], 0, []

    def open_cell(self, cell):
        return CellStore(self, cell)

    def begin(self):
        self._ask()

    def publish(self, comparison, *, complete):
        self._ask()
        self.published.append((comparison, complete))

    def _ask(self):
        self.asked += 1
        if self.slow:
            self.slow.wait(10)
        if self.away:
            raise ConnectionError


class CellStore:
    def __init__(self, store, cell):
        self.store, self.cell, self.problem = store, cell, ""

    def flush(self):
        self.store.arrived.append(("flushed", self.cell.seed))

    def end_run(self, outcome):
        self.problem = "away" if self.store.away or self.cell.seed in self.store.bad else ""
        self.store.asked += 1
        if not self.problem:
            self.store.arrived.append((outcome.status, self.cell.seed))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(shipper_module, "POLL_S", 0.01)


def over(cell, status="finished"):
    return Outcome(cell.cell_id, status)


def test_what_is_over_is_sent_and_the_sweep_is_published_last(cell, out):
    store = Store()
    shipper = Shipper([store], out=out)
    for seed in range(3):
        shipper.cell_started(cell(f"seed={seed}"))
        shipper.cell_over(cell(f"seed={seed}"), over(cell(f"seed={seed}")))
    assert shipper.finish(None, complete=True) == []
    assert store.arrived == [("finished", 0), ("finished", 1), ("finished", 2)]
    assert store.published == [(None, True)]


def test_finished_cells_that_are_there_already_are_not_sent(cell, out):
    directory = cell_directory(out, cell().cell_id)
    directory.mkdir(parents=True)
    note_sent(directory, Sent(sink="mlflow", to="somewhere", sweep="small"))
    store = Store()
    shipper = Shipper([store], out=out)
    shipper.send_missing([cell(), cell("seed=1")], sweep="small")
    assert shipper.finish(None, complete=True) == []
    assert store.arrived == [("finished", 1)]


def test_running_cells_are_flushed_once_they_have_begun(cell, out, monkeypatch):
    monkeypatch.setattr(shipper_module, "FLUSH_S", 0.0)
    (cell_directory(out, cell().cell_id)).mkdir(parents=True)
    (cell_directory(out, cell().cell_id) / "metrics.jsonl").touch()
    store = Store()
    shipper = Shipper([store], out=out)
    for seed in range(2):
        shipper.cell_started(cell(f"seed={seed}"))
    deadline = time.monotonic() + 10
    while ("flushed", 0) not in store.arrived and time.monotonic() < deadline:
        time.sleep(0.01)
    shipper.finish(None, complete=False)
    assert set(store.arrived) == {("flushed", 0)}  # the other waits for a worker


def test_a_store_that_is_away_is_asked_rarely_and_costs_the_other_nothing(cell, out):
    away, there = Store(away=True), Store()
    shipper = Shipper([away, there], out=out)
    for seed in range(20):
        shipper.cell_over(cell(f"seed={seed}"), over(cell()))
    (problem,) = shipper.finish(None, complete=True)
    assert problem == "mlflow at somewhere: it does not answer (ConnectionError); `loretta sync`, or the same command, sends what is missing there"
    assert away.asked <= 3
    assert len(there.arrived) == 20


def test_a_cell_that_cannot_be_sent_does_not_hold_up_the_others(cell, out):
    store = Store(bad={0})
    shipper = Shipper([store], out=out)
    for seed in range(4):
        shipper.cell_over(cell(f"seed={seed}"), over(cell()))
    (problem,) = shipper.finish(None, complete=True)
    assert "mlflow at somewhere: away" in problem
    assert [seed for _, seed in store.arrived] == [1, 2, 3]


def test_the_end_does_not_wait_for_a_store_that_hangs(cell, out):
    hanging = threading.Event()
    shipper = Shipper([Store(slow=hanging)], out=out)
    began = time.monotonic()
    shipper.cell_over(cell(), over(cell()))
    (problem,) = shipper.finish(None, complete=True, patience_s=0.1)
    hanging.set()
    assert time.monotonic() - began < 5
    assert "it is slow" in problem


def test_without_sinks_there_is_nothing_to_do(cell, out):
    shipper = Shipper(out=out)
    shipper.cell_over(cell(), over(cell()))
    assert shipper.finish(None, complete=True) == []
