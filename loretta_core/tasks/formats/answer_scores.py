"""Scores of answers under a causal LM: the mean log-probability of the answer tokens of a choice.

S sequences or trees of choices, L tokens, C choices of all rows, T answer tokens of all choices, U positions that predict them, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from loretta_core.tasks.base import AnswerPositions, Batch, predicted_alone
from loretta_core.tasks.formats.label_logits import logits_at


def answer_scores(model: nn.Module, batch: Batch) -> Float[Tensor, " C"]:
    """Return the mean fp32 log-probability of the answer tokens of each choice."""
    return scores_at(model, batch.inputs, find_answer_positions(batch), choices=sum(batch.choices_B))


def scores_at(model: nn.Module, inputs: Mapping[str, Tensor], places: AnswerPositions, *, choices: int) -> Float[Tensor, " C"]:
    """Return the mean fp32 log-probability of the answer tokens of each choice, given where they are predicted."""
    return _means(_log_probabilities(model, inputs, places), places, choices=choices)


def answer_scores_in_pieces(model: nn.Module, batch: Batch, *, tokens: int) -> Float[Tensor, " C"]:
    """Return the same scores from forwards of at most `tokens` tokens, or of one sequence."""
    places = find_answer_positions(batch)
    pieces = _pieces(batch.inputs, places, tokens=tokens)
    return _means(torch.cat([_log_probabilities(model, *piece) for piece in pieces]), places, choices=sum(batch.choices_B))


def find_answer_positions(batch: Batch) -> AnswerPositions:
    """Return the positions of the answer tokens of a batch; the first token of a text is never predicted, so it is left out."""
    if batch.places is not None:
        return batch.places
    assert batch.scored_S is not None, "the batch was not encoded for a causal LM"
    ids_SL, real_SL = batch.inputs["input_ids"], batch.inputs["attention_mask"]
    ends_S = real_SL.sum(dim=1)
    positions_L = torch.arange(real_SL.shape[1], device=real_SL.device)
    answer_SL = (positions_L >= (ends_S - batch.scored_S)[:, None].clamp(min=1)) & (positions_L < ends_S[:, None])
    sequence_T, position_T = answer_SL.nonzero(as_tuple=True)
    return predicted_alone(sequence_T, position_T, token_T=ids_SL[sequence_T, position_T], choice_T=sequence_T)


def _pieces(inputs: Mapping[str, Tensor], places: AnswerPositions, *, tokens: int) -> Iterator[tuple[dict[str, Tensor], AnswerPositions]]:
    """Yield the parts of a batch, each without the columns that nothing in it is predicted from."""
    size = max(1, tokens // inputs["input_ids"].shape[1])
    for start in range(0, len(inputs["input_ids"]), size):
        chosen_U = (places.sequence_U >= start) & (places.sequence_U < start + size)
        chosen_T = chosen_U[places.logits_T]
        own = AnswerPositions(
            places.sequence_U[chosen_U] - start,
            places.position_U[chosen_U],
            places.logits_T[chosen_T] - places.logits_T[chosen_T].min(),
            places.token_T[chosen_T],
            places.choice_T[chosen_T],
            places.weight_T[chosen_T],
        )
        length = int(own.position_U.max()) + 1
        part = {name: values[start : start + size, ..., :length] for name, values in inputs.items()}
        yield {name: values[..., :length, :] if values.ndim == 4 else values for name, values in part.items()}, own  # 4: a mask of pairs


def _log_probabilities(model: nn.Module, inputs: Mapping[str, Tensor], places: AnswerPositions) -> Float[Tensor, " T"]:
    logits_UV = logits_at(model, inputs, sequence_T=places.sequence_U, position_T=places.position_U)
    return F.log_softmax(logits_UV.float(), dim=-1)[places.logits_T, places.token_T]


def _means(log_p_T: Float[Tensor, " T"], places: AnswerPositions, *, choices: int) -> Float[Tensor, " C"]:
    nothing_C = torch.zeros(choices, device=log_p_T.device)
    sums_C, counts_C = (nothing_C.index_add(0, places.choice_T, values_T) for values_T in (log_p_T * places.weight_T, places.weight_T))
    return sums_C / counts_C
