"""The record of a cell: everything about a run that is over, as one value. How it is written and read is in `record_files.py`.

A cell is finished if and only if its directory holds a valid record with status "finished", and with a test score where the cell is to have one. Reports and
the ledger read records, never logs.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, FiniteFloat

RECORD_FORMAT = 2
"""Layout of a record. Format 1 kept all numbers side by side; `record_format_1.py` translates it."""

_FROZEN = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Failure(BaseModel):
    """Why a cell failed."""

    model_config = _FROZEN

    kind: str
    """Class of the failure: nan, memory, config, infrastructure, error."""
    message: str
    """What happened, in words."""


class ClassScore(BaseModel):
    """Scores of one class on the test rows, in [0, 1]."""

    model_config = _FROZEN

    precision: float
    """Share of the rows predicted so that are; 0 where none is predicted so."""
    recall: float
    """Share of its rows that are predicted so; 0 without rows."""
    f1: float
    rows: int
    """Test rows of the class."""


class Score(BaseModel):
    """Scores of one cell, in the metric `name`. None where the cell did not get so far."""

    model_config = _FROZEN

    value: FiniteFloat | None = None
    """Score on the test rows with the chosen checkpoint."""
    name: str = "accuracy"
    """Metric of the task: accuracy, f1, …"""
    low: FiniteFloat | None = None
    """Lower end of the 95 % interval of `value`."""
    high: FiniteFloat | None = None
    """Upper end of the 95 % interval of `value`."""
    rows: int | None = None
    """Number of test rows; None where they were not scored."""
    initial: float | None = None
    """Score on the test rows before any training: zero-shot for a prompt, a random head otherwise."""
    validation: float | None = None
    """Best score on the validation rows; it chose the checkpoint."""
    validation_loss: float | None = None
    """Loss on the validation rows at the chosen checkpoint."""
    majority: float | None = None
    """Score on the test rows of always giving the most frequent label (or the mean) of the training rows; None for written answers."""
    by_class: dict[str, ClassScore] | None = None
    """Name of each label → its scores; None where no label is predicted, and in records of before."""
    scored_on: Literal["test", "validation"] | None = None
    """Rows that gave `value`: "validation" where there are no rows that nothing was chosen on. None where nothing is scored, and in records of before."""
    best_step: int | None = None
    """Step of the chosen checkpoint; 0 means that no later one was better."""


class RunCost(BaseModel):
    """Parameters, time and memory of one cell, measured and predicted. None where the cell did not get so far."""

    model_config = _FROZEN

    trainable_params: int | None = None
    total_params: int | None = None
    train_s: float | None = None
    """Seconds in optimizer steps, evaluation not included. In a pack: the cell's share of every forward pass."""
    wall_s: float | None = None
    """Seconds from building the model to the end, evaluation included. In a pack: what the cell took itself and its share of the rest."""
    step_s: float | None = None
    """Mean seconds of an optimizer step."""
    predicted_step_s: float | None = None
    """Seconds of an optimizer step that the planner expected; None for models and devices it does not know."""
    steps: int | None = None
    """Optimizer steps."""
    forwards: int | None = None
    """Forward passes of a global batch in training."""
    peak_memory_bytes: int | None = None
    """Device memory on a GPU, resident memory of the process on a CPU. In a pack: that of all its cells."""
    predicted_peak_memory_bytes: int | None = None
    """What the planner expected for the rows of this run, on a CPU with what the process held before; None for models it does not know."""

    checkpoint_bytes: int | None = None
    """Bytes of the weights that the cell leaves: the adapter, or the whole model of ft. None in records of before."""
    test_s: float | None = None
    """Seconds in which the test rows were scored with the tuned model, writing included: what it takes to use it. None where they were not."""

    @property
    def beside_training_s(self) -> float:
        """Seconds of loading and evaluation; about what scoring the test rows takes once the cell is trained. 0 where it is not known."""
        return max(0.0, (self.wall_s or 0.0) - (self.train_s or 0.0))


class PackInfo(BaseModel):
    """The pack that a cell was computed in: cells that share one copy of the frozen model."""

    model_config = _FROZEN

    pack_id: str
    """Digest of the ids of its cells."""
    cells: int
    """Number of its cells, this one included."""


class ZerothOrderCounters(BaseModel):
    """Counters of a zeroth-order optimizer's safeguards in one cell."""

    model_config = _FROZEN

    skipped_steps: int | None = None
    """Steps whose loss was not finite; they changed nothing."""
    clipped_differences: int | None = None
    """Loss differences that `trainer.clip` changed."""
    signal_to_noise: float | None = None
    """Median of the last loss differences over the rounding of an fp32 loss; below about 10 the steps follow rounding errors."""
    update_gain: float | None = None
    """Share of an update that arrived in bf16 weights, last measured; 1 on average. None where weights are fp32 in one buffer."""
    equal_rewards: int | None = None
    """Steps whose rewards were all equal; they changed nothing. None where no rewards are learned from, and in records of before."""


class HarnessScores(BaseModel):
    """Scores of a cell on one task of EleutherAI's lm-evaluation-harness, by `loretta evaluate`."""

    model_config = _FROZEN

    metrics: dict[str, float]
    """Name of the metric, as the harness has it, and of its standard error (`acc_stderr`) → value."""
    version: str = ""
    """Version of the task."""
    rows: int | None = None
    """Rows that were scored; None for a group of tasks."""
    limit: int | None = None
    """Most rows that were asked for; None: all."""
    shots: int | None = None
    """Solved rows before each question."""
    harness: str
    """Version of the harness."""
    evaluated_at: str
    """ISO 8601, UTC."""


class Digests(BaseModel):
    """sha256 of what a cell read and wrote; None for what it does not have."""

    model_config = _FROZEN

    inputs: str | None = None
    """Data rows that the cell saw."""
    weights: str | None = None
    """Trained weights, fp32 in the optimizer's order; zeroth-order cells only. Replaying the log to `score.best_step` gives it again."""
    predictions: str | None = None
    """predictions.json beside the record (`predictions.py`)."""
    adapter: str | None = None
    """Files of the adapter (`adapter_files.py`); None in records from before it was kept."""


class SplitFacts(BaseModel):
    """Size and digest of the rows of one split."""

    model_config = _FROZEN

    rows: int
    sha256: str


class DataFacts(BaseModel):
    """The rows that a cell saw."""

    model_config = _FROZEN

    splits: dict[str, SplitFacts]
    """train, validation, test → facts; without the test rows where they were not scored, or are those of validation."""
    columns: list[str]
    """Names of the texts of a row, as the prompt or the head reads them."""
    labels: list[str] = []
    """Names of the labels in the order of their numbers; empty for numbers and texts."""
    candidates: list[str] | None = None
    """The answers that a decoder ranks, where all rows have the same; empty where it ranks none, None where each row has its own."""
    lead: str = ""
    """What stands between a prompt and a written answer."""


class Record(BaseModel):
    """Everything about a cell that is over."""

    model_config = _FROZEN

    format: int = RECORD_FORMAT
    cell_id: str
    cell: dict[str, Any]
    """The resolved cell, every field."""
    status: Literal["finished", "failed"]
    error: Failure | None = None
    """Why the cell failed; None if it finished."""
    started_at: str | None = None
    """ISO 8601, UTC."""
    finished_at: str | None = None
    """ISO 8601, UTC."""
    score: Score = Score()
    cost: RunCost = RunCost()
    pack: PackInfo | None = None
    """None for a cell that was computed by itself."""
    zeroth_order: ZerothOrderCounters | None = None
    """None for first-order trainers, and for cells that failed."""
    curves: dict[str, list[tuple[int, float]]] = {}
    """train_loss, validation_loss, validation_score → [(step, value)]."""
    environment: dict[str, str] = {}
    """Versions of libraries, device, host and git commit → value."""
    digests: Digests = Digests()
    data: DataFacts | None = None
    """The rows that the cell saw; None for cells that failed, and in records of before."""
    evaluations: dict[str, HarnessScores] = {}
    """Task of lm-evaluation-harness → scores, where `loretta evaluate` was asked for them."""
    adapter: str | None = None
    """Directory of the trained weights, relative to the cell's directory."""
    warnings: list[str] = []

    @property
    def unscored(self) -> bool:
        """True if the cell was trained and its test rows were not scored: it is finished as a trial, and not as a cell that is to be scored."""
        return self.status == "finished" and self.score.value is None
