"""What an outcome leaves behind: the record decides."""

import pytest

from jobs.failures.outcome import Outcome
from jobs.orchestration import cell_lifecycle
from jobs.orchestration.cell_lifecycle import settle
from jobs.tracking.mlflow_setup import Tracking
from loretta_core.store.early_stops import read_early_stops
from loretta_core.store.layout import cell_directory
from loretta_core.store.record_files import read_record, write_record
from loretta_core.train.sinks import JOURNAL_NAME, JsonlSink
from tests.jobs.synthetic import finished_record

NOWHERE = Tracking("", "", "")


@pytest.fixture
def closed(monkeypatch) -> list[str]:
    """Kinds of failure whose MLflow run was ended from outside."""
    kinds: list[str] = []
    monkeypatch.setattr(cell_lifecycle, "close_run", lambda tracking, cell, outcome, directory: kinds.append(outcome.kind))
    return kinds


def test_a_finished_cell_has_its_record(cell, out, closed):
    write_record(finished_record(cell()), cell_directory(out, cell().cell_id))
    outcome, record = settle(Outcome(cell().cell_id, "finished"), cell=cell(), out=out, name="small", tracking=NOWHERE)
    assert (outcome.status, record.score.value, closed) == ("finished", 0.9, [])


@pytest.mark.parametrize(("kind", "ended_from_outside"), [("nan", []), ("infrastructure", ["infrastructure"])])
def test_a_failure_is_recorded(kind, ended_from_outside, cell, out, closed):
    outcome, record = settle(Outcome(cell().cell_id, "failed", kind=kind, message="why"), cell=cell(), out=out, name="small", tracking=NOWHERE)
    assert outcome.status == "failed"
    assert record == read_record(cell_directory(out, cell().cell_id))
    assert (record.error.kind, record.error.message) == (kind, "why")
    assert closed == ended_from_outside


def test_an_interruption_leaves_no_record(cell, out, closed):
    outcome, record = settle(Outcome(cell().cell_id, "interrupted"), cell=cell(), out=out, name="small", tracking=NOWHERE)
    assert (outcome.status, record) == ("interrupted", None)
    assert not cell_directory(out, cell().cell_id).exists()


def test_a_process_that_dies_after_its_record_does_not_unmake_it(cell, out, closed):
    write_record(finished_record(cell()), cell_directory(out, cell().cell_id))
    died = Outcome(cell().cell_id, "failed", kind="infrastructure", message="the worker process died")
    outcome, record = settle(died, cell=cell(), out=out, name="small", tracking=NOWHERE)
    assert (outcome.status, outcome.message) == ("finished", "the worker process died")
    assert record == read_record(cell_directory(out, cell().cell_id))
    assert record.status == "finished"


def test_success_without_a_record_is_a_failure_that_names_the_usual_cause(cell, out, closed):
    outcome, record = settle(Outcome(cell().cell_id, "finished"), cell=cell(), out=out, name="small", tracking=NOWHERE)
    assert (outcome.status, outcome.kind) == ("failed", "infrastructure")
    assert "do all nodes of the cluster share" in record.error.message


def test_an_early_stop_is_a_note_of_the_sweep_and_no_record(cell, out, closed):
    journal = JsonlSink(cell_directory(out, cell().cell_id) / JOURNAL_NAME)
    journal.log(0, {"validation_score": 0.5, "share_of_steps": 0.0})
    journal.log(5, {"validation_score": 0.6, "share_of_steps": 0.25})
    journal.close("failed", {})
    stopped = Outcome(cell().cell_id, "stopped", message="others did better")
    assert settle(stopped, cell=cell(), out=out, name="small", tracking=NOWHERE) == (stopped, None)
    assert not (cell_directory(out, cell().cell_id) / "record.json").exists()
    note = read_early_stops(out, name="small")[cell().cell_id]
    assert (note.reason, note.points) == ("others did better", ((0.0, 0.5), (0.25, 0.6)))
    assert read_early_stops(out, name="another sweep") == {}
