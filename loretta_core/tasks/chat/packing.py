"""Packing: several rows behind one another in one sequence, each seeing only itself, so that little is computed for padding.

    sequence     row 3 …………… row 7 ……… row 1 …… padding
    positions    0 1 2 …       0 1 2 …    0 1 …    0 1 …

Positions restart with each row; transformers makes of that an attention mask of blocks, and keeps each layer's sliding window. Architectures that do not hand
the positions on to their mask (OPT) get the mask itself. Which form it takes is found out before training, by comparing packed rows with each alone
(`packed_form`); state-space models, which carry their state across rows, and ALiBi, which counts positions over all, are refused there.

The rows of a batch are spread over as many sequences as waste at most MOST_WASTE of the tokens: more sequences are shorter ones, whose attention costs less.
The loss is the unpacked one, the mean over each row's tokens and then over the rows.

B rows, S sequences, L tokens, T learned tokens, V vocabulary.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from loretta_core.errors import MethodError
from loretta_core.tasks.base import AnswerPositions, Example, predicted_alone
from loretta_core.tasks.formats.answer_scores import scores_at
from loretta_core.tasks.formats.label_logits import logits_at

MOST_WASTE = 0.02
"""Most tokens of padding for each token of a row."""
TOLERANCE = {torch.float32: 1e-3}
"""Largest difference of a logit, in standard deviations of the logits, that is rounding."""
COARSE = 0.1
"""The same for coarser numbers than fp32."""
CHECKED_ROWS = 3
PackedForm = Literal["positions", "mask"]
"""How a model learns where rows begin: from their positions alone, or from a mask besides."""
FORMS: tuple[PackedForm, ...] = ("positions", "mask")


@dataclass(frozen=True)
class PackedRows:
    """Rows in sequences, padded on the right to the longest."""

    ids_SL: Int[Tensor, "S L"]
    positions_SL: Int[Tensor, "S L"]
    places: AnswerPositions
    """Where learned tokens are predicted, each a token of the choice whose number is its row's."""


def packed_scores(model: nn.Module, examples: Sequence[Example], *, form: PackedForm, pad: int, device: torch.device) -> Float[Tensor, " B"]:
    """Return the mean fp32 log-probability of the learned tokens of each row, computed in packed sequences."""
    rows = pack_rows(examples, pad=pad, device=device)
    return scores_at(model, _inputs(model, rows, form), rows.places, choices=len(examples))


def pack_rows(examples: Sequence[Example], *, pad: int, device: torch.device, groups: Sequence[Sequence[int]] | None = None) -> PackedRows:
    """Arrange rows in sequences; padding at the end of a sequence is a row of its own that nobody sees. `groups`: the rows of each sequence."""
    groups = groups or spread([len(example.choices[0].tokens) for example in examples])
    ids: list[list[int]] = []
    positions: list[list[int]] = []
    learned: list[tuple[int, int, int]] = []
    for sequence, group in enumerate(groups):
        ids.append([])
        positions.append([])
        for row in group:
            choice = examples[row].choices[0]
            learned += [(sequence, len(ids[-1]) + position, row) for position in choice.learned]
            ids[-1] += choice.tokens
            positions[-1] += range(len(choice.tokens))
    longest = max(map(len, ids))
    sequence_T, position_T, row_T = torch.tensor(learned, device=device).T
    ids_SL = torch.tensor([row + [pad] * (longest - len(row)) for row in ids], device=device)
    return PackedRows(
        ids_SL,
        torch.tensor([row + list(range(longest - len(row))) for row in positions], device=device),
        predicted_alone(sequence_T, position_T, token_T=ids_SL[sequence_T, position_T], choice_T=row_T),
    )


def spread(lengths: Sequence[int]) -> list[list[int]]:
    """Return which rows share a sequence: as many sequences as possible while padding to the longest wastes at most MOST_WASTE."""
    total, longest = sum(lengths), max(lengths)
    count = min(len(lengths), max(1, int((1 + MOST_WASTE) * total / longest)))
    while True:
        groups = _balanced(lengths, count)
        if count == 1 or count * max(sum(lengths[row] for row in group) for group in groups) <= (1 + MOST_WASTE) * total:
            return groups
        count -= max(1, count // 16)


def _balanced(lengths: Sequence[int], count: int) -> list[list[int]]:
    """Spread rows over `count` sequences, the longest row first, each into the shortest sequence."""
    groups: list[list[int]] = [[] for _ in range(count)]
    heap = [(0, number) for number in range(count)]
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        length, number = heapq.heappop(heap)
        groups[number].append(row)
        heapq.heappush(heap, (length + lengths[row], number))
    return groups


@torch.no_grad()
def packed_form(model: nn.Module, examples: Sequence[Example], *, pad: int) -> PackedForm:
    """Return how a model, with what a method adds to it, keeps packed rows apart: with it packed logits of a few rows are those of each alone.

    Raises MethodError where rows see one another in either form.
    """
    shortest = sorted(examples, key=lambda example: len(example.choices[0].tokens))[:CHECKED_ROWS]
    parameter = next(model.parameters())
    tolerance = TOLERANCE.get(parameter.dtype, COARSE)
    was_training = model.training
    model.eval()  # no dropout
    rows = pack_rows(shortest, pad=pad, device=parameter.device, groups=[range(len(shortest))])
    alone_TV = torch.cat([_alone(model, example, device=parameter.device) for example in shortest])
    differences = {form: _difference(model, rows, form, alone_TV) for form in FORMS}
    model.train(was_training)
    kept_apart = [form for form in FORMS if differences[form] <= tolerance]
    if not kept_apart:
        config: Any = model.config
        raise MethodError(
            f"task.packing = true: on this {config.model_type}, with this method, rows in one sequence see one another (logits differ by "
            f"{min(differences.values()):.1g} standard deviations), so that the loss would be another; set task.packing = false"
        )
    return kept_apart[0]


def _alone(model: nn.Module, example: Example, *, device: torch.device) -> Float[Tensor, "T V"]:
    """Return the logits of the learned tokens of one row, computed as elsewhere."""
    ids_SL = torch.tensor([example.choices[0].tokens], device=device)
    position_T = torch.tensor(example.choices[0].learned, device=device) - 1
    return logits_at(model, {"input_ids": ids_SL, "attention_mask": torch.ones_like(ids_SL)}, sequence_T=torch.zeros_like(position_T), position_T=position_T)


def _difference(model: nn.Module, rows: PackedRows, form: PackedForm, alone_TV: Float[Tensor, "T V"]) -> float:
    """Return the largest difference of a logit in standard deviations; infinity where the model does not read this form."""
    try:
        packed_TV = _logits(model, rows, form)
    except (TypeError, ValueError, RuntimeError):  # no positions in its signature, no room for four dimensions in its mask
        return math.inf
    return ((packed_TV.float() - alone_TV.float()).abs().max() / alone_TV.float().std()).item()


def _logits(model: nn.Module, rows: PackedRows, form: PackedForm) -> Float[Tensor, "T V"]:
    return logits_at(model, _inputs(model, rows, form), sequence_T=rows.places.sequence_U, position_T=rows.places.position_U)


def _inputs(model: nn.Module, rows: PackedRows, form: PackedForm) -> dict[str, Any]:
    # No cache: with one, transformers takes the positions for those of a continued text and lets all rows see each other.
    inputs: dict[str, Tensor | bool] = {"input_ids": rows.ids_SL, "position_ids": rows.positions_SL, "use_cache": False}
    if form == "mask":
        inputs["attention_mask"] = _blocks(rows.positions_SL, dtype=next(model.parameters()).dtype)
    return inputs


def _blocks(positions_SL: Int[Tensor, "S L"], *, dtype: torch.dtype) -> Float[Tensor, "S 1 L L"]:
    """Return the additive mask in which a token sees those of its row that are not behind it."""
    row_SL = (positions_SL == 0).cumsum(dim=1)
    seen_SLL = (row_SL[:, :, None] == row_SL[:, None, :]).tril()
    return torch.zeros(seen_SLL.shape, dtype=dtype, device=positions_SL.device).masked_fill(~seen_SLL, torch.finfo(dtype).min)[:, None]
