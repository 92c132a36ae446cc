"""Files of single lines: TREC's `DESC:manner How did …` and the trees of the Stanford Sentiment Treebank, `(3 (2 It) (4 (2 is) …))`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from loretta_core.errors import DataError
from loretta_core.tasks.data.reading.encodings import decode, read_bytes
from loretta_core.tasks.data.reading.files import Found, suffix_of

_QUESTION = re.compile(r"(?P<label>[A-Z]+):\S+ +(?P<text>.*\S)\s*")
_TREE = re.compile(r"\s*\((?P<label>[0-4]) .*\)\s*")
_LEAF = re.compile(r"\([0-4] ([^()\s]+)\)")
_BRACKETS = {"-LRB-": "(", "-RRB-": ")"}


def _question(line: str) -> dict[str, Any] | None:
    found = _QUESTION.fullmatch(line)
    return found and found.groupdict()


def _tree(line: str) -> dict[str, Any] | None:
    found = _TREE.fullmatch(line)
    return found and {"label": int(found["label"]), "text": " ".join(_BRACKETS.get(word, word) for word in _LEAF.findall(line))}


_FORMS: Mapping[tuple[str, str], Callable[[str], dict[str, Any] | None]] = {("trec", ".label"): _question, ("sst5", ".txt"): _tree}
"""(task, suffix) → a line as a row; None for a line of another form."""


def line_rows(task: str, path: Path) -> Found | None:
    """Return the rows of a file whose rows are lines of the task's own form; None for other files. Raises DataError with the line that is of another form."""
    form = _FORMS.get((task, suffix_of(path)))
    if form is None:
        return None
    text, guessed = decode(read_bytes(path), encoding=None, place=str(path))
    rows = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            row = form(line)
            if row is None:
                raise DataError(f"{path}:{number}: {line[:60]!r}, not of the official form of {task}")
            rows.append((f"{path}:{number}", row))
    if not rows:
        raise DataError(f"{path}: the split is empty; expected one row a line")
    return Found(rows, (f"{path}: read as {guessed}",) if guessed else ())
