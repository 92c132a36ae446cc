"""How likely a causal LM finds the answer at the end of a sequence: the mean log-probability of its tokens.

S sequences, L tokens, T answer tokens of all sequences, V vocabulary.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from loretta_core.tasks.base import Batch
from loretta_core.tasks.label_logits import logits_at


def answer_scores(model: nn.Module, batch: Batch) -> Float[Tensor, " S"]:
    """Mean fp32 log-probability of the answer tokens of each sequence."""
    assert batch.scored_S is not None, "the batch was not encoded for a causal LM"
    ids_SL, real_SL = batch.inputs["input_ids"], batch.inputs["attention_mask"]
    answer_SL = _answers(real_SL, scored_S=batch.scored_S)
    before_SL = F.pad(answer_SL[:, 1:], (0, 1))  # token t is predicted at t - 1; the first token of a text is never predicted
    logits_TV = logits_at(model, {"input_ids": ids_SL, "attention_mask": real_SL}, before_SL)
    return _means(logits_TV, ids_SL, answer_SL)


def mean_log_probability(
    logits_SLV: Float[Tensor, "S L V"], ids_SL: Int[Tensor, "S L"], real_SL: Int[Tensor, "S L"], *, scored_S: Int[Tensor, " S"]
) -> Float[Tensor, " S"]:
    """Of the last `scored_S` tokens of each sequence, padded on the right; `real_SL` is 0 at padding. fp32."""
    answer_SL = _answers(real_SL, scored_S=scored_S)
    return _means(logits_SLV[:, :-1][answer_SL[:, 1:]], ids_SL, answer_SL)


def _answers(real_SL: Int[Tensor, "S L"], *, scored_S: Int[Tensor, " S"]) -> Bool[Tensor, "S L"]:
    ends_S = real_SL.sum(dim=1)
    positions_L = torch.arange(real_SL.shape[1], device=real_SL.device)
    return (positions_L >= (ends_S - scored_S)[:, None]) & (positions_L < ends_S[:, None])


def _means(logits_TV: Float[Tensor, "T V"], ids_SL: Int[Tensor, "S L"], answer_SL: Bool[Tensor, "S L"]) -> Float[Tensor, " S"]:
    log_p_T = -F.cross_entropy(logits_TV.float(), ids_SL[:, 1:][answer_SL[:, 1:]], reduction="none")
    counts_S = answer_SL[:, 1:].sum(dim=1)
    sequence_T = torch.arange(len(ids_SL), device=ids_SL.device).repeat_interleave(counts_S)
    return torch.zeros(len(ids_SL), device=ids_SL.device).index_add(0, sequence_T, log_p_T) / counts_S
