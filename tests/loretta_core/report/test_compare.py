"""A sweep, compared: the files it writes, the text it prints, and that it can be repeated at any time."""

import json
import os

import pytest

from loretta_core.errors import OutputError
from loretta_core.report.compare import compare, write_comparison
from loretta_core.store.predictions import PREDICTIONS_NAME
from tests.loretta_core.report.synthetic import bits, make_cell, make_record, write_replicates, write_sweep

FILES = [
    "figures/score_against_parameters.svg",
    "figures/score_against_time.svg",
    "figures/training_loss.svg",
    "report.html",
    "sweep.json",
    "table.json",
    "table.md",
    "verdict.json",
]


def files(out, name="quickstart"):
    directory = out / "sweeps" / name
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_what_is_written(out):
    comparison = write_comparison(out, name="quickstart")
    assert sorted(files(out)) == FILES
    assert comparison.report == out / "sweeps" / "quickstart" / "report.html"
    rows = json.loads(files(out)["table.json"])
    assert [row["method"] for row in rows][-2:] == ["ft", "ft"]
    assert rows == json.loads(comparison.json)["cells"]
    verdict = json.loads(files(out)["verdict.json"])
    assert verdict == {key: value for key, value in json.loads(comparison.json).items() if key != "cells"}
    assert [each["contender"] for each in verdict["contenders"]][-2:] == ["ft · adam", "ft · zo_sgd"]
    assert files(out)["table.md"].decode() == comparison.markdown()


def test_the_same_records_give_the_same_files(out):
    write_comparison(out, name="quickstart")
    before = files(out)
    write_comparison(out, name="quickstart")
    assert files(out) == before


def test_comparing_writes_nothing(out):
    before = files(out)
    compare(out, name="quickstart")
    assert files(out) == before


def test_text_for_the_terminal(out):
    text = compare(out, name="quickstart").text
    lines = text.splitlines()
    assert lines[0].startswith("Highest on validation, not a verdict: ")
    assert lines.index("") == next(index for index, line in enumerate(lines) if line.startswith("model")) - 1
    assert len([line for line in lines if line.startswith("toy-bert")]) == 10
    assert "Best" not in text
    assert "failed: toy-bert · toy_sentiment · ft · adam" in text
    assert lines[-2] == f"report with figures: {out}/sweeps/quickstart/report.html"
    assert lines[-1] == f"MLflow UI on this data: loretta serve --out {out}"


def test_markdown_for_a_readme(out):
    answer, more, table, failures = compare(out, name="quickstart").markdown().split("\n\n")
    assert answer.startswith("**Highest on validation")
    assert all(line.startswith("- ") for line in more.splitlines())
    assert len(table.splitlines()) == 12
    assert [line.split(":")[0] for line in failures.splitlines()] == ["- failed", "- not run"]


def test_while_the_sweep_runs(tmp_path):
    """A report with a part of the records, then with all of them."""
    cells = [make_cell("lora"), make_cell("ft")]
    out = write_sweep(tmp_path, records=[(cell, None) for cell in cells])
    assert write_comparison(out, name="sweep").missing
    assert sorted(files(out, "sweep")) == ["report.html", "sweep.json", "table.json", "table.md", "verdict.json"]
    write_sweep(tmp_path, records=[(cell, make_record(cell)) for cell in cells])
    comparison = write_comparison(out, name="sweep")
    assert not comparison.missing
    assert sorted(files(out, "sweep")) == FILES


def test_a_writer_that_is_killed_leaves_the_old_report(out, monkeypatch):
    write_comparison(out, name="quickstart")
    before = files(out)["report.html"]
    replaced = []

    def crash(descriptor):
        replaced.append(descriptor)
        if len(replaced) == 7:  # three figures, the verdict, two tables, the page
            raise KeyboardInterrupt

    cell = make_cell("ft", "zo_sgd")
    write_sweep(out, name="other", records=[(cell, make_record(cell))])
    monkeypatch.setattr(os, "fsync", crash)
    with pytest.raises(KeyboardInterrupt):
        write_comparison(out, name="quickstart")
    assert files(out)["report.html"] == before


@pytest.mark.parametrize("damage", ["", "{}", '{"metric": "x"}'])
def test_a_seed_with_a_damaged_file_is_told_and_does_not_count(tmp_path, damage):
    cells = [make_cell(method, "adam", f"seed={seed}") for method in ("ft", "lora") for seed in range(3)]
    out = write_replicates(tmp_path / "out", cells, [bits(90), bits(91), bits(92), bits(60), bits(61), bits(62)])
    (out / "cells" / cells[4].cell_id / PREDICTIONS_NAME).write_text(damage)
    found = compare(out, name="sweep")
    (reason,) = found.damaged.values()
    assert f"{cells[4].cell_id}/{PREDICTIONS_NAME}: damaged" in reason
    assert all(reason in said for said in (found.text, found.findings.verdicts[0].unknown[0], json.loads(found.json)["cells"][-1]["reason"]))
    assert {each["contender"]: each["seeds"] for each in found.findings.contenders_json()} == {"ft · adam": 3, "lora · adam": 2}


def test_records_are_shared_between_sweeps(out):
    """A cell that another sweep ran is finished here too."""
    cell = make_cell("ft", "zo_sgd")
    write_sweep(out, name="other", records=[(cell, make_record(cell))])
    assert [row.status for row in compare(out, name="quickstart").rows].count("not run") == 0


def test_an_unknown_sweep(out):
    with pytest.raises(OutputError, match=r"no sweep 'x'.*Sweeps there: quickstart"):
        write_comparison(out, name="x")
    assert not (out / "sweeps" / "x").exists()
