"""Predictions beside a record: found only where they are the record's."""

from loretta_core.store.predictions import PREDICTIONS_NAME, Predictions, find_predictions, write_predictions
from loretta_core.store.records import Digests
from tests.loretta_core.report.synthetic import make_cell, make_record

CELL = make_cell("ft")
PREDICTIONS = Predictions(metric="accuracy", test_sha256="t", predictions=(1, 0, 1), right="110")


def written(out, record):
    directory = out / "cells" / CELL.cell_id
    directory.mkdir(parents=True)
    write_predictions(PREDICTIONS, directory)
    return find_predictions(out, {CELL.cell_id: record})


def test_what_is_written_is_found(tmp_path):
    assert written(tmp_path, make_record(CELL, digests=Digests(predictions=PREDICTIONS.sha256))) == {CELL.cell_id: PREDICTIONS}


def test_a_file_that_is_not_the_records_is_left_out(tmp_path):
    assert written(tmp_path, make_record(CELL, digests=Digests(predictions="0" * 64))) == {}


def test_a_changed_file_is_left_out(tmp_path):
    record = make_record(CELL, digests=Digests(predictions=PREDICTIONS.sha256))
    written(tmp_path, record)
    path = tmp_path / "cells" / CELL.cell_id / PREDICTIONS_NAME
    path.write_text(path.read_text().replace("110", "111"))
    assert find_predictions(tmp_path, {CELL.cell_id: record}) == {}


def test_a_record_from_before_predictions_were_kept(tmp_path):
    record = make_record(CELL)
    assert find_predictions(tmp_path, {CELL.cell_id: record}) == {}
