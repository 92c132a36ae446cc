"""Bytes that autograd keeps of a forward, listed tensor by tensor from transformers' modules with fused attention. No torch.

`a` is the bytes of an activation of the base. What a method's own blocks keep is in its descriptor (`Method.activation_bytes`).
"""

from __future__ import annotations

from loretta_core.config.cell import CellConfig
from loretta_core.methods.formulas import FP32
from loretta_core.plan.architectures.blocks import Block, Role
from loretta_core.plan.workload import Load, Shapes


def activation_bytes(cell: CellConfig, shapes: Shapes, *, load: Load, a: int, cpu: bool) -> int:
    """Return the bytes that autograd keeps of a forward, of all blocks and of what lies before and after them."""
    block = shapes.block
    per_token = _attention(cell, shapes, load=load, a=a, cpu=cpu) + _feed_forward(cell, shapes, a=a, cpu=cpu)
    per_token += sum(cell.method.activation_bytes(out_features=block.roles[role].out_features, side=side, base_bytes=a) for role, side in shapes.sites.items())
    ends = (2 if cell.method.every_weight_trains else 1) * block.hidden * a
    if cell.task.objective == "prompt":
        ends += 3 * block.hidden * a  # the masked-LM transform: dense, activation, norm
    return load.count * (per_token * block.repeats + ends)


def _attention(cell: CellConfig, shapes: Shapes, *, load: Load, a: int, cpu: bool) -> int:
    """Return the bytes a token of attention: the input of the projections, q, k, v, the output, the norm before or after, dropout."""
    block = shapes.block
    q, keys, h = block.queries, block.queries if block.gated else block.keys, block.hidden
    kept = (q + 2 * keys) * a + block.heads * FP32
    if any(_needs_input(cell, shapes, role) for role in ("q", "k", "v")):
        kept += h * _copy_width(cell, a)
    if (block.attention_dropout and cpu) or block.disentangled:  # no fused kernel: the matrix of probabilities, dropped out, and the mask
        kept += (3 if block.attention_dropout else 2) * block.heads * load.tokens * a + (q * a if _needs_input(cell, shapes, "o") else 0)
    else:
        kept += q * a
    return kept + _norm(cell, block, a=a) + _dropout(block, a=a, cpu=cpu)


def _feed_forward(cell: CellConfig, shapes: Shapes, *, a: int, cpu: bool) -> int:
    """Return the bytes a token of the feed-forward block: the input, what the activation function keeps, the input of the last layer, norm, dropout."""
    block = shapes.block
    f, h = block.inner, block.hidden
    kept = h * _copy_width(cell, a) if _needs_input(cell, shapes, "up") or _needs_input(cell, shapes, "gate") else 0
    down = _needs_input(cell, shapes, "down")
    if block.gated:
        kept += (3 + down) * f * a
    else:
        kept += f * a if block.relu else (1 + down) * f * a
    return kept + _norm(cell, block, a=a) + _dropout(block, a=a, cpu=cpu)


def _norm(cell: CellConfig, block: Block, *, a: int) -> int:
    """Return the bytes a token of a norm: its input and two numbers. RMSNorm computes in fp32, and keeps what it multiplies with a weight that trains."""
    trained = cell.method.every_weight_trains or cell.method.norms_train
    upcast = block.rms or (trained and not cell.method.every_weight_trains)
    return block.hidden * (FP32 if upcast else a) + (block.hidden * a if block.rms and trained else 0) + 2 * FP32


def _dropout(block: Block, *, a: int, cpu: bool) -> int:
    return (block.hidden * (a if cpu else 1)) if block.hidden_dropout else 0


def _copy_width(cell: CellConfig, a: int) -> int:
    """Return the bytes of a number of a kept input: on a bf16 base a method works on an fp32 copy of it."""
    return a if cell.method.every_weight_trains else FP32


def _needs_input(cell: CellConfig, shapes: Shapes, role: Role) -> bool:
    """Return whether the backward pass needs the input of a linear layer: its weight trains, or has an update beside it."""
    if role not in shapes.block.roles:
        return False
    if cell.method.every_weight_trains:
        return True
    side = shapes.sites.get(role)
    return side is not None and cell.method.keeps_input(side)
