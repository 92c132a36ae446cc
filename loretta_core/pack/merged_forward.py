"""One forward of the frozen model for several cells.

    question of a cell     v states of its trained weights (v, …) and the pieces of its global batch
    merged                 torch.func: vmap over all states of all cells, each with its own rows; the frozen weights are shared

Rows of one variant meet only their own weights, so losses and gradients of different cells cannot mix; an infinite loss of one is no one else's. Batches of
different lengths are padded on the right to the longest. V variants, S sequences, L tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
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

from loretta_core.pack.dropout import Axes, Streams, growing_axes, own_dropout
from loretta_core.tasks.base import Batch, Objective, Places
from loretta_core.tasks.collate import Collator
from loretta_core.tasks.formats.answer_scores import places_in
from loretta_core.train.memory.shared_base import with_own_modules

Values = dict[str, Tensor]
"""Parameter name → states (v, …)."""

ATTENTION = "loretta_merged"
"""transformers' name for scaled dot-product attention that never looks at the values of a mask."""

MOST_BYTES = {"cpu": (5 << 20, 2 << 20), "cuda": (1 << 30, 1 << 30)}
"""Of one hidden state (V, S, L, hidden) in a forward: for losses, and for gradients, for which those of every layer are kept. A CPU loses what merging gains as
soon as a layer's activations leave its caches; a GPU wants as many rows as its memory holds."""


@dataclass(frozen=True)
class EvalRequest:
    """What a cell wants computed."""

    values: Values
    """v states of what trains."""
    fixed: Values
    """Frozen weights that are not those of the shared model, (v, …)."""
    batches: Sequence[Batch]
    """Pieces of one global batch."""
    random: list[Tensor] | None = None
    """Where the gradient of the one variant is wanted: state of the random generators that dropout draws from."""

    @property
    def gradient(self) -> bool:
        """Not only losses."""
        return self.random is not None

    @property
    def variants(self) -> int:
        """v."""
        return len(next(iter(self.values.values())))

    @property
    def kind(self) -> object:
        """Questions of one kind can be answered in one forward."""
        shapes = tuple((len(batch), batch.choices_B, *((name, len(values)) for name, values in batch.inputs.items())) for batch in self.batches)
        return self.gradient, shapes


@dataclass(frozen=True)
class EvalResult:
    """Mean losses over the rows of the global batch (v,), and their gradients."""

    losses: list[float]
    gradients: Values
    random: list[Tensor] | None
    """State of the random generators afterwards."""


class MergedForward:
    """Answers questions of cells that share a model.

    Args:
        model: of one of them; its modules are copied, its tensors shared.
        most_bytes: of one hidden state in a forward; variants beyond it are computed in further forwards. None takes MOST_BYTES.
            Where not even two fit nothing is merged: a cell by itself computes one variant faster.
    """

    def __init__(self, model: nn.Module, *, objective: Objective, collate: Collator, most_bytes: int | None = None) -> None:
        self._holder = _Holder(with_own_modules(model), objective)
        _never_look(self._holder.model)
        self._collate = collate
        self._most_bytes = MOST_BYTES[collate.device.type] if most_bytes is None else (most_bytes, most_bytes)
        self._growing: Axes | None = None

    def answer(self, questions: Sequence[EvalRequest]) -> list[EvalResult] | None:
        """Questions of one kind; None where nothing would be merged. Raises RuntimeError where the model does what torch.func cannot batch, such as a
        branch on values."""
        pieces_of_all = list(zip(*(question.batches for question in questions), strict=True))
        at_once = min(self._at_once(pieces, gradient=questions[0].gradient) for pieces in pieces_of_all)
        if at_once < 2:
            return None
        counts = [question.variants for question in questions]
        values = {name: torch.cat([question.values[name] for question in questions]) for name in questions[0].values}
        fixed = {name: torch.cat([self._fixed(question, name) for question in questions]) for name in {name for one in questions for name in one.fixed}}
        total = sum(map(len, questions[0].batches))
        states = [question.random for question in questions if question.random is not None]
        losses_V: Tensor | float = 0.0
        gradients: Values = {}
        for pieces in pieces_of_all:
            share = len(pieces[0]) / total
            rows = self._rows(pieces, counts)
            streams = self._streams(states, pieces) if states else None
            found_V, found = self._piece(values, fixed, rows, like=pieces[0], streams=streams, at_once=at_once)
            losses_V = losses_V + found_V * share
            gradients = {name: gradients.get(name, 0.0) + one * share for name, one in found.items()}
        assert isinstance(losses_V, Tensor)
        parts = {name: stacked.split(counts) for name, stacked in gradients.items()}
        after = states or [None] * len(questions)
        return [EvalResult(part.tolist(), {name: of[index] for name, of in parts.items()}, after[index]) for index, part in enumerate(losses_V.split(counts))]

    def _fixed(self, question: EvalRequest, name: str) -> Tensor:
        shared = self._holder.model.get_parameter(name).detach()
        return question.fixed[name] if name in question.fixed else shared.expand(question.variants, *shared.shape)

    def _piece(self, values: Values, fixed: Values, rows: _Rows, *, like: Batch, streams: Streams | None, at_once: int) -> tuple[Tensor, Values]:
        """Losses (V,); with streams, where dropout draws from, their gradients too."""

        def loss(values: Values, fixed: Values, rows: Values, which: Tensor) -> Tensor:
            named = {f"model.{name}": value for name, value in {**fixed, **values}.items()}
            with own_dropout(streams, which) if streams is not None else nullcontext():
                return functional_call(self._holder, named, (_batch(rows, like=like),))

        gradient = streams is not None
        function: Callable[..., Any] = grad_and_value(loss) if gradient else loss
        which_V = torch.arange(len(next(iter(values.values()))))
        # Fused attention kernels have no batching rule and would run one variant at a time; the plain one is made of operations that have.
        with sdpa_kernel(SDPBackend.MATH), torch.set_grad_enabled(gradient):
            found = vmap(function, in_dims=(0, 0, rows.dims, 0), randomness="error", chunk_size=at_once)(values, fixed, rows.values, which_V)
        return (found[1].detach().float(), {name: one.detach() for name, one in found[0].items()}) if gradient else (found.float(), {})

    def _streams(self, states: list[list[Tensor]], batches: Sequence[Batch]) -> Streams:
        """One piece of every question: one variant each."""
        lengths = [_length(batch) for batch in batches]
        short, long = min(lengths), max(lengths)
        sequences = None if batches[0].scored_S is None else len(batches[0].scored_S)
        if short < long and self._growing is None:
            own = batches[lengths.index(short)]
            both = (partial(self._holder, batch) for batch in (own, self._collate.widened(own, long)))
            self._growing = growing_axes(*both, by=long - short)
        return Streams(states, lengths, self._growing, sequences)

    def _at_once(self, batches: Sequence[Batch], *, gradient: bool) -> int:
        """Variants of a forward, on one piece of every question."""
        tokens = len(batches[0].inputs["input_ids"]) * _longest(batches)
        return self._most_bytes[gradient] // (4 * tokens * self._holder.hidden_size)

    def _rows(self, batches: Sequence[Batch], counts: Sequence[int]) -> _Rows:
        """One piece of every question, equally long. Where cells differ in their learning rate only, their rows are the same and need not be batched."""
        length = _longest(batches)
        places = [places_in(batch) if batch.scored_S is not None else None for batch in batches]
        most = max((len(one.sequence_T) for one in places if one is not None), default=0)
        tensors = [_tensors(self._collate.widened(batch, length), one and _filled(one, most)) for batch, one in zip(batches, places, strict=True)]
        stacked = {name: torch.stack([one[name] for one in tensors]) for name in tensors[0]}
        equal = torch.stack([(one == one[0]).all() for one in stacked.values()]).tolist()  # together: each look at a value waits for a GPU
        dims = {name: None if same else 0 for name, same in zip(stacked, equal, strict=True)}
        which_V = torch.repeat_interleave(torch.tensor(counts)).to(self._collate.device)
        return _Rows({name: one[0] if dims[name] is None else one[which_V] for name, one in stacked.items()}, dims)


@dataclass(frozen=True)
class _Rows:
    values: Values
    """(S, L), or (V, S, L): each variant's own."""
    dims: dict[str, int | None]
    """Where V is, for vmap."""


class _Holder(nn.Module):
    def __init__(self, model: nn.Module, objective: Objective) -> None:
        super().__init__()
        self.model = model
        config: Any = model.config
        self.hidden_size: int = config.get_text_config().hidden_size
        self._objective = objective

    def forward(self, batch: Batch) -> Tensor:
        return self._objective.loss(self.model, batch)


def _tensors(batch: Batch, places: Places | None) -> Values:
    known = {"labels": batch.labels_B, "mask_positions": batch.mask_positions_B, "scored": batch.scored_S}
    found = {f"inputs.{name}": values for name, values in batch.inputs.items()} | {name: one for name, one in known.items() if one is not None}
    return found if places is None else found | {"sequence": places.sequence_T, "position": places.position_T, "weight": places.weight_T}


def _batch(rows: Mapping[str, Tensor], *, like: Batch) -> Batch:
    """Inverse of `_tensors`."""
    inputs = {name: rows[f"inputs.{name}"] for name in like.inputs}
    places = Places(rows["sequence"], rows["position"], rows["weight"]) if "weight" in rows else None
    return Batch(inputs, rows["labels"], rows.get("mask_positions"), rows.get("scored"), like.choices_B, places=places)


def _longest(batches: Sequence[Batch]) -> int:
    return max(map(_length, batches))


def _length(batch: Batch) -> int:
    return batch.inputs["input_ids"].shape[1]


def _filled(places: Places, size: int) -> Places:
    """With places that count nothing."""
    more = size - len(places.sequence_T)
    return replace(
        places,
        sequence_T=F.pad(places.sequence_T, (0, more)),
        position_T=F.pad(places.position_T, (0, more), value=1),
        weight_T=F.pad(places.weight_T, (0, more)),
    )


def _never_look(model: nn.Module) -> None:
    """Let the attention of a model mask what a mask says, without asking first whether it says anything: torch.func cannot branch on values."""
    AttentionInterface.register(ATTENTION, sdpa_attention_forward)
    AttentionMaskInterface.register(ATTENTION, _mask)
    base: Any = model.get_base_model() if isinstance(model, PeftModel) else model
    if isinstance(base, PreTrainedModel) and base.config._attn_implementation != "eager":
        base.set_attn_implementation(ATTENTION)


def _mask(*arguments: Any, **named: Any) -> Tensor | None:
    never: dict[str, Any] = {"allow_is_causal_skip": False, "allow_is_bidirectional_skip": False}
    return sdpa_mask(*arguments, **(named | never))
