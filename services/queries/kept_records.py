"""The records of an output directory that the present version can use, for `loretta doctor --migrate`. Reads only.

A record carries the settings of its cell. Where these still have its id, a sweep takes the cell for finished; where they have another one, the record is of an
earlier schema: it is read and shown, and a sweep that asks for the same settings computes them again.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from loretta_core.config import SCHEMA_VERSION, CellConfig
from loretta_core.errors import OutputError
from loretta_core.report.units import counted
from loretta_core.store.manifest import read_manifest, sweep_names
from loretta_core.store.record_files import RECORD_NAME, find_records
from loretta_core.store.records import Record

UNKNOWN = "unknown"


@dataclass(frozen=True)
class RecordGroup:
    """Records of one schema and format."""

    schema: str
    """Schema version under which the settings have the id of the record; "unknown" where that is none, since a default or a field changed."""
    format: int
    """Layout of the file."""
    number: int

    @property
    def current(self) -> bool:
        """True where a sweep takes these cells for finished, or for failed."""
        return self.schema == str(SCHEMA_VERSION)

    @property
    def text(self) -> str:
        """The group in one line."""
        use = "current: sweeps reuse them" if self.current else "old: shown, and computed again by a sweep that asks for the same settings"
        return f"schema {self.schema}, record format {self.format}: {counted(self.number, 'record')}; {use}"


@dataclass(frozen=True)
class KeptRecords:
    """The records and sweeps of an output directory that the present version can use."""

    groups: tuple[RecordGroup, ...]
    """The current ones first, then the newest."""
    damaged: dict[str, str]
    """Cell id → why its record cannot be read."""
    sweeps: tuple[str, ...]
    """Sweeps that can be compared."""
    refused: tuple[str, ...]
    """Why the manifests of the other sweeps cannot be read."""


def kept_records(out: Path) -> KeptRecords:
    """Count the records of an output directory by schema and format, and the sweeps that can be read. Raises OutputError when there is no such directory."""
    if not (out / "cells").is_dir():
        raise OutputError(f"{out}: no output directory with cells; give the one to look at")
    found = find_records(out)
    counts = Counter((schema_of(record), _format(out, cell_id)) for cell_id, record in found.records.items())
    groups = sorted((RecordGroup(schema, layout, number) for (schema, layout), number in counts.items()), key=_newest_first)
    sweeps, refused = _sweeps(out)
    return KeptRecords(tuple(groups), found.damaged, sweeps, refused)


def schema_of(record: Record) -> str:
    """Return the schema version under which the settings of a record have its id."""
    try:
        cell = CellConfig.model_validate(record.cell)
    except ValidationError:
        return UNKNOWN
    return next((str(version) for version in range(SCHEMA_VERSION, 0, -1) if cell.id_under(version) == record.cell_id), UNKNOWN)


def _newest_first(group: RecordGroup) -> tuple[bool, int, int]:
    return group.schema == UNKNOWN, 0 if group.schema == UNKNOWN else -int(group.schema), -group.format


def _format(out: Path, cell_id: str) -> int:
    """Return the layout of a valid record as it is on disk; reading translates it."""
    return json.loads((out / "cells" / cell_id / RECORD_NAME).read_bytes())["format"]


def _sweeps(out: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    readable, refused = [], []
    for name in sorted(sweep_names(out)):
        try:
            read_manifest(out, name=name)
            readable.append(name)
        except OutputError as error:
            refused.append(str(error))
    return tuple(readable), tuple(refused)


def describe(kept: KeptRecords, *, out: Path) -> Iterator[str]:
    """Yield the lines that `loretta doctor --migrate` prints."""
    total = sum(group.number for group in kept.groups)
    yield f"{out}: {counted(total, 'record')} can be read. This version writes schema {SCHEMA_VERSION}."
    yield from (f"  {group.text}" for group in kept.groups)
    yield from (f"  damaged: {reason}" for reason in kept.damaged.values())
    yield f"{counted(len(kept.sweeps), 'sweep')} can be compared{': ' + ', '.join(kept.sweeps) if kept.sweeps else ''}"
    yield from (f"  refused: {reason}" for reason in kept.refused)
    yield "Nothing was changed."
