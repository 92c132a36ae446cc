"""Finished and running cells as the API and the pages show them: read once, kept in memory, read again when files change.

A sweep of 10,000 cells takes seconds to read and compare. So the answer is kept with the time that it took, and looked after again not sooner than ten times
that: a stale view is served while one thread makes the new one. Nothing here is a source of truth; a restart starts from the records.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from loretta_core.config import CellConfig
from loretta_core.errors import OutputError
from loretta_core.report.paired import pair_with_best
from loretta_core.report.rows import ResultRow, build_rows
from loretta_core.store.early_stops import EarlyStop, read_early_stops
from loretta_core.store.layout import find_cell
from loretta_core.store.manifest import MANIFEST_NAME, Manifest, read_manifest, sweep_names
from loretta_core.store.predictions import Predictions, find_predictions
from loretta_core.store.record_files import RECORD_NAME, read_record
from loretta_core.store.records import Record
from services.queries.submissions import NotFound
from services.queries.sweep_progress import SweepProgress, progress_of

T = TypeVar("T")

LOOK_AGAIN_S = 1.0
PATIENCE = 10.0
"""How many times its cost a view is served before it is made again."""


@dataclass(frozen=True)
class SweepView:
    """A sweep at one moment."""

    name: str
    manifest: Manifest
    rows: tuple[ResultRow, ...]
    """Sorted as the comparison is: by task, best first."""
    version: str
    """Changes when a manifest or a record does."""
    progress: SweepProgress

    def row(self, cell_id: str) -> ResultRow | None:
        """The row of a cell."""
        return next((row for row in self.rows if row.cell_id == cell_id), None)


@dataclass
class _Kept(Generic[T]):
    value: T
    made: float
    cost: float
    remaking: bool = False


@dataclass
class Fresh(Generic[T]):
    """Values by key, made again when they are old: by the first who asks, in a thread of its own, while the others get the old one."""

    make: Callable[[str, T | None], T]
    _kept: dict[str, _Kept[T]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _making: dict[str, threading.Lock] = field(default_factory=dict)

    def get(self, key: str) -> T:
        """The value; only the first call for a key waits for it."""
        with self._lock:
            kept = self._kept.get(key)
            making = self._making.setdefault(key, threading.Lock())
            old = kept is not None and time.monotonic() - kept.made > max(LOOK_AGAIN_S, PATIENCE * kept.cost)
            if kept is not None and (not old or kept.remaking):
                return kept.value
            if kept is not None and kept.cost > 0.2:
                kept.remaking = True
                threading.Thread(target=self._remake, args=(key,), daemon=True, name=f"view {key}").start()
                return kept.value
        with making:
            with self._lock:
                current = self._kept.get(key)
            if current is not kept and current is not None:  # somebody made it while this one waited
                return current.value
            return self._remake(key)

    def _remake(self, key: str) -> T:
        started = time.monotonic()
        before = self._kept.get(key)
        try:
            value = self.make(key, before.value if before else None)
        except BaseException:
            with self._lock:
                self._kept.pop(key, None)
            raise
        with self._lock:
            self._kept[key] = _Kept(value, time.monotonic(), time.monotonic() - started)
        return value


class Runs:
    """What an output directory holds."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._records: dict[str, tuple[tuple[int, int], Record | None]] = {}
        self._predictions: dict[str, tuple[str, Predictions]] = {}
        self._views: Fresh[SweepView] = Fresh(self._make)

    @property
    def out(self) -> Path:
        """The output directory."""
        return self._out

    def names(self) -> list[str]:
        """Sweeps, the one that started last first."""
        return sweep_names(self._out)

    def sweep(self, name: str) -> SweepView:
        """One sweep. Raises NotFound."""
        if name not in self.names():
            raise NotFound(f"no sweep {name!r} here")
        return self._views.get(name)

    def views(self, names: Iterable[str]) -> tuple[list[SweepView], list[str]]:
        """The sweeps with these names, and what is wrong with those whose manifest cannot be read: one damaged file does not hide the others."""
        found, damaged = [], []
        for name in names:
            try:
                found.append(self.sweep(name))
            except OutputError as error:
                damaged.append(str(error))
        return found, damaged

    def cell(self, text: str) -> tuple[CellConfig, Record | None]:
        """A cell by its id or first digits; without a record while it runs. Raises NotFound."""
        try:
            directory = find_cell(self._out, text)
        except OutputError:
            raise NotFound(f"no cell {text!r} here, or several begin so") from None
        record = self._record(directory.name)
        if record is not None:
            return CellConfig.model_validate(record.cell), record
        try:
            return CellConfig.from_json((directory / "cell.json").read_text(encoding="utf-8")), None
        except (OSError, ValueError):
            raise NotFound(f"cell {text!r} has neither a record nor settings that can be read") from None

    def sweeps_of(self, cell_id: str) -> list[str]:
        """Names of the sweeps that a cell belongs to."""
        return [view.name for view in self.views(self.names())[0] if cell_id in view.manifest.resolved]

    def _make(self, name: str, before: SweepView | None) -> SweepView:
        manifest = read_manifest(self._out, name=name)
        stamp = (self._out / "sweeps" / name / MANIFEST_NAME).stat().st_mtime_ns
        read = {cell_id: found for cell_id in manifest.cells if (found := self._read(cell_id)) is not None}
        records = {cell_id: record for cell_id, (_, record) in read.items() if record is not None}
        stops = read_early_stops(self._out, name=name)
        version = _version(stamp, {cell_id: stamp for cell_id, (stamp, _) in read.items()}, stops)
        if before is not None and before.version == version:
            rows = before.rows
        else:
            rows = tuple(pair_with_best(build_rows(manifest, records=records, stops=stops), predictions=self._find_predictions(records)))
        return SweepView(name, manifest, rows, version, progress_of(self._out, rows))

    def _record(self, cell_id: str) -> Record | None:
        found = self._read(cell_id)
        return found[1] if found else None

    def _read(self, cell_id: str) -> tuple[tuple[int, int], Record | None] | None:
        """When the record was written and how long it is, and the record, None if it is not valid; None when there is no file."""
        directory = self._out / "cells" / cell_id
        try:
            status = (directory / RECORD_NAME).stat()
        except OSError:
            self._records.pop(cell_id, None)
            return None
        stamp = (status.st_mtime_ns, status.st_size)
        kept = self._records.get(cell_id)
        if kept is None or kept[0] != stamp:
            kept = self._records[cell_id] = (stamp, _read(directory))
        return kept

    def _find_predictions(self, records: Mapping[str, Record]) -> dict[str, Predictions]:
        new = {i: r for i, r in records.items() if r.digests.predictions and self._predictions.get(i, ("",))[0] != r.digests.predictions}
        for cell_id, found in find_predictions(self._out, new).items():
            self._predictions[cell_id] = (new[cell_id].digests.predictions or "", found)
        return {cell_id: self._predictions[cell_id][1] for cell_id in records if cell_id in self._predictions}


def page_of(items: Sequence[T], *, offset: int, limit: int) -> tuple[Sequence[T], int | None]:
    """A page, and where the next one begins (None after the last)."""
    end = offset + limit
    return items[offset:end], end if end < len(items) else None


def _read(directory: Path) -> Record | None:
    try:
        return read_record(directory)
    except OutputError:
        return None


def _version(stamp: int, stamps: Mapping[str, tuple[int, int]], stops: Mapping[str, EarlyStop]) -> str:
    return hashlib.sha256(repr((stamp, sorted(stamps.items()), sorted(stops))).encode()).hexdigest()[:16]
