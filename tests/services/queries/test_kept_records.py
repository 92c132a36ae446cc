"""What of an output directory of an earlier version can be kept: its records by schema, and nothing is changed."""

import json
import shutil

import pytest

from loretta_core.config import SCHEMA_VERSION, load_sweep
from loretta_core.errors import OutputError
from loretta_core.store.record_files import write_record
from services import cli
from services.queries.kept_records import RecordGroup, describe, kept_records
from tests.jobs.synthetic import finished_record
from tests.paths import ROOT
from tests.services.conftest import contents

FORMAT_1 = ROOT / "tests" / "golden" / "record_format_1"


def old_record(cell, *, schema, **changes):
    """A record of a version with another schema: the same settings, and the id that they had then."""
    return finished_record(cell).model_copy(update={"cell_id": cell.id_under(schema), **changes})


@pytest.fixture
def aged(results, sweep_file):
    """Add two records of schema 1, one with settings that are no longer known, one of format 1, and a damaged one."""
    first, second = load_sweep(sweep_file).cells
    strange = {**first.to_dict(), "flavour": "sweet"}
    records = [old_record(first, schema=1), old_record(second, schema=1), finished_record(first).model_copy(update={"cell_id": "0" * 16, "cell": strange})]
    for record in records:
        write_record(record, results / "cells" / record.cell_id)
    shutil.copytree(FORMAT_1, results / "cells" / json.loads((FORMAT_1 / "record.json").read_text())["cell_id"])
    (results / "cells" / "torn").mkdir()
    (results / "cells" / "torn" / "record.json").write_text("{")
    return results


def test_records_are_counted_by_schema_and_format(aged):
    kept = kept_records(aged)
    assert set(kept.groups) == {RecordGroup(str(SCHEMA_VERSION), 2, 2), RecordGroup("2", 1, 1), RecordGroup("1", 2, 2), RecordGroup("unknown", 2, 1)}
    assert {group.schema for group in kept.groups if group.current} == {str(SCHEMA_VERSION)}
    assert kept.groups[-1].schema == "unknown"
    assert (list(kept.damaged), kept.sweeps, kept.refused) == (["torn"], ("small",), ())


def test_the_command_says_so_and_changes_nothing(aged, capsys):
    before = contents(aged)
    assert cli.main(["doctor", "--migrate", str(aged)]) == 0
    said = capsys.readouterr().out
    assert f"schema {SCHEMA_VERSION}, record format 2: 2 records; current: sweeps reuse them" in said
    assert "schema 1, record format 2: 2 records; old: shown, and computed again by a sweep that asks for the same settings" in said
    assert "torn/record.json: damaged" in said
    assert said.endswith("Nothing was changed.\n")
    assert cli.main(["doctor", "--migrate", str(aged), "--json"]) == 0
    assert {"schema": "1", "format": 2, "number": 2} in json.loads(capsys.readouterr().out)["groups"]
    assert contents(aged) == before


def test_a_manifest_that_cannot_be_read_is_told(aged):
    (aged / "sweeps" / "small" / "sweep.json").write_text("{")
    lines = list(describe(kept_records(aged), out=aged))
    assert "0 sweeps can be compared" in lines
    assert any("refused: " in line and "sweep.json" in line for line in lines)


def test_a_directory_that_is_none_is_refused(tmp_path, capsys):
    with pytest.raises(OutputError, match="no output directory with cells"):
        kept_records(tmp_path)
    assert cli.main(["doctor", "--migrate", str(tmp_path)]) == 2
    assert "no output directory with cells" in capsys.readouterr().err
