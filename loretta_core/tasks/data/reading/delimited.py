"""Rows of CSV, TSV and the like: the separator from the header, and whether quotes enclose cells or belong to the text.

The separator is the one that the suffix names, unless the header has the wanted columns with another. In TSV, GLUE's files use quotes as characters, unbalanced
ones included, where pandas and spreadsheets enclose cells in them (RFC 4180). A TSV file is of the second kind only if the whole of it can be: every quote
stands in an enclosed cell, every row has the header's width, and something was enclosed that needed it.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from loretta_core.config.task import Quoting
from loretta_core.errors import DataError
from loretta_core.tasks.data.reading.disk_list import kept
from loretta_core.tasks.data.reading.encodings import lines_of

SEPARATORS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}
SUFFIXES = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".txt": "\t"}
"""suffix → the separator that it stands for."""

csv.field_size_limit(2**31 - 1)  # the default of 131,072 characters is less than a long document

_NAMED_SEPARATOR = re.compile(r"sep=(.)\r?\n")
"""First line with which Excel names the separator."""


@dataclass(frozen=True)
class Dialect:
    """The division of a file into cells."""

    separator: str
    enclosed: bool
    """True if quotes around a cell are not part of its text."""
    spaced: bool = False
    """True if a blank follows each separator."""


@dataclass(frozen=True)
class Delimited:
    """The rows of a file, and what was found out about its form."""

    rows: Sequence[tuple[int, dict[str, Any]]]
    """(line on which a row ends, its cells by column)."""
    told: list[str]


def delimited_rows(
    text: str, *, suffix: str, columns: Sequence[str], separator: str | None, quoting: Quoting, headless: Sequence[str] = (), place: str
) -> Delimited:
    """Return the rows of a text whose first line is the header, unless it has none: if it is as long as `headless`, the columns that the text then has.

    Raises DataError for a row that is wider than the header, and for quotes that do not close.
    """
    if "\n" not in text:
        text = text.replace("\r", "\n")  # old Macintosh files
    named = _NAMED_SEPARATOR.match(text)
    if named is not None:
        found = delimited_rows(text[named.end() :], suffix=suffix, columns=columns, separator=separator or named[1], quoting=quoting, place=place)
        return Delimited(kept((line + 1, row) for line, row in found.rows), found.told)
    begun = text.lstrip("\r\n")
    blank = text[: len(text) - len(begun)].count("\n")  # lines before the header
    text = begun
    usual = SUFFIXES.get(suffix, ",")
    dialect = _dialect(text, separator or usual, columns, fixed=separator is not None, quoting=quoting)
    told = [f"separated by {SEPARATORS[dialect.separator]}"] if dialect.separator != (separator or usual) else []
    if usual == dialect.separator == "\t" and dialect.enclosed and quoting == "auto":
        told.append('quotes around cells are left out (quoting = "none" keeps them)')
    first = _names(_cells(_first_line(text), dialect.separator))
    names = headless if len(first) == len(headless) and not set(first) & {*columns, *headless} else None
    return Delimited(kept((line + blank, row) for line, row in _rows(text, dialect, names, place)), told)


def _dialect(text: str, separator: str, columns: Sequence[str], *, fixed: bool, quoting: Quoting) -> Dialect:
    if not fixed:
        header = _first_line(text)
        fits = [one for one in dict.fromkeys((separator, *SEPARATORS)) if set(columns) <= set(_names(_cells(header, one)))]
        separator = fits[0] if fits else separator
    enclosed = quoting == "enclosed" or (quoting == "auto" and (separator != "\t" or _encloses_cells(text, separator)))
    return Dialect(separator, enclosed, spaced=enclosed and f"{separator} " in _first_line(text))


def _first_line(text: str) -> str:
    return next(lines_of(text))


def _cells(line: str, separator: str) -> list[str]:
    return next(csv.reader([line], delimiter=separator), [])


def _names(cells: Sequence[str]) -> list[str]:
    return [cell.strip() for cell in cells]


def _rows(text: str, dialect: Dialect, names: Sequence[str] | None, place: str) -> Iterator[tuple[int, dict[str, Any]]]:
    quoting = csv.QUOTE_MINIMAL if dialect.enclosed else csv.QUOTE_NONE
    # In a file without enclosed cells a row is a line, and only that: csv would also break at a lone carriage return.
    lines = (line[0] for line in _LINE.finditer(text)) if dialect.enclosed else (line.rstrip("\r") for line in lines_of(text))
    reader = csv.reader(lines, delimiter=dialect.separator, quoting=quoting, strict=dialect.enclosed, skipinitialspace=dialect.spaced)
    header = None if names is None else list(names)
    try:
        for cells in reader:
            if header is None:
                header = _names(cells)
                _check_header(header, place)
            elif cells:
                if any(cells[len(header) :]):  # empty cells at the end are a spreadsheet's
                    raise DataError(
                        f"{place}:{reader.line_num}: {len(cells)} cells, more cells than the header has columns ({len(header)}); "
                        "a text with the separator in it must be in quotes, or set task.separator"
                    )
                yield reader.line_num, dict(zip(header, [*cells[: len(header)], *[None] * (len(header) - len(cells))], strict=True))
    except csv.Error as error:
        raise DataError(f'{place}:{reader.line_num}: {error}; if quotes belong to the texts, set task.quoting = "none"') from None


_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
"""A line with its end, which is a part of the text inside of an enclosed cell."""


def _check_header(header: Sequence[str], place: str) -> None:
    twice = next((name for name in header if name and header.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"{place}:1: the header names the column {twice!r} twice")


_ENCLOSED = r'"(?:[^"]|"")*"'


def _encloses_cells(text: str, separator: str) -> bool:
    """Return True if every quote of the text stands in an enclosed cell, rows are equally wide, and some cell was enclosed for a reason."""
    if '"' not in text:
        return False
    cell = re.compile(rf'({_ENCLOSED}|[^"{separator}\r\n]*)({separator}|\r?\n|\Z)')
    width, first, needed, commas_enclosed, commas_bare, place = 0, 0, False, False, False, 0
    header = True
    while place < len(text):
        found = cell.match(text, place)
        if found is None:
            return False
        content, end = found.groups()
        enclosed = content.startswith('"')
        inner = content[1:-1] if enclosed else content
        needed |= enclosed and (header or any(mark in inner for mark in ('"', separator, "\n")))
        commas_enclosed |= enclosed and "," in inner
        commas_bare |= not enclosed and "," in inner
        width += 1
        place = found.end()
        if end != separator:
            first = first or width
            if width != first and not (width == 1 and not content):
                return False
            width, header = 0, False
            if not end:
                break
    # Spreadsheets also enclose every cell with a comma in it.
    return needed or (commas_enclosed and not commas_bare)
