"""Scores of answers under a causal LM: the mean log-probability of the answer tokens at the end of a sequence.

S sequences, L tokens, T answer tokens of all sequences, V vocabulary.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from loretta_core.tasks.base import AnswerPositions, Batch
from loretta_core.tasks.formats.label_logits import logits_at


def answer_scores(model: nn.Module, batch: Batch) -> Float[Tensor, " S"]:
    """Return the mean fp32 log-probability of the answer tokens of each sequence."""
    ids_SL, real_SL = batch.inputs["input_ids"], batch.inputs["attention_mask"]
    places = find_answer_positions(batch)
    # Token t is predicted at t - 1.
    logits_TV = logits_at(model, {"input_ids": ids_SL, "attention_mask": real_SL}, sequence_T=places.sequence_T, position_T=places.position_T - 1)
    return _means(logits_TV, ids_SL, places)


def find_answer_positions(batch: Batch) -> AnswerPositions:
    """Return the positions of the answer tokens of a batch."""
    if batch.places is not None:
        return batch.places
    assert batch.scored_S is not None, "the batch was not encoded for a causal LM"
    return _positions(batch.inputs["attention_mask"], scored_S=batch.scored_S)


def mean_log_probability(
    logits_SLV: Float[Tensor, "S L V"], ids_SL: Int[Tensor, "S L"], real_SL: Int[Tensor, "S L"], *, scored_S: Int[Tensor, " S"]
) -> Float[Tensor, " S"]:
    """Return the mean fp32 log-probability of the last `scored_S` tokens of each sequence, padded on the right; `real_SL` is 0 at padding."""
    places = _positions(real_SL, scored_S=scored_S)
    return _means(logits_SLV[places.sequence_T, places.position_T - 1], ids_SL, places)


def _positions(real_SL: Int[Tensor, "S L"], *, scored_S: Int[Tensor, " S"]) -> AnswerPositions:
    """Return the positions of the answer tokens; the first token of a text is never predicted, so it is left out."""
    ends_S = real_SL.sum(dim=1)
    positions_L = torch.arange(real_SL.shape[1], device=real_SL.device)
    answer_SL = (positions_L >= (ends_S - scored_S)[:, None].clamp(min=1)) & (positions_L < ends_S[:, None])
    sequence_T, position_T = answer_SL.nonzero(as_tuple=True)
    return AnswerPositions(sequence_T, position_T, torch.ones(len(sequence_T), device=real_SL.device))


def _means(logits_TV: Float[Tensor, "T V"], ids_SL: Int[Tensor, "S L"], places: AnswerPositions) -> Float[Tensor, " S"]:
    answers_T = ids_SL[places.sequence_T, places.position_T]
    return means_by_row(logits_TV, answers_T, row_T=places.sequence_T, weight_T=places.weight_T, rows=len(ids_SL))


def means_by_row(
    logits_TV: Float[Tensor, "T V"], answers_T: Int[Tensor, " T"], *, row_T: Int[Tensor, " T"], weight_T: Float[Tensor, " T"], rows: int
) -> Float[Tensor, " S"]:
    """Return the mean fp32 log-probability of the answer tokens of each row, of which token t belongs to `row_T[t]`."""
    log_p_T = -F.cross_entropy(logits_TV.float(), answers_T, reduction="none")
    nothing_S = torch.zeros(rows, device=answers_T.device)
    sums_S, counts_S = (nothing_S.index_add(0, row_T, values_T) for values_T in (log_p_T * weight_T, weight_T))
    return sums_S / counts_S
