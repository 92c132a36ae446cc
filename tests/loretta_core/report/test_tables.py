"""One table, three forms."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loretta_core.report.tables import Table, comparison_table, to_json, to_markdown, to_text, without_score
from tests.loretta_core.report.synthetic import failed_record, make_cell, make_record, rows_of, write_sweep

NAMES = ("model", "task", "method", "trainer")
NUMBERS = ("trainable parameters", "score", "training time", "peak memory")


def test_columns(out):
    table = comparison_table(rows_of(out, name="quickstart"))
    assert table.columns == (*NAMES, *NUMBERS)
    assert table.numeric == len(NUMBERS)
    assert len(table.body) == 10
    assert table.body[0] == ("toy-bert", "toy_sentiment", "lora", "adam", "16,384", "0.910 ± 0.018", "7.5 s", "612 MiB")


def test_a_failed_and_a_missing_cell_keep_their_lines(out):
    body = comparison_table(rows_of(out, name="quickstart")).body
    assert [line[2:] for line in body[-2:]] == [("ft", "adam", "–", "failed", "–", "–"), ("ft", "zo_sgd", "–", "not run", "–", "–")]


def test_what_varies_becomes_a_column(tmp_path):
    cells = [make_cell("lora", "adam", f"seed={seed}", "batch_size=8") for seed in (0, 1)]
    table = comparison_table(rows_of(write_sweep(tmp_path, records=[(cell, make_record(cell)) for cell in cells])))
    assert table.columns == (*NAMES, "seed", *NUMBERS)
    assert [line[4] for line in table.body] == ["0", "1"]


def test_a_failed_cell_that_was_measured_shows_its_cost(tmp_path):
    cell = make_cell()
    table = comparison_table(rows_of(write_sweep(tmp_path, records=[(cell, make_record(cell, status="failed"))])))
    assert table.body[0][4:] == ("16,384", "failed", "6.4 s", "612 MiB")


def test_reasons_are_listed(out):
    failed, missing = without_score(rows_of(out, name="quickstart"))
    assert failed.startswith("failed: toy-bert · toy_sentiment · ft · adam (")
    assert failed.endswith("): nan: loss is <nan> at step 12")
    assert missing.startswith("not run: toy-bert · toy_sentiment · ft · zo_sgd (")
    assert "start the sweep again" in missing


def test_no_rows():
    table = comparison_table([])
    assert to_text(table).splitlines()[0].split() == " ".join((*NAMES, *NUMBERS)).split()
    assert len(to_markdown(table).splitlines()) == 2
    assert json.loads(to_json([])) == []


cells = st.text(st.characters(blacklist_categories=("Cs", "Cc", "Mn", "Cf", "Zl", "Zp")), max_size=12)


@given(st.lists(st.tuples(cells, cells, cells), min_size=1, max_size=5))
def test_text_is_aligned(body):
    table = Table(columns=("name", "kind", "number"), body=tuple(body), numeric=1)
    header, rule, *lines = to_text(table).split("\n")
    widths = [len(part) for part in rule.split("  ")]
    assert len(lines) == len(body)
    for line, (first, second, third) in zip([header, *lines], [table.columns, *body], strict=True):
        padded = line.ljust(sum(widths) + 4)
        assert padded[: widths[0]] == first.ljust(widths[0])
        assert padded[widths[0] + 2 :][: widths[1]] == second.ljust(widths[1])
        assert padded[widths[0] + widths[1] + 4 :] == third.rjust(widths[2])


def test_markdown_aligns_numbers_and_escapes():
    text = to_markdown(Table(columns=("a", "n"), body=(("x | y\nz", "1"),), numeric=1))
    assert text == "| a | n |\n| --- | ---: |\n| x \\| y z | 1 |"


@given(st.lists(st.lists(st.text(max_size=8), min_size=3, max_size=3), max_size=4))
def test_markdown_has_one_line_a_row_and_the_same_number_of_columns(body):
    lines = to_markdown(Table(columns=("a", "b", "c"), body=tuple(map(tuple, body)), numeric=1)).splitlines()
    assert len(lines) == 2 + len(body)
    assert all(line.replace("\\|", "").count("|") == 4 for line in lines)


@pytest.mark.parametrize("message", ["ä – 'quoted' \"twice\" <b>", "two\nlines"])
def test_json_keeps_every_character(tmp_path, message):
    cell = make_cell()
    rows = rows_of(write_sweep(tmp_path, records=[(cell, failed_record(cell, message=message))]))
    (content,) = json.loads(to_json(rows))
    assert content["reason"] == f"nan: {message}"
    assert content["score"] is None
