"""Records: written whole or not at all, read only when they are what was written."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loretta_core.errors import OutputError
from loretta_core.store.record_files import FoundRecords, content_digest, find_records, read_record, write_record
from loretta_core.store.records import Failure
from tests.loretta_core.report.synthetic import make_cell, make_record

CELL = make_cell()
numbers = st.none() | st.floats(allow_nan=False, allow_infinity=False)
points = st.lists(st.tuples(st.integers(0, 10**6), st.floats(allow_nan=False, allow_infinity=False)), max_size=5)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(score=numbers, message=st.text(), warnings=st.lists(st.text(), max_size=3), curves=st.dictionaries(st.text(), points, max_size=3))
def test_round_trip(tmp_path, score, message, warnings, curves):
    record = make_record(CELL, score={"value": score}, warnings=warnings, curves=curves, error=Failure(kind="nan", message=message))
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


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[: len(text) // 2], "damaged"),
        (lambda text: "", "damaged"),
        (lambda text: "[]", "damaged"),
        (lambda text: "7", "damaged"),
        (lambda text: text.replace('"value": 0.9,', '"value": 0.99,'), "does not match its sha256"),
        (lambda text: text.replace('"content_sha256"', '"digest"'), "damaged"),
        (lambda text: text.replace('"format": 2', '"format": 3'), "format 3, this version reads 1 to 2"),
        (lambda text: text.replace('"format": 2', '"format": 1'), "does not match its sha256"),
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

    content = {**make_record(CELL).model_dump(mode="json"), "novelty": 1}
    (tmp_path / "record.json").write_text(json.dumps({**content, "content_sha256": content_digest(content)}))
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


def test_what_is_damaged_is_told_beside_the_others(tmp_path):
    good, bad = make_cell("lora"), make_cell("ft")
    for cell in (good, bad):
        write_record(make_record(cell), tmp_path / "cells" / cell.cell_id)
    (tmp_path / "cells" / bad.cell_id / "record.json").write_text("{}")
    (tmp_path / "cells" / "stray.txt").write_text("not a cell")
    for found in (find_records(tmp_path), find_records(tmp_path, [bad.cell_id, "no-such-cell", good.cell_id])):
        assert (list(found.records), list(found.damaged)) == ([good.cell_id], [bad.cell_id])
        assert f"{bad.cell_id}/record.json: damaged" in found.damaged[bad.cell_id]
    assert find_records(tmp_path / "nowhere") == FoundRecords({}, {})


def test_the_record_of_another_cell_is_damage(tmp_path):
    here, there = make_cell("lora"), make_cell("ft")
    for cell in (here, there):
        write_record(make_record(here), tmp_path / "cells" / cell.cell_id)
    found = find_records(tmp_path)
    assert list(found.records) == [here.cell_id]
    assert f"it is the record of cell {here.cell_id}, not of {there.cell_id}" in found.damaged[there.cell_id]


def test_a_score_that_is_no_number_is_damage(tmp_path):
    content = make_record(CELL).model_dump(mode="json")
    content["score"]["value"] = float("nan")
    (tmp_path / "record.json").write_text(json.dumps({**content, "content_sha256": content_digest(content)}))
    with pytest.raises(OutputError, match="finite number"):
        read_record(tmp_path)


def test_a_directory_in_the_place_of_a_record_is_damage_and_gives_way_to_a_new_record(tmp_path):
    path = write_record(make_record(CELL), tmp_path)
    path.unlink()
    (path / "kept").mkdir(parents=True)
    with pytest.raises(OutputError, match=r"record\.json: damaged \(cannot be read: Is a directory\); make it readable, or delete it"):
        read_record(tmp_path)
    write_record(make_record(CELL), tmp_path)
    assert read_record(tmp_path) == make_record(CELL)
    assert (tmp_path / "record.json.damaged" / "kept").is_dir()  # nothing is deleted


def test_a_record_without_permission_costs_its_own_cell(tmp_path, monkeypatch):
    good, bad = make_cell("lora"), make_cell("ft")
    for cell in (good, bad):
        write_record(make_record(cell), tmp_path / "cells" / cell.cell_id)
    read_bytes = Path.read_bytes

    def refuse(path):
        if path.parent.name == bad.cell_id:
            raise PermissionError(13, "Permission denied", str(path))
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    found = find_records(tmp_path)
    assert (list(found.records), "cannot be read: Permission denied" in found.damaged[bad.cell_id]) == ([good.cell_id], True)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_cell_that_cannot_be_entered_costs_nothing_else(tmp_path):
    for cell in (CELL, make_cell("ft")):
        write_record(make_record(cell), tmp_path / "cells" / cell.cell_id)
    (tmp_path / "cells" / CELL.cell_id).chmod(0)
    try:
        found = find_records(tmp_path)
    finally:
        (tmp_path / "cells" / CELL.cell_id).chmod(0o755)
    assert (len(found.records), list(found.damaged)) == (1, [CELL.cell_id])


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
