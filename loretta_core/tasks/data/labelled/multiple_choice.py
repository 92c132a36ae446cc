"""Loads the task `multiple_choice` from the user's files: each row has a question and choices of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from string import ascii_uppercase

from loretta_core.config.task import MultipleChoice
from loretta_core.errors import DataError
from loretta_core.tasks.data.drawn_splits import drawn_splits, named_sources
from loretta_core.tasks.data.reading.cells import texts_of
from loretta_core.tasks.data.reading.choices import Question, question_of, right_choices
from loretta_core.tasks.data.reading.files import Form
from loretta_core.tasks.data.reading.sources import read_source
from loretta_core.tasks.data.rows import Row
from loretta_core.tasks.data.templates import fill


def load_multiple_choice(task: MultipleChoice) -> tuple[dict[str, Sequence[Row]], tuple[str, ...]]:
    """Return the rows of the splits, and notes for the record. Raises DataError that names the file and row."""
    form = Form(task.encoding, task.separator, task.quoting)
    columns = [task.choices] if isinstance(task.choices, str) else list(task.choices[:2])  # the others may be missing
    needed = [*(name for name in task.text if name not in task.optional), *columns, task.answer]
    found = {split: read_source(source, columns=needed, form=form) for split, source in named_sources(task).items()}
    questions = {split: [question_of(item, task.choices, task.answer, place) for place, item in one.rows] for split, one in found.items()}
    right, told = right_choices([question for some in questions.values() for question in some], answer_is=task.answer_is)
    labels = iter(right)
    rows: dict[str, list[Row]] = {}
    for split, one in found.items():
        texts = [texts_of(item, task.text, place) for place, item in one.rows]
        rows[split] = [
            choice_row(text, question, next(labels), template=task.resolved_template, by=task.by)
            for text, question in zip(texts, questions[split], strict=True)
        ]
    drawn, held = drawn_splits(rows, task)
    return drawn, (*dict.fromkeys(note for one in found.values() for note in one.notes), *told, *held)


def choice_row(text: Mapping[str, str], question: Question, right: int, *, template: str, by: str) -> Row:
    """Return the row of a question: its prompt, and its letters or the texts of its choices as candidates; equal texts are one candidate.

    A blank stands before a candidate, unless the template ends with one or with a line break.
    """
    lead = "" if template[-1:].isspace() else " "
    if by == "text":
        texts = tuple(dict.fromkeys(question.texts))
        if len(texts) < 2:
            raise DataError(f"{question.place}: all choices are {texts[0]!r}; expected two that differ")
        prompt = fill(template, text)
        return Row({"prompt": prompt}, texts.index(question.texts[right]), candidates=tuple(f"{lead}{one}" for one in texts), place=question.place)
    if len(question.texts) > len(ascii_uppercase):
        raise DataError(f'{question.place}: {len(question.texts)} choices, more than there are letters; set task.by = "text"')
    prompt = fill(template, {**text, "choices": lettered(question.texts)})
    return Row({"prompt": prompt}, right, candidates=tuple(f"{lead}{letter}" for letter in ascii_uppercase[: len(question.texts)]), place=question.place)


def lettered(choices: Sequence[str]) -> str:
    """Return choices as a list with letters, a line each."""
    return "\n".join(f"{letter}. {choice}" for letter, choice in zip(ascii_uppercase, choices, strict=False))
