"""The layers that share tensors of one adapter, as a grid: which transformer block each stands in, and which matrix of it each is. Standard library only.

The planner counts with it and the tuners build from it, so both see the same layers, matrices, widths and heads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from loretta_core.errors import MethodError

OUTPUT_PROJECTIONS = (
    *("o_proj", "out_proj", "attention.output.dense", "attention.dense", "self_attn.dense", "self_attention.dense", "attn.c_proj", "Attention.o"),
    *("out_lin", "attn.Wo"),
)
"""Ends of the paths of matrices that read the concatenated heads of an attention; every other matrix of an attention writes them."""

_WIDTHS = ("hidden_size", "n_embd", "d_model", "dim", "emb_dim")
_HEADS = (
    "num_attention_heads", "n_head", "n_heads", "num_heads", "attention_heads", "encoder_attention_heads", "decoder_attention_heads",
    "num_encoder_attention_heads", "num_decoder_attention_heads",
)  # fmt: skip
"""Names that architectures have for the width of a layer and for the number of its attention heads."""


class AttachedLayer(NamedTuple):
    """A linear layer that a method attaches to."""

    path: str
    in_features: int
    out_features: int


@dataclass(frozen=True)
class LayerGrid:
    """The transformer blocks and the matrices in them, each in order of appearance, and the distinct widths."""

    blocks: tuple[str, ...]
    matrices: tuple[str, ...]
    in_widths: tuple[int, ...]
    out_widths: tuple[int, ...]

    def place(self, path: str) -> tuple[int, int]:
        """Return (index of the block, index of the matrix) of a layer."""
        block, matrix = split_path(path)
        return self.blocks.index(block), self.matrices.index(matrix)


def layer_grid(attached: Sequence[AttachedLayer]) -> LayerGrid:
    """Return the grid that these layers span; it may have places at which no layer stands."""
    parts = [split_path(layer.path) for layer in attached]
    return LayerGrid(
        blocks=tuple(dict.fromkeys(block for block, _ in parts)),
        matrices=tuple(dict.fromkeys(matrix for _, matrix in parts)),
        in_widths=tuple(dict.fromkeys(layer.in_features for layer in attached)),
        out_widths=tuple(dict.fromkeys(layer.out_features for layer in attached)),
    )


def split_path(path: str) -> tuple[str, str]:
    """Return (block, matrix): `encoder.layer.3.attention.query` → (`encoder.layer.3`, `attention.query`); no block for a path without a number."""
    parts = path.split(".")
    end = next((place + 1 for place, part in enumerate(parts) if part.isdigit()), 0)
    return ".".join(parts[:end]), ".".join(parts[end:])


class HeadSplit(NamedTuple):
    """A matrix of an attention, one of whose sides is `heads` heads side by side."""

    width: int
    """Width of the other side."""
    heads: int
    on_input: bool
    """Whether the heads are the input (the output projection) and not the output (queries, keys, values)."""


def head_width(config: Mapping[str, Any]) -> int | None:
    """Return the width of one attention head as a model's complete config says it, or None where it does not."""
    if width := config.get("d_kv") or config.get("head_dim"):
        return int(width)
    hidden = next((config[name] for name in _WIDTHS if config.get(name)), None)
    heads = {config[name] for name in _HEADS if config.get(name)}
    return hidden // heads.pop() if hidden and len(heads) == 1 else None


def split_heads(layer: AttachedLayer, *, head_width: int | None) -> HeadSplit:
    """Return how a layer splits into heads. Raises MethodError where the width is no multiple of that of a head."""
    if head_width is None:
        raise MethodError("lorta: the config of this model does not say how wide an attention head is; give `head_width`")
    on_input = layer.path.endswith(OUTPUT_PROJECTIONS)
    split, width = (layer.in_features, layer.out_features) if on_input else (layer.out_features, layer.in_features)
    if split % head_width:
        raise MethodError(
            f"lorta: {layer.path} ({layer.in_features} x {layer.out_features}) does not split into attention heads of width {head_width}; "
            "name projections of an attention in `target_modules`, or give `head_width`"
        )
    return HeadSplit(width, split // head_width, on_input)
