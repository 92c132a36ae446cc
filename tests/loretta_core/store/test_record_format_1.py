"""Records of format 1, as earlier versions wrote them, are read as if they were of today."""

import json
import shutil

import pytest

from loretta_core.errors import OutputError
from loretta_core.report.compare import compare
from loretta_core.store.output_dir import check_output_dir
from loretta_core.store.record_files import content_digest, find_records, read_record, write_record
from loretta_core.store.record_format_1 import from_format_1
from loretta_core.store.records import RECORD_FORMAT, Record
from tests.paths import ROOT, SHARED

KEPT = ROOT / "tests" / "golden" / "record_format_1"
RENAMED = {
    "test_rows": "score.rows", "initial_score": "score.initial", "validation_score": "score.validation", "train_seconds": "cost.train_s",
    "wall_seconds": "cost.wall_s", "step_seconds": "cost.step_s", "predicted_step_seconds": "cost.predicted_step_s", "score": "score.value",
    "weights_sha256": "digests.weights", "inputs_sha256": "digests.inputs", "predictions_sha256": "digests.predictions", "best_step": "score.best_step",
}  # fmt: skip


@pytest.fixture
def old():
    return json.loads((KEPT / "record.json").read_text(encoding="utf-8"))


def write(content, directory):
    """A record with a right digest."""
    content = {name: value for name, value in content.items() if name != "content_sha256"}
    (directory / "record.json").write_text(json.dumps({**content, "content_sha256": content_digest(content)}), encoding="utf-8")


def leaves(value):
    """The numbers and texts in it, sorted; None is left out, since a group without values is None as a whole."""
    if isinstance(value, dict):
        return sorted((leaf for item in value.values() for leaf in leaves(item)), key=repr)
    if isinstance(value, list | tuple):
        return sorted((leaf for item in value for leaf in leaves(item)), key=repr)
    return [] if value is None else [value]


def test_every_value_of_the_kept_record_is_in_the_new_one(old):
    record = read_record(KEPT).model_dump(mode="json")
    assert record["format"] == RECORD_FORMAT != old["format"] == 1
    assert leaves({**record, "format": 1}) == leaves({name: value for name, value in old.items() if name != "content_sha256"})


def test_every_value_stands_under_its_name(old):
    record = read_record(KEPT).model_dump(mode="json")
    for name, path in RENAMED.items():
        group, field = path.split(".")
        assert record[group][field] == old[name], name
    for name in ("low", "high", "name"):
        assert record["score"][name] == old[f"score_{name}"]
    for name in ("skipped_steps", "clipped_differences", "signal_to_noise", "update_gain"):
        assert record["zeroth_order"][name] == old[name]
    for name in ("trainable_params", "total_params", "steps", "forwards", "peak_memory_bytes", "predicted_peak_memory_bytes"):
        assert record["cost"][name] == old[name]


def test_a_record_that_is_read_and_written_is_of_the_new_format(tmp_path):
    record = read_record(KEPT)
    write_record(record, tmp_path)
    assert json.loads((tmp_path / "record.json").read_text())["format"] == RECORD_FORMAT
    assert read_record(tmp_path) == record


def test_a_changed_value_is_refused(tmp_path):
    text = (KEPT / "record.json").read_text(encoding="utf-8")
    (tmp_path / "record.json").write_text(text.replace('"score": 0.875,', '"score": 0.975,'), encoding="utf-8")
    with pytest.raises(OutputError, match="does not match its sha256"):
        read_record(tmp_path)


def test_a_field_that_format_1_does_not_have_is_refused(old, tmp_path):
    write({**old, "novelty": 1}, tmp_path)
    with pytest.raises(OutputError, match="not a record: Extra inputs"):
        read_record(tmp_path)


def test_packs_and_first_order_cells(old, tmp_path):
    counters = dict.fromkeys(("skipped_steps", "clipped_differences", "signal_to_noise", "update_gain"))
    write({**old, **counters, "pack_id": "0123456789ab", "pack_cells": 3}, tmp_path)
    record = read_record(tmp_path)
    assert record.zeroth_order is None
    assert (record.pack.pack_id, record.pack.cells) == ("0123456789ab", 3)


def test_a_failed_record_with_fields_left_out():
    """Early versions wrote fewer fields."""
    content = {"format": 1, "cell_id": "x", "cell": {}, "status": "failed", "wall_seconds": 2.0, "error": {"kind": "nan", "message": "m"}}
    record = Record.model_validate(from_format_1(content))
    assert (record.status, record.cost.wall_s, record.score.value, record.score.name) == ("failed", 2.0, None, "accuracy")


def test_an_output_directory_with_records_of_format_1_is_compared(tmp_path):
    made = SHARED / "cases" / "made"
    if not made.is_dir():
        pytest.skip("no kept output directory in ../shared/cases/made")
    out = tmp_path / "made"
    shutil.copytree(made, out)
    check_output_dir(out)
    records = find_records(out).records
    raw = {path.parent.name: json.loads(path.read_text(encoding="utf-8")) for path in out.glob("cells/*/record.json")}
    assert {content["format"] for content in raw.values()} == {1}
    assert {cell_id: record.score.value for cell_id, record in records.items()} == {cell_id: content["score"] for cell_id, content in raw.items()}
    assert all(row.score is not None for row in compare(out, name="made").rows)
