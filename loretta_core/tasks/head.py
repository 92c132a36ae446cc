"""Objective "head": a fresh classification head on the encoder (`AutoModelForSequenceClassification`)."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from loretta_core.tasks.base import Batch, Example
from loretta_core.tasks.rows import Row


class ClassificationHead:
    """Logits come from the model's classification head, in fp32."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, *, max_length: int) -> None:
        self._tokenizer = tokenizer
        self._max_length = max_length

    def encode(self, rows: Sequence[Row]) -> list[Example]:
        """Tokenise one text or a sentence pair; the longer text of a pair is cut first."""
        columns = [[row.text[name] for row in rows] for name in rows[0].text]
        encoded = self._tokenizer(*columns, truncation=True, max_length=self._max_length)
        return [Example({key: encoded[key][index] for key in encoded}, row.label) for index, row in enumerate(rows)]

    def class_logits(self, model: nn.Module, batch: Batch) -> Float[Tensor, "B C"]:
        """fp32 logits of the head."""
        return model(**batch.inputs).logits.float()
