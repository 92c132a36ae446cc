"""Objective "causal" with a free answer: trained by the LM loss on the answer's tokens, scored on what the model writes, greedily (MeZO: SQuAD, DROP).

Training text is `{prompt} {answer}\\n`, so that the model learns to end its answer with a line break; writing stops there, at the end token, or after
`max_new_tokens`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from loretta_core.errors import DataError
from loretta_core.tasks.base import Batch, BatchEvaluation, Example
from loretta_core.tasks.data.rows import Row
from loretta_core.tasks.formats.answer_scores import answer_scores
from loretta_core.tasks.formats.candidates import encode_choices, first_tokens

TOKENS = 32_768
"""Limit of the tokens, prompts and answers, of the rows that are generated together: their keys and values are cached."""


class Generation:
    """Objective that predicts the text which the model generates."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, *, max_length: int, max_new_tokens: int) -> None:
        self._tokenizer = tokenizer
        self._max_length = max_length
        self._max_new_tokens = max_new_tokens
        self._stops = [tokenizer.encode("\n", add_special_tokens=False)[-1:], [tokenizer.eos_token_id]]
        if max_new_tokens >= max_length:
            raise DataError(f"task.max_new_tokens = {max_new_tokens} leaves no room for a prompt in task.max_length = {max_length}")

    def encode(self, rows: Sequence[Row], *, training: bool = False) -> list[Example]:
        """Encode the prompt, and the prompt with its first accepted answer."""
        return [self._encode(row, number) for number, row in enumerate(rows, start=1)]

    def loss(self, model: nn.Module, batch: Batch) -> Float[Tensor, ""]:
        """Return the LM loss on the tokens of the first accepted answer, mean over each row's tokens, then over the rows."""
        return -answer_scores(model, batch).mean()

    def evaluate(self, model: nn.Module, batch: Batch) -> BatchEvaluation:
        """Predict the text that the model generates, up to the line break."""
        loss_sum = -answer_scores(model, batch).sum().item()
        longest = max(len(example.prompt) for example in batch.examples) + self._max_new_tokens
        writers = max(1, TOKENS // longest)
        groups = [batch.examples[start : start + writers] for start in range(0, len(batch), writers)]
        return BatchEvaluation(loss_sum, [text for group in groups for text in self._write(model, group, batch)])

    def _encode(self, row: Row, number: int) -> Example:
        prompt, place = row.text["prompt"], f"row {number}"
        (choice,) = encode_choices(self._tokenizer, prompt, [f" {row.answers[0]}\n"], max_length=self._max_length, place=place)
        room = self._max_length - self._max_new_tokens - len(first_tokens(self._tokenizer))
        words = self._tokenizer(prompt, add_special_tokens=False)["input_ids"]
        tokens = (*first_tokens(self._tokenizer), *words[-room:])
        return Example({"input_ids": choice.tokens}, 0, choices=(choice,), prompt=tokens, answers=row.answers, cut=choice.cut or len(words) > room)

    def _write(self, model: Any, examples: Sequence[Example], batch: Batch) -> list[str]:
        device = batch.labels_B.device
        padded = self._tokenizer.pad([{"input_ids": list(example.prompt)} for example in examples], padding_side="left", return_tensors="pt").to(device)
        stops = [token for tokens in self._stops for token in tokens if token is not None]
        written = model.generate(
            input_ids=padded["input_ids"],
            attention_mask=padded["attention_mask"],
            max_new_tokens=self._max_new_tokens,
            do_sample=False,
            num_beams=1,
            eos_token_id=stops,
            pad_token_id=self._tokenizer.pad_token_id,
        )
        texts = self._tokenizer.batch_decode(written[:, padded["input_ids"].shape[1] :], skip_special_tokens=True)
        return [text.split("\n")[0].strip() for text in texts]
