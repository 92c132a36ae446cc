"""The task `jsonl`: files of the user's own, with a head, a masked prompt, or answers that a decoder ranks or writes."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from loretta_core.config.metrics import READ_LIKELIHOODS, ExtractorName, Kind, MetricName, extractor_refusal, metric_refusal
from loretta_core.config.tasks.own_files import OwnFiles
from loretta_core.config.tasks.vocabulary import COLUMN_FORMS, AsWritten, Objective


class Jsonl(OwnFiles):
    """Your own task: JSON lines or arrays, .csv, .tsv or .parquet, gzip or not, with text column(s) and a label or answer column."""

    type: Literal["jsonl"]
    text: tuple[str, ...] = ("text",)
    """Text columns, any number; `a.b` is the field b of a nested column a. A head reads one, a pair, or the first and the rest behind the tokenizer's
    separator. Empty where `answer` alone is scored by its `perplexity` or `loss`."""
    optional: tuple[str, ...] = ()
    """Text columns that are often empty or missing, such as Alpaca's `input`. Any of several may be empty in a row, not all; without this it is told."""
    label: str = "label"
    """Column of the label: an integer from 0 or 1, −1 or 1, a boolean, or one of `labels`, whatever its case."""
    labels: Annotated[list[str], Field(min_length=2)] | None = None
    """Label names in the order of their numbers; None takes the integers found in the training file, or the names there in the order of the alphabet."""
    objective: Objective = "head"
    """`head` (fresh classification head), `prompt` (masked-LM verbalizer), or `causal` (a decoder ranks the verbalizer's answers or writes its own)."""
    template: AsWritten | None = None
    """Prompt with `{column}` for each text column, and for `prompt` `{mask}`, e.g. `{sentence} It was {mask}.` `{column:open}` leaves its last mark (. ! ?)
    out, `{column:lower}` begins it in lower case; what stands between `{#column}` and `{/column}` is left out where the column is empty."""
    verbalizer: list[AsWritten] | None = None
    """One answer per label; for `prompt` each a single token of the model, e.g. ["terrible", "great"]. For `causal` it is appended to the template as it is."""
    answer: str | None = None
    """Column with the text to write, or a list of accepted texts (the first is trained on); with `causal`, instead of labels."""
    max_new_tokens: int = Field(50, ge=1)
    """Most tokens of a written answer. References that are longer are counted; more than half of them are refused."""
    stop: tuple[Annotated[AsWritten, Field(min_length=1)], ...] = ()
    """Texts that end a written answer, e.g. ["\\n"]; blanks and line breaks before it end nothing. Empty: the end token alone; answers may have lines."""
    end_tokens: tuple[str, ...] | None = Field(None, min_length=1)
    """Tokens that end a written answer; the first is learned as the end of each. None: the tokenizer's end-of-text token, and the checkpoint's when writing."""
    extract: ExtractorName | None = None
    """What is compared of a written answer and of its references: `last_number`, `regex`, `after`, `json`, `first_letter` (`loretta list tasks`); None: all."""
    extract_pattern: Annotated[AsWritten, Field(min_length=1)] | None = None
    """The expression of `regex`, or the marker of `after`."""
    ignore_case: bool = False
    """`exact_match` does not tell capitals from small letters."""
    ignore_blanks: bool = False
    """`exact_match` takes runs of blanks and line breaks for one blank. Those around an answer never count."""
    regression: bool = False
    """The label is a number; with objective `head`."""
    metric: MetricName | None = None
    """None: accuracy; mean of Pearson and Spearman for a number; for a written answer token F1 (SQuAD), or exact match where `extract` is set."""
    positive_label: str | None = None
    """The label whose F1 or area under the curve is meant; None: the second of two."""
    max_length: int = Field(128, ge=8)
    """Longest input in tokens; longer ones are cut in the text, never in the prompt."""

    @property
    def length(self) -> int:
        """Longest input in tokens."""
        return self.max_length

    @model_validator(mode="after")
    def _prompt_is_complete(self) -> Self:
        if self.objective == "prompt" and (self.template is None or self.verbalizer is None):
            raise ValueError('objective = "prompt" needs `template` (with {mask}) and `verbalizer` (one word per label)')
        if self.objective == "head" and (self.template is not None or self.verbalizer is not None):
            raise ValueError('`template` and `verbalizer` are used by objective = "prompt" only; set it or remove them')
        whole = not self.text and self.answer is not None and self.template is None
        if self.objective == "causal" and not whole and (self.template is None or (self.verbalizer is None) == (self.answer is None)):
            raise ValueError('objective = "causal" needs `template`, and either `verbalizer` (one answer per label) or `answer` (the column to write)')
        if self.template is not None:
            wanted = [*self.text, "mask"] if self.objective == "prompt" else self.text
            missing = [f"{{{name}}}" for name in wanted if not re.search(rf"\{{{re.escape(name)}(:({'|'.join(COLUMN_FORMS)}))?\}}", self.template)]
            if missing:
                raise ValueError(f"template {self.template!r} lacks {', '.join(missing)}")
            left = re.sub(rf"\{{#({'|'.join(map(re.escape, self.text))})\}}.*?\{{/\1\}}", "", self.template, flags=re.DOTALL)
            if stray := re.search(r"\{[#/](\w+)\}", left):
                raise ValueError(f"template: {stray[0]} belongs to no part {{#column}}…{{/column}} of one of the columns {', '.join(self.text)}")
        return self

    @property
    def meaning(self) -> int:
        """2 for written answers: as they stand in the file, with the end token learned as their end."""
        return 1 if self.answer is None else 2

    @property
    def predicts(self) -> Kind:
        """Kind of what the model predicts."""
        return "text" if self.answer is not None else "number" if self.regression else "classes"

    @model_validator(mode="after")
    def _score_fits(self) -> Self:
        if self.metric is not None and (refusal := metric_refusal(self.metric, self.predicts)):
            raise ValueError(refusal)
        written = ("stop", "end_tokens", "extract", "ignore_case", "ignore_blanks")
        unused = [name for name in written if getattr(self, name)] if self.answer is None else []
        if unused:
            raise ValueError(f"`{unused[0]}` is about written answers; set `answer` to their column or remove it")
        if self.extract is not None and self.metric in READ_LIKELIHOODS:
            raise ValueError(f'`extract` takes a part of a written answer, and metric = "{self.metric}" has none written; remove one of them')
        if (self.ignore_case or self.ignore_blanks) and self.resolved_metric != "exact_match":
            raise ValueError(f'`ignore_case` and `ignore_blanks` are settings of metric = "exact_match", and the metric is {self.resolved_metric}')
        if self.positive_label is not None and self.resolved_metric not in ("f1", "auc"):
            raise ValueError(f'`positive_label` is the class of metric = "f1" or "auc", and the metric is {self.resolved_metric}')
        return self

    @model_validator(mode="after")
    def _extractor_is_complete(self) -> Self:
        if refusal := extractor_refusal(self.extract, self.extract_pattern):
            raise ValueError(refusal)
        return self

    @property
    def resolved_metric(self) -> MetricName:
        """`metric` with the default filled in."""
        defaults: dict[Kind, MetricName] = {"classes": "accuracy", "number": "pearson_spearman", "text": "exact_match" if self.extract else "squad_f1"}
        return self.metric or defaults[self.predicts]

    @model_validator(mode="after")
    def _columns_are_used(self) -> Self:
        if len(set(self.text)) < len(self.text):
            raise ValueError(f"`text` names a column twice: {', '.join(self.text)}")
        unknown = [name for name in self.optional if name not in self.text]
        if unknown:
            raise ValueError(f"`optional` names {unknown[0]!r}, which is no column of `text`: {', '.join(self.text)}")
        if not self.text and (self.answer is None or self.metric not in READ_LIKELIHOODS):
            raise ValueError('`text` names no column; expected at least one, unless `answer` is scored as a whole by metric = "perplexity" or "loss"')
        if self.answer is not None and self.objective != "causal":
            raise ValueError('`answer` is written by a decoder; set objective = "causal" or remove it')
        if self.regression and (self.objective != "head" or self.labels is not None):
            raise ValueError('`regression` predicts a number with objective = "head" and has no `labels`')
        return self
