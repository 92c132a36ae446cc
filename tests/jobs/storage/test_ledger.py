"""The status of cells, from their records: finished, failed, damaged, unknown."""

import json

from jobs.failures.outcome import Outcome
from jobs.storage.failure_record import write_failure
from jobs.storage.ledger import read_status, refresh_status, unfinished
from loretta_core.store.layout import cell_directory
from loretta_core.store.record_files import write_record
from tests.jobs.synthetic import finished_record


def test_a_cell_has_the_status_that_its_record_says(cell, out):
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


def test_a_trial_is_finished_where_no_test_score_is_asked_for_and_unscored_where_one_is(cell, out):
    scored, trial = cell(), cell().model_copy(update={"score_test": False})
    write_record(finished_record(trial), cell_directory(out, trial.cell_id))
    assert list(read_status(out, [trial]).finished) == [trial.cell_id]
    assert unfinished(out, [trial]) == []
    now = read_status(out, [scored])
    assert (now.finished, now.failed, now.damaged, list(now.unscored)) == ({}, {}, {}, [scored.cell_id])
    assert unfinished(out, [scored]) == [scored]

    write_record(finished_record(scored), cell_directory(out, scored.cell_id))
    assert unfinished(out, [scored, trial]) == []
    assert refresh_status(out, [scored], known=now).unscored == {}


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


def test_a_refreshed_status_reads_only_what_was_not_finished(cell, out):
    cells = [cell("seed=0"), cell("seed=1"), cell("seed=2")]
    write_record(finished_record(cells[0]), cell_directory(out, cells[0].cell_id))
    known = read_status(out, cells)
    (cell_directory(out, cells[0].cell_id) / "record.json").unlink()
    write_record(finished_record(cells[1]), cell_directory(out, cells[1].cell_id))
    assert refresh_status(out, cells, known=known).finished.keys() == {cells[0].cell_id, cells[1].cell_id}


def test_a_directory_in_the_place_of_a_record_costs_its_own_cell_and_gives_way_to_the_next_attempt(cell, out):
    good, bad = cell("seed=0"), cell("seed=1")
    write_record(finished_record(good), cell_directory(out, good.cell_id))
    (cell_directory(out, bad.cell_id) / "record.json").mkdir(parents=True)
    now = read_status(out, [good, bad])
    assert (list(now.finished), list(now.damaged)) == ([good.cell_id], [bad.cell_id])
    write_failure(out, bad, Outcome(bad.cell_id, "failed", kind="nan", message="nan"))
    assert list(read_status(out, [good, bad]).failed) == [bad.cell_id]
