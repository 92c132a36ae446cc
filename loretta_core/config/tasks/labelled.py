"""Tasks of the user's own files whose answer is no class of the row: one of the row's own choices, several labels, or a tag for each word.

multiple_choice    question, choices, the right one        a decoder finds the likeliest
multi_label        text, its labels                        a head with a probability for each label
token_classification    words, a tag for each             a head on every word
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from loretta_core.config.metrics import Kind, MetricName, metric_refusal
from loretta_core.config.tasks.own_files import OwnFiles
from loretta_core.config.tasks.vocabulary import AsWritten


class _Labelled(OwnFiles):
    """Settings that these tasks share beside their files."""

    metric: MetricName | None = None
    """None is the task's own: accuracy, micro_f1 of several labels, span_f1 of tags (token_accuracy where none begins with B-)."""

    @property
    def predicts(self) -> Kind:
        """Kind of what the model predicts."""
        kinds: dict[str, Kind] = {"multiple_choice": "choices", "multi_label": "label_sets", "token_classification": "tags"}
        return kinds[self.type]

    @model_validator(mode="after")
    def _metric_fits(self) -> Self:
        if self.metric is not None and (refusal := metric_refusal(self.metric, self.predicts)):
            raise ValueError(refusal)
        return self


class MultipleChoice(_Labelled):
    """Questions with choices of their own, of which one is right, as in MMLU, ARC or HellaSwag; rows may have different numbers of choices. For decoders."""

    type: Literal["multiple_choice"]
    objective: Literal["causal"] = "causal"
    """Always `causal`: the choices are ranked by their log-probability."""
    text: Annotated[tuple[str, ...], Field(min_length=1)] = ("question",)
    """Columns that the prompt reads; `a.b` is the field b of a nested column a."""
    optional: tuple[str, ...] = ()
    """Text columns that may be empty in a row, such as a passage."""
    choices: str | Annotated[tuple[str, ...], Field(min_length=2)] = "choices"
    """Column with the list of choices (of texts, or ARC's `text` and `label`), or several columns with one each, of which the last may be empty."""
    answer: str = "answer"
    """Column of the right choice: its index from 0 or 1, its letter, its own label, or its text."""
    answer_is: Literal["index", "letter", "text"] | None = None
    """Which of these the column holds; None: what fits every row, told in the record."""
    by: Literal["letter", "text"] = "letter"
    """`letter`: the prompt lists the choices and a letter is ranked, trained by cross-entropy over the letters (MMLU). `text`: the texts of the choices are
    ranked, trained by the loss on the right one's tokens (MeZO's COPA); equal choices count as one."""
    normalize: Literal["none", "characters", "tokens"] = "tokens"
    """What the log-probability of a choice's text is divided by: nothing (`acc` of lm-evaluation-harness), its characters (`acc_norm`), or its tokens."""
    template: AsWritten | None = None
    """Prompt with `{column}` for each text column and, by letter, `{choices}` for their list, a line each: `A. …`. None: the columns and the list, a line each,
    and `Answer:`."""
    max_length: int = Field(1024, ge=8)
    """Longest input in tokens; a longer prompt is cut at its beginning, never a choice."""

    @property
    def length(self) -> int:
        """Longest input in tokens."""
        return self.max_length

    @property
    def resolved_template(self) -> str:
        """`template` with the default filled in."""
        listed = ["choices"] if self.by == "letter" else []
        return "\n".join([*(f"{{{name}}}" for name in (*self.text, *listed)), "Answer:"]) if self.template is None else self.template

    @model_validator(mode="after")
    def _columns_are_used(self) -> Self:
        unknown = [name for name in self.optional if name not in self.text]
        if unknown:
            raise ValueError(f"`optional` names {unknown[0]!r}, which is no column of `text`: {', '.join(self.text)}")
        wanted = [*self.text, "choices"] if self.by == "letter" else self.text
        missing = [f"{{{name}}}" for name in wanted if not re.search(rf"\{{{re.escape(name)}(:\w+)?\}}", self.resolved_template)]
        if missing:
            raise ValueError(f"template {self.template!r} lacks {', '.join(missing)}")
        if self.by == "letter" and self.normalize != "tokens":
            raise ValueError('`normalize` is about the texts of choices, and by = "letter" ranks letters; set by = "text" or remove it')
        return self


class MultiLabel(_Labelled):
    """Texts with any number of labels each, as in GoEmotions or EUR-Lex; a head gives a probability for each label, and predicts those above one half."""

    type: Literal["multi_label"]
    objective: Literal["head"] = "head"
    """Always `head`, with a sigmoid for each label."""
    text: Annotated[tuple[str, ...], Field(min_length=1)] = ("text",)
    """Text columns, any number: one, a pair, or the first and the rest behind the tokenizer's separator."""
    optional: tuple[str, ...] = ()
    """Text columns that may be empty in a row; not all of them."""
    label: str | Annotated[tuple[str, ...], Field(min_length=2)] = "labels"
    """Column with a list of labels, or a text with `delimiter` between them, empty for none; or a column for each label, 0 or 1."""
    delimiter: Annotated[AsWritten, Field(min_length=1)] = ","
    """What stands between the labels of a text."""
    labels: Annotated[tuple[str, ...], Field(min_length=2)] | None = None
    """Label names in order; None takes those of the training rows: integers from 0, or names in the order of the alphabet."""
    max_length: int = Field(128, ge=8)
    """Longest input in tokens; longer ones are cut."""

    @property
    def length(self) -> int:
        """Longest input in tokens."""
        return self.max_length

    @property
    def known_labels(self) -> int | None:
        """Number of labels, or None where they are counted in the data."""
        return len(self.label) if isinstance(self.label, tuple) else None if self.labels is None else len(self.labels)

    @property
    def resolved_metric(self) -> MetricName:
        """`metric` with the default filled in."""
        return self.metric or "micro_f1"

    @model_validator(mode="after")
    def _columns_are_used(self) -> Self:
        unknown = [name for name in self.optional if name not in self.text]
        if unknown:
            raise ValueError(f"`optional` names {unknown[0]!r}, which is no column of `text`: {', '.join(self.text)}")
        if isinstance(self.label, tuple) and self.labels is not None:
            raise ValueError("`label` names a column for each label, which are their names; remove `labels`")
        return self


class TokenClassification(_Labelled):
    """Sentences with a tag for each word, as in named-entity recognition or part-of-speech tagging; a head classifies the first token of each word."""

    type: Literal["token_classification"]
    objective: Literal["tokens"] = "tokens"
    """Always `tokens`: a fresh head on every token."""
    tokens: str = "tokens"
    """Column with the list of words, or a text with blanks between them. Files .conll, .iob, .bio and .conllu have a word a line and a blank line behind each
    sentence: the first column of a line is the word, the last one the tag."""
    tags: str = "tags"
    """Column with the list of tags, or a text with blanks between them: names, or numbers among `labels`."""
    labels: Annotated[tuple[str, ...], Field(min_length=2)] | None = None
    """Names of the tags in the order of their numbers; None takes those of the training rows in the order of the alphabet, O first."""
    max_length: int = Field(128, ge=8)
    """Longest input in tokens; words behind it count as predicted O."""

    @property
    def length(self) -> int:
        """Longest input in tokens."""
        return self.max_length
