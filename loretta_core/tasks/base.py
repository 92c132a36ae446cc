"""The parts of a task: examples, batches, and the protocol of the objective that encodes, trains and scores them.

    rows ──encode──► examples ──collate──► batches ──objective──► loss to train on; losses and predictions to score

Rows are those of `data/rows.py`. The objectives: a head that classifies or predicts a number (`formats/head.py`), a masked-LM prompt
(`formats/masked_prompt.py`), a causal LM that ranks candidates (`formats/candidates.py`) or generates the answer (`formats/generation.py`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from loretta_core.tasks.data.reading.disk_list import DiskList
from loretta_core.tasks.data.rows import Row
from loretta_core.tasks.scoring.metrics import Prediction, Reference


@dataclass(frozen=True)
class Choice:
    """Tokens of a prompt with one of the answers to it."""

    tokens: list[int]
    scored: int
    """Number of tokens at the end that are the answer."""
    learned: tuple[int, ...] = ()
    """Positions of the tokens that are learned, where these are more than the `scored`: those of all the assistant's turns."""
    cut: bool = False
    """True if the prompt was too long and was cut."""


@dataclass(frozen=True)
class Example:
    """The tokens of one row."""

    inputs: Mapping[str, list[int]]
    """Output of the tokenizer: input_ids, attention_mask and, for some models, token_type_ids. For a causal LM, the longest choice."""
    label: int | float | tuple[int, ...]
    """The label; for `choices`, the index of the first right one; 0 or 1 for each label where a row has several; the tag of each word."""
    mask_position: int | None = field(default=None)
    """Index of the mask token in input_ids, for a prompt."""
    choices: tuple[Choice, ...] = ()
    """The choices of a causal LM; empty for other objectives."""
    prompt: tuple[int, ...] = ()
    """Tokens of the prompt that a generated answer continues."""
    candidates: tuple[str, ...] = ()
    """The texts of the choices, where each row has its own."""
    answers: tuple[str, ...] = ()
    """Accepted texts, where the answer is a text."""
    word_positions: tuple[int, ...] = ()
    """Index of the first token of each word that has a tag; −1 for a word without one."""
    cut: bool = False
    """True if the text was longer than `max_length`: its end is missing, or for a causal LM its beginning."""

    unwritable: bool = False
    """True if every accepted text is longer than the model may write."""

    def __len__(self) -> int:
        """Return the number of tokens, of the longest choice where there are some."""
        return max((len(choice.tokens) for choice in self.choices), default=len(self.inputs["input_ids"]))

    @property
    def reference(self) -> Reference:
        """The label or the accepted answers that a prediction is compared with."""
        return self.answers or self.label


def token_counts(examples: Sequence[Example]) -> Sequence[int]:
    """Return the number of tokens of each example, without reading those on disk."""
    return examples.measures if isinstance(examples, DiskList) else [len(example) for example in examples]


@dataclass(frozen=True)
class AnswerPositions:
    """The U positions at which the T answer tokens of a batch are predicted, since choices that begin alike are predicted together. Ordered by sequence."""

    sequence_U: Int[Tensor, " U"]
    position_U: Int[Tensor, " U"]
    logits_T: Int[Tensor, " T"]
    """Which of the U positions predicts the token."""
    token_T: Int[Tensor, " T"]
    """The answer token."""
    choice_T: Int[Tensor, " T"]
    """The choice that it belongs to, counted over all rows."""
    weight_T: Float[Tensor, " T"]
    """1; 0 for padding that makes the number of tokens equal to another batch's."""

    def to(self, device: torch.device) -> AnswerPositions:
        """Return the positions on a device."""
        return AnswerPositions(*(getattr(self, each.name).to(device) for each in fields(self)))


def predicted_alone(
    sequence_T: Int[Tensor, " T"], position_T: Int[Tensor, " T"], *, token_T: Int[Tensor, " T"], choice_T: Int[Tensor, " T"]
) -> AnswerPositions:
    """Return positions of answer tokens that stand at `position_T` of their sequences, each predicted at the token before it, by itself."""
    each_T = torch.arange(len(sequence_T), device=sequence_T.device)
    return AnswerPositions(sequence_T, position_T - 1, each_T, token_T, choice_T, torch.ones(len(sequence_T), device=sequence_T.device))


@dataclass(frozen=True)
class Batch:
    """Examples padded to the longest of them."""

    inputs: Mapping[str, Int[Tensor, "S L"]]
    """One sequence a row; with choices, the choices of the first row, then of the second, …, or a tree of them a row (`answer_tree.py`)."""
    labels_B: Tensor
    """One a row; B × C where a row may have several labels, B × L with −100 beside the words where each has a tag."""
    mask_positions_B: Int[Tensor, " B"] | None = None
    scored_S: Int[Tensor, " S"] | None = None
    """Number of tokens at the end of each sequence that are the answer, for a causal LM whose choices are sequences of their own."""
    choices_B: tuple[int, ...] = ()
    """Number of choices of each row."""
    examples: tuple[Example, ...] = ()
    """The rows themselves, for answers that are generated or have texts of their own, and for labels that are more than a number."""
    places: AnswerPositions | None = None
    """Positions of the answer tokens: those of a tree, and those that were computed before, since under torch.func their number may not depend on values."""

    def __len__(self) -> int:
        return len(self.labels_B)


@dataclass(frozen=True)
class BatchEvaluation:
    """Loss and predictions of a batch in evaluation."""

    loss_sum: float
    """Sum of the losses of the rows, in nats (squared error for a number)."""
    predictions: Sequence[Prediction]
    log_probabilities_BC: np.ndarray | None = None
    """fp32 log-probability of each label or candidate, −inf where a row has fewer; None where nothing is chosen."""
    log_likelihoods: Sequence[float] = ()
    """Mean log-probability of a token of the reference, for each row whose answer is written; empty for others."""
    row_scores: Sequence[tuple[float, ...]] = ()
    """Log-probability of each of a row's own choices, or probability of each label where a row may have several; empty for others."""


@runtime_checkable
class Objective(Protocol):
    """Encodes the rows of a task, and computes their loss and predictions with a model."""

    def encode(self, rows: Sequence[Row], *, training: bool = False) -> list[Example]:
        """Encode rows as tokens. `training`: only what the loss needs. Raises DataError with the row number."""
        ...

    def loss(self, model: nn.Module, batch: Batch) -> Float[Tensor, ""]:
        """Return the mean fp32 loss over the rows, which training minimises."""
        ...

    def evaluate(self, model: nn.Module, batch: Batch) -> BatchEvaluation:
        """Return loss and predictions of a batch; called without gradients."""
        ...


@runtime_checkable
class Writer(Protocol):
    """An objective whose predictions are texts that the model writes."""

    def texts(self, model: nn.Module, batch: Batch) -> list[str]:
        """Return what the model writes to each row; called without gradients."""
        ...


class Classifier(ABC):
    """An objective whose model gives one score for each of C labels: cross-entropy and argmax."""

    @abstractmethod
    def class_logits(self, model: nn.Module, batch: Batch) -> Float[Tensor, "B C"]:
        """Return fp32 scores of the C labels."""

    def loss(self, model: nn.Module, batch: Batch) -> Float[Tensor, ""]:
        """Return the mean cross-entropy over the labels."""
        return F.cross_entropy(self.class_logits(model, batch), batch.labels_B)

    def evaluate(self, model: nn.Module, batch: Batch) -> BatchEvaluation:
        """Predict the label with the highest score."""
        logits_BC = self.class_logits(model, batch)
        loss_sum = F.cross_entropy(logits_BC, batch.labels_B, reduction="sum").item()
        return BatchEvaluation(loss_sum, logits_BC.argmax(dim=-1).tolist(), logits_BC.log_softmax(dim=-1).cpu().numpy())
