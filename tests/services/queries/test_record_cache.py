"""Records are read once and again only when their file changes."""

from loretta_core.config import load_sweep
from loretta_core.store.record_files import RECORD_NAME, write_record
from services.queries.record_cache import RecordCache
from tests.jobs.synthetic import finished_record


def test_a_record_is_read_again_only_when_its_file_changes(results, sweep_file):
    cell = load_sweep(sweep_file).cells[0]
    directory = results / "cells" / cell.cell_id
    cache = RecordCache(results)
    first = cache.get(cell.cell_id)
    assert first.record.score.value == 0.9
    assert cache.get(cell.cell_id) is first
    write_record(finished_record(cell, score=0.5), directory)
    assert cache.get(cell.cell_id).record.score.value == 0.5
    (directory / RECORD_NAME).write_text("{")
    assert cache.get(cell.cell_id).record is None
    (directory / RECORD_NAME).unlink()
    assert cache.get(cell.cell_id) is None
