"""Scores by lm-evaluation-harness stand below the table and in the JSON of the cells that have some."""

from loretta_core.report.compare import compare
from loretta_core.report.harness_notes import harness_lines
from loretta_core.store.record_files import read_record, write_record
from loretta_core.store.records import HarnessScores
from tests.loretta_core.report.synthetic import make_cell, make_record, write_sweep

SCORES = HarnessScores(
    metrics={"acc": 0.75, "acc_stderr": 0.125, "exact_match,strict": 0.5, "exact_match_stderr,strict": 0.25, "ppl": 3.0},
    rows=12,
    harness="0.4.13",
    evaluated_at="2026-01-02T03:04:05+00:00",
)


def test_a_line_for_each_metric():
    lines = ["small acc 0.7500 ± 0.1250 (12 rows)", "small exact_match,strict 0.5000 ± 0.2500 (12 rows)", "small ppl 3.0000 (12 rows)"]
    assert harness_lines({"small": SCORES}) == lines
    assert harness_lines({"group": HarnessScores(metrics={"acc": 1.0}, harness="0", evaluated_at="")}) == ["group acc 1.0000"]


def test_a_comparison_shows_them(tmp_path):
    cells = [make_cell(method="lora"), make_cell(method="bitfit")]
    write_sweep(tmp_path, records=[(cell, make_record(cell)) for cell in cells])
    without = compare(tmp_path, name="sweep")
    assert not any("harness" in line for line in without.remarks)
    directory = tmp_path / "cells" / cells[0].cell_id
    write_record(read_record(directory).model_copy(update={"evaluations": {"small": SCORES}}), directory)
    found = compare(tmp_path, name="sweep")
    assert any(line.startswith("lm-evaluation-harness, ") and line.endswith("small acc 0.7500 ± 0.1250 (12 rows)") for line in found.remarks)
    assert found.json.count('"evaluations"') == 1
