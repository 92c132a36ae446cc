"""Objective of conversations: trained by the LM loss on every turn of the assistant, scored on what the model writes as the last one, greedily.

    trained on   the turns as the chat template renders them, up to the token that ends the last one
    written      from the rendered question to the end of the turn, a stop text, or `max_new_tokens`

Loss: mean over the tokens of a row's turns of the assistant, then over the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from loretta_core.errors import DataError
from loretta_core.tasks.base import Batch, BatchEvaluation, Choice, Example
from loretta_core.tasks.chat.packing import PackedForm, packed_form, packed_scores
from loretta_core.tasks.chat.truncation import shortened
from loretta_core.tasks.chat.turn_spans import ChatFormat, Rendered
from loretta_core.tasks.data.rows import Row, Turn
from loretta_core.tasks.formats.generation import Generation, check_writable


class Conversation:
    """Objective that predicts the assistant's last turn.

    Args:
        tokenizer: with the chat template of the task as its own.
        note: what the record says of the template.
        stop: texts at which an answer ends.
        end_tokens: tokens at which it ends, the first the one that the template writes; None: found in the template.
        packing: compute the rows of a training batch in packed sequences.
        writes: score what is written; False: score the likelihood of the last turn, and write nothing.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        *,
        max_length: int,
        max_new_tokens: int,
        note: str = "",
        stop: Sequence[str] = (),
        end_tokens: Sequence[str] | None = None,
        packing: bool = False,
        writes: bool = True,
    ) -> None:
        self.note = note
        self._tokenizer = tokenizer
        self._format = ChatFormat(tokenizer, end_tokens=end_tokens)
        self._max_length = max_length
        self._max_new_tokens = max_new_tokens
        self._packing = packing
        self._writes = writes
        self._form: PackedForm | None = None
        own = dict.fromkeys([str(tokenizer.convert_ids_to_tokens(self._format.end)), *filter(None, [tokenizer.eos_token])])
        self.ends = tuple(end_tokens or own)
        self._writer = Generation(tokenizer, max_length=max_length, max_new_tokens=max_new_tokens, stop=stop, end_tokens=self.ends, writes=writes)

    def encode(self, rows: Sequence[Row], *, training: bool = False) -> list[Example]:
        """Encode the turns of each row, cut to `max_length` from the oldest on.

        Raises DataError with the row if an answer does not fit or the template does not render it, and if most answers are longer than may be written.
        """
        places = [row.named(number) for number, row in enumerate(rows, start=1)]
        rendered = self._format.render([row.turns for row in rows], places=places)
        examples = [self._example(row, one, place, training=training) for row, one, place in zip(rows, rendered, places, strict=True)]
        if self._writes and not training:
            check_writable(examples, max_new_tokens=self._max_new_tokens)
        return examples

    def loss(self, model: nn.Module, batch: Batch) -> Float[Tensor, ""]:
        """Return the LM loss on the assistant's turns, their ends included."""
        if not self._packing or not batch.examples:  # several cells in one forward have no examples, and the same loss
            return self._writer.loss(model, batch)
        assert self._form is not None, "prepare() comes before the first loss"
        return -packed_scores(model, batch.examples, form=self._form, pad=self._pad, device=batch.labels_B.device).mean()

    def loss_of(self, scores_S: Float[Tensor, " S"], batch: Batch) -> Float[Tensor, ""]:
        """Return the loss of a batch, given the mean log-probability of the learned tokens of each row."""
        return self._writer.loss_of(scores_S, batch)

    def evaluate(self, model: nn.Module, batch: Batch) -> BatchEvaluation:
        """Predict the text that the model writes as the last turn."""
        return self._writer.evaluate(model, batch)

    def texts(self, model: nn.Module, batch: Batch) -> list[str]:
        """Return what the model writes as the last turn of each row."""
        return self._writer.texts(model, batch)

    def prepare(self, model: nn.Module, examples: Sequence[Example]) -> None:
        """Find out how the model keeps packed rows apart, if rows are packed. Raises MethodError if it does not."""
        if self._packing:
            self._form = packed_form(model, examples, pad=self._pad)

    @property
    def _pad(self) -> int:
        pad: Any = self._tokenizer.convert_tokens_to_ids(str(self._tokenizer.pad_token))
        return int(pad)

    def _example(self, row: Row, rendered: Rendered, place: str, *, training: bool) -> Example:
        whole, cut = rendered, False
        if len(rendered.tokens) > self._max_length:
            whole, cut = self._cut(row, rendered, place), True
        begin, end = whole.spans[-1]
        learned = tuple(position for span in whole.spans for position in range(*span))
        choice = Choice(whole.tokens, end - begin, learned=learned, cut=cut)
        example = Example({"input_ids": whole.tokens}, 0, choices=(choice,), answers=row.answers, cut=cut, unwritable=self._unwritable(row, end - begin))
        if training:
            return example
        prompt, prompt_cut = self._prompt(row.turns[:-1], place)
        return replace(example, prompt=tuple(prompt), cut=cut or prompt_cut)

    def _cut(self, row: Row, rendered: Rendered, place: str) -> Rendered:
        def render(turns: Sequence[Turn]) -> Rendered:
            return self._format.render([turns], places=[place])[0]

        turns, _ = shortened(row.turns, limit=self._max_length, length=lambda turns: len(render(turns).tokens), tokenizer=self._tokenizer)
        if turns is None:
            begin, end = rendered.spans[-1]
            raise DataError(
                f"{place}: the answer of {end - begin} tokens does not fit into max_length = {self._max_length} tokens with any of its question, "
                f"and an answer is never cut; the whole conversation needs task.max_length = {len(rendered.tokens)}"
            )
        return render(turns)

    def _prompt(self, turns: Sequence[Turn], place: str) -> tuple[list[int], bool]:
        """Return the tokens from which the answer is written, and whether the turns had to be cut."""
        prompt, room = self._format.prompt(turns, place=place), self._max_length - self._max_new_tokens
        if len(prompt) <= room:
            return prompt, False
        kept, _ = shortened(turns, limit=room, length=lambda turns: len(self._format.prompt(turns, place=place)), tokenizer=self._tokenizer)
        if kept is None:
            raise DataError(
                f"{place}: task.max_new_tokens = {self._max_new_tokens} leaves {room} tokens of task.max_length = {self._max_length} for the question, "
                "too few for any of it; raise task.max_length or lower task.max_new_tokens"
            )
        return self._format.prompt(kept, place=place), True

    def _unwritable(self, row: Row, scored: int) -> bool:
        """Return whether every accepted answer is longer than may be written."""
        others = (len(self._tokenizer(answer, add_special_tokens=False)["input_ids"]) for answer in row.answers[1:])
        return scored > self._max_new_tokens and all(length > self._max_new_tokens for length in others)
