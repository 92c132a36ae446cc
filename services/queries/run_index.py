"""The sweeps and cells of an output directory, as the API and the pages show them.

A sweep of 10,000 cells takes seconds to read and compare, so views are cached (view_cache.py) and made from cached records (record_cache.py). Nothing here is a
source of truth: a restart starts from the records.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from loretta_core.config import CellConfig
from loretta_core.errors import OutputError
from loretta_core.report.rows import ResultRow, build_rows
from loretta_core.report.verdict.findings import Findings, find
from loretta_core.store.early_stops import EarlyStop, read_early_stops
from loretta_core.store.layout import find_cell
from loretta_core.store.manifest import MANIFEST_NAME, Manifest, read_manifest, sweep_names
from loretta_core.store.records import Record
from services.queries.errors import NotFound
from services.queries.record_cache import CachedRecord, RecordCache
from services.queries.sweep_progress import SweepProgress, read_progress
from services.queries.view_cache import StaleWhileRevalidateCache


@dataclass(frozen=True)
class SweepView:
    """A sweep at one moment."""

    name: str
    manifest: Manifest
    rows: tuple[ResultRow, ...]
    """Sorted as the comparison is: by task, best first."""
    findings: Findings
    """Contenders and verdicts, made when they are first asked for."""
    version: str
    """Changes when a manifest or a record does."""
    progress: SweepProgress


class RunIndex:
    """Queries over one output directory."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._records = RecordCache(out)
        self._views: StaleWhileRevalidateCache[SweepView] = StaleWhileRevalidateCache(self._make_view)

    @property
    def out(self) -> Path:
        """The output directory that is read."""
        return self._out

    def names(self) -> list[str]:
        """Return the names of sweeps, the one that started last first."""
        return sweep_names(self._out)

    def sweep(self, name: str) -> SweepView:
        """Return one sweep. Raise NotFound."""
        if name not in self.names():
            raise NotFound(f"no sweep {name!r} here")
        return self._views.get(name)

    def sweeps(self, names: Iterable[str]) -> tuple[list[SweepView], list[str]]:
        """Return the sweeps with these names, and the errors of those whose manifest cannot be read: a damaged file does not hide the others."""
        views, errors = [], []
        for name in names:
            try:
                views.append(self.sweep(name))
            except OutputError as error:
                errors.append(str(error))
        return views, errors

    def cell(self, prefix: str) -> tuple[CellConfig, Record | None]:
        """Return a cell by its id or first digits, without a record while it runs. Raise NotFound."""
        try:
            directory = find_cell(self._out, prefix)
        except OutputError:
            raise NotFound(f"no cell {prefix!r} here, or several begin so") from None
        cached = self._records.get(directory.name)
        if cached is not None and cached.record is not None:
            return CellConfig.model_validate(cached.record.cell), cached.record
        try:
            return CellConfig.from_json((directory / "cell.json").read_text(encoding="utf-8")), None
        except (OSError, ValueError):
            raise NotFound(f"cell {prefix!r} has neither a record nor settings that can be read") from None

    def sweeps_of(self, cell_id: str) -> list[str]:
        """Return the names of the sweeps that a cell belongs to."""
        return [view.name for view in self.sweeps(self.names())[0] if cell_id in view.manifest.resolved]

    def _make_view(self, name: str, previous: SweepView | None) -> SweepView:
        manifest = read_manifest(self._out, name=name)
        manifest_ns = (self._out / "sweeps" / name / MANIFEST_NAME).stat().st_mtime_ns
        cached = {cell_id: found for cell_id in manifest.cells if (found := self._records.get(cell_id)) is not None}
        stops = read_early_stops(self._out, name=name)
        version = _view_version(manifest_ns, cached, stops)
        if previous is not None and previous.version == version:
            rows, findings = previous.rows, previous.findings
        else:
            records = {cell_id: found.record for cell_id, found in cached.items() if found.record is not None}
            rows = tuple(build_rows(manifest, records=records, stops=stops))
            findings = find(manifest, rows, predictions=self._records.predictions(records))
        return SweepView(name, manifest, rows, findings, version, read_progress(self._out, rows))


def _view_version(manifest_ns: int, records: Mapping[str, CachedRecord], stops: Mapping[str, EarlyStop]) -> str:
    versions = sorted((cell_id, cached.version) for cell_id, cached in records.items())
    return hashlib.sha256(repr((manifest_ns, versions, sorted(stops))).encode()).hexdigest()[:16]
