"""What an outcome leaves behind: the record decides."""

import pytest

from jobs import driver
from jobs.driver import settle
from jobs.ledger import cell_directory
from jobs.outcome import Outcome
from jobs.tracking_db import Tracking
from loretta_core.report.records import read_record, write_record
from tests.jobs.synthetic import finished_record

NOWHERE = Tracking("", "", "")


@pytest.fixture
def closed(monkeypatch) -> list[str]:
    """Kinds of failure whose MLflow run was ended from outside."""
    kinds: list[str] = []
    monkeypatch.setattr(driver, "close_run", lambda tracking, cell, outcome, directory: kinds.append(outcome.kind))
    return kinds


def test_a_finished_cell_has_its_record(cell, out, closed):
    write_record(finished_record(cell()), cell_directory(out, cell().cell_id))
    outcome, record = settle(Outcome(cell().cell_id, "finished"), cell=cell(), out=out, tracking=NOWHERE)
    assert (outcome.status, record.score, closed) == ("finished", 0.9, [])


@pytest.mark.parametrize(("kind", "ended_from_outside"), [("nan", []), ("infrastructure", ["infrastructure"])])
def test_a_failure_is_recorded(kind, ended_from_outside, cell, out, closed):
    outcome, record = settle(Outcome(cell().cell_id, "failed", kind=kind, message="why"), cell=cell(), out=out, tracking=NOWHERE)
    assert outcome.status == "failed"
    assert record == read_record(cell_directory(out, cell().cell_id))
    assert (record.error.kind, record.error.message) == (kind, "why")
    assert closed == ended_from_outside


def test_an_interruption_leaves_no_record(cell, out, closed):
    outcome, record = settle(Outcome(cell().cell_id, "interrupted"), cell=cell(), out=out, tracking=NOWHERE)
    assert (outcome.status, record) == ("interrupted", None)
    assert not cell_directory(out, cell().cell_id).exists()


def test_a_process_that_dies_after_its_record_does_not_unmake_it(cell, out, closed):
    write_record(finished_record(cell()), cell_directory(out, cell().cell_id))
    died = Outcome(cell().cell_id, "failed", kind="infrastructure", message="the worker process died")
    outcome, record = settle(died, cell=cell(), out=out, tracking=NOWHERE)
    assert (outcome.status, outcome.message) == ("finished", "the worker process died")
    assert record == read_record(cell_directory(out, cell().cell_id))
    assert record.status == "finished"


def test_success_without_a_record_is_a_failure_that_names_the_usual_cause(cell, out, closed):
    outcome, record = settle(Outcome(cell().cell_id, "finished"), cell=cell(), out=out, tracking=NOWHERE)
    assert (outcome.status, outcome.kind) == ("failed", "infrastructure")
    assert "do all nodes of the cluster share" in record.error.message
