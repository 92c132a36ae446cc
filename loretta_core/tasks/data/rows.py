"""The rows of a task: text and label in three splits. Free of torch, so that data can be checked before anything starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from loretta_core.tasks.scoring.scorer import Scorer

Split = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Turn:
    """One turn of a conversation."""

    role: str
    """`system`, `user`, `assistant` or `tool`, as chat templates know them."""
    content: str
    context: str = ""
    """Text behind the content, a blank line between them, that is the first to be cut where the conversation is too long: an instruction's input."""

    @property
    def text(self) -> str:
        """The words of the turn, with its context."""
        return f"{self.content}\n\n{self.context}" if self.content and self.context else self.content or self.context


@dataclass(frozen=True)
class Row:
    """One labelled example as text."""

    text: Mapping[str, str]
    """Column name → text; one column, or two for sentence pairs."""
    label: int | float
    """Index into the task's label names, or a number for regression; for rows with candidates, the index of the first right one."""
    candidates: tuple[str, ...] = ()
    """The answers to choose from, where each row has its own."""
    answers: tuple[str, ...] = ()
    """Accepted texts, where the answer is a text."""
    labels: tuple[int, ...] = ()
    """0 or 1 for each label where a row may have several; the number of the tag of each of `words`."""
    words: tuple[str, ...] = ()
    """The words that have a tag each."""
    lead: str = ""
    """What stands between the prompt and a written answer: MeZO's prompts end without the blank."""
    turns: tuple[Turn, ...] = ()
    """The turns of a conversation; the last one is the assistant's, the first of `answers`."""
    place: str = field(default="", compare=False)
    """Where the row comes from, `file:line`; empty for a generated one. No part of its content."""

    def named(self, number: int) -> str:
        """Return how messages name the row, which is the `number`th of those that are encoded: by its place, if it has one."""
        return self.place or f"row {number}"


@dataclass(frozen=True)
class TaskData:
    """The rows of a task, ready to encode."""

    train: Sequence[Row]
    validation: Sequence[Row]
    test: Sequence[Row]
    """The rows that give the score; those of `validation` where `scored_on` says so, and none after `without_test`."""
    label_names: tuple[str, ...]
    """Names of the labels in order; empty for a number and for free answers."""
    inputs_sha256: str
    """Digest of every row of every split: two cells with the same id and different digests saw different data."""
    test_sha256: str = ""
    """Digest of the rows that give the score, in their order: cells that share it can be compared row by row."""
    scorer: Scorer = field(default_factory=Scorer)
    """How predictions are scored."""
    notes: tuple[str, ...] = ()
    """Notes on the splits for the reader of the score."""
    scored_on: Split = "test"
    """The split that the score is computed on: "validation" where there are no rows that nothing was chosen on."""

    @property
    def metric(self) -> str:
        """Name of the metric that scores predictions (`scoring/metrics.py`)."""
        return self.scorer.metric

    @property
    def outputs(self) -> int:
        """The number of labels, or 1 for a number."""
        return len(self.label_names) or 1

    def without_test(self) -> TaskData:
        """Return the same data without the test rows, for a cell that must not see them; the digests stay."""
        return replace(self, test=())

    def with_note(self, note: str) -> TaskData:
        """Return the same data with one more note, unless it is empty."""
        return replace(self, notes=(*self.notes, note)) if note else self


def content_of(row: Row) -> list[object]:
    """Return a row as JSON values, for digests."""
    own = [list(row.candidates), list(row.answers)] if row.candidates or row.answers else []  # rows without them digest as they always did
    several = [list(row.labels)] if row.labels else []
    turns = [[[turn.role, turn.content, turn.context] for turn in row.turns]] if row.turns else []
    return [dict(row.text), row.label, *own, *several, *turns]
