"""Objective "causal" for rows with choices of their own: the likeliest is predicted, its log-probability divided by nothing, its characters or its tokens.

    score of choice c = Σ_t log p(c_t | prompt, c_<t) / length(c)

lm-evaluation-harness calls the first `acc` and the second `acc_norm`; the third is MeZO's mean. Training is that of ranked candidates (`candidates.py`).

B rows, C choices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedTokenizerBase

from loretta_core.tasks.base import Batch, BatchEvaluation, Example
from loretta_core.tasks.data.rows import Row
from loretta_core.tasks.formats.candidates import CandidateRanking

Normalize = Literal["none", "characters", "tokens"]


class MultipleChoiceRanking:
    """Objective that predicts the index of the likeliest choice.

    Args:
        rank_loss: train by cross-entropy over the choices; False: by the LM loss on the right one.
        normalize: what the log-probability of a choice is divided by.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, *, max_length: int, rank_loss: bool, normalize: Normalize) -> None:
        self._ranking = CandidateRanking(tokenizer, max_length=max_length, rank_loss=rank_loss)
        self._rank_loss = rank_loss
        self._normalize = normalize

    def encode(self, rows: Sequence[Row], *, training: bool = False) -> list[Example]:
        """Tokenise the prompt with each choice; for the LM loss, with the right one only."""
        return [replace(example, candidates=row.candidates) for row, example in zip(rows, self._ranking.encode(rows, training=training), strict=True)]

    def loss(self, model: nn.Module, batch: Batch) -> Float[Tensor, ""]:
        """Return the loss of ranked candidates."""
        return self._ranking.loss(model, batch)

    def loss_of(self, scores_S: Float[Tensor, " S"], batch: Batch) -> Float[Tensor, ""]:
        """Return the loss of a batch, given the mean log-probability of the tokens of each choice."""
        return self._ranking.loss_of(scores_S, batch)

    def evaluate(self, model: nn.Module, batch: Batch) -> BatchEvaluation:
        """Predict the likeliest choice; the log-probabilities of all choices, not divided, are kept."""
        means_BC = self._ranking.scores(model, batch)
        tokens_BC = _padded([[choice.scored for choice in example.choices] for example in batch.examples], like=means_BC)
        sums_BC = means_BC * tokens_BC
        ranks_BC = sums_BC if self._normalize == "none" else means_BC if self._normalize == "tokens" else sums_BC / self._characters(batch, like=means_BC)
        right_B = means_BC.gather(1, batch.labels_B[:, None]).squeeze(1)
        losses_B = F.cross_entropy(means_BC, batch.labels_B, reduction="none") if self._rank_loss else -right_B
        kept = [tuple(row[: len(example.choices)]) for row, example in zip(sums_BC.tolist(), batch.examples, strict=True)]
        return BatchEvaluation(losses_B.sum().item(), ranks_BC.argmax(dim=-1).tolist(), ranks_BC.log_softmax(dim=-1).cpu().numpy(), row_scores=kept)

    def _characters(self, batch: Batch, *, like: Float[Tensor, "B C"]) -> Float[Tensor, "B C"]:
        return _padded([[len(candidate.strip()) for candidate in example.candidates] for example in batch.examples], like=like)


def _padded(numbers: Sequence[Sequence[int]], *, like: Float[Tensor, "B C"]) -> Float[Tensor, "B C"]:
    """Return numbers of the choices of each row, 1 where a row has fewer."""
    width = like.shape[1]
    return torch.tensor([[*row, *[1] * (width - len(row))] for row in numbers], device=like.device, dtype=like.dtype)
