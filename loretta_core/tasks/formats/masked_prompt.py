"""Objective "prompt": the label is the verbalizer word that the masked-LM head prefers at the mask (LM-BFF, arXiv 2012.15723; MeZO, arXiv 2305.17333).

    template "{text} it was {mask} ."   verbalizer ["terrible", "great"]      class score = logit of the label's word at the mask

The pre-trained model already answers above chance, which zeroth-order training needs. Only the label words are compared: the softmax is over C words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedTokenizerBase

from loretta_core.errors import DataError
from loretta_core.tasks.base import Batch, BatchEvaluation, Classifier, Example
from loretta_core.tasks.data.rows import Row
from loretta_core.tasks.data.templates import fill
from loretta_core.tasks.formats.batch_encoding import encode_inputs, without_collections
from loretta_core.tasks.formats.label_logits import logits_at


class MaskedPrompt(Classifier):
    """Objective of fill-the-mask classification. Raises DataError if the template or the verbalizer does not fit the tokenizer."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, *, template: str, verbalizer: Sequence[str], max_length: int) -> None:
        if tokenizer.mask_token is None:
            name = type(tokenizer).__name__
            raise DataError(f'objective "prompt" fills a mask, and the tokenizer {name} has no mask token; use objective = "causal" for a decoder, or "head"')
        self._tokenizer = tokenizer
        self._template = template
        self._max_length = max_length
        self._word_ids_C = torch.tensor(verbalizer_ids(tokenizer, verbalizer))

    @without_collections()
    def encode(self, rows: Sequence[Row], *, training: bool = False) -> list[Example]:
        """Render and tokenise the prompt of each row; a text too long is cut, the prompt around it never is."""
        encoded = encode_inputs(self._tokenizer, [self._render(row.text) for row in rows])
        return [self._example(row, inputs, place=row.named(number)) for number, (row, inputs) in enumerate(zip(rows, encoded, strict=True), start=1)]

    def class_logits(self, model: nn.Module, batch: Batch) -> Float[Tensor, "B C"]:
        """Return the fp32 logits of the label words at each row's mask."""
        assert batch.mask_positions_B is not None, "the batch was not encoded by MaskedPrompt"
        row_B = torch.arange(len(batch), device=batch.labels_B.device)
        at_mask_BV = logits_at(model, batch.inputs, sequence_T=row_B, position_T=batch.mask_positions_B)
        return at_mask_BV[:, self._word_ids_C.to(at_mask_BV.device)].float()

    def _example(self, row: Row, inputs: dict[str, list[int]], *, place: str) -> Example:
        cut = len(inputs["input_ids"]) > self._max_length
        if cut:
            inputs = self._cut(row, inputs, place=place)
        tokens = inputs["input_ids"]
        masks = tokens.count(self._tokenizer.mask_token_id)
        if masks != 1:
            raise DataError(f"{place}: {masks} mask tokens after rendering, expected 1; a text must not contain {self._tokenizer.mask_token!r}")
        return Example(inputs, row.label, tokens.index(self._tokenizer.mask_token_id), cut=cut)

    def _cut(self, row: Row, inputs: dict[str, list[int]], *, place: str) -> dict[str, list[int]]:
        """Shorten the longest text until the prompt fits."""
        text = dict(row.text)
        while len(inputs["input_ids"]) > self._max_length:
            longest = max(text, key=lambda name: len(text[name]))
            shortened = self._shorten(text[longest], by=len(inputs["input_ids"]) - self._max_length)
            if shortened == text[longest]:
                raise DataError(f"{place}: the prompt alone is longer than max_length = {self._max_length} tokens; raise task.max_length")
            text[longest] = shortened
            (inputs,) = encode_inputs(self._tokenizer, [self._render(text)])
        return inputs

    def _render(self, text: Mapping[str, str]) -> str:
        return fill(self._template, {**text, "mask": self._tokenizer.mask_token})

    def _shorten(self, text: str, *, by: int) -> str:
        """Cut the last `by` tokens off a text, at a token boundary in the original characters."""
        offsets = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        kept = max(0, len(offsets) - by)
        return text[: offsets[kept - 1][1]] if kept else ""


class MaskedRegression:
    """Objective that predicts a number between two words (LM-BFF, section 4.1).

    prediction = low + (high − low) · p(second word), loss = cross-entropy to that share
    """

    def __init__(self, prompt: MaskedPrompt, *, low: float, high: float) -> None:
        self._prompt = prompt
        self._low = low
        self._span = high - low

    def encode(self, rows: Sequence[Row], *, training: bool = False) -> list[Example]:
        """Encode rows as for classification. Raises DataError for a number out of range."""
        for number, row in enumerate(rows, start=1):
            if not self._low <= row.label <= self._low + self._span:
                raise DataError(f"{row.named(number)}: label {row.label}, expected a number from {self._low:g} to {self._low + self._span:g}")
        return self._prompt.encode(rows)

    def loss(self, model: nn.Module, batch: Batch) -> Float[Tensor, ""]:
        """Return the mean cross-entropy to the share of the second word."""
        return F.cross_entropy(self._prompt.class_logits(model, batch), self._shares(batch))

    def evaluate(self, model: nn.Module, batch: Batch) -> BatchEvaluation:
        """Predict the expected number of each row."""
        logits_BC = self._prompt.class_logits(model, batch)
        loss = F.cross_entropy(logits_BC, self._shares(batch), reduction="sum")
        return BatchEvaluation(loss.item(), (self._low + self._span * logits_BC.softmax(dim=-1)[:, 1]).tolist())

    def _shares(self, batch: Batch) -> Float[Tensor, "B 2"]:
        high_B = (batch.labels_B.float() - self._low) / self._span
        return torch.stack([1 - high_B, high_B], dim=-1)


def verbalizer_ids(tokenizer: PreTrainedTokenizerBase, words: Sequence[str]) -> list[int]:
    """Return the token id of each label word. Raises DataError unless each is one token, known and different from the others."""
    ids: list[int] = []
    for word in words:
        # The leading space makes byte-level BPE give the token of a word inside a sentence; WordPiece ignores it.
        tokens = tokenizer.encode(f" {word}", add_special_tokens=False)
        if len(tokens) != 1 or tokens[0] == tokenizer.unk_token_id:
            raise DataError(f"verbalizer word {word!r} is {len(tokens)} tokens ({tokenizer.convert_ids_to_tokens(tokens)}), expected one known token")
        ids += tokens
    if len(set(ids)) != len(ids):
        raise DataError(f"verbalizer {list(words)} has two labels with the same token; the labels could not be told apart")
    return ids
