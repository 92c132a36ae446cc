"""The tasks `instruct` and `chat`: answers that a decoder writes in the format of its chat template.

    instruct    rows with an instruction, perhaps an input, and the output (Alpaca)
    chat        rows with the turns of a conversation: `messages` with role and content, or ShareGPT's `conversations` with from and value

Every turn of the assistant is learned, with the token that ends it; the last one is written and scored. How rows become text is in tasks/chat.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from loretta_core.config.metrics import READ_LIKELIHOODS, ExtractorName, Kind, MetricName, extractor_refusal, metric_refusal
from loretta_core.config.tasks.own_files import OwnFiles
from loretta_core.config.tasks.vocabulary import AsWritten

BUILT_IN_TEMPLATES = ("chatml", "plain")
"""Chat templates that `chat_template` can name (`tasks/chat/templates.py`)."""
INSTRUCT_COLUMNS = ("instruction", "input", "output", "system")


class _Conversation(OwnFiles):
    """Settings that the two share."""

    objective: Literal["causal"] = "causal"
    """Always `causal`: the answer is written."""
    system: AsWritten | None = Field(None, min_length=1)
    """System prompt of the rows that bring none of their own."""
    packing: bool = False
    """Put short rows of a training batch behind one another in one sequence, each seeing only itself: the same loss with less padding. Not for state-space
    models, nor for methods that put virtual tokens before the text."""
    max_new_tokens: int = Field(256, ge=1)
    """Most tokens of a written answer. References that are longer are counted; more than half of them are refused."""
    stop: tuple[Annotated[AsWritten, Field(min_length=1)], ...] = ()
    """Texts that end a written answer besides the end of the turn; blanks and line breaks before it end nothing."""
    end_tokens: tuple[str, ...] | None = Field(None, min_length=1)
    """Tokens that end a written answer; the first is the one that the template writes behind the assistant's turns. None: found in the template."""
    extract: ExtractorName | None = None
    """What is compared of a written answer and of its references: `last_number`, `regex`, `after`, `json`, `first_letter` (`loretta list tasks`); None: all."""
    extract_pattern: Annotated[AsWritten, Field(min_length=1)] | None = None
    """The expression of `regex`, or the marker of `after`."""
    ignore_case: bool = False
    """`exact_match` does not tell capitals from small letters."""
    ignore_blanks: bool = False
    """`exact_match` takes runs of blanks and line breaks for one blank. Those around an answer never count."""
    metric: MetricName | None = None
    """None: token F1 (SQuAD), or exact match where `extract` is set."""
    max_length: int = Field(1024, ge=8)
    """Longest conversation in tokens. Of longer ones the oldest turns are left out, then text of the user's last turn; never an answer."""

    @property
    def length(self) -> int:
        """Longest conversation in tokens."""
        return self.max_length

    @property
    def predicts(self) -> Kind:
        """Kind of what the model predicts: always a text."""
        return "text"

    @property
    def resolved_metric(self) -> MetricName:
        """`metric` with the default filled in."""
        return self.metric or ("exact_match" if self.extract else "squad_f1")

    @model_validator(mode="after")
    def _score_fits(self) -> Self:
        refusals = (metric_refusal(self.resolved_metric, "text"), extractor_refusal(self.extract, self.extract_pattern))
        if refusal := next(filter(None, refusals), None):
            raise ValueError(refusal)
        if self.extract is not None and self.resolved_metric in READ_LIKELIHOODS:
            raise ValueError(f'metric = "{self.metric}" reads the likelihood of the whole answer; leave `extract` out')
        if (self.ignore_case or self.ignore_blanks) and self.resolved_metric != "exact_match":
            raise ValueError(f'`ignore_case` and `ignore_blanks` are settings of metric = "exact_match", and the metric is {self.resolved_metric}')
        return self


class Instruct(_Conversation):
    """Instructions with the answers to them, in files laid out as Alpaca's: instruction, input (may be empty or missing) and output."""

    type: Literal["instruct"]
    columns: dict[Literal["instruction", "input", "output", "system"], str] = Field(default_factory=dict)
    """What is in a column → the name of the column in your files, where they differ, e.g. {instruction = "question", output = "answer"}. `input` and `system`
    are read where the files have them, and may be empty; `output` may be a list of accepted texts, of which the first is learned."""
    chat_template: str | None = None
    """None: the tokenizer's own, or where it has none `plain`. `plain`: `### Instruction:` and `### Response:` (Alpaca's). `chatml`: ChatML. Else a Jinja
    file, which becomes part of what is exported."""


class Chat(_Conversation):
    """Conversations of several turns: `messages` with role and content, or ShareGPT's `conversations` with from and value."""

    type: Literal["chat"]
    messages: str | None = Field(None, min_length=1)
    """Column of the turns; None: `messages`, `conversations` or `conversation`, whichever a row has. In .csv and .tsv its cells are JSON."""
    chat_template: str | None = None
    """None: the tokenizer's own. `chatml`: ChatML, for a base model that has none. `plain`: headings as in Alpaca. Else a Jinja file, which becomes part of
    what is exported."""
