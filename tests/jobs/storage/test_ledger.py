"""Records decide what is done: finished, failed, damaged, unknown."""

import json

import pytest

from jobs.failures.outcome import Outcome
from jobs.storage.ledger import archive_cells, read_status, refresh_status, resolve_cell_ids, unfinished, write_failure
from loretta_core.errors import ConfigError
from loretta_core.store.layout import cell_directory
from loretta_core.store.record_files import read_record, write_record
from tests.jobs.synthetic import finished_record


def test_a_cell_stands_where_its_record_says(cell, out):
    new, finished, failed, torn, edited = cells = [cell(f"seed={seed}") for seed in range(5)]
    write_record(finished_record(finished), cell_directory(out, finished.cell_id))
    write_failure(out, failed, Outcome(failed.cell_id, "failed", kind="nan", message="nan"))
    for broken in (torn, edited):
        path = write_record(finished_record(broken), cell_directory(out, broken.cell_id))
        path.write_text(path.read_text()[:-20] if broken is torn else path.read_text().replace("0.9", "0.99"))

    now = read_status(out, cells)
    assert list(now.finished) == [finished.cell_id]
    assert list(now.failed) == [failed.cell_id]
    assert "not a complete record" in now.damaged.pop(torn.cell_id)
    assert "does not match its sha256" in now.damaged.pop(edited.cell_id)
    assert now.damaged == {}
    assert unfinished(out, cells) == [new, failed, torn, edited]


def test_a_record_of_another_format_is_not_taken_for_finished(cell, out):
    directory = cell_directory(out, cell().cell_id)
    path = write_record(finished_record(cell()), directory)
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 999}))
    assert "format 999, this version reads 1" in read_status(out, [cell()]).damaged[cell().cell_id]


def test_only_the_cells_that_were_asked_for(cell, out):
    write_record(finished_record(cell("seed=1")), cell_directory(out, cell("seed=1").cell_id))
    assert read_status(out, [cell()]).finished == {}


def test_reading_an_output_directory_that_does_not_exist_creates_nothing(cell, tmp_path):
    assert unfinished(tmp_path / "absent", [cell()]) == [cell()]
    assert not (tmp_path / "absent").exists()


def test_a_failure_is_recorded_with_its_traceback_beside_it(cell, out):
    outcome = Outcome(cell().cell_id, "failed", kind="error", message="KeyError: 'a bug'", trace="Traceback …", seconds=90.0)
    write_failure(out, cell(), outcome)
    directory = cell_directory(out, cell().cell_id)
    record = read_record(directory)
    assert (record.status, record.error.kind, record.error.message, record.cost.wall_s) == ("failed", "error", "KeyError: 'a bug'", 90.0)
    assert record.cell == cell().to_dict()
    assert record.started_at < record.finished_at
    assert (directory / "error.txt").read_text() == "Traceback …"


def test_the_traceback_of_an_earlier_failure_does_not_stay_beside_a_later_one(cell, out):
    cell_id = cell().cell_id
    write_failure(out, cell(), Outcome(cell_id, "failed", kind="error", message="KeyError", trace="Traceback …"))
    write_failure(out, cell(), Outcome(cell_id, "failed", kind="nan", message="the loss is nan at step 3"))
    assert not (cell_directory(out, cell_id) / "error.txt").exists()


def test_a_cell_set_aside_is_unfinished_and_nothing_of_it_is_lost(cell, out):
    cells = [cell("seed=1"), cell("seed=2")]
    for each in cells:
        write_record(finished_record(each), cell_directory(out, each.cell_id))
    archive_cells(out, resolve_cell_ids(cells, [cells[0].cell_id[:8]]))
    assert unfinished(out, cells) == [cells[0]]
    (kept,) = (out / "replaced").iterdir()
    assert read_record(kept).cell_id == cells[0].cell_id
    archive_cells(out, [cells[0]])  # nothing there any more


@pytest.mark.parametrize(("text", "count"), [("", "no cell"), ("xyz", "no cell")])
def test_a_name_that_is_no_cell(text, count, cell):
    with pytest.raises(ConfigError, match=f"--rerun {text}: {count} of this sweep"):
        resolve_cell_ids([cell()], [text])


def test_a_second_look_reads_only_what_was_not_finished(cell, out):
    cells = [cell("seed=0"), cell("seed=1"), cell("seed=2")]
    write_record(finished_record(cells[0]), cell_directory(out, cells[0].cell_id))
    known = read_status(out, cells)
    (cell_directory(out, cells[0].cell_id) / "record.json").unlink()
    write_record(finished_record(cells[1]), cell_directory(out, cells[1].cell_id))
    assert refresh_status(out, cells, known=known).finished.keys() == {cells[0].cell_id, cells[1].cell_id}
