"""Bytes that one worker of a cell holds, from shapes alone. Standard library only.

    peak = static + max( activations + logits + first gradients,  all gradients + what the optimizer's step needs,  an evaluation )

    static        weights, optimizer state, master copies, the best weights so far; zeroth order: buffers for θ + εz
    activations   what autograd keeps of a forward: listed tensor by tensor below, from transformers' modules with fused attention

A law of the tests: live tensor bytes, counted by a dispatch mode, are within 10 % of this. ZeRO shares by the table of arXiv 1910.02054: stage 1 splits
optimizer state and master copies, 2 gradients too, 3 weights too. `T` is tokens in a forward, `a` bytes of an activation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from loretta_core.config.cell import CellConfig
from loretta_core.config.engine import Zero
from loretta_core.plan.architectures.blocks import Block, Role
from loretta_core.plan.lengths import scored_tokens
from loretta_core.sites import Side

FP32 = 4
EVALUATION_ROWS = 64
"""Rows of a forward when scoring; `train/build.py` uses the same."""
EVALUATION_SEQUENCES = 16
"""Sequences of a forward when the answers of a causal language model are ranked (`tasks/candidates.py`)."""
STREAM_FROM = 1 << 26
"""Zeroth-order SGD perturbs so many weights or more where they are read, without buffers of their size (`zo/optim.py`)."""
_STREAMED_BYTES = 120_000_000
_ZERO_BUCKET = 500_000_000
_ZERO_LIVE = 1_000_000_000
"""Numbers that DeepSpeed keeps of gradients in flight, and of gathered weights at stage 3 (its defaults)."""


@dataclass(frozen=True)
class Load:
    """The work of one worker at a time: rows of a piece of its part of a batch, tokens in each."""

    rows: int
    tokens: int
    evaluation_tokens: int

    @property
    def count(self) -> int:
        """Tokens of a training forward."""
        return self.rows * self.tokens


@dataclass(frozen=True)
class Shapes:
    """The shapes of a cell's model and method, which do not depend on where it runs."""

    block: Block
    trainable: int
    """Numbers that train."""
    sites: Mapping[Role, Side]
    """The layers of a block that the method changes."""


@dataclass(frozen=True)
class Memory:
    """Bytes of one worker. `host` is what offload and the best weights take outside the device."""

    weights: int
    gradients: int
    optimizer: int
    masters: int
    best: int
    zo_buffers: int
    activations: int
    activations_checkpointed: int
    """As `activations`, if every block were computed again in the backward pass."""
    logits: int
    step: int
    """What an optimizer's step, or ZeRO's traffic, needs besides."""
    forward: int
    """Transient tensors of a forward without gradients, in an evaluation or a zeroth-order step."""
    host: int = 0

    @property
    def static(self) -> int:
        """Bytes that are allocated all the time."""
        return self.weights + self.optimizer + self.masters + self.best + self.zo_buffers

    @property
    def peak(self) -> int:
        """Bytes at the peak."""
        return self.static + max(self.activations + self.logits, self.gradients + self.step, self.forward)

    @property
    def bottleneck(self) -> str:
        """The largest part of the peak, in words."""
        moments = {"activations": self.activations + self.logits, "gradients": self.gradients + self.step, "forward": self.forward}
        moment = max(moments, key=lambda name: moments[name])
        parts = {"weights": self.weights, "optimizer state": self.optimizer, "master copies": self.masters, "zeroth-order buffers": self.zo_buffers}
        parts |= {"activations": self.activations, "logits": self.logits} if moment == "activations" else {moment: moments[moment]}
        return max(parts, key=lambda name: parts[name])


def memory_of(cell: CellConfig, shapes: Shapes, *, load: Load, cpu: bool) -> Memory:
    """Return the bytes of one worker of `cell` with its own engine.

    Args:
        load: what a worker computes at once.
        cpu: the device is a CPU: host memory is its memory, dropout masks are floats, AdamW steps one parameter at a time.
    """
    virtual = cell.method.virtual_tokens
    load = replace(load, tokens=load.tokens + virtual, evaluation_tokens=load.evaluation_tokens + virtual)
    whole = _unsharded(cell, shapes, load=load, cpu=cpu)
    return _sharded(cell, whole, trainable=shapes.trainable, cpu=cpu) if isinstance(cell.engine, Zero) else whole


def widths(cell: CellConfig) -> tuple[int, int]:
    """Return the bytes of a frozen (or, with ft, every) weight, and of a trained one."""
    base = FP32 if cell.precision == "fp32" else 2
    return base, base if cell.method.every_weight_trains else FP32


def _unsharded(cell: CellConfig, shapes: Shapes, *, load: Load, cpu: bool) -> Memory:
    block, trainable = shapes.block, shapes.trainable
    base, trained = widths(cell)
    full = cell.method.every_weight_trains
    first_order = cell.trainer.type == "adam"
    largest = block.largest if full else trainable
    masters = FP32 * trainable if full and cell.precision == "mixed" and first_order else 0
    moments = 2 * (FP32 if masters else trained) * trainable
    logits = _scored(cell, load.rows, load.tokens) * block.vocabulary * base * (2 if cell.task.objective == "causal" else 1)
    kept = _activations(cell, shapes, load=load, a=base, cpu=cpu) if first_order else 0
    one_block = kept // block.repeats
    best = trained * trainable
    streamed = streams(cell, trainable)
    return Memory(
        weights=base * block.total + (0 if full else trained * trainable),
        gradients=trained * trainable if first_order else 0,
        optimizer=moments if first_order else _zo_state(cell, trainable),
        masters=masters,
        best=best if cpu else 0,
        zo_buffers=_zo_buffers(cell) * FP32 * trainable if cell.trainer.zeroth_order and not streamed else 0,
        activations=kept,
        activations_checkpointed=one_block + block.repeats * load.count * block.hidden * base if first_order else 0,
        logits=logits + (block.vocabulary * block.embedded * trained if full and first_order and cell.task.objective != "head" else 0),
        step=_step(cell, trainable, largest=largest, trained=trained, cpu=cpu) if first_order else 0,
        forward=_forward(cell, block, load=load, a=base, scratch=min(3 * FP32 * trainable, _STREAMED_BYTES) if streamed else 0),
        host=0 if cpu else best,
    )


def _step(cell: CellConfig, trainable: int, *, largest: int, trained: int, cpu: bool) -> int:
    """Return the bytes of a step: AdamW on a GPU makes the square roots of all moments at once; on a CPU, and with master copies, those of one parameter."""
    one_by_one = cpu or (cell.precision == "mixed" and cell.method.every_weight_trains)
    reduce = min(trained * trainable, max(50_000_000, trained * largest)) if cell.engine.workers > 1 else 0
    return max(
        (3 if cell.precision == "mixed" else 2) * largest * (FP32 if cell.precision == "mixed" else trained) if one_by_one else trained * trainable, reduce
    )


def _sharded(cell: CellConfig, whole: Memory, *, trainable: int, cpu: bool) -> Memory:
    engine = cell.engine
    assert isinstance(engine, Zero)
    n, stage = engine.workers, engine.stage
    _, trained = widths(cell)
    masters = whole.masters or trained * trainable  # DeepSpeed steps on a flat copy of its own, whatever its precision
    live = min(trainable, _ZERO_LIVE) * trained if stage == 3 else 0
    traffic = min(trainable, _ZERO_BUCKET) * trained * (1 if cpu else 2)
    split = replace(
        whole,
        weights=whole.weights // n + live if stage == 3 else whole.weights,
        gradients=whole.gradients // n if stage > 1 else whole.gradients,
        optimizer=whole.optimizer // n,
        masters=masters // n,
        step=traffic,
        best=whole.best,
    )
    if engine.offload == "none" or cpu:
        return split
    moved = split.optimizer + split.masters + (whole.gradients // n if stage > 1 else 0) + (whole.weights // n if stage == 3 else 0)
    return replace(
        split, optimizer=0, masters=0, weights=live if stage == 3 else split.weights, gradients=0 if stage > 1 else split.gradients, host=split.host + moved
    )


def _zo_buffers(cell: CellConfig) -> int:
    """Return the number of buffers of the trained numbers' size: θ, z and θ + εz, or one of these for each variant of a batched forward."""
    variants = cell.trainer.variants_at_once
    return 3 if variants == 1 else 2 + variants


def _zo_state(cell: CellConfig, trainable: int) -> int:
    """Return the bytes of momentum and moments of zeroth-order optimizers that have some, and the gradient estimate they step with."""
    return {"zo_momentum": 2, "zo_adam": 3}.get(cell.trainer.type, 0) * FP32 * trainable


def streams(cell: CellConfig, trainable: int) -> bool:
    """Return whether θ + εz exists only where it is read: large parameters, and bf16 ones of any size."""
    in_bf16 = cell.method.every_weight_trains and cell.precision == "bf16"
    return cell.trainer.zeroth_order and (in_bf16 or trainable >= STREAM_FROM) and cell.trainer.type not in ("zo_momentum", "zo_adam")


def _scored(cell: CellConfig, sequences: int, tokens: int) -> int:
    """Return the positions whose logits are made (`tasks/formats/label_logits.py`): with prompt tuning all of them."""
    at_once = tokens if cell.method.prompt_learning else min(tokens, scored_tokens(cell.task))
    return 0 if cell.task.objective == "head" else sequences * at_once


def _forward(cell: CellConfig, block: Block, *, load: Load, a: int, scratch: int) -> int:
    """Return the largest transient of a forward without gradients: a scoring one, or for zeroth order a training one with its `scratch` bytes for θ + εz."""
    sequences = EVALUATION_SEQUENCES if cell.task.objective == "causal" else EVALUATION_ROWS
    scoring = _transient(cell, block, sequences=sequences, tokens=load.evaluation_tokens, a=a)
    if not cell.trainer.zeroth_order:
        return scoring
    if cell.trainer.variants_at_once > 1:
        return max(scoring, _batched(cell, block, load=load, a=a))
    return max(scoring, scratch + _transient(cell, block, sequences=load.rows, tokens=load.tokens, a=a))


def _batched(cell: CellConfig, block: Block, *, load: Load, a: int) -> int:
    """Return the largest transient of all variants in one forward: attention is not fused there, and what a tensor train adds is a tensor of its own."""
    sequences = load.rows * cell.trainer.variants_at_once
    attention = 3 * block.hidden + 3 * block.queries + 2 * block.keys + block.heads * load.tokens
    added = block.hidden if cell.method.tensor_trains else 0
    plain = _transient(cell, block, sequences=sequences, tokens=load.tokens, a=a)
    return max(plain, a * sequences * load.tokens * (attention + added))


def _transient(cell: CellConfig, block: Block, *, sequences: int, tokens: int, a: int) -> int:
    """Return the largest transient of a block, or of the logits."""
    stream = 3 * block.hidden  # of the embeddings, which the caller still holds, before the block, and in it
    wide = stream + max((3 if block.gated else 2) * block.inner, 2 * block.queries + 2 * block.keys)
    cache = 0 if block.post_norm else 2 * block.keys * block.repeats  # decoders keep keys and values for a next token
    mask = tokens // 4  # a byte for each pair
    logits = _scored(cell, sequences, tokens) * block.vocabulary
    return a * (sequences * tokens * (cache + mask) + max(sequences * tokens * wide, sequences * tokens * 2 * block.hidden + logits))


def _activations(cell: CellConfig, shapes: Shapes, *, load: Load, a: int, cpu: bool) -> int:
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
