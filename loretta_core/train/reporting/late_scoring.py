"""Test scores of a cell that was trained without them: its saved weights are loaded and evaluated, nothing is trained again.

    record.json without a test score, adapter/   ──build, evaluate, load, evaluate──►   record.json with one, predictions.json

The model is built as for training, so that the scores are bit for bit those of a cell that was scored when it was trained, whatever its engine.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from loretta_core.adapters.io.trained_values import read_trained_values
from loretta_core.config.cell import CellConfig
from loretta_core.errors import OutputError
from loretta_core.store.adapter_files import ADAPTER_NAME
from loretta_core.store.predictions import write_predictions
from loretta_core.store.record_files import read_record, write_record
from loretta_core.store.records import Record
from loretta_core.train.build import Run, build_run
from loretta_core.train.checkpoint import write_tensors
from loretta_core.train.reporting.test_scores import with_test_scores
from loretta_core.train.workers import SINGLE_WORKER, Workers

TRAINED_NAME = "trained.safetensors"
"""The trained parameters of a cell without test scores, where its adapter does not hold them. Deleted once the test rows are scored."""

log = logging.getLogger(__name__)


def score_test_rows(cell: CellConfig, *, directory: Path, workers: Workers = SINGLE_WORKER) -> Record | None:
    """Score the test rows of a cell that was trained without them, and rewrite its record. All workers take part, the first one writes.

    Returns None, and changes nothing, where the directory holds no such cell, its weights are damaged, or its data have changed: then train it.
    """
    record = workers.gather(_unscored_record(cell, directory) if workers.first else None)[0]
    if record is None:
        return None
    run = build_run(cell, workers=workers, directory=directory if cell.engine.type == "zero" else None)  # no replay log is written over
    initial = run.evaluate("test")
    loaded = all(workers.gather(_load(run, record, directory)))
    final = run.evaluate("test") if loaded else None
    run.engine.release()
    if final is None:
        log.warning("%s: the trained weights are damaged, or the data have changed since; the cell is trained again", directory)
        return None
    scored, predictions = with_test_scores(record, run, initial=initial, final=final)
    if workers.first:
        write_predictions(predictions, directory)
        write_record(scored, directory)
        (directory / TRAINED_NAME).unlink(missing_ok=True)
    return scored


def keep_trained(run: Run, best: Mapping[str, Tensor], directory: Path) -> None:
    """Write the trained parameters beside an adapter that does not hold them, for `score_test_rows`."""
    if read_trained_values(directory / ADAPTER_NAME, run.model) is None:
        write_tensors(directory / TRAINED_NAME, best, {})


def _unscored_record(cell: CellConfig, directory: Path) -> Record | None:
    try:
        record = read_record(directory)
    except OutputError:
        return None
    return record if record.unscored and record.cell_id == cell.cell_id and (directory / (record.adapter or ADAPTER_NAME)).is_dir() else None


def _load(run: Run, record: Record, directory: Path) -> bool:
    """Load the trained weights into the model; returns whether they are those of the record, and the data are."""
    if run.data.inputs_sha256 != record.digests.inputs:
        return False
    values = _trained_values(run, directory)
    if values is None or values.keys() != run.engine.state.trainable.keys():
        return False
    run.engine.state.load_trainable(values)
    return run.weights_sha256 == record.digests.weights


def _trained_values(run: Run, directory: Path) -> Mapping[str, Tensor] | None:
    kept = directory / TRAINED_NAME
    try:
        return load_file(kept) if kept.is_file() else read_trained_values(directory / ADAPTER_NAME, run.model)
    except (OSError, SafetensorError):
        return None
