"""Tasks: the data that a cell learns, and the form of the question that gives its score.

`objective = "head"` puts a fresh classification head on the encoder. `objective = "prompt"` turns the task into filling a mask: the text goes into a
template, and the label is the verbalizer word the masked-LM head prefers. A prompted model has a score before any training; zeroth-order training
needs that (MeZO, arXiv 2305.17333, section 3: from a random head it does not learn). `objective = "causal"` asks a decoder: the label is the candidate answer
it finds likeliest, or the text it writes.

The tasks themselves are in config/tasks.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from loretta_core.config.tasks.conversations import Chat, Instruct
from loretta_core.config.tasks.jsonl import Jsonl
from loretta_core.config.tasks.labelled import MultiLabel, MultipleChoice, TokenClassification
from loretta_core.config.tasks.named import Intents, Maths, Mmlu
from loretta_core.config.tasks.published import Decoder, Glue
from loretta_core.config.tasks.toy import ToyEntailment, ToyInstruct, ToyQa, ToySentiment, ToyTask
from loretta_core.config.tasks.vocabulary import COLUMN_FORMS, FRESH_HEADS, AnyObjective, Objective, Quoting, Source

__all__ = [
    "COLUMN_FORMS",
    "FRESH_HEADS",
    "AnyObjective",
    "Chat",
    "ConversationTask",
    "Decoder",
    "Glue",
    "Instruct",
    "Intents",
    "Jsonl",
    "Maths",
    "Mmlu",
    "MultiLabel",
    "MultipleChoice",
    "Objective",
    "Published",
    "Quoting",
    "Source",
    "TaskConfig",
    "TokenClassification",
    "ToyEntailment",
    "ToyInstruct",
    "ToyQa",
    "ToySentiment",
    "ToyTask",
]

ConversationTask = ToyInstruct | Instruct | Chat
"""A task whose rows are turns."""

Published = Glue | Decoder | Maths | Mmlu | Intents
"""A task whose files are known."""

TaskConfig = Annotated[
    ToySentiment
    | ToyEntailment
    | ToyQa
    | ToyInstruct
    | Jsonl
    | Instruct
    | Chat
    | MultipleChoice
    | MultiLabel
    | TokenClassification
    | Glue
    | Decoder
    | Maths
    | Mmlu
    | Intents,
    Field(discriminator="type"),
]
