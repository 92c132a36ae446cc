"""Records on disk: written whole or not at all, read only when they are what was written.

    OUT/cells/<cell_id>/record.json     absent, or valid ("finished" or "failed"), or damaged

A file carries the sha256 of its content, which is verified when it is read. Records of format 1 are read too; new ones are written in the present format.
A record that is there and cannot be used is damaged, whatever the reason: it costs its own cell, and whoever reads many is told which ones.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json, to_json

from loretta_core.errors import OutputError
from loretta_core.store.output_dir import write_atomically
from loretta_core.store.record_format_1 import from_format_1
from loretta_core.store.records import RECORD_FORMAT, Record

RECORD_NAME = "record.json"


class NoRecord(OutputError):
    """The cell has no record: it never ended."""


@dataclass(frozen=True)
class FoundRecords:
    """The records of some cells; a cell that is in neither table has none."""

    records: dict[str, Record]
    """Cell id → its valid record."""
    damaged: dict[str, str]
    """Cell id → path of a record that cannot be used, what is wrong with it, and what to do."""


def write_record(record: Record, directory: Path) -> Path:
    """Write `directory`/record.json atomically, with a digest of its content."""
    content = record.model_dump(mode="json")
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / RECORD_NAME
    write_atomically(path, json.dumps({**content, "content_sha256": content_digest(content)}, indent=1))
    return path


def read_record(directory: Path) -> Record:
    """Read and verify `directory`/record.json. Raises NoRecord when there is none, OutputError when it is damaged or of another format."""
    path = directory / RECORD_NAME
    content = _verified(path)
    try:
        return Record.model_validate(content if content["format"] == RECORD_FORMAT else from_format_1(content))
    except ValidationError as error:
        raise OutputError(f"{path}: not a record: {error.errors()[0]['msg']}") from None


def read_cell_record(directory: Path) -> Record:
    """Read the record of the cell that a directory is named after. Raises what `read_record` raises, and OutputError for the record of another cell."""
    record = read_record(directory)
    if record.cell_id != directory.name:
        path = directory / RECORD_NAME
        raise OutputError(f"{path}: damaged (it is the record of cell {record.cell_id}, not of {directory.name}); delete it to run the cell again")
    return record


def find_records(out: Path, cell_ids: Iterable[str] | None = None) -> FoundRecords:
    """Read the records of the given cells (or of all), and say which ones are damaged."""
    cells = out / "cells"
    found = FoundRecords({}, {})
    for name in cell_names(out) if cell_ids is None else cell_ids:
        try:
            found.records[name] = read_cell_record(cells / name)
        except NoRecord:
            continue
        except OutputError as error:
            found.damaged[name] = str(error)
    return found


def cell_names(out: Path) -> list[str]:
    """Return the names of all directories in OUT/cells, sorted; none where there is no such directory."""
    try:
        with os.scandir(out / "cells") as entries:
            return sorted(entry.name for entry in entries if entry.is_dir())
    except FileNotFoundError:
        return []


def content_digest(content: dict[str, Any]) -> str:
    """Return the sha256 of a record's content as JSON with sorted keys, the field `content_sha256` left out."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _verified(path: Path) -> dict[str, Any]:
    """Return the content of a record of a known format whose digest is right."""
    try:
        content = from_json(path.read_bytes())  # half the time of json.loads, which counts for thousands of records
        digest = content.pop("content_sha256")
    except FileNotFoundError:
        raise NoRecord(f"{path}: no such record") from None
    except OSError as error:
        raise OutputError(f"{path}: damaged (cannot be read: {error.strerror}); make it readable, or delete it to run the cell again") from None
    except (ValueError, KeyError, AttributeError, TypeError):
        raise OutputError(f"{path}: damaged (not a complete record); delete it to run the cell again") from None
    if content.get("format") not in (1, RECORD_FORMAT):
        raise OutputError(f"{path}: format {content.get('format')!r}, this version reads 1 to {RECORD_FORMAT}; use the version that wrote it, or another --out")
    if not _has_digest(content, digest):
        raise OutputError(f"{path}: its content does not match its sha256 (edited or damaged); delete it to run the cell again")
    return content


def _has_digest(content: dict[str, Any], digest: object) -> bool:
    """Compare the content with a digest. pydantic writes the same text as `json` in a twentieth of the time, unless it has a number such as 1e-05 or a letter
    beyond ASCII: then it is written again the slow way."""
    return digest == hashlib.sha256(to_json(_sorted(content))).hexdigest() or digest == content_digest(content)


def _sorted(content: dict[str, Any]) -> dict[str, Any]:
    return {name: _sorted(value) if isinstance(value, dict) else value for name, value in sorted(content.items())}
