"""The structural rule: the linear layers of attention and feed-forward blocks, found by place and shape, for any architecture. Standard library only.

A block is what repeats: a layer in it has an index in its path. One outside (`lm_head`, `score`, a projector, a projection of patches) has none and is left
alone. The width of the stream is the one that a block both reads and writes. Then

    attention     layers that are named for what they make of it, queries, keys or values (or all), and the last other one that writes the stream
    feed-forward  a layer that writes the stream, and those that read the stream and make what the first reads, or twice as much (gate and up in one)
    state space   `in_proj` of a mixer without queries. The mixer's other layers stay as they are: fused kernels read their weights past the layer

so that a router, a gate of experts or a layer of another width matches nothing. Experts whose weights are one 3-D parameter are no linear layers: there the
adapters of a decoder sit behind the attention as well. In decoders adapters sit as in `sites.py` on the input of what enters the feed-forward block and on the
output of what leaves it; elsewhere on the output of what leaves the attention and the feed-forward block (arXiv 1902.00751).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from loretta_core.sites import Architecture, Sites, matching

Role = Literal["attention_in", "attention_out", "feed_forward_in", "feed_forward_out", "mixer_in"]
"""What a layer is to its block: it enters or leaves the attention or the feed-forward block, or enters a state-space mixer."""


@dataclass(frozen=True)
class Linear:
    """A linear layer of a model: its path and its widths."""

    path: str
    in_features: int
    out_features: int

    @property
    def parts(self) -> list[str]:
        """The components of the path, without the name of a layer in a wrapper of its own (`q_proj.linear`)."""
        parts = self.path.split(".")
        return parts[:-1] if len(parts) > 1 and parts[-1] == "linear" else parts

    @property
    def leaf(self) -> str:
        """The layer's own name."""
        return self.parts[-1]


@dataclass(frozen=True)
class Found:
    """A layer of a block with its role."""

    linear: Linear
    role: Role
    makes: frozenset[str] = frozenset()
    """What a layer that enters the attention makes: "q", "k", "v" or several."""


def structural_sites(linears: Sequence[Linear], *, decoder: bool) -> Architecture:
    """Return the layers that each kind of attachment changes, all empty where no block is found.

    Args:
        linears: every linear layer of the model, in its order.
        decoder: whether its tokens see those before them only (no encoder, no encoder-decoder), which decides where adapters sit.
    """
    found = found_layers(linears)
    paths = [linear.path for linear in linears]

    def names(*roles: Role, makes: str = "") -> tuple[str, ...]:
        wanted = [each for each in found if each.role in roles and (not makes or each.makes & set(makes))]
        wanted.sort(key=lambda each: min(map("qkv".index, each.makes), default=0))
        return _short_names([each.linear.path for each in wanted], paths=paths)

    mixers = names("mixer_in")
    behind_attention = not decoder or _lacks_feed_forward(found)
    weights = names("attention_in", makes="qv") or (() if mixers else names("attention_out", "feed_forward_in", "feed_forward_out"))
    return Architecture(
        adapters=Sites(
            output=names("attention_out", "feed_forward_out") if behind_attention else names("feed_forward_out"),
            input=names("mixer_in", "feed_forward_in") if decoder else mixers,
        ),
        weights=Sites(output=(*weights, *mixers)),
        scaling=Sites(output=(*names("attention_in", makes="kv"), *mixers), input=names("feed_forward_out")),
    )


def found_layers(linears: Sequence[Linear]) -> list[Found]:
    """Return the layers of all blocks with their roles, in the model's order; a layer without a role is left out."""
    by_path = {each.linear.path: each for block in _blocks(linears) for each in _roles(block)}
    return [by_path[linear.path] for linear in linears if linear.path in by_path]


_HEADS = frozenset({"head", "heads", "lm_head", "classifier", "score", "cls", "predictions", "generator", "qa_outputs", "classification_head"})
_SELECTION = frozenset({"indexer", "router"})
"""Parts that choose tokens or experts, and through which no gradient runs."""
_MIXER = frozenset({"mixer", "mamba", "ssm"})
_FEED_FORWARD = frozenset({"mlp", "moe", "expert", "experts", "ffn", "ffns", "ff", "feed", "feedforward", "intermediate", "output"})
_FIRST_OR_SECOND = re.compile(r"(fc|lin|linear|layer|w|wi|wo|dense)_?[0-9]?")
_LEAVING = frozenset({"down", "out", "output", "fc2", "w2", "lin2", "linear2", "wo"})
_NOT_OF_THE_TEXT = frozenset({"pos", "rel", "position", "relative", "global"})
_WORDS = {"query": "q", "queries": "q", "key": "k", "keys": "k", "value": "v", "values": "v"}
_FUSED = frozenset({"attn", "att", "pack"})


def _blocks(linears: Iterable[Linear]) -> list[list[Linear]]:
    """Return the layers that share their innermost index, block by block. The layers of a head are in none."""
    blocks: dict[str, list[Linear]] = {}
    for linear in linears:
        parents = linear.parts[:-1]
        indices = [place for place, part in enumerate(parents) if part.isdigit()]
        if indices and not _HEADS.intersection(parents[: indices[0]]) and not _SELECTION.intersection(parents):
            blocks.setdefault(".".join(parents[: indices[-1] + 1]), []).append(linear)
    return list(blocks.values())


def _roles(block: Sequence[Linear]) -> list[Found]:
    mixer = [linear for linear in block if _in_mixer(linear, block)]
    others = [linear for linear in block if linear not in mixer]
    if not others:
        return _mixer_roles(mixer)
    width = _stream_width(others)
    attention: dict[str, list[Linear]] = {}
    for linear in others:
        if (group := _attention_group(linear, others)) is not None:
            attention.setdefault(group, []).append(linear)
    rest = [linear for linear in others if all(linear not in group for group in attention.values())]
    return [*_mixer_roles(mixer), *(each for group in attention.values() for each in _attention_roles(group, width)), *_feed_forward_roles(rest, width)]


def _in_mixer(linear: Linear, block: Sequence[Linear]) -> bool:
    """Return whether a layer is part of a state-space mixer: by the mixer's name, unless layers for queries stand beside it."""
    beside = [other for other in block if other.parts[:-1] == linear.parts[:-1]]
    return any(_tokens(part) & _MIXER for part in _inside(linear)) and not any("q" in _makes(other) for other in beside)


def _mixer_roles(mixer: Iterable[Linear]) -> list[Found]:
    return [Found(linear, "mixer_in") for linear in mixer if linear.leaf == "in_proj"]


def _stream_width(block: Sequence[Linear]) -> int:
    """Return the width that most layers of a block read before the part that they stand in has written it; where several are even, the one in most use."""
    reads, writes, fresh = (Counter[int]() for _ in range(3))
    written: dict[str, set[int]] = {}
    for linear in block:
        part = written.setdefault(_after_index(linear)[0], set())
        fresh[linear.in_features] += linear.in_features not in part
        part.add(linear.out_features)
        reads[linear.in_features] += 1
        writes[linear.out_features] += 1
    return max(reads, key=lambda width: (fresh[width], min(reads[width], writes[width]), reads[width] + writes[width]))


def _attention_group(linear: Linear, block: Iterable[Linear]) -> str | None:
    """Return the path of the attention that a layer is part of: the outermost component named so, or the module that holds layers for queries and keys."""
    parents, start = linear.parts[:-1], len(linear.parts) - 1 - len(_inside(linear))
    for place in range(start, len(parents)):
        if any(token.endswith(("attention", "attentions", "attn")) or token == "att" for token in _tokens(parents[place])):
            return ".".join(parents[: place + 1])
    made = frozenset().union(*(_makes(other) for other in block if other.parts[:-1] == parents))
    fed_forward = any(_tokens(part) & _FEED_FORWARD for part in _inside(linear))
    return ".".join(parents) if {"q", "k"} <= made and not fed_forward else None


def _attention_roles(group: Sequence[Linear], width: int) -> list[Found]:
    entering = [Found(linear, "attention_in", made) for linear in group if (made := _makes(linear) or _makes_all(linear, width))]
    last = [each for each in entering if not any(_feeds(each, other, width) for other in entering)]
    names = {each.linear.path for each in entering}
    leaving = [
        linear for linear in group if linear.path not in names and linear.out_features == width and not _tokens(linear.leaf) & (_NOT_OF_THE_TEXT | {"gate"})
    ]
    return [*last, *(Found(linear, "attention_out") for linear in leaving[-1:])]


def _feeds(first: Found, second: Found, width: int) -> bool:
    """Return whether a layer only compresses what another one makes into queries, keys or values (DeepSeek's latent attention)."""
    return bool(first.makes & second.makes) and first.linear.in_features == width != second.linear.in_features


def _makes(linear: Linear) -> frozenset[str]:
    """Return what of "q", "k", "v" a layer's own name says that it makes."""
    tokens = _tokens(linear.leaf)
    if tokens & _NOT_OF_THE_TEXT:
        return frozenset()
    letters = (match.group(1) for token in tokens if (match := re.fullmatch(r"w?(q?k?v?)z?", token)))
    return frozenset({*"".join(letters), *(_WORDS[token] for token in tokens if token in _WORDS)})


def _makes_all(linear: Linear, width: int) -> frozenset[str]:
    """Return "q", "k", "v" for a layer that makes all three under a name that says none, as `c_attn`."""
    named = bool(_tokens(linear.leaf) & _FUSED) or linear.leaf == "in_proj"
    return frozenset("qkv") if named and linear.out_features > width else frozenset()


def _feed_forward_roles(rest: Sequence[Linear], width: int) -> list[Found]:
    leaving = [linear for linear in rest if linear.out_features == width != linear.in_features]
    entering = [linear for linear in rest if linear.in_features == width and _enters(linear, leaving)]
    leaving = [linear for linear in leaving if any(_enters(other, [linear]) for other in entering)]
    if not leaving:
        entering, leaving = _square_feed_forward([linear for linear in rest if linear.in_features == width and linear.out_features in (width, 2 * width)])
    return [*(Found(linear, "feed_forward_in") for linear in entering), *(Found(linear, "feed_forward_out") for linear in leaving)]


def _enters(linear: Linear, leaving: Iterable[Linear]) -> bool:
    return any(linear.out_features in (other.in_features, 2 * other.in_features) for other in leaving)


def _square_feed_forward(rest: Sequence[Linear]) -> tuple[list[Linear], list[Linear]]:
    """Return what enters and what leaves a feed-forward block that is as wide as the stream, where only names and order tell layers apart."""
    named = [linear for linear in rest if any(_tokens(part) & _FEED_FORWARD for part in _inside(linear)) or _FIRST_OR_SECOND.fullmatch(linear.leaf)]
    if len(named) < 2:
        return [], []
    leaving = [linear for linear in named if _tokens(".".join(linear.parts[-2:])) & _LEAVING] or named[-1:]
    return [linear for linear in named if linear not in leaving], leaving


def _lacks_feed_forward(found: Iterable[Found]) -> bool:
    """Return whether some block has an attention and no linear layer that leaves a feed-forward block: its experts are one 3-D parameter."""
    places: Mapping[str, set[str]] = {role: {_place(each.linear) for each in found if each.role == role} for role in ("attention_out", "feed_forward_out")}
    return bool(places["attention_out"] - places["feed_forward_out"])


def _place(linear: Linear) -> str:
    """Return the outermost block of a layer: its index and what stands before the name of the list, so that `attentions.0` and `ffns.0` are one block."""
    first = next(place for place, part in enumerate(linear.parts) if part.isdigit())
    return ".".join([*linear.parts[: first - 1], linear.parts[first]])


def _inside(linear: Linear) -> list[str]:
    """Return the components of a layer's parents from the name of the list of blocks on."""
    parents = linear.parts[:-1]
    first = next(place for place, part in enumerate(parents) if part.isdigit())
    return parents[max(first - 1, 0) :]


def _after_index(linear: Linear) -> list[str]:
    """Return the components of a layer's path after its innermost index, its own name included."""
    last = max(place for place, part in enumerate(linear.parts[:-1]) if part.isdigit())
    return linear.parts[last + 1 :]


def _tokens(name: str) -> frozenset[str]:
    """Return the words of a name in small letters: `kv_b_proj` → kv, b, proj; `SelfAttention` → self, attention; `Wqkv` → wqkv."""
    return frozenset(word.lower() for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name))


def _short_names(wanted: Sequence[str], *, paths: Sequence[str]) -> tuple[str, ...]:
    """Return ends of paths that together name `wanted` and, where an end without an index can tell them apart, none of the other `paths`."""
    names: dict[str, None] = {}
    for path in wanted:
        if not any(matching([path], target=name) for name in names):
            ends = _ends(path)
            names[next((end for end in ends if set(matching(paths, target=end)) <= set(wanted)), ends[-1])] = None
    return tuple(names)


def _ends(path: str) -> list[str]:
    """Return the ends of a path after its last index, shortest first; none begins with an index."""
    parts = path.split(".")
    after = max(place + 1 for place, part in enumerate(parts[:-1]) if part.isdigit())
    ends = [".".join(parts[place:]) for place in range(len(parts) - 1, after - 1, -1)]
    return [end for end in ends if not end[0].isdigit()] or ends
