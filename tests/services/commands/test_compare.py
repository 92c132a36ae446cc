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
    rows = json.loads(capsys.readouterr().out)
    assert [(row["cell"]["method"]["type"], row["status"], row["score"]) for row in rows] == [("lora", "finished", 0.9), ("loretta_adp", "finished", 0.9)]


@pytest.mark.parametrize(("form", "begins"), [("markdown", "| model |"), ("latex", r"\begin{tabular}")])
def test_the_table_alone_for_a_paper_or_a_page(form, begins, results, capsys):
    before = contents(results)
    assert cli.main(["compare", "--table", form, "--out", str(results)]) == 0
    assert capsys.readouterr().out.startswith(begins)
    assert contents(results) == before
