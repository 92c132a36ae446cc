"""Rows of JSON, however they are arranged."""

import json

import pytest

from loretta_core.errors import DataError
from loretta_core.tasks.data.reading.json_rows import json_rows

ROWS = [{"text": "a\u2028b", "label": 0}, {"text": "c", "label": 1}]
FORMS = {
    "lines": "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS),
    "one line": json.dumps(ROWS),
    "many lines": json.dumps(ROWS, indent=2),
    "held by an object": json.dumps({"version": "1", "data": ROWS}),
    "held by an object on many lines": json.dumps({"version": "1", "data": ROWS}, indent=1),
    "columns as lists": json.dumps({"text": [row["text"] for row in ROWS], "label": [0, 1]}),
    "columns as pandas writes them": json.dumps({"text": {"0": ROWS[0]["text"], "1": "c"}, "label": {"0": 0, "1": 1}}, indent=1),
    "a table by names": json.dumps({"one": ROWS[0], "two": ROWS[1]}),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_rows(form):
    assert [row for _, row in json_rows(FORMS[form], "a", columns=("text", "label"))] == ROWS


def test_one_row_on_one_line_is_a_row():
    only = {"text": "a", "spans": [{"start": 0}], "label": 1}
    assert json_rows(json.dumps(only), "a", columns=("text",)) == [(1, only)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1}\n{"a": }', "a:2: not JSON"),
        ('[{"a": 1},\n{"a" 2}]', "a:2: not JSON"),
        ('{\n"a": 1\n}', "a: one JSON object with a"),
        ('{"a": 1}\n{"a": ' + "9" * 5000 + "}", "a:2: a number of thousands of digits"),
        ("[" * 100_000, "a: lists or objects nested too deeply"),
    ],
)
def test_what_is_not_json_has_a_line(text, message):
    with pytest.raises(DataError, match=message):
        json_rows(text, "a", columns=("text",))
