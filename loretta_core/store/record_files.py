"""Records on disk: written whole or not at all, read only when they are what was written.

    OUT/cells/<cell_id>/record.json

A file carries the sha256 of its content, which is verified when it is read. Records of format 1 are read too; new ones are written in the present format.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json, to_json

from loretta_core.errors import OutputError
from loretta_core.store.output_dir import write_atomically
from loretta_core.store.record_format_1 import from_format_1
from loretta_core.store.records import RECORD_FORMAT, Record

RECORD_NAME = "record.json"


def write_record(record: Record, directory: Path) -> Path:
    """Write `directory`/record.json atomically, with a digest of its content."""
    content = record.model_dump(mode="json")
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / RECORD_NAME
    write_atomically(path, json.dumps({**content, "content_sha256": content_digest(content)}, indent=1))
    return path


def read_record(directory: Path) -> Record:
    """Read and verify `directory`/record.json. Raises OutputError when it is missing, damaged, or of another format."""
    path = directory / RECORD_NAME
    content = _verified(path)
    try:
        return Record.model_validate(content if content["format"] == RECORD_FORMAT else from_format_1(content))
    except ValidationError as error:
        raise OutputError(f"{path}: not a record: {error.errors()[0]['msg']}") from None


def find_records(out: Path, cell_ids: Iterable[str] | None = None) -> dict[str, Record]:
    """Return the valid records of the given cells (or of all) by cell id; a cell without one, or with a damaged one, is left out."""
    cells = out / "cells"
    names = sorted(path.name for path in cells.glob("*") if path.is_dir()) if cell_ids is None else cell_ids
    found: dict[str, Record] = {}
    for name in names:
        try:
            found[name] = read_record(cells / name)
        except OutputError:
            continue
    return found


def content_digest(content: dict[str, Any]) -> str:
    """Return the sha256 of a record's content as JSON with sorted keys, the field `content_sha256` left out."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _verified(path: Path) -> dict[str, Any]:
    """Return the content of a record of a known format whose digest is right."""
    try:
        content = from_json(path.read_bytes())  # half the time of json.loads, which counts for thousands of records
        digest = content.pop("content_sha256")
    except FileNotFoundError:
        raise OutputError(f"{path}: no such record") from None
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
