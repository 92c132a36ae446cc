"""Progress of a sweep: which cells are finished, failed, running or waiting, and the time left."""

import json
import time
from dataclasses import replace

import pytest

from loretta_core.config import load_sweep
from loretta_core.config.sweep.contenders import with_seed
from loretta_core.store.early_stops import EarlyStop, write_early_stop
from loretta_core.store.record_files import RECORD_NAME, write_record
from loretta_core.store.records import Failure, RunCost, Score
from services.queries import sweep_progress
from services.queries.run_index import RunIndex
from services.queries.sweep_progress import read_progress
from tests.jobs.synthetic import finished_record


def test_progress_counts_and_estimates(results, sweep_file):
    cells = load_sweep(sweep_file).cells
    directory = results / "cells" / cells[0].cell_id
    (directory / RECORD_NAME).unlink()
    (directory / "cell.json").write_text(cells[0].to_json())
    lines = [json.dumps({"step": step, "time": time.time(), "train_loss": 1 / step}) for step in (1, 2)]
    (directory / "metrics.jsonl").write_text("\n".join(lines) + '\n{"step": 3, "ti')
    progress = RunIndex(results).sweep("small").progress
    assert (progress.total, progress.finished, progress.failed, progress.waiting) == (2, 1, 0, 0)
    assert [(each.cell_id, each.step, each.steps, each.loss) for each in progress.running] == [(cells[0].cell_id, 2, 5, 0.5)]
    assert progress.eta_s is not None


def test_a_cell_that_was_stopped_early_neither_waits_nor_runs(results, sweep_file):
    cell = load_sweep(sweep_file).cells[0]
    directory = results / "cells" / cell.cell_id
    (directory / RECORD_NAME).unlink()
    (directory / "cell.json").write_text(cell.to_json())
    (directory / "metrics.jsonl").write_text('{"step": 1, "train_loss": 1.0}\n')
    before = RunIndex(results).sweep("small").version
    write_early_stop(EarlyStop(cell_id=cell.cell_id, reason="others did better", stopped_at="2026-01-01T00:00:00Z"), results, name="small")
    view = RunIndex(results).sweep("small")
    assert view.version != before
    progress = view.progress
    assert (progress.finished, progress.stopped, progress.waiting, progress.running) == (1, 1, 0, ())


def test_a_failed_cell_is_failed_until_it_is_tried_again(results, sweep_file, monkeypatch):
    cell = load_sweep(sweep_file).cells[0]
    directory = results / "cells" / cell.cell_id
    (directory / "cell.json").write_text(cell.to_json())
    (directory / "metrics.jsonl").write_text('{"step": 1, "time": 1, "train_loss": 1.0}\n')
    failed = finished_record(cell).model_copy(update={"status": "failed", "score": Score(), "error": Failure(kind="nan", message="the loss is nan")})
    write_record(failed, directory)
    rows = RunIndex(results).sweep("small").rows
    assert (read_progress(results, rows).failed, len(read_progress(results, rows).running)) == (1, 0)
    time.sleep(0.02)
    (directory / "metrics.jsonl").touch()
    assert (read_progress(results, rows).failed, len(read_progress(results, rows).running)) == (0, 1)
    monkeypatch.setattr(sweep_progress, "RUNNING_TIMEOUT_S", -1.0)
    assert read_progress(results, rows).running == ()


def test_a_trained_cell_without_a_test_score_counts_with_what_its_scoring_takes(results, sweep_file):
    first = load_sweep(sweep_file).cells[0]
    directory = results / "cells" / first.cell_id
    (directory / RECORD_NAME).unlink()
    (directory / "cell.json").write_text(first.to_json())
    (directory / "metrics.jsonl").write_text('{"step": 1, "train_loss": 1.0}\n')  # runs
    more = [with_seed(first, seed, score_test=True) for seed in (7, 8)]
    cost = {"train_s": 900.0, "wall_s": 1000.0}
    done = finished_record(more[0])
    trained = finished_record(more[1].model_copy(update={"score_test": False}))
    rows = [replace(RunIndex(results).sweep("small").rows[0], cell_id=first.cell_id, record=None)]
    rows += [
        replace(rows[0], cell_id=cell.cell_id, cell=cell, record=record.model_copy(update={"cost": RunCost(**cost)}))
        for cell, record in zip(more, (done, trained), strict=True)
    ]
    progress = read_progress(results, rows)
    assert (progress.finished, len(progress.running), progress.waiting) == (1, 1, 1)
    assert progress.eta_s == pytest.approx(1100, abs=5)
