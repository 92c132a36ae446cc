"""Paired tests in a comparison: only comparable cells are compared, and the page says what they found."""

import json

import pytest

from loretta_core.report.compare import compare, write_comparison
from loretta_core.report.headlines import headlines
from loretta_core.store.predictions import PREDICTIONS_NAME, Predictions, write_predictions
from loretta_core.store.record_files import write_record
from loretta_core.store.records import Digests
from tests.loretta_core.report.synthetic import bits, make_cell, make_record, write_sweep

BEST, CLOSE, FAR = make_cell("ft"), make_cell("lora"), make_cell("adapters")


def sweep(tmp_path, rights, *, tests="t"):
    """Three cells with given rows right; `tests` names the test rows of each."""
    cells = [BEST, CLOSE, FAR]
    records = []
    for cell, right in zip(cells, rights, strict=True):
        records.append((cell, make_record(cell, correct=right.count("1"), rows=len(right))))
    out = write_sweep(tmp_path / "out", records=records)
    for (cell, record), right, test in zip(records, rights, tests * 3 if len(tests) == 1 else tests, strict=False):
        found = Predictions(metric="accuracy", test_sha256=test, predictions=tuple(map(int, right)), right=right)
        write_predictions(found, out / "cells" / cell.cell_id)
        write_record(record.model_copy(update={"digests": Digests(predictions=found.sha256)}), out / "cells" / cell.cell_id)
    return out


def test_the_comparison_says_which_cells_cannot_be_told_apart(tmp_path):
    out = sweep(tmp_path, [bits(90), bits(88), bits(60)])
    found = compare(out, name="sweep")
    best, close, far = found.rows
    assert best.paired is None
    assert close.paired.difference == pytest.approx(-0.02)
    assert close.paired.p == pytest.approx(0.5)
    assert far.paired.p < 1e-7
    assert "Not told apart from it row by row (paired test, p ≥ 0.05): lora with adam, of 2 others." in found.text
    page = write_comparison(out, name="sweep").report.read_text()
    assert "against best" in page
    assert "−0.020, p 0.500" in page
    assert "−0.300, p &lt; 0.001" in page
    assert [row.get("paired_p") is None for row in json.loads(found.json)] == [True, False, False]


def test_when_all_are_worse_it_says_so(tmp_path):
    found = compare(sweep(tmp_path, [bits(90), bits(50), bits(40)]), name="sweep")
    assert "Row by row, all 2 others are worse (paired test, p < 0.05)." in found.text


def test_a_sorted_or_filtered_table_names_the_same_best(tmp_path):
    """The page sorts by any column, and its filters can hide the cell that the others were tested against."""
    best, close, far = compare(sweep(tmp_path, [bits(90), bits(88), bits(60)]), name="sweep").rows
    assert headlines([far, close, best]) == headlines([best, close, far])
    (alone,) = headlines([far, close])
    assert alone.startswith("Best on toy_sentiment: lora with adam, accuracy 0.880")
    assert "paired" not in alone


def test_other_rows_are_not_paired(tmp_path):
    found = compare(sweep(tmp_path, [bits(90), bits(88), bits(60)], tests="tuu"), name="sweep")
    assert [row.paired for row in found.rows] == [None, None, None]
    assert "row by row" not in found.text


@pytest.mark.parametrize("damage", ["", "{}", '{"metric": "x"}'])
def test_a_cell_with_a_damaged_file_is_told_and_not_compared(tmp_path, damage):
    out = sweep(tmp_path, [bits(90), bits(88), bits(60)])
    (out / "cells" / CLOSE.cell_id / PREDICTIONS_NAME).write_text(damage)
    found = compare(out, name="sweep")
    assert [(row.cell_id == CLOSE.cell_id, row.status, row.paired is None) for row in found.rows][1:] == [(False, "finished", False), (True, "damaged", True)]
    (reason,) = found.damaged.values()
    assert f"{CLOSE.cell_id}/{PREDICTIONS_NAME}: damaged" in reason
    assert all(reason in said for said in (found.text, found.markdown, json.loads(found.json)[2]["reason"]))
