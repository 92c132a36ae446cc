"""Objective "head" for rows with any number of labels: a probability for each label from the sigmoid of its logit, predicted above one half.

loss = mean over rows and labels of the binary cross-entropy, as transformers has it for `problem_type = "multi_label_classification"`
"""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedTokenizerBase

from loretta_core.tasks.base import Batch, BatchEvaluation, Example
from loretta_core.tasks.data.rows import Row
from loretta_core.tasks.formats.head import ClassificationHead


class MultiLabelHead:
    """Objective that predicts 0 or 1 for each label. `order` has the output of each label, where a tuned head numbers them otherwise."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, *, max_length: int, order: Sequence[int] = ()) -> None:
        self._head = ClassificationHead(tokenizer, max_length=max_length, order=order)

    def encode(self, rows: Sequence[Row], *, training: bool = False) -> list[Example]:
        """Tokenise the texts of each row, as for classification."""
        return self._head.encode(rows, training=training)

    def loss(self, model: nn.Module, batch: Batch) -> Float[Tensor, ""]:
        """Return the mean binary cross-entropy over rows and labels."""
        return F.binary_cross_entropy_with_logits(self._head.class_logits(model, batch), batch.labels_B.float())

    def evaluate(self, model: nn.Module, batch: Batch) -> BatchEvaluation:
        """Predict the labels whose probability is above one half; the probabilities of all are kept."""
        logits_BC = self._head.class_logits(model, batch)
        losses_BC = F.binary_cross_entropy_with_logits(logits_BC, batch.labels_B.float(), reduction="none")
        predictions = [tuple(row) for row in (logits_BC > 0).int().tolist()]
        return BatchEvaluation(losses_BC.mean(dim=1).sum().item(), predictions, row_scores=[tuple(row) for row in logits_BC.sigmoid().tolist()])
