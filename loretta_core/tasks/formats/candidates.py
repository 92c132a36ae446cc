"""Objective "causal": a decoder ranks the candidate answers of a prompt by their mean log-probability (MeZO, arXiv 2305.17333, appendix E).

    score of candidate c = 1/|c| · Σ_t log p(c_t | prompt, c_<t)

Loss: cross-entropy over the scores when all rows share the label words (`rank_loss`); else the LM loss on the tokens of the right answer. A prompt too long is
cut from the left, for all candidates of a row alike; the beginning-of-text token and the answer are never cut. Sequences are padded on the right whatever the
tokenizer prefers: no token sees padding, and positions count from 0 on every architecture.

S sequences (all candidates of all rows), B rows, C candidates.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedTokenizerBase

from loretta_core.errors import DataError
from loretta_core.tasks.base import Batch, BatchEvaluation, Choice, Example
from loretta_core.tasks.data.mezo_prompts import candidate_text
from loretta_core.tasks.data.rows import Row
from loretta_core.tasks.formats.answer_scores import answer_scores
from loretta_core.tasks.formats.shared_prompt import can_share, shared_length, shared_scores

TOKENS = 8192
"""Limit of the tokens per forward when scoring, at least one sequence: a row may have dozens of candidates, and each token has V logits."""


class CandidateRanking:
    """Objective that predicts the likeliest candidate answer."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, *, max_length: int, rank_loss: bool) -> None:
        self._tokenizer = tokenizer
        self._max_length = max_length
        self._rank_loss = rank_loss

    def encode(self, rows: Sequence[Row], *, training: bool = False) -> list[Example]:
        """Tokenise the prompt with each candidate; for the LM loss, with the right one only."""
        return [self._encode(row, number, only_right=training and not self._rank_loss) for number, row in enumerate(rows, start=1)]

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
        shared = can_share(model) and all(shared_length(example) for example in batch.examples)
        pieces = _shared_pieces(model, batch) if shared else (answer_scores(model, piece) for piece in _pieces(batch))
        return _by_row(torch.cat(list(pieces)), batch.choices_B)

    def _encode(self, row: Row, number: int, *, only_right: bool) -> Example:
        indices = [int(row.label)] if only_right else range(len(row.candidates))
        kept = [candidate_text(row, index) for index in indices]
        choices = encode_choices(self._tokenizer, row.text["prompt"], kept, max_length=self._max_length, place=row.named(number))
        answers = {tuple(choice.tokens[-choice.scored :]) for choice in choices}
        if len(answers) != len(choices):
            raise DataError(f"{row.named(number)}: two of the answers {kept} are the same tokens; the labels could not be told apart")
        longest = max(choices, key=lambda choice: len(choice.tokens)).tokens
        label = 0 if only_right else row.label
        shown = row.candidates if row.answers else ()
        return Example({"input_ids": longest}, label, choices=choices, candidates=shown, answers=row.answers, cut=choices[0].cut)


def encode_choices(tokenizer: PreTrainedTokenizerBase, prompt: str, answers: Sequence[str], *, max_length: int, place: str) -> tuple[Choice, ...]:
    """Encode prompt + answer for each answer, cut from the left by the same number of tokens. Raises DataError if an answer is empty or does not fit."""
    start = first_tokens(tokenizer)
    choices: list[Choice] = []
    for answer in answers:
        encoded = tokenizer(prompt + answer, add_special_tokens=False, return_offsets_mapping=True)
        scored = sum(end > len(prompt) for _, end in encoded["offset_mapping"])
        if scored == 0 or not answer.strip():
            raise DataError(f"{place}: the answer {answer!r} has no tokens; expected a text that is not empty")
        choices.append(Choice(encoded["input_ids"], scored))
    excess = max(0, max(len(choice.tokens) for choice in choices) + len(start) - max_length)
    for choice, answer in zip(choices, answers, strict=True):
        if excess and excess >= len(choice.tokens) - choice.scored:
            raise DataError(
                f"{place}: the answer {answer[:60]!r} does not fit into max_length = {max_length} tokens with any of its prompt; raise task.max_length"
            )
    return tuple(Choice([*start, *choice.tokens[excess:]], choice.scored, cut=excess > 0) for choice in choices)


def first_tokens(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return the beginning-of-text token in a list, which is empty for tokenizers that write none."""
    return [token for token in tokenizer("")["input_ids"] if token == tokenizer.bos_token_id][:1]


def _by_row(scores_S: Float[Tensor, " S"], choices_B: Sequence[int]) -> Float[Tensor, "B C"]:
    """Arrange scores by row; rows with fewer candidates get −inf. Made of operations that torch.func can batch."""
    count_B1 = torch.tensor(choices_B, device=scores_S.device)[:, None]
    column_C = torch.arange(max(choices_B), device=scores_S.device)
    place_BC = (count_B1.cumsum(0) - count_B1 + column_C).clamp(max=len(scores_S) - 1)
    return scores_S[place_BC].masked_fill(column_C >= count_B1, -torch.inf)


def _pieces(batch: Batch) -> Iterator[Batch]:
    """Split a batch into forwards of at most TOKENS, each without the columns that are padding in all of it."""
    assert batch.scored_S is not None, "the batch was not encoded for a causal LM"
    size = max(1, TOKENS // batch.inputs["input_ids"].shape[1])
    for start in range(0, len(batch.scored_S), size):
        piece = slice(start, start + size)
        length = int(batch.inputs["attention_mask"][piece].sum(dim=1).max())
        yield Batch({name: values[piece, :length] for name, values in batch.inputs.items()}, batch.labels_B, scored_S=batch.scored_S[piece])


def _shared_pieces(model: nn.Module, batch: Batch) -> Iterator[Float[Tensor, " S"]]:
    """Yield the scores of groups of rows whose candidates have at most TOKENS, prompts counted: the cache holds one for each candidate."""
    rows: list[Example] = []
    for example in batch.examples:
        longest = max(len(choice.tokens) for one in (*rows, example) for choice in one.choices)
        if rows and longest * sum(len(one.choices) for one in (*rows, example)) > TOKENS:
            yield shared_scores(model, rows, device=batch.labels_B.device)
            rows = []
        rows.append(example)
    yield shared_scores(model, rows, device=batch.labels_B.device)
