"""Views of sweeps: made once, and again when a file changes."""

from loretta_core.config import load_sweep
from loretta_core.store.record_files import RECORD_NAME, write_record
from services.queries import view_cache
from services.queries.run_index import RunIndex
from tests.jobs.synthetic import finished_record


def test_a_view_follows_the_files(results, sweep_file, monkeypatch):
    monkeypatch.setattr(view_cache, "MIN_FRESH_S", 0.0)
    monkeypatch.setattr(view_cache, "FRESH_PER_COST", 0.0)
    here = RunIndex(results)
    first = here.sweep("small")
    assert here.sweep("small").rows is first.rows
    cell = load_sweep(sweep_file).cells[0]
    write_record(finished_record(cell, score=0.5), results / "cells" / cell.cell_id)
    second = here.sweep("small")
    assert second.version != first.version
    assert sorted(row.score for row in second.rows) == [0.5, 0.9]
    (results / "cells" / cell.cell_id / RECORD_NAME).write_text("{")  # torn
    assert sorted(row.status for row in here.sweep("small").rows) == ["damaged", "finished"]
    assert "record.json: damaged" in here.sweep("small").damaged[cell.cell_id]
