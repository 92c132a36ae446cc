"""Which data a cell learns and how its score is asked for.

`objective = "head"` puts a fresh classification head on the encoder. `objective = "prompt"` turns the task into filling a mask: the text goes into a
template, and the label is the verbalizer word the masked-LM head prefers. A prompted model has a score before any training; zeroth-order training
needs that (MeZO, arXiv 2305.17333, section 3: from a random head it does not learn).
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from loretta_core.config.base import Typed

Objective = Literal["head", "prompt"]
Rows = Annotated[int, Field(ge=1)]


class ToySentiment(Typed):
    """Generated sentences with negation and contrast, labelled negative or positive; needs no files. Made for toy-bert."""

    type: Literal["toy_sentiment"]
    objective: Objective = "prompt"
    """`prompt` (masked-LM verbalizer) or `head` (fresh classification head)."""
    train_rows: Rows = 1000
    """Training sentences (the papers' low-data setting: 1,000)."""
    validation_rows: Rows = 500
    """Sentences that choose the best checkpoint (low-data setting: 500)."""
    test_rows: Rows = 1000
    """Sentences that give the score (low-data setting: 1,000)."""
    data_seed: int = Field(0, ge=0)
    """Seed of the generator. Independent of the cell's seed, so that seeds compare on the same data."""
    max_length: int = Field(64, ge=8)
    """Longest input in tokens; longer ones are cut in the text, never in the prompt."""


class Jsonl(Typed):
    """Your own classification task: JSON lines with text column(s) and a label column."""

    type: Literal["jsonl"]
    train: str
    """Path of the training file, one JSON object a line."""
    validation: str
    """Path of the validation file; it chooses the best checkpoint, and gives the score too when `test` is not set."""
    test: str | None = None
    """Path of the test file. When None, the score is the one of the chosen checkpoint on `validation`, and the record says so."""
    text: Annotated[tuple[str, ...], Field(min_length=1, max_length=2)] = ("text",)
    """One column, or two for sentence pairs."""
    label: str = "label"
    """Column of the label: an integer from 0, or one of `labels`."""
    labels: list[str] | None = None
    """Label names in the order of their numbers; None takes the integers found in the training file."""
    objective: Objective = "head"
    """`head` (fresh classification head) or `prompt` (masked-LM verbalizer)."""
    template: str | None = None
    """Prompt with `{column}` for each text column and `{mask}`, e.g. `{sentence} It was {mask}.`"""
    verbalizer: list[str] | None = None
    """One word per label, each a single token of the model, e.g. ["terrible", "great"]."""
    train_rows: Rows | None = None
    """Use this many training rows, drawn with `data_seed`; None uses all."""
    validation_rows: Rows | None = None
    """Use this many validation rows, drawn with `data_seed`; None uses all."""
    test_rows: Rows | None = None
    """Use this many test rows, drawn with `data_seed`; None uses all."""
    data_seed: int = Field(0, ge=0)
    """Seed of the row draws."""
    max_length: int = Field(128, ge=8)
    """Longest input in tokens; longer ones are cut in the text, never in the prompt."""

    @model_validator(mode="after")
    def _prompt_is_complete(self) -> Self:
        if self.objective == "prompt" and (self.template is None or self.verbalizer is None):
            raise ValueError('objective = "prompt" needs `template` (with {mask}) and `verbalizer` (one word per label)')
        if self.objective == "head" and (self.template is not None or self.verbalizer is not None):
            raise ValueError('`template` and `verbalizer` are used by objective = "prompt" only; set it or remove them')
        if self.template is not None:
            missing = [f"{{{name}}}" for name in [*self.text, "mask"] if f"{{{name}}}" not in self.template]
            if missing:
                raise ValueError(f"template {self.template!r} lacks {', '.join(missing)}")
        return self


TaskConfig = Annotated[ToySentiment | Jsonl, Field(discriminator="type")]
