"""The record of a failed cell, and the traceback beside it."""

from jobs.failures.outcome import Outcome
from jobs.storage.failure_record import clear_stale_outputs, write_failure
from loretta_core.store.layout import ARRIVED_NAME, cell_directory
from loretta_core.store.record_files import read_record


def test_a_failure_is_recorded_with_its_traceback_beside_it(cell, out):
    outcome = Outcome(cell().cell_id, "failed", kind="error", message="KeyError: 'a bug'", trace="Traceback …", seconds=90.0)
    write_failure(out, cell(), outcome)
    directory = cell_directory(out, cell().cell_id)
    record = read_record(directory)
    assert (record.status, record.error.kind, record.error.message, record.cost.wall_s) == ("failed", "error", "KeyError: 'a bug'", 90.0)
    assert record.cell == cell().to_dict()
    assert record.started_at < record.finished_at
    assert (directory / "error.txt").read_text() == "Traceback …"


def test_a_new_attempt_has_a_journal_that_is_not_in_mlflow_yet(cell, out):
    directory = cell_directory(out, cell().cell_id)
    directory.mkdir(parents=True)
    (directory / ARRIVED_NAME).write_text("{}")
    clear_stale_outputs(out, cell().cell_id)
    assert not (directory / ARRIVED_NAME).exists()


def test_the_traceback_of_an_earlier_failure_does_not_stay_beside_a_later_one(cell, out):
    cell_id = cell().cell_id
    write_failure(out, cell(), Outcome(cell_id, "failed", kind="error", message="KeyError", trace="Traceback …"))
    write_failure(out, cell(), Outcome(cell_id, "failed", kind="nan", message="the loss is nan at step 3"))
    assert not (cell_directory(out, cell_id) / "error.txt").exists()
