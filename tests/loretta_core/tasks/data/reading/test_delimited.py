"""Separators come from the header; quotes enclose cells only where the whole file says so."""

import csv
import io

import pytest

from loretta_core.errors import DataError
from loretta_core.tasks.data.reading.delimited import delimited_rows

COLUMNS = ("text", "label")


def read(text, suffix=".tsv", separator=None, quoting="auto", **more):
    return delimited_rows(text, suffix=suffix, columns=COLUMNS, separator=separator, quoting=quoting, place="a", **more)


def texts(text, **settings):
    return [row["text"] for _, row in read(text, **settings).rows]


def written(rows, quoting=csv.QUOTE_MINIMAL):
    file = io.StringIO()
    csv.writer(file, delimiter="\t", quoting=quoting).writerows([COLUMNS, *rows])
    return file.getvalue()


ROWS = [('say "hi"', 0), ("two\nlines", 1), ("plain, with a comma", 0), ("a\ttab", 1), ("", 0)]


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
def test_what_a_writer_enclosed_comes_back(quoting):
    found = read(written(ROWS, quoting))
    assert [row["text"] for _, row in found.rows] == [text for text, _ in ROWS]
    assert found.told == ['quotes around cells are left out (quoting = "none" keeps them)']


GLUE = [
    'text\tlabel\n"unbalanced\t0\nb\t1\n',
    'text\tlabel\nsay "hi"\t0\n"A whole quotation."\t1\n',
    'text\tlabel\n"A whole quotation."\t1\nb\t0\n',
    'text\tlabel\n"One, two," he said\t1\n"all, of it"\t0\n',
    'text\tlabel\n"One, two."\t1\nThree, four.\t0\n',
]


@pytest.mark.parametrize("text", GLUE)
def test_quotes_that_are_characters_stay(text):
    found = read(text)
    assert [row["text"] for _, row in found.rows] == [line.split("\t")[0] for line in text.splitlines()[1:]]
    assert found.told == []


def test_a_spreadsheet_encloses_cells_with_commas():
    assert texts('text\tlabel\n"One, two."\t1\nThree.\t0\n') == ["One, two.", "Three."]


def test_quoting_can_be_given():
    assert texts('text\tlabel\n"a"\t1\n', quoting="enclosed") == ["a"]
    assert texts(written(ROWS[:1]), quoting="none") == ['"say ""hi"""']
    assert texts('text,label\n"a",1\n', suffix=".csv", quoting="none") == ['"a"']


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_the_header_tells_the_separator(separator):
    found = read(separator.join(["text", "label"]) + "\n" + separator.join(["a, b", "0"]) + "\n", suffix=".csv")
    assert found.rows == [(2, {"text": "a, b", "label": "0"})]
    assert found.told[0].startswith("separated by a ")


def test_a_separator_can_be_given():
    assert texts("text^label\na;b^0\n", suffix=".csv", separator="^") == ["a;b"]


def test_forms_of_spreadsheets():
    assert read("sep=;\ntext;label\na;0\n", suffix=".csv").rows == [(3, {"text": "a", "label": "0"})]
    assert texts("text,label\na,0,,\nb,1\n", suffix=".csv") == ["a", "b"]
    assert texts('text, label\n"a, b", 0\n', suffix=".csv") == ["a, b"]
    assert texts("text\tlabel\ra\t0\rb\t1\r") == ["a", "b"]
    assert texts("text,label\r\n" + "a" * 200_000 + ",0\r\n\r\n", suffix=".csv") == ["a" * 200_000]


def test_a_file_without_a_header():
    assert read("0,a\n1,b\n", suffix=".csv", headless=("label", "text")).rows[0][1] == {"label": "0", "text": "a"}
    assert read("label,text\n1,b\n", suffix=".csv", headless=("label", "text")).rows[0][1] == {"label": "1", "text": "b"}


def test_short_and_long_rows():
    assert read("text\tlabel\na\n").rows == [(2, {"text": "a", "label": None})]
    with pytest.raises(DataError, match=r"a:3: 3 cells, more cells than the header has columns \(2\)"):
        read("text,label\na,1\nb,c,1\n", suffix=".csv")
    with pytest.raises(DataError, match=r"a:2: .*; if quotes belong to the texts, set task.quoting"):
        read('text,label\n"a,1\n', suffix=".csv")
    with pytest.raises(DataError, match=r"a:1: the header names the column 'text' twice"):
        read("text,text\na,1\n", suffix=".csv")


def test_blank_lines_before_the_header():
    assert read("\r\n\ntext,label\na,0\n", suffix=".csv").rows == [(4, {"text": "a", "label": "0"})]
