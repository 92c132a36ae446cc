"""Predictions of a cell for each test row, beside its record, so that cells can be compared row by row and not by their intervals alone.

    OUT/cells/<cell_id>/predictions.json     the record holds its sha256

About 2 bytes a row for labels. Metrics that are no mean over rows (F1, correlations) come with their values over 1,000 bootstrap samples: draw i takes the same
rows in every cell, so the differences of two cells need neither the labels nor the metric.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from loretta_core.store.output_dir import write_atomically
from loretta_core.store.records import Record

PREDICTIONS_NAME = "predictions.json"


class Predictions(BaseModel):
    """Predictions in the order of the test rows."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    metric: str
    test_sha256: str
    """Digest of the test rows; two cells are paired if they share it and the metric."""
    predictions: tuple[int | float | str, ...]
    """Predicted label, number or text."""
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


def find_predictions(out: Path, records: Mapping[str, Record]) -> dict[str, Predictions]:
    """Return the predictions of the cells by cell id; a cell whose file is missing, damaged or not the record's is left out."""
    found: dict[str, Predictions] = {}
    for cell_id, record in records.items():
        path = out / "cells" / cell_id / PREDICTIONS_NAME
        if record.digests.predictions is None or not path.is_file():
            continue
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() == record.digests.predictions:
            try:
                found[cell_id] = Predictions.model_validate_json(content)
            except ValidationError:
                continue
    return found
