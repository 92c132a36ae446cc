"""Objective "tokens": a fresh head on every token (`AutoModelForTokenClassification`); a word has the tag of its first token.

    words  EU   rejects   Blackburn         tokens  [CLS] eu reject ##s black ##burn [SEP]
    tags   B-ORG   O      B-PER             labels  −100  B-ORG  O  −100  B-PER  −100  −100

Words are joined by blanks and found again by their characters, so that a tokenizer treats them as in running text. A word behind `max_length`, or one that no
token stands for, has no prediction: −1, which counts as outside of every entity.

B rows, L tokens, C tags.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedTokenizerBase

from loretta_core.tasks.base import Batch, BatchEvaluation, Example
from loretta_core.tasks.data.rows import Row


class TokenHead:
    """Objective that predicts a tag for each word. `order` has the output of each tag, where a tuned head numbers them otherwise."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, *, max_length: int, order: Sequence[int] = ()) -> None:
        self._tokenizer = tokenizer
        self._max_length = max_length
        self._order = list(order)

    def encode(self, rows: Sequence[Row], *, training: bool = False) -> list[Example]:
        """Tokenise the sentence of each row, and find the first token of each word."""
        texts = [row.text["text"] for row in rows]
        encoded = self._tokenizer(texts, truncation=True, max_length=self._max_length, return_offsets_mapping=True)
        cut = [bool(encoding.overflowing) for encoding in encoded.encodings or ()]
        inputs = [name for name in encoded if name != "offset_mapping"]
        return [
            Example(
                {name: encoded[name][index] for name in inputs},
                row.labels,
                word_positions=tuple(first_tokens_of(row.words, encoded["offset_mapping"][index])),
                cut=cut[index],
            )
            for index, row in enumerate(rows)
        ]

    def loss(self, model: nn.Module, batch: Batch) -> Float[Tensor, ""]:
        """Return the cross-entropy over the tags, mean over each row's words, then over the rows."""
        return self._losses(self._logits(model, batch), batch).mean()

    def evaluate(self, model: nn.Module, batch: Batch) -> BatchEvaluation:
        """Predict the likeliest tag of each word."""
        logits_BLC = self._logits(model, batch)
        best = logits_BLC.argmax(dim=-1).tolist()
        predictions = [tuple(tags[place] if place >= 0 else -1 for place in example.word_positions) for tags, example in zip(best, batch.examples, strict=True)]
        return BatchEvaluation(self._losses(logits_BLC, batch).sum().item(), predictions)

    def _logits(self, model: nn.Module, batch: Batch) -> Float[Tensor, "B L C"]:
        logits_BLC = model(**batch.inputs).logits.float()
        return logits_BLC[..., self._order] if self._order else logits_BLC

    def _losses(self, logits_BLC: Float[Tensor, "B L C"], batch: Batch) -> Float[Tensor, " B"]:
        losses_BL = F.cross_entropy(logits_BLC.transpose(1, 2), batch.labels_B, reduction="none")
        words_B = (batch.labels_B >= 0).sum(dim=1).clamp(min=1)
        return losses_BL.sum(dim=1) / words_B


def first_tokens_of(words: Sequence[str], offsets: Sequence[tuple[int, int]]) -> Iterator[int]:
    """Yield the place of the first token of each word of the text in which they are joined by blanks; −1 for a word without one.

    `offsets` has the first character of each token and the one behind its last, both 0 for a special token.
    """
    begin = 0
    for word in words:
        end = begin + len(word)
        yield next((place for place, (first, last) in enumerate(offsets) if first < end and last > begin and last > first), -1)
        begin = end + 1
