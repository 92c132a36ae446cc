"""Sentences of CoNLL's files: a word and its tag a line, with columns between them that are not read, and a blank line behind each sentence."""

from __future__ import annotations

from collections.abc import Sequence

from loretta_core.errors import DataError

_DOCUMENT = "-DOCSTART-"
"""Word of the line that begins a document."""


def conll_rows(text: str, place: str, *, columns: Sequence[str]) -> list[tuple[int, dict[str, list[str]]]]:
    """Return (line of its first word, row) of each sentence; `columns` are the names for words and tags: the first cell of a line and the last.

    Raises DataError for a line with one cell.
    """
    words, tags = columns
    rows: list[tuple[int, dict[str, list[str]]]] = []
    begun = False
    for number, line in enumerate(text.split("\n"), start=1):
        cells = line.strip("\r").split("\t") if "\t" in line else line.split()
        if not "".join(cells).strip() or cells[0] == _DOCUMENT:
            begun = False
            continue
        if len(cells) < 2:
            raise DataError(f"{place}:{number}: {line.strip()[:60]!r}, expected a word and its tag; a blank line ends a sentence")
        if not begun:
            rows.append((number, {words: [], tags: []}))
            begun = True
        rows[-1][1][words].append(cells[0])
        rows[-1][1][tags].append(cells[-1])
    return rows
