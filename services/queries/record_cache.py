"""Records and predictions of cells, read once and again only when their file changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from loretta_core.errors import OutputError
from loretta_core.store.layout import cell_directory
from loretta_core.store.predictions import Predictions, find_predictions
from loretta_core.store.record_files import RECORD_NAME, read_record
from loretta_core.store.records import Record

FileVersion = tuple[int, int]
"""Modification time in nanoseconds and size: changes whenever a file is written."""


@dataclass(frozen=True)
class CachedRecord:
    """A record file as it was read: its version, and the record unless it is not valid."""

    version: FileVersion
    record: Record | None


@dataclass
class RecordCache:
    """Records and predictions of one output directory by cell id."""

    out: Path
    _records: dict[str, CachedRecord] = field(default_factory=dict)
    _predictions: dict[str, tuple[str, Predictions]] = field(default_factory=dict)
    """Cell id → digest in its record, and the predictions."""

    def get(self, cell_id: str) -> CachedRecord | None:
        """Return the record file of a cell, None when there is none."""
        directory = cell_directory(self.out, cell_id)
        try:
            status = (directory / RECORD_NAME).stat()
        except OSError:
            self._records.pop(cell_id, None)
            return None
        version = (status.st_mtime_ns, status.st_size)
        cached = self._records.get(cell_id)
        if cached is None or cached.version != version:
            cached = self._records[cell_id] = CachedRecord(version, _read_valid_record(directory))
        return cached

    def predictions(self, records: Mapping[str, Record]) -> dict[str, Predictions]:
        """Return the predictions of those records that have any."""
        new = {i: r for i, r in records.items() if r.digests.predictions and self._predictions.get(i, ("",))[0] != r.digests.predictions}
        for cell_id, found in find_predictions(self.out, new).items():
            self._predictions[cell_id] = (new[cell_id].digests.predictions or "", found)
        return {cell_id: self._predictions[cell_id][1] for cell_id in records if cell_id in self._predictions}


def _read_valid_record(directory: Path) -> Record | None:
    try:
        return read_record(directory)
    except OutputError:
        return None
