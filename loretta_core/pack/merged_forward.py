"""One forward of the frozen model for several cells.

    request of a cell      v states of its trained weights (v, …) and the pieces of its global batch
    merged forward         torch.func: vmap over all states of all cells, each with its own rows; the frozen weights are shared

Rows of one variant meet only their own weights, so losses and gradients of different cells cannot mix; an infinite loss of one is no one else's. Batches of
different lengths are padded on the right to the longest. V variants, S sequences, L tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from loretta_core.pack.dropout import Axes, RandomStreams, growing_axes, per_variant_dropout
from loretta_core.tasks.base import AnswerPositions, Batch, Objective
from loretta_core.tasks.collate import Collator
from loretta_core.tasks.formats.answer_scores import find_answer_positions
from loretta_core.train.memory.shared_base import copy_modules

Values = dict[str, Tensor]
"""Parameter name → states (v, …)."""

ATTENTION = "loretta_merged"
"""transformers' name for scaled dot-product attention that never looks at the values of a mask."""

MAX_BYTES = {"cpu": (5 << 20, 2 << 20), "cuda": (1 << 30, 1 << 30)}
"""Size limits of one hidden state (V, S, L, hidden) in a forward: for losses, and for gradients, which keep the hidden states of every layer. A CPU loses what
merging gains as soon as a layer's activations leave its caches; a GPU wants as many rows as its memory holds."""


@dataclass(frozen=True)
class EvalRequest:
    """A cell's request for losses, or for the gradient of one loss."""

    values: Values
    """v states of the trainable parameters."""
    frozen: Values
    """Frozen weights that are not those of the shared model, (v, …)."""
    batches: Sequence[Batch]
    """Pieces of one global batch."""
    random: list[Tensor] | None = None
    """Set to request the gradient of the one variant: state of the random generators that dropout draws from."""

    @property
    def gradient(self) -> bool:
        """True if the gradient is requested, too."""
        return self.random is not None

    @property
    def variants(self) -> int:
        """The number of states, v."""
        return len(next(iter(self.values.values())))

    @property
    def batch_key(self) -> object:
        """Requests with equal keys can be evaluated in one forward."""
        shapes = tuple((len(batch), batch.choices_B, *((name, len(values), values.ndim) for name, values in batch.inputs.items())) for batch in self.batches)
        return self.gradient, shapes


@dataclass(frozen=True)
class EvalResult:
    """Mean losses over the rows of the global batch (v,), and their gradients."""

    losses: list[float]
    gradients: Values
    random: list[Tensor] | None
    """State of the random generators afterwards."""


class MergedForward:
    """Evaluates requests of cells that share a model.

    Args:
        model: the model of one of them; its modules are copied, its tensors shared.
        max_bytes: size limit of one hidden state in a forward; variants beyond it are computed in further forwards. None takes MAX_BYTES.
            Where not even two fit nothing is merged: a cell by itself computes one variant faster.
    """

    def __init__(self, model: nn.Module, *, objective: Objective, collate: Collator, max_bytes: int | None = None) -> None:
        self._module = LossModule(copy_modules(model), objective)
        _use_mask_without_checks(self._module.model)
        self._collate = collate
        self._max_bytes = MAX_BYTES[collate.device.type] if max_bytes is None else (max_bytes, max_bytes)
        self._growing: Axes | None = None

    def evaluate(self, requests: Sequence[EvalRequest]) -> list[EvalResult] | None:
        """Return the results of requests with one batch key; None where nothing would be merged.

        Raises RuntimeError where the model does what torch.func cannot batch, such as a branch on values.
        """
        pieces_of_all = list(zip(*(request.batches for request in requests), strict=True))
        chunk_size = min(self._chunk_size(pieces, gradient=requests[0].gradient) for pieces in pieces_of_all)
        if chunk_size < 2:
            return None
        counts = [request.variants for request in requests]
        values = {name: torch.cat([request.values[name] for request in requests]) for name in requests[0].values}
        frozen = {name: torch.cat([self._frozen_values(request, name) for request in requests]) for name in {name for one in requests for name in one.frozen}}
        total = sum(map(len, requests[0].batches))
        states = [request.random for request in requests if request.random is not None]
        losses_V: Tensor | float = 0.0
        gradients: Values = {}
        for pieces in pieces_of_all:
            share = len(pieces[0]) / total
            rows = self._rows(pieces, counts)
            streams = self._streams(states, pieces) if states else None
            found_V, found = self._piece(values, frozen, rows, like=pieces[0], streams=streams, chunk_size=chunk_size)
            losses_V = losses_V + found_V * share
            gradients = {name: gradients.get(name, 0.0) + one * share for name, one in found.items()}
        assert isinstance(losses_V, Tensor)
        parts = {name: stacked.split(counts) for name, stacked in gradients.items()}
        after = states or [None] * len(requests)
        return [EvalResult(part.tolist(), {name: of[index] for name, of in parts.items()}, after[index]) for index, part in enumerate(losses_V.split(counts))]

    def _frozen_values(self, request: EvalRequest, name: str) -> Tensor:
        shared = self._module.model.get_parameter(name).detach()
        return request.frozen[name] if name in request.frozen else shared.expand(request.variants, *shared.shape)

    def _piece(self, values: Values, frozen: Values, rows: _Rows, *, like: Batch, streams: RandomStreams | None, chunk_size: int) -> tuple[Tensor, Values]:
        """Return losses (V,) of one piece; with streams for dropout to draw from, their gradients too."""

        def loss(values: Values, frozen: Values, rows: Values, which: Tensor) -> Tensor:
            named = {f"model.{name}": value for name, value in {**frozen, **values}.items()}
            with per_variant_dropout(streams, which) if streams is not None else nullcontext():
                return functional_call(self._module, named, (_batch(rows, like=like),))

        gradient = streams is not None
        function: Callable[..., Any] = grad_and_value(loss) if gradient else loss
        which_V = torch.arange(len(next(iter(values.values()))))
        # Fused attention kernels have no batching rule and would run one variant at a time; the plain one is made of operations that have.
        with sdpa_kernel(SDPBackend.MATH), torch.set_grad_enabled(gradient):
            found = vmap(function, in_dims=(0, 0, rows.dims, 0), randomness="error", chunk_size=chunk_size)(values, frozen, rows.values, which_V)
        return (found[1].detach().float(), {name: one.detach() for name, one in found[0].items()}) if gradient else (found.float(), {})

    def _streams(self, states: list[list[Tensor]], batches: Sequence[Batch]) -> RandomStreams:
        """Return the random streams for one piece of every request, of one variant each."""
        lengths = [_length(batch) for batch in batches]
        short, long = min(lengths), max(lengths)
        sequences = len(batches[0].inputs["input_ids"]) if batches[0].choices_B else None
        if short < long and self._growing is None:
            own = batches[lengths.index(short)]
            both = (partial(self._module, batch) for batch in (own, self._collate.padded_to(own, long)))
            self._growing = growing_axes(*both, by=long - short)
        return RandomStreams(states, lengths, self._growing, sequences)

    def _chunk_size(self, batches: Sequence[Batch], *, gradient: bool) -> int:
        """Return how many variants fit into one forward, on one piece of every request."""
        tokens = len(batches[0].inputs["input_ids"]) * _longest(batches)
        return self._max_bytes[gradient] // (4 * tokens * self._module.hidden_size)

    def _rows(self, batches: Sequence[Batch], counts: Sequence[int]) -> _Rows:
        """Stack one piece of every request, padded to one length. Cells that differ in their learning rate only have the same rows, which are not batched."""
        length = _longest(batches)
        places = [find_answer_positions(batch) if batch.choices_B else None for batch in batches]
        padded = _padded_positions([one for one in places if one is not None]) or places
        tensors = [_tensors(self._collate.padded_to(batch, length), one) for batch, one in zip(batches, padded, strict=True)]
        stacked = {name: torch.stack([one[name] for one in tensors]) for name in tensors[0]}
        equal = torch.stack([(one == one[0]).all() for one in stacked.values()]).tolist()  # together: each look at a value waits for a GPU
        dims = {name: None if same else 0 for name, same in zip(stacked, equal, strict=True)}
        which_V = torch.repeat_interleave(torch.tensor(counts)).to(self._collate.device)
        return _Rows({name: one[0] if dims[name] is None else one[which_V] for name, one in stacked.items()}, dims)


@dataclass(frozen=True)
class _Rows:
    """The rows of a merged forward."""

    values: Values
    """(S, L), or (V, S, L): each variant's own."""
    dims: dict[str, int | None]
    """The dimension of V per tensor, for vmap; None for rows that all variants share."""


class LossModule(nn.Module):
    """A module whose forward is the loss of a batch: `functional_call` swaps the parameters of `model` while it runs."""

    def __init__(self, model: nn.Module, objective: Objective) -> None:
        super().__init__()
        self.model = model
        config: Any = model.config
        self.hidden_size: int = config.get_text_config().hidden_size
        self._objective = objective

    def forward(self, batch: Batch) -> Tensor:
        """Return the mean loss of a batch."""
        return self._objective.loss(self.model, batch)


def _tensors(batch: Batch, places: AnswerPositions | None) -> Values:
    known = {"labels": batch.labels_B, "mask_positions": batch.mask_positions_B, "scored": batch.scored_S}
    found = {f"inputs.{name}": values for name, values in batch.inputs.items()} | {name: one for name, one in known.items() if one is not None}
    return found if places is None else found | {f"places.{each.name}": getattr(places, each.name) for each in fields(places)}


def _batch(rows: Mapping[str, Tensor], *, like: Batch) -> Batch:
    """Return the batch whose tensors `_tensors` returned."""
    inputs = {name: rows[f"inputs.{name}"] for name in like.inputs}
    names = [each.name for each in fields(AnswerPositions)]
    places = AnswerPositions(*(rows[f"places.{name}"] for name in names)) if "places.weight_T" in rows else None
    return Batch(inputs, rows["labels"], rows.get("mask_positions"), rows.get("scored"), like.choices_B, places=places)


def _longest(batches: Sequence[Batch]) -> int:
    return max(map(_length, batches))


def _length(batch: Batch) -> int:
    return batch.inputs["input_ids"].shape[1]


def _padded_positions(places: Sequence[AnswerPositions]) -> list[AnswerPositions]:
    """Return positions of equal size; the tokens that are added weigh nothing."""
    sizes = {each.name: max((len(getattr(one, each.name)) for one in places), default=0) for each in fields(AnswerPositions)}
    return [AnswerPositions(*(F.pad(getattr(one, name), (0, size - len(getattr(one, name)))) for name, size in sizes.items())) for one in places]


def _use_mask_without_checks(model: nn.Module) -> None:
    """Make a model's attention apply its mask without first checking whether anything is masked: torch.func cannot branch on values."""
    AttentionInterface.register(ATTENTION, sdpa_attention_forward)
    AttentionMaskInterface.register(ATTENTION, _mask)
    base: Any = model.get_base_model() if isinstance(model, PeftModel) else model
    if isinstance(base, PreTrainedModel) and base.config._attn_implementation != "eager":
        base.set_attn_implementation(ATTENTION)


def _mask(*arguments: Any, **named: Any) -> Tensor | None:
    never: dict[str, Any] = {"allow_is_causal_skip": False, "allow_is_bidirectional_skip": False}
    return sdpa_mask(*arguments, **(named | never))
