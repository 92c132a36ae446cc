"""Files that hold no rows are refused in one line that says what they are."""

import pytest

from loretta_core.errors import DataError
from loretta_core.tasks.data.reading.files import read_rows

BAD = {
    "a workbook": ("a.xlsx", b"PK\x03\x04abc", r"a.xlsx: an archive or a workbook \(ZIP\); .* save the sheet as .csv"),
    "no suffix": ("a", b"text,label\nb,0\n", r"a: its suffix '' tells no format, and it is not JSON; expected one of .jsonl"),
    "a value": ("a.json", b"5", r"a.json:1: the row is 5; expected an object with the columns text, label"),
    "names with blanks": ("a.jsonl", b'{" text": "b", "label": 0}', r"a.jsonl:1: no column 'text'; columns there: ' text', label"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_file_of_rows(kind, tmp_path):
    name, content, message = BAD[kind]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_rows(tmp_path / name, columns=("text", "label"))


def test_a_directory(tmp_path):
    with pytest.raises(DataError, match=r"a directory; expected a file, a list of files, or a pattern"):
        read_rows(tmp_path, columns=("text",))
