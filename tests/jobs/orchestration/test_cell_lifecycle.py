"""Admission, start and outcome of cells: the record decides what became of one, and everything is reported."""

import pytest

from jobs.failures.outcome import Outcome
from jobs.orchestration.cell_lifecycle import CellLifecycle, reconcile
from jobs.orchestration.search_rounds import SearchRounds
from jobs.scheduling.budget import open_account
from jobs.scheduling.resources import Node
from jobs.tracking.shipper import Shipper
from loretta_core.config import SweepConfig
from loretta_core.config.sweep.limits import Budget
from loretta_core.errors import OutputError
from loretta_core.store.early_stops import read_early_stops
from loretta_core.store.layout import cell_directory
from loretta_core.store.record_files import read_record, write_record
from loretta_core.train.sinks import JOURNAL_NAME, JsonlSink
from tests.jobs.synthetic import finished_record

LARGE = """{"model_type": "roberta", "hidden_size": 8192, "num_hidden_layers": 80, "num_attention_heads": 64, "intermediate_size": 28672,
"vocab_size": 50265, "max_position_embeddings": 514}"""


def test_a_finished_cell_has_its_record(cell, out):
    write_record(finished_record(cell()), cell_directory(out, cell().cell_id))
    outcome, record = reconcile(Outcome(cell().cell_id, "finished"), cell=cell(), out=out, name="small")
    assert (outcome.status, record.score.value) == ("finished", 0.9)


@pytest.mark.parametrize("kind", ["nan", "infrastructure"])
def test_a_failure_is_recorded(kind, cell, out):
    outcome, record = reconcile(Outcome(cell().cell_id, "failed", kind=kind, message="why"), cell=cell(), out=out, name="small")
    assert outcome.status == "failed"
    assert record == read_record(cell_directory(out, cell().cell_id))
    assert (record.error.kind, record.error.message) == (kind, "why")


def test_scoring_that_fails_leaves_the_trained_cell_as_it_is(cell, out):
    trained = finished_record(cell().model_copy(update={"score_test": False}))
    write_record(trained, cell_directory(out, cell().cell_id))
    failed = Outcome(cell().cell_id, "failed", kind="config", message="a test text is too long")
    assert reconcile(failed, cell=cell(), out=out, name="small") == (failed, trained)
    assert read_record(cell_directory(out, cell().cell_id)) == trained


def test_an_interruption_leaves_no_record(cell, out):
    outcome, record = reconcile(Outcome(cell().cell_id, "interrupted"), cell=cell(), out=out, name="small")
    assert (outcome.status, record) == ("interrupted", None)
    assert not cell_directory(out, cell().cell_id).exists()


def test_a_process_that_dies_after_its_record_does_not_unmake_it(cell, out):
    write_record(finished_record(cell()), cell_directory(out, cell().cell_id))
    died = Outcome(cell().cell_id, "failed", kind="infrastructure", message="the worker process died")
    outcome, record = reconcile(died, cell=cell(), out=out, name="small")
    assert (outcome.status, outcome.message) == ("finished", "the worker process died")
    assert record == read_record(cell_directory(out, cell().cell_id))
    assert record.status == "finished"


def test_success_without_a_record_is_a_failure_that_names_the_usual_cause(cell, out):
    outcome, record = reconcile(Outcome(cell().cell_id, "finished"), cell=cell(), out=out, name="small")
    assert (outcome.status, outcome.kind) == ("failed", "infrastructure")
    assert "do all nodes of the cluster share" in record.error.message


def test_an_early_stop_is_a_note_of_the_sweep_and_no_record(cell, out):
    journal = JsonlSink(cell_directory(out, cell().cell_id) / JOURNAL_NAME)
    journal.log(0, {"validation_score": 0.5, "share_of_steps": 0.0})
    journal.log(5, {"validation_score": 0.6, "share_of_steps": 0.25})
    journal.close("failed", {})
    stopped = Outcome(cell().cell_id, "stopped", message="others did better")
    assert reconcile(stopped, cell=cell(), out=out, name="small") == (stopped, None)
    assert not (cell_directory(out, cell().cell_id) / "record.json").exists()
    note = read_early_stops(out, name="small")[cell().cell_id]
    assert (note.reason, note.points) == ("others did better", ((0.0, 0.5), (0.25, 0.6)))
    assert read_early_stops(out, name="another sweep") == {}


class Events:
    """Notes the events of a sweep."""

    def __init__(self):
        self.seen = []

    def on_cells_added(self, cells, *, placed, predicted_s, scoring_s, roles):
        self.seen.append(("added", len(cells), len(placed)))

    def on_cell_started(self, cell, *, pack_size):
        self.seen.append(("started", cell.seed, pack_size))

    def on_outcome(self, outcome, record):
        self.seen.append((outcome.status, outcome.kind, record and record.status))

    def on_concurrency_changed(self, concurrency):
        self.seen.append(("concurrency", concurrency))

    def on_message(self, text):
        self.seen.append(("message", text))


class Told(Shipper):
    """Notes what it is told."""

    def cell_started(self, cell):
        self.told = [*getattr(self, "told", []), ("started", cell.seed)]

    def cell_over(self, cell, outcome):
        self.told = [*getattr(self, "told", []), (outcome.status, cell.seed)]


class Mirror:
    """Notes the cells that are sent."""

    def __init__(self):
        self.sent = []

    def send(self, cell_id):
        self.sent.append(cell_id)


@pytest.fixture
def lifecycle(out):
    def make(*cells, budget=None):
        search = SearchRounds(SweepConfig(name="small", cells=cells), out=out)
        node = Node(cpus=4, memory_bytes=8 << 30)
        account = open_account(budget, price=None)
        return CellLifecycle(out=out, search=search, shipper=Told(out=out), account=account, events=Events(), nodes=lambda: [node], mirror=Mirror())

    return make


def test_a_cell_that_no_node_can_hold_is_a_failure(cell, lifecycle, tmp_path):
    (tmp_path / "config.json").write_text(LARGE)
    small, large = cell(), cell(f"model={tmp_path}", "method=ft")
    life = lifecycle(small, large)
    assert [each.cell_id for each in life.add([small, large])] == [small.cell_id]
    assert life.events.seen == [("added", 2, 1), ("failed", "memory", "failed")]
    assert life.placed == 1
    assert life.next_round() is None


def test_a_cell_starts_while_the_budget_allows_it(cell, lifecycle):
    cells = [cell("seed=0"), cell("seed=1")]
    life = lifecycle(*cells, budget=Budget(cells=1))
    life.add(cells)
    assert [life.try_start(each, pack_size=2) for each in cells] == [True, False]
    assert life.events.seen[1:] == [("started", 0, 2)]
    assert life.shipper.told == [("started", 0)]


def test_a_finished_cell_is_reported_and_mirrored(cell, out, lifecycle):
    life = lifecycle(cell())
    life.add([cell()])
    write_record(finished_record(cell()), cell_directory(out, cell().cell_id))
    life.on_outcome(Outcome(cell().cell_id, "finished", seconds=3600.0))
    assert life.events.seen[1:] == [("finished", "", "finished")]
    assert (life.shipper.told, life.mirror.sent, life.account.hours) == ([("finished", 0)], [cell().cell_id], 1.0)
    life.check_room()  # there was enough


def test_full_storage_is_no_failure_of_a_cell_and_no_further_one_starts(cell, lifecycle):
    life = lifecycle(cell())
    life.add([cell()])
    life.on_outcome(Outcome(cell().cell_id, "failed", kind="storage", message="No space left on device"))
    assert life.events.seen == [("added", 1, 1)]
    assert life.shipper.told == [("interrupted", 0)]  # it goes on when there is room
    assert not life.try_start(cell())
    with pytest.raises(OutputError, match="No space left on device; make room and start the same command again"):
        life.check_room()
