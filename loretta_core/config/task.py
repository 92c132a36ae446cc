"""Tasks: the data that a cell learns, and the form of the question that gives its score.

`objective = "head"` puts a fresh classification head on the encoder. `objective = "prompt"` turns the task into filling a mask: the text goes into a
template, and the label is the verbalizer word the masked-LM head prefers. A prompted model has a score before any training; zeroth-order training
needs that (MeZO, arXiv 2305.17333, section 3: from a random head it does not learn). `objective = "causal"` asks a decoder: the label is the candidate answer
it finds likeliest, or the text it writes.

Prompts, columns and hub ids of the benchmarks are not here but in loretta_core/tasks/data/benchmarks.py and mezo_prompts.py.
"""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from loretta_core.config.metrics import WITH_PATTERN, ExtractorName, Kind, MetricName, metric_refusal
from loretta_core.schema import Typed

Objective = Literal["head", "prompt", "causal"]
Rows = Annotated[int, Field(ge=1)]
COLUMN_FORMS = ("open", "lower")
"""What may stand behind a column in a template, `{column:open}` (`tasks/templates.py`)."""
Source = str | list[str]
"""Files or a hub data set: a path, a list of paths, a pattern, or `hf://owner/name:split`."""
Quoting = Literal["auto", "enclosed", "none"]
AsWritten = Annotated[str, StringConstraints(strip_whitespace=False)]
"""A text whose spaces and line breaks at the ends belong to it."""


class _Toy(Typed):
    """Settings that the generated tasks share."""

    predicts: ClassVar[Kind] = "classes"
    """Kind of what the model predicts."""

    objective: Objective
    train_rows: Rows = 1000
    """Training rows (the papers' low-data setting: 1,000)."""
    validation_rows: Rows = 500
    """Rows that choose the best checkpoint (low-data setting: 500)."""
    test_rows: Rows = 1000
    """Rows that give the score (low-data setting: 1,000)."""
    data_seed: int = Field(0, ge=0)
    """Seed of the training and validation rows; the test rows do not depend on it. Independent of the cell's seed, so that seeds compare on the same data."""
    max_length: int = Field(64, ge=8)
    """Longest input in tokens; longer ones are cut in the text, never in the prompt."""

    @property
    def length(self) -> int:
        """Longest input in tokens."""
        return self.max_length


class ToySentiment(_Toy):
    """Generated sentences with negation and contrast, labelled negative or positive; needs no files. For toy-bert; for toy-llama with `causal`."""

    type: Literal["toy_sentiment"]
    objective: Objective = "prompt"
    """`prompt` (masked-LM verbalizer), `head` (fresh classification head), or `causal` (a decoder ranks the two verdicts)."""


class ToyEntailment(_Toy):
    """Generated sentences, and statements that follow from them or contradict them; needs no files. For toy-llama, and for encoders with `head`."""

    type: Literal["toy_entailment"]
    objective: Literal["causal", "head"] = "causal"
    """`causal` (a decoder ranks yes and no) or `head` (fresh classification head on the pair of sentences)."""


class ToyQa(_Toy):
    """Generated sentences with a question whose answer is one to three of their words; needs no files. For toy-llama. Scored by token F1, as SQuAD."""

    predicts: ClassVar[Kind] = "text"

    type: Literal["toy_qa"]
    objective: Literal["causal"] = "causal"
    """Always `causal`: the answer is written."""
    max_new_tokens: int = Field(6, ge=1)
    """Longest answer that is written, in tokens; it ends at a line break or the end token."""


class Jsonl(Typed):
    """Your own task: JSON lines or arrays, .csv, .tsv or .parquet, gzip or not, with text column(s) and a label or answer column."""

    type: Literal["jsonl"]
    train: Source
    """Training rows: the path of a file, a list of paths, a pattern such as `data/part-*.csv`, or `hf://owner/name:split` on the hub."""
    validation: Source
    """Validation rows, which choose the best checkpoint."""
    test: Source | None = None
    """Test rows. When None, a fifth of the training rows, at most `test_rows` or 1,000, is held out and gives the score. With fewer than 50
    training rows the score is the one of the chosen checkpoint on `validation`, and the record says so."""
    text: Annotated[tuple[str, ...], Field(min_length=1)] = ("text",)
    """One column, or two for sentence pairs; a prompt may use any number."""
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
    encoding: str | None = None
    """Encoding of the files, e.g. cp1252; None: by a byte-order mark, UTF-8, else guessed and told."""
    separator: Annotated[AsWritten, Field(min_length=1, max_length=1)] | None = None
    """Character between the cells of .csv and .tsv; None: a comma or a tab, else the one of `; | ,` and tab that gives the columns their names."""
    quoting: Quoting = "auto"
    """Quotes in .tsv and .csv: `enclosed` (around cells that need them, doubled inside), `none` (characters of the text), or `auto`: enclosed in .csv, in
    .tsv where the whole file can be read so."""
    train_rows: Rows | None = None
    """Use this many training rows, drawn with `data_seed`; None uses all (that are not held out)."""
    validation_rows: Rows | None = None
    """Use this many validation rows, drawn with `data_seed`; None uses all."""
    test_rows: Rows | None = None
    """Use this many test rows, the same ones for every `data_seed`; None uses all."""
    data_seed: int = Field(0, ge=0)
    """Seed of the draws of training and validation rows; the test rows do not depend on it."""
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
        if self.objective == "causal" and (self.template is None or (self.verbalizer is None) == (self.answer is None)):
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
        if (self.ignore_case or self.ignore_blanks) and self.resolved_metric != "exact_match":
            raise ValueError(f'`ignore_case` and `ignore_blanks` are settings of metric = "exact_match", and the metric is {self.resolved_metric}')
        if self.positive_label is not None and self.resolved_metric not in ("f1", "auc"):
            raise ValueError(f'`positive_label` is the class of metric = "f1" or "auc", and the metric is {self.resolved_metric}')
        return self

    @model_validator(mode="after")
    def _extractor_is_complete(self) -> Self:
        if (self.extract in WITH_PATTERN) != (self.extract_pattern is not None):
            raise ValueError(f"`extract_pattern` belongs to extract = {' and '.join(WITH_PATTERN)}, and extract is {self.extract}")
        if self.extract == "regex":
            try:
                re.compile(self.extract_pattern or "")
            except re.error as error:
                raise ValueError(f"extract_pattern = {self.extract_pattern!r} is no regular expression: {error}") from None
        return self

    @property
    def resolved_metric(self) -> MetricName:
        """`metric` with the default filled in."""
        defaults: dict[Kind, MetricName] = {"classes": "accuracy", "number": "pearson_spearman", "text": "exact_match" if self.extract else "squad_f1"}
        return self.metric or defaults[self.predicts]

    @model_validator(mode="after")
    def _columns_are_used(self) -> Self:
        bare = [name for name in ("train", "validation", "test") if getattr(self, name) is not None and not getattr(self, name)]
        if bare:
            raise ValueError(f"`{bare[0]}` names no file; expected a path, a list of paths, a pattern, or hf://owner/name:split")
        if len(set(self.text)) < len(self.text):
            raise ValueError(f"`text` names a column twice: {', '.join(self.text)}")
        unknown = [name for name in self.optional if name not in self.text]
        if unknown:
            raise ValueError(f"`optional` names {unknown[0]!r}, which is no column of `text`: {', '.join(self.text)}")
        if self.answer is not None and self.objective != "causal":
            raise ValueError('`answer` is written by a decoder; set objective = "causal" or remove it')
        if self.regression and (self.objective != "head" or self.labels is not None):
            raise ValueError('`regression` predicts a number with objective = "head" and has no `labels`')
        if self.objective == "head" and len(self.text) > 2:
            raise ValueError(f"a classification head reads one or two texts, got {len(self.text)} columns")
        return self


LONG_PAIRS = ("rte", "mnli", "mnli_mm", "snli")
"""Tasks of which MeZO and LM-BFF read 256 tokens where they read 128 of the others."""


class _Benchmark(Typed):
    """Settings that the published tasks share: where the files are, and which rows are used.

    Public test sets have no labels. So the test rows come from the official validation split, and the rows that choose the checkpoint from the end of the
    shuffled training split (MeZO, LoRETTA).
    """

    objective: Objective
    path: str | None = None
    """Directory with `train` and `validation` as .jsonl, .csv, .tsv or .parquet, the official archive, or a hub snapshot; None loads from the hub (or its
    cache)."""
    columns: dict[str, str] = Field(default_factory=dict)
    """The task's column name → the name in your files, where they differ."""
    protocol: Literal["low_data", "k_shot", "full"] = "low_data"
    """low_data: `train_rows` for training (papers: 1,000). k_shot: `shots` rows per class, for training and for validation. full: every training row."""
    train_rows: Rows = 1000
    """Training rows of low_data. A split too small for train_rows + validation_rows gives a fifth (at most 100) to validation and the rest to training."""
    validation_rows: Rows = 500
    """Rows that choose the checkpoint, for low_data and full."""
    test_rows: Rows | None = 1000
    """Rows that give the score, or all there are if fewer; None uses all."""
    shots: Rows = 16
    """Rows per class of k_shot (MeZO: 16 and 512)."""
    data_seed: int = Field(0, ge=0)
    """Seed of the draws of training and validation rows; the test rows do not depend on it. Independent of the cell's seed, so that seeds compare on the same
    data."""
    max_length: int | None = Field(None, ge=8)
    """Longest input in tokens. None is the papers' choice: 128, for RTE, MNLI and SNLI 256, and 2,048 for a decoder. Longer texts are cut, answers and prompts
    never."""
    metric: MetricName | None = None
    """None is the task's own (F1 for MRPC and QQP, Matthews for CoLA, mean of Pearson and Spearman for STS-B, token F1 for SQuAD and DROP, else accuracy)."""
    positive_label: str | None = None
    """The label whose F1 or area under the curve is meant; None: the second of two."""

    @property
    def length(self) -> int:
        """`max_length` with the papers' choice filled in."""
        return self.max_length or (2048 if self.objective == "causal" else 256 if self.type in LONG_PAIRS else 128)

    @property
    def predicts(self) -> Kind:
        """Kind of what the model predicts."""
        return "number" if self.type == "stsb" else "text" if self.type in ("squad", "drop") else "classes"

    @model_validator(mode="after")
    def _score_fits(self) -> Self:
        named_entity = self.type == "record" and self.metric is not None and metric_refusal(self.metric, "text") is None  # its answers are texts
        if self.metric is not None and not named_entity and (refusal := metric_refusal(self.metric, self.predicts)):
            raise ValueError(refusal)
        if self.positive_label is not None and self.metric not in ("f1", "auc") and self.type not in ("mrpc", "qqp"):
            raise ValueError('`positive_label` is the class of metric = "f1" or "auc"; set it or remove the label')
        return self


class Glue(_Benchmark):
    """A task of GLUE (arXiv 1804.07461), or SST-5, SNLI or TREC, for encoders; sst2 and rte for decoders too. mnli is scored on the matched, mnli_mm on the
    mismatched rows."""

    type: Literal["cola", "sst2", "mrpc", "qqp", "stsb", "mnli", "mnli_mm", "qnli", "rte", "wnli", "sst5", "snli", "trec"]
    objective: Objective = "head"
    """`head` (fresh classification head), `prompt` (masked-LM verbalizer), or `causal` (MeZO's prompt for decoders; sst2 and rte only, and their default on a
    decoder)."""

    @property
    def outputs(self) -> int:
        """Labels, or 1 for a number."""
        return {"mnli": 3, "mnli_mm": 3, "snli": 3, "stsb": 1, "sst5": 5, "trec": 6}.get(self.type, 2)

    @property
    def meaning(self) -> int:
        """2 where the default length is no longer 128."""
        return 2 if self.type in LONG_PAIRS and self.objective != "causal" and self.max_length is None else 1

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.objective == "causal" and self.type not in ("sst2", "rte"):
            raise ValueError(f'objective = "causal" has prompts for sst2 and rte; use "head" or "prompt" for {self.type}')
        if self.protocol == "k_shot" and self.type == "stsb":
            raise ValueError('protocol = "k_shot" draws rows per class, and stsb has numbers; use "low_data" with fewer train_rows')
        return self


class Decoder(_Benchmark):
    """A task in MeZO's format for decoders (arXiv 2305.17333): answers are ranked by their mean log-probability, or written (squad, drop)."""

    type: Literal["cb", "boolq", "wsc", "wic", "multirc", "copa", "record", "squad", "drop"]
    objective: Literal["causal"] = "causal"
    """Always `causal`."""
    max_new_tokens: int = Field(50, ge=1)
    """Longest answer that is written, in tokens (MeZO: 50)."""
    stop: tuple[Annotated[AsWritten, Field(min_length=1)], ...] = ("\n",)
    """Texts that end a written answer (MeZO: the line break); blanks and line breaks before it end nothing, and the end token always ends it."""
    end_tokens: tuple[str, ...] | None = Field(None, min_length=1)
    """Tokens that end a written answer; the first is learned behind the line break. None: MeZO's format, in which the line break alone is learned."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.protocol == "k_shot" and self.type in ("copa", "record", "squad", "drop"):
            raise ValueError(f'protocol = "k_shot" draws rows per class, and {self.type} has none; use "low_data" with fewer train_rows')
        return self


ToyTask = ToySentiment | ToyEntailment | ToyQa

TaskConfig = Annotated[ToySentiment | ToyEntailment | ToyQa | Jsonl | Glue | Decoder, Field(discriminator="type")]
