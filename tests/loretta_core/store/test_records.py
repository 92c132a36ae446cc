"""Records: written whole or not at all, read only when they are what was written."""

import json
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loretta_core.errors import OutputError
from loretta_core.store.records import FORMAT, Failure, Record, check_output_dir, find_records, read_record, write_atomically, write_record
from tests.loretta_core.report.synthetic import make_cell, make_record

CELL = make_cell()
numbers = st.none() | st.floats(allow_nan=False, allow_infinity=False)
points = st.lists(st.tuples(st.integers(0, 10**6), st.floats(allow_nan=False, allow_infinity=False)), max_size=5)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(score=numbers, message=st.text(), warnings=st.lists(st.text(), max_size=3), curves=st.dictionaries(st.text(), points, max_size=3))
def test_round_trip(tmp_path, score, message, warnings, curves):
    record = make_record(CELL, score=score, warnings=warnings, curves=curves, error=Failure(kind="nan", message=message))
    write_record(record, tmp_path)
    assert read_record(tmp_path) == record


def test_a_record_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    old = make_record(CELL)
    write_record(old, tmp_path)

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_record(make_record(CELL, correct=1), tmp_path)
    monkeypatch.undo()
    assert read_record(tmp_path) == old


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


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[: len(text) // 2], "damaged"),
        (lambda text: "", "damaged"),
        (lambda text: "[]", "damaged"),
        (lambda text: "7", "damaged"),
        (lambda text: text.replace('"score": 0.9,', '"score": 0.99,'), "does not match its sha256"),
        (lambda text: text.replace('"content_sha256"', '"digest"'), "damaged"),
        (lambda text: text.replace(f'"format": {FORMAT}', f'"format": {FORMAT + 1}'), f"format {FORMAT + 1}, this version reads {FORMAT}"),
    ],
)
def test_damaged_records_are_refused(tmp_path, damage, message):
    path = write_record(make_record(CELL), tmp_path)
    text = path.read_text()
    assert damage(text) != text
    path.write_text(damage(text))
    with pytest.raises(OutputError, match=message) as error:
        read_record(tmp_path)
    assert str(path) in str(error.value)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    path = write_record(make_record(CELL), tmp_path)
    path.write_bytes(b"\xff\xfe\x00" + path.read_bytes())
    with pytest.raises(OutputError, match="damaged"):
        read_record(tmp_path)


def test_fields_of_another_version_are_refused(tmp_path):
    """A record with a right digest and a field that this version does not know."""
    from loretta_core.store.records import _digest

    content = {**make_record(CELL).model_dump(mode="json"), "novelty": 1}
    (tmp_path / "record.json").write_text(json.dumps({**content, "content_sha256": _digest(content)}))
    with pytest.raises(OutputError, match="not a record"):
        read_record(tmp_path)


def test_a_missing_record_is_named(tmp_path):
    with pytest.raises(OutputError, match=r"record\.json: no such record"):
        read_record(tmp_path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_json_does_not_have_survive(tmp_path, value):
    """A curve that diverged is a result like any other."""
    write_record(make_record(CELL, curves={"train_loss": [(1, value)]}), tmp_path)
    assert str(read_record(tmp_path).curves["train_loss"][0][1]) == str(value)


def test_find_records_leaves_out_what_is_damaged_or_missing(tmp_path):
    good, bad = make_cell("lora"), make_cell("ft")
    for cell in (good, bad):
        write_record(make_record(cell), tmp_path / "cells" / cell.cell_id)
    (tmp_path / "cells" / bad.cell_id / "record.json").write_text("{}")
    (tmp_path / "cells" / "stray.txt").write_text("not a cell")
    assert list(find_records(tmp_path)) == [good.cell_id]
    assert list(find_records(tmp_path, [bad.cell_id, "no-such-cell", good.cell_id])) == [good.cell_id]
    assert find_records(tmp_path / "nowhere") == {}


def test_a_fresh_output_directory_is_marked(tmp_path):
    out = tmp_path / "a" / "b"
    check_output_dir(out)
    assert json.loads((out / "FORMAT.json").read_text()) == {"format": FORMAT}
    check_output_dir(out)  # and accepted again


@pytest.mark.parametrize("text", ['{"format": 99}', "{}", "[]", "not json", '{"format": "1"}'])
def test_an_output_directory_of_another_version_is_left_alone(tmp_path, text):
    (tmp_path / "FORMAT.json").write_text(text)
    with pytest.raises(OutputError, match=f"this version writes {FORMAT}; give another one with --out"):
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


def test_a_failed_record_needs_no_numbers():
    assert Record(cell_id="x", cell={}, status="failed", error=Failure(kind="nan", message="m")).score is None


@pytest.mark.parametrize("value", [0.25, 1e-05, 1e22, 123456789.123, float("nan")], ids=str)
@pytest.mark.parametrize("device", ["CPU", "Prozessor für Tests"])
def test_the_quick_digest_is_the_slow_one_or_gives_way_to_it(value, device, tmp_path):
    record = make_record(make_cell("lora"), curves={"train_loss": [(1, value)]}, environment={"device": device})
    write_record(record, tmp_path)
    assert read_record(tmp_path).environment == {"device": device}
    text = (tmp_path / "record.json").read_text()
    (tmp_path / "record.json").write_text(text.replace('"lora"', '"lorb"'))
    with pytest.raises(OutputError, match="does not match its sha256"):
        read_record(tmp_path)
