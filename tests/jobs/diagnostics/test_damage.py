"""What the doctor finds in the files of cells; `tests/services/scenarios/test_damage.py` damages every file of a directory."""

import shutil

from jobs.diagnostics.damage import RUN_AGAIN, damage_findings
from loretta_core.store.layout import cell_directory
from loretta_core.store.record_files import write_record
from tests.jobs.synthetic import finished_record


def problems(out):
    return [(finding.what, finding.text, finding.advice) for finding in damage_findings(out) if finding.state == "problem"]


def test_an_empty_directory_is_healthy(out):
    assert {(finding.state, finding.text) for finding in damage_findings(out)} == {("ok", "none is damaged, of 0")}


def test_the_record_of_another_cell_is_found(cell, out):
    here, there = (cell_directory(out, cell(f"seed={seed}").cell_id) for seed in (0, 1))
    write_record(finished_record(cell("seed=0")), here)
    shutil.copytree(here, there)
    ((what, text, advice),) = problems(out)
    assert (what, advice) == ("record", RUN_AGAIN)
    assert text == f"{there}/record.json: damaged (it is the record of cell {here.name}, not of {there.name}); delete it to run the cell again"


def test_a_file_in_the_place_of_a_cell_is_found(cell, out):
    path = cell_directory(out, cell().cell_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("")
    (path.parent / "notes.txt").write_text("no cell")
    ((what, text, _),) = problems(out)
    assert (what, f"{path}/record.json: damaged (cannot be read: Not a directory)" in text) == ("record", True)


def test_a_deleted_adapter_is_found(cell, out):
    directory = cell_directory(out, cell().cell_id)
    write_record(finished_record(cell()).model_copy(update={"adapter": "adapter"}), directory)
    assert problems(out) == [("adapter", f"{directory}/adapter: damaged (it has no weights, *.safetensors)", RUN_AGAIN)]


def test_a_journal_with_a_torn_line_in_its_middle_is_whole(cell, out):
    """A process was killed while it wrote, and another one went on."""
    directory = cell_directory(out, cell().cell_id)
    write_record(finished_record(cell()), directory)
    (directory / "metrics.jsonl").write_text('{"step": 1, "ti{"step": 1, "time": 1.0}\n{"status": "finished"}\n')
    assert problems(out) == []
    (directory / "metrics.jsonl").write_text('{"step": 1, "time": 1.0}\n{"status": "fin')
    ((what, text, _),) = problems(out)
    assert (what, text) == ("journal", f"{directory}/metrics.jsonl: damaged (its last line is not one of a journal)")


def test_settings_of_an_earlier_version_are_not_damaged(cell, out):
    directory = cell_directory(out, cell().cell_id)
    directory.mkdir(parents=True)
    (directory / "cell.json").write_text('{"model": "m", "task": "t", "method": "m", "trainer": "t", "gone": 1}')
    assert problems(out) == []
