"""Choices of a row and which of them is right, as data sets have them.

    choices    a list (MMLU), texts with labels (ARC, CommonsenseQA), a list as JSON in a cell of CSV, or a column for each
    answer     its own label, its index from 0 or from 1, its letter, or its text

What the answers are is inferred from all rows together, and told; where two readings fit all rows and differ, the config must say.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any

from loretta_core.errors import DataError
from loretta_core.tasks.data.reading.cells import Cells, list_of
from loretta_core.tasks.data.reading.labels import empty, shortened


@dataclass(frozen=True)
class Question:
    """The choices of a row, and the cell that says which is right."""

    texts: tuple[str, ...]
    labels: tuple[str, ...]
    """Labels of the choices, where the row has its own."""
    answer: Any
    place: str


def question_of(item: Cells, choices: str | tuple[str, ...], answer: str, place: str) -> Question:
    """Return the choices of a row. Raises DataError for fewer than two, and for one that is empty."""
    cells, labels = _listed(item[choices], choices, place) if isinstance(choices, str) else ([item.get(name) for name in choices], [])
    while not isinstance(choices, str) and cells and empty(cells[-1]):
        cells = cells[:-1]  # rows may have fewer choices than there are columns
    if len(cells) < 2 or any(empty(cell) or not isinstance(cell, str | int | float) for cell in cells):
        raise DataError(f"{place}: choices {shortened(cells)}, expected two texts or more, none of them empty")
    return Question(tuple(str(cell).strip() for cell in cells), tuple(map(str, labels)), item[answer], place)


def _listed(cell: Any, name: str, place: str) -> tuple[list[Any], list[Any]]:
    if isinstance(cell, dict) and isinstance(cell.get("text"), list):
        return cell["text"], cell.get("label") or []
    found = list_of(cell, delimiter="\n")
    if found is None:
        raise DataError(f"{place}: column {name!r} is {shortened(cell)}, expected a list of choices; where each has a column, list these in task.choices")
    if found and all(isinstance(one, dict) and "text" in one for one in found):
        labels = [one.get("label") for one in found]
        return [one["text"] for one in found], labels if None not in labels else []
    return found, []


def right_choices(questions: Sequence[Question], *, answer_is: str | None) -> tuple[list[int], tuple[str, ...]]:
    """Return the index of the right choice of each question, and a note on what the answers are. Raises DataError with the place of one that is none."""
    readings = {name: read for name, read in _READINGS.items() if answer_is is None or name.startswith(answer_is)}
    found = {name: [read(question) for question in questions] for name, read in readings.items()}
    fitting = {name: indices for name, indices in found.items() if None not in indices}
    if "index from 1" in fitting and "index from 0" in fitting:
        del fitting["index from 1"]  # then no row shows that they begin at 1
    if not fitting:
        best = max(found, key=lambda name: sum(index is not None for index in found[name]))
        wrong = questions[found[best].index(None)]
        raise DataError(
            f"{wrong.place}: the answer is {shortened(wrong.answer)}, which is no {best} of its {len(wrong.texts)} choices; expected an index, a letter, a "
            "label of a choice or its text, the same in all rows"
        )
    (name, indices), *others = fitting.items()
    differing = next((other for other, read in others if read != indices), None)
    if differing is not None:
        raise DataError(f"{questions[0].place}: the answers could be the {name} of a choice or its {differing}; set task.answer_is")
    return [index for index in indices if index is not None], () if name == "label" else (f"answers are the {name} of the right choice",)


def _by_label(question: Question) -> int | None:
    labels = [label.strip().casefold() for label in question.labels]
    return _place(str(question.answer).strip().casefold(), labels)


def _by_index(first: int) -> Callable[[Question], int | None]:
    def read(question: Question) -> int | None:
        try:
            number = float(question.answer) if isinstance(question.answer, int | float | str) and not isinstance(question.answer, bool) else -1.0
        except ValueError:
            return None
        index = number - first
        return int(index) if index.is_integer() and 0 <= index < len(question.texts) else None

    return read


def _by_letter(question: Question) -> int | None:
    letter = question.answer.strip().strip("().").upper() if isinstance(question.answer, str) else ""
    return _place(letter, list(ascii_uppercase[: len(question.texts)]))


def _by_text(question: Question) -> int | None:
    return _place(question.answer.strip(), list(question.texts)) if isinstance(question.answer, str) else None


def _place(wanted: str, among: Sequence[str]) -> int | None:
    return among.index(wanted) if wanted in among else None


_READINGS: dict[str, Callable[[Question], int | None]] = {
    "label": _by_label,
    "index from 0": _by_index(0),
    "index from 1": _by_index(1),
    "letter": _by_letter,
    "text": _by_text,
}
