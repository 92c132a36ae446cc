"""The example that reads results with pandas, on made-up records."""

import json

import pytest

from jobs.examples.results_with_pandas import cells, curves, main
from loretta_core.report.compare import write_comparison
from tests.loretta_core.report.synthetic import failed_record, make_cell, make_record, write_sweep


@pytest.fixture
def out(tmp_path):
    made = [make_cell("lora", "adam", f"seed={seed}") for seed in range(3)]
    records = [(made[0], make_record(made[0], correct=900)), (made[1], make_record(made[1], correct=800)), (made[2], failed_record(made[2]))]
    write_sweep(tmp_path, records=records, name="three")
    write_comparison(tmp_path, name="three")
    for cell in made[:2]:
        lines = [{"step": step, "train_loss": 1 / step} for step in (1, 2, 4)]
        (tmp_path / "cells" / cell.cell_id / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return tmp_path


def test_every_cell_is_a_row(out):
    table = cells(out, "three")
    assert sorted(table["status"]) == ["failed", "finished", "finished"]
    assert sorted(table["cell.seed"]) == [0, 1, 2]


def test_curves_are_those_of_the_cells_that_have_any(out):
    table = curves(out, list(cells(out, "three")["cell_id"]))
    assert table.groupby("cell_id")["train_loss"].min().tolist() == [0.25, 0.25]
    assert curves(out, ["absent"]).empty


def test_the_mean_over_seeds_is_printed(out, capsys):
    main(out, "three")
    printed = capsys.readouterr().out
    assert "0.85" in printed
    assert "0.25" in printed
