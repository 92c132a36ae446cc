"""The output directory: marked, checked, and left alone when it is not ours. Files are replaced whole."""

import json
import os

import pytest

from loretta_core.errors import OutputError
from loretta_core.store.output_dir import OUTPUT_FORMAT, check_output_dir, write_atomically


def test_a_reader_never_sees_half_a_file(tmp_path, monkeypatch):
    path = tmp_path / "x.json"
    write_atomically(path, "old")
    seen = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: (seen.append(path.read_text()), fsync(descriptor)))
    write_atomically(path, "new")
    assert seen == ["old"]  # while the new one was being written
    assert path.read_text() == "new"
    assert names(tmp_path) == ["x.json"]


def test_a_fresh_output_directory_is_marked(tmp_path):
    out = tmp_path / "a" / "b"
    check_output_dir(out)
    assert json.loads((out / "FORMAT.json").read_text()) == {"format": OUTPUT_FORMAT}
    check_output_dir(out)  # and accepted again


@pytest.mark.parametrize("text", ['{"format": 99}', "{}", "[]", "not json", '{"format": "1"}'])
def test_an_output_directory_of_another_version_is_left_alone(tmp_path, text):
    (tmp_path / "FORMAT.json").write_text(text)
    with pytest.raises(OutputError, match=f"this version writes {OUTPUT_FORMAT}; give another one with --out"):
        check_output_dir(tmp_path)
    assert (tmp_path / "FORMAT.json").read_text() == text
    assert names(tmp_path) == ["FORMAT.json"]


def test_somebody_elses_directory_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("42")
    with pytest.raises(OutputError, match="not empty and not an output directory of ours"):
        check_output_dir(tmp_path)
    assert names(tmp_path) == ["thesis.tex"]


def test_a_file_is_no_output_directory(tmp_path):
    file = tmp_path / "file"
    file.write_text("x")
    for path in (file, file / "below"):
        with pytest.raises(OutputError, match="cannot be used as output directory"):
            check_output_dir(path)
    assert file.read_text() == "x"


def names(directory):
    return sorted(path.name for path in directory.iterdir())
