"""Texts come out of bytes whatever their encoding; what is guessed is told."""

import gzip

import pytest

from loretta_core.errors import DataError
from loretta_core.tasks.data.reading.encodings import decode, read_bytes

WESTERN = "text,label\nla maîtresse a été déçue, “vraiment”,0\nça va,1\n"
RUSSIAN = "текст и ещё немного слов, чтобы было понятно\nочень хорошая вещь, мне понравилось\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_marks_and_utf_8_need_no_guess(encoding):
    assert decode(WESTERN.encode(encoding), encoding=None, place="a") == (WESTERN, None)


def test_utf_16_without_a_mark():
    assert decode(b"t\0e\0x\0t\0\n\0", encoding=None, place="a") == ("text\n", None)
    assert decode(b"\0t\0e\0x\0t\0\n", encoding=None, place="a") == ("text\n", None)


@pytest.mark.parametrize(("text", "encoding"), [(WESTERN, "cp1252"), (RUSSIAN, "cp1251"), ("h\xe9llo there\nbad thing\n", "latin-1")])
def test_a_guess_is_told(text, encoding):
    read, guess = decode(text.encode(encoding), encoding=None, place="a")
    assert read == text
    assert guess is not None


def test_a_given_encoding_is_used():
    assert decode(WESTERN.replace("“vraiment”", "").encode("mac-roman"), encoding="mac-roman", place="a")[0] == WESTERN.replace("“vraiment”", "")
    with pytest.raises(DataError, match=r"a.csv:2: not ascii .*set task.encoding"):
        decode("ab\né".encode(), encoding="ascii", place="a.csv")
    with pytest.raises(DataError, match=r"task.encoding = 'latin-99' is no encoding that Python knows"):
        decode(b"a", encoding="latin-99", place="a")


def test_gzip_is_known_by_its_bytes(tmp_path):
    (tmp_path / "a.csv").write_bytes(gzip.compress(b"text"))
    assert read_bytes(tmp_path / "a.csv") == b"text"
    (tmp_path / "b.csv").write_bytes(gzip.compress(b"text" * 100)[:-9])
    with pytest.raises(DataError, match=r"b.csv: cannot be read: "):
        read_bytes(tmp_path / "b.csv")
