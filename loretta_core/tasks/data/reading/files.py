"""Reads the rows of a file with their places: JSON lines or arrays, CSV, TSV or Parquet, by the suffix; plain or gzip, in any encoding."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loretta_core.config.task import Quoting
from loretta_core.errors import DataError
from loretta_core.tasks.data.reading.cells import with_nested
from loretta_core.tasks.data.reading.conll import conll_rows
from loretta_core.tasks.data.reading.delimited import SUFFIXES as DELIMITED
from loretta_core.tasks.data.reading.delimited import delimited_rows
from loretta_core.tasks.data.reading.disk_list import kept
from loretta_core.tasks.data.reading.encodings import decode, read_bytes
from loretta_core.tasks.data.reading.json_rows import JSON, json_rows
from loretta_core.tasks.data.reading.labels import shortened

Record = dict[str, Any]
SUFFIXES = (*JSON, *DELIMITED, ".parquet")
"""Suffixes of files that can be read; each may be followed by .gz."""


@dataclass(frozen=True)
class Form:
    """The form of files, as far as it is given; the rest is found out."""

    encoding: str | None = None
    separator: str | None = None
    quoting: Quoting = "auto"
    headless: tuple[str, ...] = ()
    """Columns of a delimited file that may have no header: it has none if its first row is as long and names none of the columns."""
    sentences: bool = False
    """Texts that are neither JSON nor .csv have a word a line (`conll.py`)."""
    lists: bool = False
    """True if the cells of JSON are lists, as the turns of a conversation are."""


_ZIP = b"PK\x03\x04"
"""First bytes of a ZIP archive, which .xlsx and .ods are, too."""

NAMING = "Set task.text and task.label (jsonl), task.columns (instruct) or task.messages (chat) to the names in the file"

Adapt = Callable[[Any], Sequence[Any]]
"""Row of a file → the rows that it stands for."""


@dataclass(frozen=True)
class Found:
    """The rows of a source, and what was found out about its form."""

    rows: Sequence[tuple[str, Record]]
    """(place, row); a place is `file:line`, or `file:number of the row` where rows are no lines."""
    notes: tuple[str, ...] = field(default=())


def _itself(item: Any) -> Sequence[Any]:
    return (item,)


def read_rows(path: Path, *, columns: Sequence[str], form: Form | None = None, adapt: Adapt = _itself) -> Found:
    """Return the rows of a file as `adapt` makes them, with their columns checked. Cells of CSV and TSV are texts, and None where a row is too short.

    Raises DataError with file and row: no file, not of its format, wrong encoding, missing column, no rows.
    """
    if path.is_dir():
        raise DataError(f"{path}: a directory; expected a file, a list of files, or a pattern such as {path / '*.jsonl'}")
    if not path.is_file():
        raise DataError(f"{path}: no such file (paths are relative to the directory the sweep is started in)")
    suffix = suffix_of(path)
    if suffix == ".parquet":
        rows, told = _parquet(path), []
    else:
        rows, told = _text_rows(path, suffix, columns, form or Form())
    placed = kept(_placed(rows, path, adapt, columns))
    if not placed:
        raise DataError(f"{path}: the split is empty; expected one row a line")
    return Found(placed, (f"{path}: {', '.join(told)}",) if told else ())


def _placed(rows: Iterable[tuple[int, Any]], path: Path, adapt: Adapt, columns: Sequence[str]) -> Iterator[tuple[str, Record]]:
    for number, item in rows:
        place = f"{path}:{number}"
        for adapted in _adapted(item, adapt, place):
            found = with_nested(adapted, columns)
            check_columns(found, columns, place)
            yield place, found


def _adapted(item: Any, adapt: Adapt, place: str) -> Sequence[Any]:
    try:
        return adapt(item)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise DataError(f"{place}: looks like a row of the official files, and is not arranged as one ({type(error).__name__}: {error})") from None


def suffix_of(path: Path) -> str:
    """Return the suffix that tells the format, in lower case and without .gz."""
    return Path(path.name.lower().removesuffix(".gz")).suffix


def check_columns(item: Any, columns: Sequence[str], place: str) -> None:
    """Raise DataError unless a row is an object with the columns; a cell may be empty."""
    if not isinstance(item, dict):
        raise DataError(f"{place}: the row is {shortened(item)}; expected an object with the columns {', '.join(columns)}")
    missing = [name for name in columns if name not in item]
    if missing:
        have = ", ".join(str(name) if str(name).strip() == name else repr(name) for name in item)
        raise DataError(f"{place}: no column {missing[0]!r}; columns there: {have}. {NAMING}")


def _text_rows(path: Path, suffix: str, columns: Sequence[str], form: Form) -> tuple[Iterable[tuple[int, Any]], list[str]]:
    data = read_bytes(path)
    if data.startswith(_ZIP):
        raise DataError(f"{path}: an archive or a workbook (ZIP); unpack it, or save the sheet as .csv; expected one of {', '.join(SUFFIXES)}")
    text, guessed = decode(data, encoding=form.encoding, place=str(path))
    del data  # the file takes its size once
    told = [f"read as {guessed}, the likeliest encoding of a file that is not UTF-8"] if guessed else []
    if "\0" in text:
        raise DataError(f"{path}: holds zero bytes, as no text does; expected {', '.join(SUFFIXES)}")
    if form.sentences and suffix not in (*JSON, ".csv") and text.lstrip()[:1] not in ("{", "["):
        return list(conll_rows(text, str(path), columns=columns)), told
    if suffix in DELIMITED and not (suffix == ".txt" and text.lstrip()[:1] in ("{", "[")):
        found = delimited_rows(text, suffix=suffix, columns=columns, separator=form.separator, quoting=form.quoting, headless=form.headless, place=str(path))
        return found.rows, told + found.told
    if suffix not in (*JSON, ".txt") and text.lstrip()[:1] not in ("{", "["):
        raise DataError(f"{path}: its suffix {suffix!r} tells no format, and it is not JSON; expected one of {', '.join(SUFFIXES)}, or these with .gz")
    return json_rows(text, str(path), columns=columns, lists=form.lists), told


def _parquet(path: Path) -> Iterator[tuple[int, Record]]:
    try:
        import pyarrow.parquet as parquet
    except ImportError:
        raise DataError(f"{path}: reading Parquet needs pyarrow: pip install pyarrow") from None
    try:
        number = 0
        for batch in parquet.ParquetFile(path, memory_map=True).iter_batches():
            yield from enumerate(batch.to_pylist(), start=number + 1)
            number += len(batch)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not Parquet: {error}") from None
