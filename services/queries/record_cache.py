"""Records and predictions of cells, read once and again only when their file changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from loretta_core.errors import OutputError
from loretta_core.store.layout import cell_directory
from loretta_core.store.predictions import FoundPredictions, Predictions, find_predictions
from loretta_core.store.record_files import RECORD_NAME, read_cell_record
from loretta_core.store.records import Record

FileVersion = tuple[int, int, int]
"""Times of modification and of change of the permissions, in nanoseconds, and size: differs whenever a file is written, or may be read by others."""


@dataclass(frozen=True)
class CachedRecord:
    """A record file as it was read: its version, and the record unless it is not valid."""

    version: FileVersion
    record: Record | None
    damage: str = ""
    """Why there is no record although there is a file."""


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
            version = _version(directory / RECORD_NAME)
        except FileNotFoundError:
            self._records.pop(cell_id, None)
            return None
        cached = self._records.get(cell_id)
        if cached is None or cached.version != version:
            cached = self._records[cell_id] = _read(directory, version)
        return cached

    def predictions(self, records: Mapping[str, Record]) -> FoundPredictions:
        """Return the predictions of those records that have any; damaged ones are read again each time."""
        new = {i: r for i, r in records.items() if r.digests.predictions and self._predictions.get(i, ("",))[0] != r.digests.predictions}
        found = find_predictions(self.out, new)
        for cell_id in new:
            self._predictions.pop(cell_id, None)  # those of an earlier record
        for cell_id, predictions in found.predictions.items():
            self._predictions[cell_id] = (new[cell_id].digests.predictions or "", predictions)
        return FoundPredictions({cell_id: self._predictions[cell_id][1] for cell_id in records if cell_id in self._predictions}, found.damaged)


def _version(path: Path) -> FileVersion:
    """Return the version of a file, zeros where its directory cannot be entered. Raises FileNotFoundError."""
    try:
        status = path.stat()
    except FileNotFoundError:
        raise
    except OSError:
        return (0, 0, 0)
    return (status.st_mtime_ns, status.st_ctime_ns, status.st_size)


def _read(directory: Path, version: FileVersion) -> CachedRecord:
    try:
        return CachedRecord(version, read_cell_record(directory))
    except OutputError as error:
        return CachedRecord(version, None, damage=str(error))
