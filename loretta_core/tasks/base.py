"""What a task is, whatever its source: labelled rows (`rows.py`), and a question put to a model.

    rows ──encode──► examples ──collate──► batches ──objective.class_logits──► (B, C) scores of the classes ──► loss, prediction

The two objectives (a classification head, a prompt with a verbalizer) differ in the middle only; loss and metric are the same for both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor, nn

from loretta_core.tasks.rows import Row


@dataclass(frozen=True)
class Example:
    """One row in tokens."""

    inputs: Mapping[str, list[int]]
    """What the tokenizer returns: input_ids, attention_mask and, for some models, token_type_ids."""
    label: int
    mask_position: int | None = field(default=None)
    """Index of the mask token in input_ids, for a prompt."""


@dataclass(frozen=True)
class Batch:
    """Examples padded to the longest of them."""

    inputs: Mapping[str, Int[Tensor, "B L"]]
    labels_B: Int[Tensor, " B"]
    mask_positions_B: Int[Tensor, " B"] | None = None

    def __len__(self) -> int:
        return len(self.labels_B)


@runtime_checkable
class Objective(Protocol):
    """How the label is asked for."""

    def encode(self, rows: Sequence[Row]) -> list[Example]:
        """Rows → tokens. Raises DataError with the row number."""
        ...

    def class_logits(self, model: nn.Module, batch: Batch) -> Float[Tensor, "B C"]:
        """fp32 scores of the C labels."""
        ...
