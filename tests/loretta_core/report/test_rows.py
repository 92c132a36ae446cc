"""Cells joined with records: the order, the state of each, and the numbers behind them."""

import json
import random

import pytest

from loretta_core.report.rows import NOT_SCORED, ResultRow, damaged_cells
from loretta_core.report.tables import old_cells
from loretta_core.store.records import Failure, Score
from tests.loretta_core.report.synthetic import failed_record, make_cell, make_record, rows_of, write_sweep

LORA, FT, ADAPTERS = (make_cell(method) for method in ("lora", "ft", "adapters"))


def test_best_score_first_and_missing_last(tmp_path):
    records = [(LORA, make_record(LORA, correct=800)), (ADAPTERS, failed_record(ADAPTERS)), (FT, make_record(FT, correct=900))]
    rows = rows_of(write_sweep(tmp_path, records=records))
    assert [row.cell for row in rows] == [FT, LORA, ADAPTERS]
    assert [row.status for row in rows] == ["finished", "finished", "failed"]
    assert [row.score for row in rows] == [0.9, 0.8, None]


def test_a_score_of_zero_is_a_score(tmp_path):
    rows = rows_of(write_sweep(tmp_path, records=[(FT, None), (LORA, make_record(LORA, correct=0))]))
    assert [(row.cell, row.score) for row in rows] == [(LORA, 0.0), (FT, None)]


def test_tasks_keep_the_order_of_the_sweep(tmp_path):
    """Scores of different tasks do not compare."""
    easy, hard = (make_cell("lora", "adam", f"task.data_seed={seed}") for seed in (1, 0))
    rows = rows_of(write_sweep(tmp_path, records=[(hard, make_record(hard, correct=600)), (easy, make_record(easy, correct=990))]))
    assert [row.cell for row in rows] == [hard, easy]


def test_equal_scores_keep_the_order_of_the_sweep(tmp_path):
    cells = [make_cell("lora", "adam", f"seed={seed}") for seed in random.Random(0).sample(range(100), 8)]
    assert [row.cell for row in rows_of(write_sweep(tmp_path, records=[(cell, make_record(cell)) for cell in cells]))] == cells


def test_a_trial_whose_test_score_is_wanted_is_still_to_be_run(tmp_path):
    trial = make_record(LORA).model_copy(update={"score": Score(validation=0.9)})
    (wanted,) = rows_of(write_sweep(tmp_path / "a", records=[(LORA, trial)]))
    (judged,) = rows_of(write_sweep(tmp_path / "b", records=[(LORA.model_copy(update={"score_test": False}), trial)]))
    assert (wanted.status, wanted.reason, wanted.score) == ("not run", NOT_SCORED, None)
    assert (judged.status, judged.reason, judged.score) == ("finished", "", None)


def test_reasons(tmp_path):
    unknown = make_record(ADAPTERS, status="failed", error=None)
    records = [(FT, None), (LORA, failed_record(LORA, kind="memory", message="out of memory")), (ADAPTERS, unknown)]
    reasons = {row.cell: row.reason for row in rows_of(write_sweep(tmp_path, records=records))}
    assert reasons == {FT: "not run yet, or interrupted; start the sweep again to run it", LORA: "memory: out of memory", ADAPTERS: "failed without a reason"}


def test_a_failed_cell_has_no_score_even_if_it_reached_one(tmp_path):
    record = make_record(LORA, status="failed", error=Failure(kind="nan", message="late"))
    (row,) = rows_of(write_sweep(tmp_path, records=[(LORA, record)]))
    assert (row.score, row.reason) == (None, "nan: late")


def test_a_damaged_file_takes_its_cell_out_with_the_reason():
    cell = make_cell("lora")
    row = ResultRow(cell.cell_id, cell, {}, record=make_record(cell), damage="x/predictions.json: damaged")
    assert (row.status, row.score, row.reason) == ("damaged", None, "x/predictions.json: damaged")
    assert (row.to_json()["status"], row.to_json()["reason"]) == ("damaged", "x/predictions.json: damaged")


def test_a_finished_cell_does_not_need_the_note_of_its_early_stop():
    valid = {"a": make_record(LORA), "b": failed_record(LORA)}
    assert damaged_cells(valid, records={"c": "r"}, predictions={"d": "p"}, stops={"a": "s", "b": "s", "c": "s"}) == {"b": "s", "c": "r", "d": "p"}


def test_a_cell_whose_settings_have_another_id_by_now_is_old():
    row = ResultRow("0" * 16, LORA, {}, record=make_record(LORA))
    assert (row.old, row.to_json()["old"]) == (True, True)
    (line,) = old_cells([row])
    assert line.startswith("old: 1 of 1 cell is of an earlier schema: shown as recorded, not taken for finished by a sweep that starts now")
    current = ResultRow(LORA.cell_id, LORA, {}, record=make_record(LORA))
    assert ("old" in current.to_json(), old_cells([current])) == (False, [])


@pytest.mark.parametrize(("more", "name"), [((), "toy-bert · toy_sentiment · lora · adam"), (("seed=1",), "toy-bert · toy_sentiment · lora · adam · seed 1")])
def test_the_name_says_what_varies(tmp_path, more, name):
    cells = [make_cell("lora", "adam", *more), make_cell("lora")] if more else [LORA]
    rows = rows_of(write_sweep(tmp_path, records=[(cell, None) for cell in cells]))
    assert rows[0].name == name


def test_json_has_unrounded_numbers_and_every_setting(tmp_path):
    record = make_record(LORA, correct=1, rows=3, warnings=["slow"])
    (row,) = rows_of(write_sweep(tmp_path, records=[(LORA, record)]))
    content = json.loads(json.dumps(row.to_json()))
    assert content["score"] == 1 / 3
    assert content["cell"] == LORA.to_dict()
    assert content["warnings"] == ["slow"]
    assert (content["status"], content["reason"]) == ("finished", None)
    assert [content[name] for name in ("score_low", "score_high", "test_rows")] == [record.score.low, record.score.high, record.score.rows]
    assert [content[name] for name in ("trainable_params", "train_seconds", "peak_memory_bytes", "forwards")] == [16_384, 6.4, 612 * 2**20, 300]
    assert content["inputs_sha256"] == record.digests.inputs
