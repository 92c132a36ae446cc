"""Objective "head": a fresh head on the encoder (`AutoModelForSequenceClassification`) that classifies, or predicts one number.

    one column   [CLS] a [SEP]        two   [CLS] a [SEP] b [SEP]        more   [CLS] a [SEP] b [SEP] c [SEP]

From the third on, columns stand behind the tokenizer's separator in the second text; behind a line break where it has none, as in decoders.
"""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedTokenizerBase

from loretta_core.tasks.base import Batch, BatchEvaluation, Classifier, Example
from loretta_core.tasks.data.rows import Row


class ClassificationHead(Classifier):
    """Objective of a classification head: cross-entropy and argmax of its fp32 logits.

    `order` has the output of each label, where a tuned head numbers them otherwise (`tuned_head.py`).
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, *, max_length: int, order: Sequence[int] = ()) -> None:
        self._tokenizer = tokenizer
        self._max_length = max_length
        self._order = list(order)

    def encode(self, rows: Sequence[Row], *, training: bool = False) -> list[Example]:
        """Tokenise the texts of each row; of a pair, the longer one is cut first, at its end."""
        return encode_texts(rows, tokenizer=self._tokenizer, max_length=self._max_length)

    def class_logits(self, model: nn.Module, batch: Batch) -> Float[Tensor, "B C"]:
        """Return the fp32 logits of the head, in the order of the task's labels."""
        logits_BC = model(**batch.inputs).logits.float()
        return logits_BC[:, self._order] if self._order else logits_BC


class RegressionHead:
    """Objective of a head with one output, the predicted number: mean squared error, as transformers does for `num_labels = 1`."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, *, max_length: int) -> None:
        self._tokenizer = tokenizer
        self._max_length = max_length

    def encode(self, rows: Sequence[Row], *, training: bool = False) -> list[Example]:
        """Tokenise the texts of each row, as for classification."""
        return encode_texts(rows, tokenizer=self._tokenizer, max_length=self._max_length)

    def loss(self, model: nn.Module, batch: Batch) -> Float[Tensor, ""]:
        """Return the mean squared error over the rows."""
        return F.mse_loss(self._numbers(model, batch), batch.labels_B.float())

    def evaluate(self, model: nn.Module, batch: Batch) -> BatchEvaluation:
        """Predict the number of each row."""
        numbers_B = self._numbers(model, batch)
        return BatchEvaluation(F.mse_loss(numbers_B, batch.labels_B.float(), reduction="sum").item(), numbers_B.tolist())

    def _numbers(self, model: nn.Module, batch: Batch) -> Float[Tensor, " B"]:
        return model(**batch.inputs).logits.float().squeeze(-1)


def encode_texts(rows: Sequence[Row], *, tokenizer: PreTrainedTokenizerBase, max_length: int) -> list[Example]:
    """Tokenise the text columns of rows; the longest text is cut to `max_length` tokens."""
    separator = f" {tokenizer.sep_token} " if tokenizer.sep_token is not None else "\n"
    columns = [[row.text[name] for row in rows] for name in rows[0].text]
    if len(columns) > 2:  # tokenizers take a text or a pair
        columns = [columns[0], [separator.join(texts) for texts in zip(*columns[1:], strict=True)]]
    encoded = tokenizer(*columns, truncation=True, max_length=max_length)
    cut = [bool(encoding.overflowing) for encoding in encoded.encodings or ()]
    return [Example({key: encoded[key][index] for key in encoded}, row.labels or row.label, cut=cut[index]) for index, row in enumerate(rows)]
