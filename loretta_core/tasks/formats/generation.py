"""Objective "causal" with a free answer: trained by the LM loss on the answer's tokens, scored on what the model writes, greedily.

    trained on   {prompt}{answer}{end token}          as they stand: no blank and no line break is added
    written      from {prompt} to an end token, a stop text, or `max_new_tokens`

The end token is learned, so that an adapter ends its answers wherever it is used. MeZO's format (SQuAD, DROP) has a blank before the answer, and a line break
instead of the end token. Prompt and answer are tokenised so that the prompt's tokens are those that writing starts from: blanks at the end of a prompt belong
to the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from loretta_core.errors import DataError
from loretta_core.tasks.base import Batch, BatchEvaluation, Choice, Example
from loretta_core.tasks.data.rows import Row
from loretta_core.tasks.formats.answer_scores import answer_scores, answer_scores_in_pieces, find_answer_positions
from loretta_core.tasks.formats.batch_encoding import encode_continuations, without_collections
from loretta_core.tasks.formats.candidates import TOKENS as SCORED_TOKENS
from loretta_core.tasks.formats.candidates import first_tokens
from loretta_core.tasks.formats.end_tokens import end_token_ids, up_to_end
from loretta_core.tasks.formats.stopping import at_stops
from loretta_core.tasks.scoring.stops import answer_in

WRITTEN_TOKENS = 32_768
"""Limit of the tokens, prompts and answers, of the rows that are generated together: their keys and values are cached."""


class Generation:
    """Objective that predicts the text which the model generates.

    Args:
        stop: texts at which an answer ends.
        end_tokens: tokens at which it ends, the first of them learned; None: the tokenizer's end-of-text token.
        ending: text that is learned as the end of an answer, before the end token if `end_tokens` names it, else instead.
        writes: whether answers are written; False where a metric reads the probability of the references alone.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        *,
        max_length: int,
        max_new_tokens: int,
        stop: Sequence[str] = (),
        end_tokens: Sequence[str] | None = None,
        ending: str = "",
        writes: bool = True,
    ) -> None:
        self._tokenizer = tokenizer
        self._max_length = max_length
        self._max_new_tokens = max_new_tokens
        self._stop = tuple(stop)
        self._own_ends = end_tokens is not None
        self._ends = end_token_ids(tokenizer, end_tokens)
        self._learned_end = [] if ending and end_tokens is None else self._ends[:1]
        self._ending = ending
        self._writes = writes
        if writes and max_new_tokens >= max_length:
            raise DataError(f"task.max_new_tokens = {max_new_tokens} leaves no room for a prompt in task.max_length = {max_length}")

    @without_collections()
    def encode(self, rows: Sequence[Row], *, training: bool = False) -> list[Example]:
        """Encode the prompt, and the prompt with its first accepted answer. Raises DataError if most answers are longer than may be written."""
        wholes = [row.text["prompt"] + row.lead for row in rows]
        prompts = [whole.rstrip(" ") for whole in wholes]
        behind = [whole[len(prompt) :] + row.answers[0] + self._ending for whole, prompt, row in zip(wholes, prompts, rows, strict=True)]
        encoded = encode_continuations(self._tokenizer, prompts, [[one] for one in behind])
        start = first_tokens(self._tokenizer)
        examples = [
            self._example(row, words, self._answer_tokens(words, joint.tokens, text), start=start, place=row.named(number))
            for number, (row, text, (words, (joint,))) in enumerate(zip(rows, behind, encoded, strict=True), start=1)
        ]
        if self._writes and not training:
            check_writable(examples, max_new_tokens=self._max_new_tokens)
        return examples

    def loss(self, model: nn.Module, batch: Batch) -> Float[Tensor, ""]:
        """Return the LM loss on the tokens of the first accepted answer, its end included, mean over each row's tokens, then over the rows."""
        return self.loss_of(answer_scores(model, batch), batch)

    def loss_of(self, scores_S: Float[Tensor, " S"], batch: Batch) -> Float[Tensor, ""]:
        """Return the loss of a batch, given the mean log-probability of the answer's tokens in each of its sequences."""
        return -scores_S.mean()

    def evaluate(self, model: nn.Module, batch: Batch) -> BatchEvaluation:
        """Predict the text that the model generates, up to a stop; or (log-probability of the reference, its tokens) where none is written."""
        scores_B = answer_scores_in_pieces(model, batch, tokens=SCORED_TOKENS)
        if not self._writes:
            tokens = find_answer_positions(batch).choice_T.bincount(minlength=len(batch)).tolist()
            sums = [(score * count, float(count)) for score, count in zip(scores_B.double().tolist(), tokens, strict=True)]
            return BatchEvaluation(-scores_B.sum().item(), sums, log_likelihoods=scores_B.tolist())
        return BatchEvaluation(-scores_B.sum().item(), self.texts(model, batch), log_likelihoods=scores_B.tolist())

    def texts(self, model: nn.Module, batch: Batch) -> list[str]:
        """Return what the model writes to each row, up to a stop; as many rows at once as the cache has room for."""
        longest = max(len(example.prompt) for example in batch.examples) + self._max_new_tokens
        writers = max(1, WRITTEN_TOKENS // longest)
        groups = [batch.examples[start : start + writers] for start in range(0, len(batch), writers)]
        return [text for group in groups for text in self.write(model, group, device=batch.labels_B.device)]

    def write(self, model: Any, examples: Sequence[Example], *, device: torch.device) -> list[str]:
        """Return what a model writes behind the prompts, greedily and all at once, up to an end."""
        padded = self._tokenizer.pad([{"input_ids": list(example.prompt)} for example in examples], padding_side="left", return_tensors="pt").to(device)
        prompt_length = padded["input_ids"].shape[1]
        ends = self._ends if self._own_ends else [*self._ends, *_ends_of(model)]
        written = model.generate(
            input_ids=padded["input_ids"],
            attention_mask=padded["attention_mask"],
            max_new_tokens=self._max_new_tokens,
            do_sample=False,
            num_beams=1,
            eos_token_id=ends,
            pad_token_id=self._tokenizer.pad_token_id,
            stopping_criteria=at_stops(self._tokenizer, self._stop, prompt_length=prompt_length),
        )
        texts = self._tokenizer.batch_decode([up_to_end(row, ends) for row in written[:, prompt_length:].tolist()], skip_special_tokens=True)
        return [answer_in(text, self._stop) for text in texts]

    def _example(self, row: Row, words: list[int], answer: list[int], *, start: list[int], place: str) -> Example:
        if not row.answers[0].strip():
            raise DataError(f"{place}: the answer {row.answers[0]!r} has no tokens; expected a text that is not empty")
        answer = [*answer, *self._learned_end]
        excess = max(0, len(start) + len(words) + len(answer) - self._max_length)
        if excess and excess >= len(words):
            raise DataError(
                f"{place}: the answer {row.answers[0][:60]!r} does not fit into max_length = {self._max_length} tokens with any of its prompt; "
                "raise task.max_length"
            )
        choice = Choice([*start, *words[excess:], *answer], len(answer), cut=excess > 0)
        room = self._max_length - self._max_new_tokens - len(start)
        cut = choice.cut or len(words) > room
        return Example(
            {"input_ids": choice.tokens},
            0,
            choices=(choice,),
            prompt=(*start, *words[-room:]),
            answers=row.answers,
            cut=cut,
            unwritable=self._writes and len(answer) > self._max_new_tokens and all(len(self._tokens(one)) > self._max_new_tokens for one in row.answers),
        )

    def _tokens(self, text: str) -> list[int]:
        return self._tokenizer(text, add_special_tokens=False)["input_ids"]

    def _answer_tokens(self, words: list[int], joint: list[int], answer: str) -> list[int]:
        """Return the tokens of an answer behind the tokens of its prompt; by itself where a token would reach over both."""
        return joint[len(words) :] if joint[: len(words)] == words else self._tokens(answer)


def check_writable(examples: Sequence[Example], *, max_new_tokens: int) -> None:
    """Raise DataError if most references are longer than may be written."""
    longer = [example for example in examples if example.unwritable]
    if len(longer) > len(examples) / 2:
        longest = max(example.choices[0].scored for example in longer)
        raise DataError(
            f"{len(longer)} of {len(examples)} references are longer than task.max_new_tokens = {max_new_tokens} tokens, so that no answer could "
            f"equal them; the longest needs task.max_new_tokens = {longest}"
        )


def _ends_of(model: Any) -> list[int]:
    """Return the tokens at which the checkpoint ends what it writes: those of chat models are more than the tokenizer's one."""
    own = model.generation_config.eos_token_id
    return [] if own is None else [own] if isinstance(own, int) else list(own)
