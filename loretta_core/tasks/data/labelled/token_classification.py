"""Loads the task `token_classification` from the user's files: each row is a sentence with a tag for every word."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from loretta_core.config.task import TokenClassification
from loretta_core.errors import DataError
from loretta_core.tasks.data.drawn_splits import drawn_splits, named_sources
from loretta_core.tasks.data.reading.cells import Cells, list_of
from loretta_core.tasks.data.reading.files import Form
from loretta_core.tasks.data.reading.labels import shortened
from loretta_core.tasks.data.reading.sources import read_source
from loretta_core.tasks.data.rows import Row
from loretta_core.tasks.data.scored_by import scorer_of
from loretta_core.tasks.scoring.spans import OUTSIDE

Sentence = tuple[str, list[str], list[str]]
"""Place, words, and the tag of each."""


def load_token_classification(task: TokenClassification) -> tuple[dict[str, Sequence[Row]], tuple[str, ...], tuple[str, ...]]:
    """Return the rows of the splits, the names of the tags, and notes for the record. Raises DataError that names the file and row."""
    form = Form(task.encoding, task.separator, task.quoting, sentences=True)
    found = {split: read_source(source, columns=[task.tokens, task.tags], form=form) for split, source in named_sources(task).items()}
    sentences = {split: [_sentence(item, task, place) for place, item in one.rows] for split, one in found.items()}
    names = _names(task, {tag for _, _, tags in sentences["train"] for tag in tags})
    scorer_of(task, names)  # refuses what cannot be scored
    numbers = {name: index for index, name in enumerate(names)}
    if task.labels is not None:  # the file may number them
        numbers |= {str(index): index for index in range(len(names))}
    rows = {split: [_row(sentence, numbers, names) for sentence in some] for split, some in sentences.items()}
    drawn, held = drawn_splits(rows, task)
    told = () if task.labels is not None else (f"task.labels names no tags: they are {', '.join(names[:20])}{', …' if len(names) > 20 else ''}",)
    return drawn, names, (*dict.fromkeys(note for one in found.values() for note in one.notes), *told, *held)


def _sentence(item: Cells, task: TokenClassification, place: str) -> Sentence:
    words, tags = (_list(item[name], name, place) for name in (task.tokens, task.tags))
    if not words or len(words) != len(tags):
        raise DataError(f"{place}: {len(words)} words and {len(tags)} tags, expected a tag for each word, and at least one")
    return place, words, tags


def _list(cell: Any, name: str, place: str) -> list[str]:
    found = list_of(cell, delimiter=" ")
    if found is None or any(not isinstance(one, str | int) or str(one).strip() == "" for one in found):
        raise DataError(f"{place}: column {name!r} is {shortened(cell)}, expected a list, or a text with blanks between the words, none of them empty")
    return [" ".join(str(one).split()) for one in found]


def _names(task: TokenClassification, tags: set[str]) -> tuple[str, ...]:
    if task.labels is not None:
        return task.labels
    if all(tag.isdecimal() for tag in tags):
        return tuple(str(number) for number in range(max(map(int, tags)) + 1))
    return tuple(sorted(tags, key=lambda tag: (tag != OUTSIDE, tag)))


def _row(sentence: Sentence, numbers: dict[str, int], names: Sequence[str]) -> Row:
    place, words, tags = sentence
    unknown = next((tag for tag in tags if tag not in numbers), None)
    if unknown is not None:
        raise DataError(f"{place}: tag {unknown!r}, expected one of {', '.join(names)}; name all of them in task.labels")
    return Row({"text": " ".join(words)}, 0, labels=tuple(numbers[tag] for tag in tags), words=tuple(words), place=place)
