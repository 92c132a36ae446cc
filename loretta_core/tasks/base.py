"""What a task is, whatever its source: labelled rows (`data/rows.py`), and a question put to a model.

    rows ──encode──► examples ──collate──► batches ──objective──► loss to train on; losses and predictions to score

The objectives: a head that classifies or predicts a number (`formats/head.py`), a masked-LM prompt (`formats/masked_prompt.py`), a causal LM that ranks
candidates (`formats/candidates.py`) or writes the answer (`formats/generation.py`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from loretta_core.tasks.data.rows import Row
from loretta_core.tasks.scoring.metrics import Prediction, Reference


@dataclass(frozen=True)
class Choice:
    """A prompt with one of the answers to it, in tokens."""

    tokens: list[int]
    scored: int
    """How many of the last tokens are the answer."""
    cut: bool = False
    """The prompt was longer than fits."""


@dataclass(frozen=True)
class Example:
    """One row in tokens."""

    inputs: Mapping[str, list[int]]
    """What the tokenizer returns: input_ids, attention_mask and, for some models, token_type_ids. For a causal LM, the longest choice."""
    label: int | float
    """The label; for `choices`, the index of the first right one."""
    mask_position: int | None = field(default=None)
    """Index of the mask token in input_ids, for a prompt."""
    choices: tuple[Choice, ...] = ()
    """For a causal LM."""
    prompt: tuple[int, ...] = ()
    """What a generated answer continues."""
    candidates: tuple[str, ...] = ()
    """The texts of the choices, where each row has its own."""
    answers: tuple[str, ...] = ()
    """Accepted texts, where the answer is a text."""
    cut: bool = False
    """The text was longer than `max_length`; its end is missing, or for a causal LM its beginning."""

    @property
    def reference(self) -> Reference:
        """What a prediction is compared with."""
        return self.answers or self.label


@dataclass(frozen=True)
class Places:
    """Where the T answer tokens of a batch stand, one by one."""

    sequence_T: Int[Tensor, " T"]
    position_T: Int[Tensor, " T"]
    weight_T: Float[Tensor, " T"]
    """1; 0 for one that only makes the number of places equal to another batch's."""


@dataclass(frozen=True)
class Batch:
    """Examples padded to the longest of them."""

    inputs: Mapping[str, Int[Tensor, "S L"]]
    """One sequence a row; with choices, the choices of the first row, then of the second, …"""
    labels_B: Tensor
    mask_positions_B: Int[Tensor, " B"] | None = None
    scored_S: Int[Tensor, " S"] | None = None
    """How many of the last tokens of each sequence are the answer, for a causal LM."""
    choices_B: tuple[int, ...] = ()
    """How many choices each row has."""
    examples: tuple[Example, ...] = ()
    """The rows themselves, for answers that are generated or have texts of their own."""
    places: Places | None = None
    """Of the answer tokens, where they were looked up before; their number may not depend on values under torch.func."""

    def __len__(self) -> int:
        return len(self.labels_B)


@dataclass(frozen=True)
class Judged:
    """What evaluation learns from a batch."""

    loss_sum: float
    """Over the rows, in nats (squared error for a number)."""
    predictions: Sequence[Prediction]


@runtime_checkable
class Objective(Protocol):
    """How the label is asked for."""

    def encode(self, rows: Sequence[Row], *, training: bool = False) -> list[Example]:
        """Rows → tokens. `training`: only what the loss needs. Raises DataError with the row number."""
        ...

    def loss(self, model: nn.Module, batch: Batch) -> Float[Tensor, ""]:
        """Mean fp32 loss over the rows; what training lowers."""
        ...

    def judge(self, model: nn.Module, batch: Batch) -> Judged:
        """Predictions, without gradients."""
        ...


class Classifier(ABC):
    """An objective whose model gives one score for each of C labels: cross-entropy and argmax."""

    @abstractmethod
    def class_logits(self, model: nn.Module, batch: Batch) -> Float[Tensor, "B C"]:
        """fp32 scores of the C labels."""

    def loss(self, model: nn.Module, batch: Batch) -> Float[Tensor, ""]:
        """Mean cross-entropy."""
        return F.cross_entropy(self.class_logits(model, batch), batch.labels_B)

    def judge(self, model: nn.Module, batch: Batch) -> Judged:
        """The label with the highest score."""
        logits_BC = self.class_logits(model, batch)
        return Judged(F.cross_entropy(logits_BC, batch.labels_B, reduction="sum").item(), logits_BC.argmax(dim=-1).tolist())
