"""Notes on costs below a comparison."""

import json

import pytest

from loretta_core.report.compare import compare
from loretta_core.report.cost_notes import cost_notes, memory_ratio, step_ratio
from loretta_core.store.records import PackInfo
from tests.loretta_core.report.synthetic import make_cell, make_record, rows_of, write_sweep


def test_nothing_predicted_and_nothing_packed_needs_no_note(out):
    assert cost_notes(rows_of(out, name="quickstart")) == []
    record = make_record(make_cell())
    assert (memory_ratio(record), step_ratio(record)) == (None, None)


def test_measured_over_predicted(tmp_path):
    cells = [make_cell("lora"), make_cell("ft")]
    predicted = [{"predicted_peak_memory_bytes": 306 * 2**20, "step_s": 0.03, "predicted_step_s": 0.02}, {"predicted_peak_memory_bytes": 612 * 2**20}]
    records = [make_record(cell, cost=cost) for cell, cost in zip(cells, predicted, strict=True)]
    assert [memory_ratio(record) for record in records] == [2.0, 1.0]
    assert step_ratio(records[0]) == pytest.approx(1.5)
    rows = rows_of(write_sweep(tmp_path, records=list(zip(cells, records, strict=True))))
    assert cost_notes(rows) == ["measured / predicted: peak memory 1.50 (1.00 to 2.00), step time 1.50 (1.50 to 1.50) (median, range over 2 cells)"]


def test_cells_that_were_computed_together_are_shown_like_others_with_a_remark(out):
    cells = [make_cell("lora"), make_cell("adapters"), make_cell("ft")]
    pack = PackInfo(pack_id="0123456789ab", cells=2)
    records = [make_record(cells[0], pack=pack), make_record(cells[1], pack=pack), make_record(cells[2])]
    write_sweep(out, records=list(zip(cells, records, strict=True)), name="packed")
    comparison = compare(out, name="packed")
    assert "2 cells were computed in 1 pack: the time of such a cell is its share" in comparison.text
    assert {(row["method"], row["pack_id"], row["pack_cells"]) for row in json.loads(comparison.json)["cells"]} == {
        ("lora", "0123456789ab", 2),
        ("adapters", "0123456789ab", 2),
        ("ft", None, None),
    }
