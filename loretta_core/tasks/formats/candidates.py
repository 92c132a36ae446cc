"""Objective "causal": a decoder ranks the candidate answers of a prompt by their mean log-probability (MeZO, arXiv 2305.17333, appendix E).

    score of candidate c = 1/|c| · Σ_t log p(c_t | prompt, c_<t)

Loss: cross-entropy over the scores when all rows share the label words (`rank_loss`); else the LM loss on the tokens of the right answer. A prompt too long is
cut from the left, for all candidates of a row alike; the beginning-of-text token and the answer are never cut. Sequences are padded on the right whatever the
tokenizer prefers: no token sees padding, and positions count from 0 on every architecture.

S sequences (all candidates of all rows), B rows, C candidates.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedTokenizerBase

from loretta_core.errors import DataError
from loretta_core.tasks.base import Batch, BatchEvaluation, Choice, Example
from loretta_core.tasks.data.mezo_prompts import candidate_text
from loretta_core.tasks.data.rows import Row
from loretta_core.tasks.formats.answer_scores import answer_scores, answer_scores_in_pieces
from loretta_core.tasks.formats.batch_encoding import Continued, encode_continuations, without_collections

TOKENS = 8192
"""Limit of the tokens per forward when scoring, at least one sequence: a row may have dozens of candidates, and each token has V logits."""


class CandidateRanking:
    """Objective that predicts the likeliest candidate answer."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, *, max_length: int, rank_loss: bool) -> None:
        self._tokenizer = tokenizer
        self._max_length = max_length
        self._rank_loss = rank_loss

    @without_collections()
    def encode(self, rows: Sequence[Row], *, training: bool = False) -> list[Example]:
        """Tokenise the prompt with each candidate; for the LM loss, with the right one only."""
        only_right = training and not self._rank_loss
        kept = [[candidate_text(row, index) for index in ([int(row.label)] if only_right else range(len(row.candidates)))] for row in rows]
        encoded = encode_continuations(self._tokenizer, [row.text["prompt"] for row in rows], kept)
        start = first_tokens(self._tokenizer)
        return [
            self._example(row, answers, self._choices(answers, continued, start=start, place=row.named(number)), only_right=only_right, place=row.named(number))
            for number, (row, answers, (_, continued)) in enumerate(zip(rows, kept, encoded, strict=True), start=1)
        ]

    def loss(self, model: nn.Module, batch: Batch) -> Float[Tensor, ""]:
        """Return the mean loss over the rows: cross-entropy over the scores, or the LM loss of the right answer."""
        return self.loss_of(answer_scores(model, batch), batch)

    def loss_of(self, scores_S: Float[Tensor, " S"], batch: Batch) -> Float[Tensor, ""]:
        """Return the loss of a batch, given the mean log-probability of the answer's tokens in each of its sequences."""
        scores_BC = _by_row(scores_S, batch.choices_B)
        if self._rank_loss:
            return F.cross_entropy(scores_BC, batch.labels_B)
        return -scores_BC[:, 0].mean()

    def evaluate(self, model: nn.Module, batch: Batch) -> BatchEvaluation:
        """Predict the index of the likeliest candidate, or its text where rows have accepted texts."""
        scores_BC = self.scores(model, batch)
        right_B = scores_BC.gather(1, batch.labels_B[:, None]).squeeze(1)
        losses_B = F.cross_entropy(scores_BC, batch.labels_B, reduction="none") if self._rank_loss else -right_B
        best = scores_BC.argmax(dim=-1).tolist()
        predictions = [e.candidates[i] if e.answers else i for e, i in zip(batch.examples, best, strict=True)]
        return BatchEvaluation(losses_B.sum().item(), predictions, scores_BC.log_softmax(dim=-1).cpu().numpy())

    def scores(self, model: nn.Module, batch: Batch) -> Float[Tensor, "B C"]:
        """Return the mean fp32 log-probability of the tokens of each candidate, −inf where a row has fewer; without gradients."""
        return _by_row(answer_scores_in_pieces(model, batch, tokens=TOKENS), batch.choices_B)

    def _example(self, row: Row, texts: Sequence[str], choices: tuple[Choice, ...], *, only_right: bool, place: str) -> Example:
        answers = {tuple(choice.tokens[-choice.scored :]) for choice in choices}
        if len(answers) != len(choices):
            raise DataError(f"{place}: two of the answers {list(texts)} are the same tokens; the labels could not be told apart")
        longest = max(choices, key=lambda choice: len(choice.tokens)).tokens
        label = 0 if only_right else row.label
        shown = row.candidates if row.answers else ()
        return Example({"input_ids": longest}, label, choices=choices, candidates=shown, answers=row.answers, cut=choices[0].cut)

    def _choices(self, texts: Sequence[str], continued: Sequence[Continued], *, start: list[int], place: str) -> tuple[Choice, ...]:
        """Return prompt + answer for each answer, cut from the left by the same number of tokens."""
        excess = max(0, max(len(one.tokens) for one in continued) + len(start) - self._max_length)
        for one, text in zip(continued, texts, strict=True):
            if one.scored == 0 or not text.strip():
                raise DataError(f"{place}: the answer {text!r} has no tokens; expected a text that is not empty")
            if not start and one.scored == len(one.tokens):
                raise DataError(f"{place}: the prompt is empty, and this tokenizer begins no text with a token that could predict an answer")
            if excess and excess >= len(one.tokens) - one.scored:
                raise DataError(
                    f"{place}: the answer {text[:60]!r} does not fit into max_length = {self._max_length} tokens with any of its prompt; raise task.max_length"
                )
        return tuple(Choice([*start, *one.tokens[excess:]], one.scored, cut=excess > 0) for one in continued)


def first_tokens(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return the beginning-of-text token in a list, which is empty for tokenizers that write none."""
    return [token for token in tokenizer("")["input_ids"] if token == tokenizer.bos_token_id][:1]


def _by_row(scores_S: Float[Tensor, " S"], choices_B: Sequence[int]) -> Float[Tensor, "B C"]:
    """Arrange scores by row; rows with fewer candidates get −inf. Made of operations that torch.func can batch."""
    count_B1 = torch.tensor(choices_B, device=scores_S.device)[:, None]
    column_C = torch.arange(max(choices_B), device=scores_S.device)
    place_BC = (count_B1.cumsum(0) - count_B1 + column_C).clamp(max=len(scores_S) - 1)
    return scores_S[place_BC].masked_fill(column_C >= count_B1, -torch.inf)
