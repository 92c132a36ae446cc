"""Dropout in one forward of several cells: each cell drops the elements that it drops when computed alone.

    alone       x (S, l, …) · noise drawn from the cell's stream on (S, l, …)
    merged      x (V, S, L, …) · noise (V, S, L, …), in which the part (S, l_v, …) of variant v is drawn from the stream of its cell; 1 where rows are padded

torch.func would draw for all variants from one stream, on padded shapes, so a TorchFunctionMode replaces the calls. Which axes of an input grow with the length
of the rows is found by running the model on the rows of one cell as they are and padded, and comparing shapes. V variants, S sequences, L tokens.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from loretta_core.pack.coroutine import random_state, set_random_state

Axes = Sequence[Sequence[tuple[int, int]]]
"""For the input of every dropout of a forward, in order: the axes that grow with the length of the rows, each with its number of rows: 1, or S for (S L)."""

Noise = Callable[[Tensor, float], Tensor]
"""The input of a dropout and its probability p → noise of that shape and dtype: 0 or 1 / (1 - p)."""


@dataclass(frozen=True)
class RandomStreams:
    """The random streams that the dropout noise of V variants is drawn from, for one forward or several after each other."""

    states: list[list[Tensor]]
    """Random state of each variant; drawing advances it."""
    lengths: Sequence[int]
    """Tokens of each variant's rows, before they were padded to the longest."""
    axes: Axes | None
    """The axes that grow with the rows; None if all lengths are equal, so that they are not needed."""
    sequences: int | None
    """S where cells have different numbers of answer tokens: an input whose first axis is not S may have one entry per answer token, and is refused."""

    def noise(self, variants: Sequence[int], like_V: Tensor, *, probability: float, call: int) -> Tensor:
        """Draw the noise (v, …) of some of the variants, of the shape and dtype of `like_V`, for the given call of dropout in a forward."""
        longest = max(self.lengths)
        if self.sequences is not None and like_V.shape[1] not in (self.sequences, self.sequences * longest):
            raise RuntimeError(f"dropout on {like_V.shape[1]} answer tokens, whose number differs between the cells")
        full, ours = torch.ones_like(like_V), random_state()
        for variant, part in zip(variants, full, strict=True):
            padding = longest - self.lengths[variant]
            own = _unpadded(part, self.axes[call], padding) if padding and self.axes is not None else part
            set_random_state(self.states[variant])
            own.copy_(F.dropout(torch.ones_like(own), probability))
            self.states[variant] = random_state()
        set_random_state(ours)
        return full


def _unpadded(x: Tensor, axes: Sequence[tuple[int, int]], padding: int) -> Tensor:
    """Return the view of `x` without padding. An axis that grows becomes two, (rows, tokens), which draws the same numbers."""
    for axis, rows in reversed(axes):
        x = x.unflatten(axis, (rows, -1)).narrow(axis + 1, 0, x.shape[axis] // rows - padding)
    return x


class DropoutNoiseMode(TorchFunctionMode):
    """A mode in which dropout takes its noise from a function. Other kinds of dropout are left as they are; torch.func refuses them."""

    def __init__(self, noise: Noise) -> None:
        super().__init__()
        self._noise = noise

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        """Replace the functions that drop out, and call every other function of torch unchanged."""
        replacement = _REPLACEMENTS.get(func)
        return func(*args, **(kwargs or {})) if replacement is None else replacement(*args, **(kwargs or {}), noise=self._noise)


def per_variant_dropout(streams: RandomStreams, variant: Tensor) -> DropoutNoiseMode:
    """Return the mode in which a function under torch.func.vmap draws its noise. `variant`: the index of the variant, one number of (V,)."""
    calls = itertools.count()

    def noise(like: Tensor, probability: float) -> Tensor:
        draw = partial(streams.noise, probability=probability, call=next(calls))
        return _NoiseOfAllVariants.apply(variant, like.detach(), draw)

    return DropoutNoiseMode(noise)


class _NoiseOfAllVariants(torch.autograd.Function):
    """Draws the noise of all variants at once from within vmap, whose batching rule is the only place that sees them together."""

    @staticmethod
    def forward(variant: Tensor, like: Tensor, draw: Any) -> Tensor:
        raise AssertionError("called for one variant")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Save nothing for the backward pass: noise has no gradient."""

    @staticmethod
    def vmap(info: Any, in_dims: Any, *inputs: Any) -> tuple[Tensor, int]:
        which_V, like, draw = inputs
        like_V = like.expand(len(which_V), *like.shape) if in_dims[1] is None else like.movedim(in_dims[1], 0)
        return draw(which_V.tolist(), like_V), 0


def growing_axes(forward: Callable[[], object], padded: Callable[[], object], *, by: int) -> Axes:
    """Find the axes that grow in the inputs of dropout, from two forwards of one model, the second on rows that are longer by `by` tokens. Draws nothing.

    Raises RuntimeError where an input changes with the rows, but does not grow as they do.
    """
    short, long = _shapes(forward), _shapes(padded)
    if [len(shape) for shape in short] != [len(shape) for shape in long]:
        raise RuntimeError("what dropout is called on depends on the length of the rows")
    return [
        [(axis, _rows(size, more, by=by)) for axis, (size, more) in enumerate(zip(*shapes, strict=True)) if more != size]
        for shapes in zip(short, long, strict=True)
    ]


def _rows(size: int, more: int, *, by: int) -> int:
    rows, rest = divmod(more - size, by)
    if rest or rows < 1 or size % rows:
        raise RuntimeError(f"dropout along an axis of {size}, and of {more} where rows are longer by {by} tokens")
    return rows


@torch.no_grad()
def _shapes(forward: Callable[[], object]) -> list[torch.Size]:
    found: list[torch.Size] = []

    def none(like: Tensor, probability: float) -> Tensor:
        found.append(like.shape)
        return torch.ones_like(like)

    with DropoutNoiseMode(none):
        forward()
    return found


def _dropout(x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False, *, noise: Noise) -> Tensor:
    if inplace or not training or not 0 < p < 1:
        return F.dropout(x, p, training, inplace)
    drawn = noise(x, p)
    return x * (drawn != 0) * (1 / (1 - p)) if x.is_cuda else x * drawn  # a GPU rounds once, after both


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    *rest: Any,
    noise: Noise,
    scale: float | None = None,
    **named: Any,
) -> Tensor:
    """Compute scaled dot-product attention with dropout in the steps that torch takes on a CPU."""
    if not 0 < dropout_p < 1:
        return F.scaled_dot_product_attention(query, key, value, attn_mask, dropout_p, *rest, scale=scale, **named)
    if query.is_cuda or any(rest) or any(named.values()):
        raise RuntimeError("dropout in fused attention, which draws in an order of its own")
    scores = query @ key.mT * (query.shape[-1] ** -0.5 if scale is None else scale)
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, -torch.inf) if attn_mask.dtype == torch.bool else scores + attn_mask
    weights = torch.ops.aten._safe_softmax(scores, -1)
    return weights * noise(weights, dropout_p) @ value


_REPLACEMENTS: dict[Any, Callable[..., Tensor]] = {F.dropout: _dropout, F.scaled_dot_product_attention: _attention}
"""Functions of torch that drop out → their replacements."""
