"""`loretta compare`: a table for people, JSON, and the table alone."""

import json

import pytest

from services import cli
from tests.services.conftest import contents


def test_compare_needs_a_sweep(tmp_path, results, capsys):
    assert cli.main(["compare", "--out", str(tmp_path / "absent")]) == 2
    assert "no such output directory" in capsys.readouterr().err
    assert not (tmp_path / "absent").exists()
    assert cli.main(["compare", "other", "--out", str(results)]) == 2
    assert f"no sweep 'other' in {results}. Sweeps there: small" in capsys.readouterr().err
    (results / "sweeps" / "small" / "sweep.json").unlink()
    assert cli.main(["compare", "--out", str(results)]) == 2
    assert "no sweep was started there yet" in capsys.readouterr().err


def test_the_comparison_as_json_has_every_cell(results, capsys):
    assert cli.main(["compare", "--json", "--out", str(results)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found.keys() == {"verdicts", "contenders", "cells"}
    assert [each["kind"] for each in found["verdicts"]] == ["validation only"]
    rows = found["cells"]
    assert [(row["cell"]["method"]["type"], row["status"], row["score"]) for row in rows] == [("lora", "finished", 0.9), ("loretta_adp", "finished", 0.9)]


@pytest.mark.parametrize(("form", "begins", "table"), [("markdown", "**Highest on", "\n| model |"), ("latex", r"\textbf{Highest on", "\n\\begin{tabular}")])
def test_verdict_and_table_for_a_paper_or_a_page(form, begins, table, results, capsys):
    before = contents(results)
    assert cli.main(["compare", "--table", form, "--out", str(results)]) == 0
    said = capsys.readouterr().out
    assert said.startswith(begins)
    assert table in said
    assert contents(results) == before


def test_the_verdict_comes_first_and_the_table_is_by_contender_or_by_cell(results, capsys):
    assert cli.main(["compare", "--out", str(results)]) == 0
    contenders = capsys.readouterr().out
    assert cli.main(["compare", "--cells", "--out", str(results)]) == 0
    cells = capsys.readouterr().out
    assert contenders.startswith("Highest on validation")
    assert cells.startswith("Highest on validation")
    assert "lora · adam" in contenders
    assert "lora · adam" not in cells
