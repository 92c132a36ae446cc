"""Tasks that papers report: GLUE, SuperGLUE, SQuAD, DROP and MeZO's others. Tasks of instruction-tuned models are in named.py.

Prompts, columns and hub ids are in tasks/data/benchmarks.py and mezo_prompts.py.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from loretta_core.config.metrics import Kind, MetricName, metric_refusal
from loretta_core.config.tasks.vocabulary import AsWritten, Objective, Rows
from loretta_core.schema import Typed

LONG_PAIRS = ("rte", "mnli", "mnli_mm", "snli")
"""Tasks of which MeZO and LM-BFF read 256 tokens where they read 128 of the others."""


class Benchmark(Typed):
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


class Glue(Benchmark):
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


class Decoder(Benchmark):
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
