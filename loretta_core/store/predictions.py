"""Predictions of a cell for each test row, beside its record, so that cells can be compared row by row and not by their intervals alone.

    OUT/cells/<cell_id>/predictions.json     the record holds its sha256

The file can be read alone: what each row is and should be, what was predicted and with which probability. About 70 bytes a row for labels. Metrics that are no
mean over rows (F1, correlations) come with their values over 1,000 bootstrap samples: draw i takes the same rows in every cell, so the differences of two cells
need neither the labels nor the metric.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from loretta_core.errors import OutputError
from loretta_core.store.output_dir import write_atomically
from loretta_core.store.record_files import RECORD_NAME
from loretta_core.store.records import Record

PREDICTIONS_NAME = "predictions.json"


class Predictions(BaseModel):
    """Predictions in the order of the test rows."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    metric: str
    test_sha256: str
    """Digest of the test rows; two cells are paired if they share it and the metric."""
    predictions: tuple[int | float | str | tuple[int | float | str, ...], ...]
    """Predicted label, number or text; numbers of the labels where a row may have several; a tag for each word; log-probability of the reference and its
    tokens, where the metric reads these."""
    rows: tuple[str, ...] = ()
    """Where each row comes from, `file:line`; its number where rows are generated."""
    texts_sha256: tuple[str, ...] = ()
    """First 16 hex digits of the sha256 of each row's texts, which are joined by line breaks."""
    texts: tuple[str, ...] = ()
    """The texts themselves, if the cell was to `keep_texts`."""
    references: tuple[int | float | str | tuple[int | str, ...], ...] = ()
    """Right label, number, labels, tags or accepted texts of each row."""
    label_names: tuple[str, ...] = ()
    """Names of the labels in the order of their numbers; empty for numbers and texts."""
    probabilities: tuple[float, ...] = ()
    """Probability of the predicted label; empty where none is chosen."""
    log_likelihoods: tuple[float, ...] = ()
    """Log-probability of the right label in nats, or of a token of the first accepted text on average; empty for numbers."""
    row_scores: tuple[tuple[float, ...], ...] = ()
    """Log-probability of each of a row's own choices in nats, not normalised; or the probability of each label, where a row may have several."""
    right: str = ""
    """One character a row, "1" if it is right; empty if rows are not right or wrong."""
    resampled: tuple[float, ...] = ()
    """The metric over bootstrap samples of the rows; empty if rows are right or wrong."""

    @property
    def text(self) -> str:
        """Content of the file."""
        return self.model_dump_json(exclude_defaults=True)

    @property
    def sha256(self) -> str:
        """Digest of the file, for the record."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def write_predictions(predictions: Predictions, directory: Path) -> None:
    """Write predictions.json to a cell's directory, atomically."""
    write_atomically(directory / PREDICTIONS_NAME, predictions.text)


@dataclass(frozen=True)
class FoundPredictions:
    """The predictions of some cells; a cell whose record names none is in neither table."""

    predictions: dict[str, Predictions]
    """Cell id → its predictions."""
    damaged: dict[str, str]
    """Cell id → path of a file that cannot be used, what is wrong with it, and what to do."""


def find_predictions(out: Path, records: Mapping[str, Record]) -> FoundPredictions:
    """Read the predictions of the cells whose records have a digest of them, and say which ones are missing or damaged."""
    found = FoundPredictions({}, {})
    for cell_id, record in records.items():
        if record.digests.predictions is not None:
            path = out / "cells" / cell_id / PREDICTIONS_NAME
            try:
                found.predictions[cell_id] = _verified(path, record.digests.predictions)
            except OutputError as error:
                found.damaged[cell_id] = f"{error}; delete {RECORD_NAME} beside it to run the cell again"
    return found


def _verified(path: Path, digest: str) -> Predictions:
    """Return the predictions in a file that must have the digest."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise OutputError(f"{path}: damaged (missing, though the record has its digest)") from None
    except OSError as error:
        raise OutputError(f"{path}: damaged (cannot be read: {error.strerror})") from None
    if hashlib.sha256(content).hexdigest() != digest:
        raise OutputError(f"{path}: damaged (it does not have the sha256 that its record says)")
    try:
        return Predictions.model_validate_json(content)
    except ValidationError as error:
        raise OutputError(f"{path}: written by another version ({error.errors()[0]['msg']})") from None
