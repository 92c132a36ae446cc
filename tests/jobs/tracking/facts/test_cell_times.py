"""When a cell began and ended, from what it left."""

import os

import pytest

from jobs.tracking.facts.cell_times import ended_ms, started_ms
from loretta_core.store.record_files import write_record
from tests.jobs.synthetic import finished_record


@pytest.mark.parametrize(
    ("first_point_ms", "began_s", "started_at", "expected"),
    [
        (50_000, 40.0, None, 40_000),  # it loads its model before the first line
        (30_000, 40.0, None, 30_000),  # it was resumed: cell.json is the last attempt's
        (50_000, 90.0, "1970-01-01T00:00:20+00:00", 20_999),  # the directory is a copy: the record has whole seconds
        (None, 40.0, None, 40_000),
    ],
)
def test_the_begin_is_the_earliest_sign_of_the_cell(first_point_ms, began_s, started_at, expected, cell, tmp_path):
    (tmp_path / "cell.json").touch()
    os.utime(tmp_path / "cell.json", (began_s, began_s))
    if started_at:
        write_record(finished_record(cell()).model_copy(update={"started_at": started_at}), tmp_path)
    assert started_ms(tmp_path, first_point_ms=first_point_ms) == expected


def test_the_end_is_the_last_line_of_the_journal(tmp_path):
    assert ended_ms(tmp_path, last_point_ms=7_000) == 7_000
    assert ended_ms(tmp_path, last_point_ms=None) > 1_700_000_000_000  # now
