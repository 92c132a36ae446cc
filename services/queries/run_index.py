"""The sweeps and cells of an output directory, as the API and the pages show them.

A sweep of 10,000 cells takes seconds to read and compare, so views are cached (view_cache.py) and made from cached records (record_cache.py). Nothing here is a
source of truth: a restart starts from the records.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from loretta_core.config import CellConfig
from loretta_core.errors import OutputError
from loretta_core.report.roles import cell_roles
from loretta_core.report.rows import ResultRow, Status, build_rows, damaged_cells
from loretta_core.report.verdict.findings import Findings, find
from loretta_core.store.early_stops import FoundStops, find_early_stops
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
    """Changes when a manifest or a record does, and with what is damaged."""
    progress: SweepProgress

    @cached_property
    def names(self) -> dict[str, str]:
        """Cell id → its name: what it is for in a sweep with [tune] or [replicate], else its labels."""
        return {row.cell_id: row.name for row in self.rows} | cell_roles(self.manifest)

    @property
    def damaged(self) -> dict[str, str]:
        """Cell id → path of a damaged file of the cell, what is wrong with it, what to do."""
        return {row.cell_id: row.reason for row in self.rows if row.status == "damaged"}


@dataclass(frozen=True)
class CellView:
    """A cell at one moment."""

    cell_id: str
    """Name of its directory; a later version might compute another id for the same settings."""
    cell: CellConfig
    record: Record | None
    """None while it runs, and where its record is damaged."""
    damage: str = ""
    """Path of a damaged file of the cell, what is wrong with it, what to do; empty where all can be read."""

    @property
    def status(self) -> Status:
        """Status of the cell, whatever a sweep says about it."""
        if self.damage:
            return "damaged"
        return self.record.status if self.record else "not run"


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

    def cell(self, prefix: str) -> CellView:
        """Return a cell by its id or first digits. Raise NotFound, OutputError where nothing says what its settings are."""
        try:
            directory = find_cell(self._out, prefix)
        except OutputError:
            raise NotFound(f"no cell {prefix!r} here, or several begin so") from None
        cached = self._records.get(directory.name)
        record = cached.record if cached else None
        damage = cached.damage if cached else ""
        if record is not None:
            damage = self._records.predictions({directory.name: record}).damaged.get(directory.name, "")
        return CellView(directory.name, self._settings(directory, record, damage=damage), record, damage)

    def _settings(self, directory: Path, record: Record | None, *, damage: str) -> CellConfig:
        """Return the settings of a cell from its record, from cell.json, or from a sweep that it belongs to."""
        try:
            return CellConfig.model_validate(record.cell) if record else CellConfig.from_json((directory / "cell.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            for view in self.sweeps(self.names())[0]:
                if directory.name in view.manifest.resolved:
                    return view.manifest.resolved[directory.name]
        if not damage and not (directory / "cell.json").exists():
            raise NotFound(f"cell {directory.name!r} has neither a record nor settings")
        what = damage or f"{directory / 'cell.json'}: damaged (not the settings of a cell); delete it"
        raise OutputError(f"{what}. No sweep here says what the settings of this cell are")

    def sweeps_of(self, cell_id: str) -> list[str]:
        """Return the names of the sweeps that a cell belongs to."""
        return [view.name for view in self.sweeps(self.names())[0] if cell_id in view.manifest.resolved]

    def _make_view(self, name: str, previous: SweepView | None) -> SweepView:
        manifest = read_manifest(self._out, name=name)
        manifest_ns = (self._out / "sweeps" / name / MANIFEST_NAME).stat().st_mtime_ns
        cached = {cell_id: found for cell_id in manifest.cells if (found := self._records.get(cell_id)) is not None}
        stops = find_early_stops(self._out, name=name)
        version = _view_version(manifest_ns, cached, stops)
        unchanged = previous is not None and previous.version == version  # never where something is damaged: predictions may be mended meanwhile
        rows, findings = (previous.rows, previous.findings) if previous is not None and unchanged else self._compare(manifest, cached, stops)
        view = SweepView(name, manifest, rows, findings, version, read_progress(self._out, rows))
        return replace(view, version=_digest(version, sorted(view.damaged.items()))) if view.damaged else view

    def _compare(self, manifest: Manifest, cached: Mapping[str, CachedRecord], stops: FoundStops) -> tuple[tuple[ResultRow, ...], Findings]:
        records = {cell_id: found.record for cell_id, found in cached.items() if found.record is not None}
        predicted = self._records.predictions(records)
        broken = {cell_id: found.damage for cell_id, found in cached.items() if found.damage}
        damaged = damaged_cells(records, records=broken, predictions=predicted.damaged, stops=stops.damaged)
        rows = tuple(build_rows(manifest, records=records, stops=stops.stops, damaged=damaged))
        return rows, find(manifest, rows, predictions=predicted.predictions)


def _view_version(manifest_ns: int, records: Mapping[str, CachedRecord], stops: FoundStops) -> str:
    return _digest(manifest_ns, sorted((cell_id, cached.version) for cell_id, cached in records.items()), sorted(stops.stops), sorted(stops.damaged))


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
