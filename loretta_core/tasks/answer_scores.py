"""How likely a causal LM finds the answer at the end of a sequence: the mean log-probability of its tokens.

S sequences, L tokens, T answer tokens of all sequences, V vocabulary.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from loretta_core.tasks.base import Batch


def answer_scores(model: nn.Module, batch: Batch) -> Float[Tensor, " S"]:
    """Mean fp32 log-probability of the answer tokens of each sequence."""
    assert batch.scored_S is not None, "the batch was not encoded for a causal LM"
    ids_SL, real_SL = batch.inputs["input_ids"], batch.inputs["attention_mask"]
    logits_SLV = model(input_ids=ids_SL, attention_mask=real_SL).logits
    return mean_log_probability(logits_SLV, ids_SL, real_SL, scored_S=batch.scored_S)


def mean_log_probability(
    logits_SLV: Float[Tensor, "S L V"], ids_SL: Int[Tensor, "S L"], real_SL: Int[Tensor, "S L"], *, scored_S: Int[Tensor, " S"]
) -> Float[Tensor, " S"]:
    """Of the last `scored_S` tokens of each sequence, padded on the right; `real_SL` is 0 at padding. fp32."""
    ends_S = real_SL.sum(dim=1)
    positions_L = torch.arange(ids_SL.shape[1], device=ids_SL.device)
    answer_SL = (positions_L >= (ends_S - scored_S)[:, None]) & (positions_L < ends_S[:, None])
    answer_SL = answer_SL[:, 1:]  # token t is predicted at t - 1; the first token of a text is never predicted
    log_p_T = -F.cross_entropy(logits_SLV[:, :-1][answer_SL].float(), ids_SL[:, 1:][answer_SL], reduction="none")
    counts_S = answer_SL.sum(dim=1)
    sequence_T = torch.arange(len(ids_SL), device=ids_SL.device).repeat_interleave(counts_S)
    return torch.zeros(len(ids_SL), device=ids_SL.device).index_add(0, sequence_T, log_p_T) / counts_S
