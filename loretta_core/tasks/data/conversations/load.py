"""Loads the tasks `instruct` and `chat` from the user's files: rows of turns, the last of them the assistant's.

    instruct     instruction + input → a turn of the user, output → the answer to it
    chat         the turns as they are; what the user says after the assistant's last turn has no answer and is left out

A training row without an answer, as published files have some, is left out and counted; in validation and test files it is refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from loretta_core.config.task import Chat, Instruct, Source
from loretta_core.config.tasks.conversations import INSTRUCT_COLUMNS
from loretta_core.errors import DataError
from loretta_core.tasks.data.conversations.turns import turns_in
from loretta_core.tasks.data.drawn_splits import drawn_splits, named_sources
from loretta_core.tasks.data.reading.cells import Cells, answers_of, text_of
from loretta_core.tasks.data.reading.files import Form, Found
from loretta_core.tasks.data.reading.labels import empty
from loretta_core.tasks.data.reading.sources import caption, read_source
from loretta_core.tasks.data.rows import Row, Turn
from loretta_core.tasks.data.scored_by import scorer_of
from loretta_core.tasks.scoring.scorer import Scorer
from loretta_core.tasks.scoring.stops import check_stops

CHAT_COLUMNS = ("messages", "conversations", "conversation")
"""Columns that hold the turns where the task names none; the first that a file has counts."""


def load_conversations(task: Instruct | Chat) -> tuple[dict[str, Sequence[Row]], tuple[str, ...]]:
    """Return the rows of the splits, and notes for the record. `test` is absent where no test rows are named and too few could be held out.

    Raises DataError that names the file and row: missing file or column, empty cell, a turn that is none, a conversation without an answer.
    """
    form = Form(task.encoding, task.separator, task.quoting, lists=isinstance(task, Chat))
    found = {split: _read(source, task, form) for split, source in named_sources(task).items()}
    scorer, told = scorer_of(task, ()), Counter[str]()
    rows: dict[str, list[Row]] = {}
    for split, one in found.items():
        made = [_row(item, place, task=task, scorer=scorer, told=told, lenient=split == "train") for place, item in one.rows]
        rows[split] = [row for row in made if row is not None]
        if not rows[split]:
            raise DataError(f"{caption(named_sources(task)[split])}: none of the {len(made)} rows has an answer")
    total = sum(len(one.rows) for one in found.values())
    drawn, held = drawn_splits(rows, task)
    notes = [*dict.fromkeys(note for one in found.values() for note in one.notes), *(f"{count} of {total} {what}" for what, count in told.items())]
    return drawn, (*notes, *held)


def conversation_row(turns: Sequence[Turn], *, answers: Sequence[str], place: str = "") -> Row:
    """Return a row of turns, the last of which is the assistant's and the first of its accepted answers."""
    asked = [f"{turn.role}: {turn.text}" for turn in turns[:-1]] if len(turns) > 2 else [turn.text for turn in turns[:-1]]
    return Row({"prompt": "\n".join(asked)}, 0, answers=tuple(answers), turns=tuple(turns), place=place)


def _read(source: Source, task: Instruct | Chat, form: Form) -> Found:
    if isinstance(task, Instruct):
        wanted = [task.columns.get("instruction", "instruction"), task.columns.get("output", "output")]
        optional = [name for what, name in task.columns.items() if what in ("input", "system")]
        return read_source(source, columns=[*wanted, *optional], form=form)
    if task.messages is not None:
        return read_source(source, columns=[task.messages], form=form)
    first: DataError | None = None
    for name in CHAT_COLUMNS:
        try:
            return read_source(source, columns=[name], form=form)
        except DataError as error:
            first = first or error
    assert first is not None
    raise first


def _row(item: Cells, place: str, *, task: Instruct | Chat, scorer: Scorer, told: Counter[str], lenient: bool) -> Row | None:
    """Return a row; None, and one more in `told`, for one without an answer where that is allowed."""
    turns, answers, lacks = _instruction(item, task, place) if isinstance(task, Instruct) else _conversation(item, task, place, told)
    if lacks and lenient:
        told[f"rows have {lacks} and were left out of the training rows"] += 1
        return None
    if lacks:
        raise DataError(f"{place}: {lacks}; every row must have an answer, give it one or leave it out of the file")
    if turns[0].role != "system" and task.system is not None:
        turns = (Turn("system", task.system), *turns)
    for answer in answers:
        check_stops(answer, task.stop, place)
        scorer.check_answer(answer, place)
    return conversation_row(turns, answers=answers, place=place)


Parts = tuple[tuple[Turn, ...], tuple[str, ...], str]
"""Turns, accepted answers, and what is missing of them, in words."""


def _instruction(item: Cells, task: Instruct, place: str) -> Parts:
    names = {what: task.columns.get(what, what) for what in INSTRUCT_COLUMNS}
    cells = {what: item.get(name) for what, name in names.items()}
    if empty(cells["output"]):
        return (), (), "no output"
    only = "input" if empty(cells["instruction"]) and not empty(cells["input"]) else "instruction"
    asked = text_of(item, names[only], place)
    context = "" if only == "input" or empty(cells["input"]) else text_of(item, names["input"], place)
    system = () if empty(cells["system"]) else (Turn("system", text_of(item, names["system"], place)),)
    answers = answers_of(cells["output"], place, names["output"])
    return (*system, Turn("user", asked, context), Turn("assistant", answers[0])), answers, ""


def _conversation(item: Cells, task: Chat, place: str, told: Counter[str]) -> Parts:
    column = task.messages or next(name for name in CHAT_COLUMNS if name in item)
    turns = turns_in(item[column], place, column)
    last = max((index for index, turn in enumerate(turns) if turn.role == "assistant"), default=None)
    if last is None:
        return (), (), "no turn of the assistant"
    kept = tuple(turn for turn in turns[: last + 1] if turn.role != "system" or turn.text.strip())
    if not all(turn.text.strip() for turn in kept):
        return (), (), "a turn without text"
    if kept[0].role == "assistant" and task.system is None:
        return (), (), "no turn before the assistant's first"
    if last < len(turns) - 1:
        told["conversations end with a turn that has no answer, which was left out"] += 1
    return kept, (turns[last].content,), ""
