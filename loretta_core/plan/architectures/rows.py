"""Rows that describe the layers of a model, and their expansion with the numbers of a config.json. Standard library only.

    kind       path                 in      out                 what applies
    linear     self_attn.q_proj     hidden  queries             bias=attention_bias
    linear     self_attn.qkv_proj   hidden  queries+2*keys
    norm       self_attn.q_norm     head                        if=use_qk_norm
    tensor     mlp.experts.down_proj        experts*hidden  inner

A width is a sum of products of names and numbers; a norm has one. `bias` alone means always, `bias=KEY` where the config says so; `if=KEY` and `unless=KEY`
leave a row out. A name is a key of the config, a usual name for several keys (`_USUAL`), or a number that a family derives. A `tensor` is a parameter that
sits in a larger module.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from loretta_core.errors import ModelError
from loretta_core.plan.architectures.layers import Kind, Layer

Config = Mapping[str, Any]
Numbers = Mapping[str, Any]
"""Names in rows → numbers and switches."""

_USUAL = {
    "hidden": ("hidden_size", "n_embd", "n_embed", "d_model", "dim"),
    "depth": ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "encoder_layers"),
    "heads": ("num_attention_heads", "n_head", "n_heads", "num_heads", "encoder_attention_heads"),
    "inner": ("intermediate_size", "ffn_hidden_size", "n_inner", "hidden_dim"),
    "positions": ("max_position_embeddings", "n_positions"),
}
"""Name in rows → the keys that configs have for it; the first that is there counts."""


@dataclass(frozen=True)
class Row:
    """One row: a kind of layer and where it stands."""

    kind: Kind
    path: str
    widths: tuple[str, ...]
    bias: str | None
    """Key of the switch; "" for always, None for never."""
    required: str | None
    excluded: str | None


def numbers(config: Config, *, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config with transformers' `defaults` where it leaves a key out, and with the names that rows use. Raises ModelError for a missing width."""
    found: dict[str, Any] = {key: value for key, value in defaults.items() if not _has_another_name(key, config)} | dict(config)
    for name, keys in _USUAL.items():
        found[name] = next((found[key] for key in keys if found.get(key) is not None), None)
    missing = [_USUAL[name][0] for name in ("hidden", "depth") if found[name] is None]
    if missing:
        raise ModelError(f"config.json of a {config.get('model_type')!r} has no {' and no '.join(missing)}")
    heads = found["heads"] or 1
    found["inner"] = found["inner"] or 4 * found["hidden"]
    found["groups"] = found.get("num_key_value_heads") or heads
    found["head"] = found.get("head_dim") or found["hidden"] // heads
    found["queries"], found["keys"] = heads * found["head"], found["groups"] * found["head"]
    return found


def _has_another_name(key: str, config: Config) -> bool:
    """Return whether the config gives a default's number under another of its names."""
    return any(key in keys and any(other in config for other in keys) for keys in _USUAL.values())


def layers_of(rows: str, found: Numbers, *, prefix: str = "") -> Iterator[Layer]:
    """Yield the layers that `rows` describe, with `prefix` before their paths."""
    for row in _parsed(rows):
        if (row.required is None or found.get(row.required)) and not (row.excluded is not None and found.get(row.excluded)):
            widths = [_width(width, found) for width in row.widths]
            bias = row.bias == "" or (row.bias is not None and bool(found.get(row.bias)))
            yield Layer(f"{prefix}{row.path}", row.kind, widths[0] if len(widths) == 2 else 1, widths[-1], bias)


@cache
def _parsed(rows: str) -> tuple[Row, ...]:
    return tuple(_row(line.split()) for line in rows.splitlines() if line.strip())


def _row(words: list[str]) -> Row:
    switches = {name: key for name, _, key in (word.partition("=") for word in words[2:]) if name in ("bias", "if", "unless")}
    widths = tuple(word for word in words[2:] if word.partition("=")[0] not in ("bias", "if", "unless"))
    kind: Any = words[0]
    return Row(kind, words[1], widths, switches.get("bias"), switches.get("if"), switches.get("unless"))


def _width(width: str, found: Numbers) -> int:
    return sum(math.prod(_number(factor, found) for factor in product.split("*")) for product in width.split("+"))


def _number(name: str, found: Numbers) -> int:
    if name.isdigit():
        return int(name)
    if not isinstance(found.get(name), int):
        raise ModelError(
            f"config.json of a {found.get('model_type')!r} has {name} = {found.get(name)!r}; expected a number, without which nothing can be counted"
        )
    return found[name]
