"""Reads the rows of a file with their line numbers: JSON lines, CSV, TSV or Parquet, by the suffix."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from loretta_core.errors import DataError

Record = dict[str, Any]
SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".parquet")

_NUMBER = re.compile(r"-?\d+(\.\d+)?")


def read_rows(path: Path, *, columns: Sequence[str], label: str | None) -> list[tuple[int, Record]]:
    """Return (line, row) of each row, with its columns checked. In CSV and TSV, where everything is text, a label that is a number becomes one.

    Raises DataError: missing file, bad JSON, wrong encoding, missing column, no rows.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file (paths are relative to the directory the sweep is started in)")
    match path.suffix:
        case ".csv" | ".tsv":
            rows = list(_csv(path, "\t" if path.suffix == ".tsv" else ",", label))
        case ".parquet":
            rows = list(_parquet(path))
        case _:
            rows = list(_json_lines(path))
    for number, item in rows:
        missing = [name for name in columns if not isinstance(item, dict) or item.get(name) is None]
        if missing:
            have = ", ".join(map(str, item)) if isinstance(item, dict) else type(item).__name__
            raise DataError(f"{path}:{number}: no column {missing[0]!r}; columns there: {have}. Set task.text and task.label to the names in the file")
    if not rows:
        raise DataError(f"{path}: the split is empty; expected one row a line")
    return rows


def _json_lines(path: Path) -> Iterator[tuple[int, Any]]:
    for number, line in _lines(path):
        if line.strip():
            try:
                yield number, json.loads(line)
            except json.JSONDecodeError as error:
                raise DataError(f"{path}:{number}: not JSON: {error}") from None


def _csv(path: Path, delimiter: str, label: str | None) -> Iterator[tuple[int, Record]]:
    # GLUE's TSV files have unbalanced quotes, so there a quote is a character like any other.
    reader = csv.DictReader((line for _, line in _lines(path)), delimiter=delimiter, quoting=csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL)
    for row in reader:
        if None in row:
            raise DataError(f"{path}:{reader.line_num}: more cells than the header has columns")
        if label is not None and _NUMBER.fullmatch(row.get(label) or ""):
            row = {**row, label: json.loads(row[label].lstrip("0") or "0") if "." not in row[label] else float(row[label])}
        yield reader.line_num, row


def _parquet(path: Path) -> Iterator[tuple[int, Record]]:
    try:
        import pyarrow.parquet as parquet
    except ImportError:
        raise DataError(f"{path}: reading Parquet needs pyarrow: pip install pyarrow") from None
    try:
        table = parquet.read_table(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not Parquet: {error}") from None
    yield from enumerate(table.to_pylist(), start=1)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    with path.open(encoding="utf-8", newline="") as lines:
        try:
            yield from enumerate(lines, start=1)
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start} of a block); convert the file") from None
