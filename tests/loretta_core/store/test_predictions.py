"""Predictions beside a record: found only where they are the record's, and told where they are not."""

import hashlib

import pytest

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
    found = written(tmp_path, make_record(CELL, digests=Digests(predictions=PREDICTIONS.sha256)))
    assert (found.predictions, found.damaged) == ({CELL.cell_id: PREDICTIONS}, {})


def test_a_file_that_is_not_the_records_is_damaged(tmp_path):
    found = written(tmp_path, make_record(CELL, digests=Digests(predictions="0" * 64)))
    assert (found.predictions, "does not have the sha256" in found.damaged[CELL.cell_id]) == ({}, True)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: path.write_text(path.read_text().replace("110", "111")), "it does not have the sha256 that its record says"),
        (lambda path: path.write_text(path.read_text()[:20]), "it does not have the sha256 that its record says"),
        (lambda path: path.unlink(), "missing, though the record has its digest"),
        (lambda path: (path.unlink(), path.mkdir()), "cannot be read: Is a directory"),
    ],
)
def test_damage_is_told_with_the_file_and_what_to_do(tmp_path, damage, reason):
    record = make_record(CELL, digests=Digests(predictions=PREDICTIONS.sha256))
    written(tmp_path, record)
    path = tmp_path / "cells" / CELL.cell_id / PREDICTIONS_NAME
    damage(path)
    found = find_predictions(tmp_path, {CELL.cell_id: record})
    assert found.predictions == {}
    assert found.damaged == {CELL.cell_id: f"{path}: damaged ({reason}); delete record.json beside it to run the cell again"}


def test_a_file_with_a_right_digest_and_unknown_fields_is_of_another_version(tmp_path):
    path = tmp_path / "cells" / CELL.cell_id / PREDICTIONS_NAME
    path.parent.mkdir(parents=True)
    path.write_text('{"metric": "accuracy"}')
    record = make_record(CELL, digests=Digests(predictions=hashlib.sha256(path.read_bytes()).hexdigest()))
    assert "written by another version" in find_predictions(tmp_path, {CELL.cell_id: record}).damaged[CELL.cell_id]


def test_a_record_from_before_predictions_were_kept(tmp_path):
    record = make_record(CELL)
    found = find_predictions(tmp_path, {CELL.cell_id: record})
    assert (found.predictions, found.damaged) == ({}, {})
