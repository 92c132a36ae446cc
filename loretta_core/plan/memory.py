"""Bytes that one worker of a cell holds, from shapes alone. No torch.

    peak = static + max( activations + logits + first gradients,  all gradients + what the optimizer's step needs,  an evaluation )

    static        weights, optimizer state, master copies, the best weights so far; zeroth order: buffers for θ + εz
    activations   what autograd keeps of a forward (`activations.py`)

A law of the tests: live tensor bytes, counted by a dispatch mode, are within 10 % of this. ZeRO shares by the table of arXiv 1910.02054: stage 1 splits
optimizer state and master copies, 2 gradients too, 3 weights too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from loretta_core.config.cell import CellConfig
from loretta_core.config.engine import Zero
from loretta_core.config.task import FRESH_HEADS
from loretta_core.config.trainer import FirstOrderTrainer
from loretta_core.methods.formulas import FP32
from loretta_core.plan.activations import activation_bytes
from loretta_core.plan.parts.optimizers import moment_bytes
from loretta_core.plan.parts.quantized import base_bytes, block_weight_bytes
from loretta_core.plan.parts.zo_state import zo_state_bytes
from loretta_core.plan.transients import forward_bytes, scored_positions
from loretta_core.plan.workload import Load, Shapes

STREAM_FROM = 1 << 26
"""Zeroth-order SGD perturbs so many weights or more where they are read, without buffers of their size (`zo/optim.py`)."""
_STREAMED_BYTES = 120_000_000
_ZERO_BUCKET = 500_000_000
_ZERO_LIVE = 1_000_000_000
"""Numbers that DeepSpeed keeps of gradients in flight, and of gathered weights at stage 3 (its defaults)."""


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
    first_order = isinstance(cell.trainer, FirstOrderTrainer)
    largest = block.largest if full else trainable
    masters = FP32 * trainable if full and cell.precision == "mixed" and first_order else 0
    moments = moment_bytes(cell.trainer, trainable, width=FP32 if masters else trained)
    logits = scored_positions(cell, load.rows, load.tokens) * block.vocabulary * base * (2 if cell.task.objective == "causal" else 1)
    kept = activation_bytes(cell, shapes, load=load, a=base, cpu=cpu) if first_order else 0
    again = kept // block.repeats + block.repeats * load.count * block.hidden * base if first_order else 0
    best = trained * trainable
    streamed = streams(cell, trainable)
    dequantized = block_weight_bytes(cell.model.quantization, block, a=base)
    return Memory(
        weights=base_bytes(cell.model.quantization, block, a=base) + (0 if full else trained * trainable),
        gradients=trained * trainable if first_order else 0,
        optimizer=moments if first_order else zo_state_bytes(cell, block, trainable=trainable, bf16=_in_bf16(cell)),
        masters=masters,
        best=best if cpu else 0,
        zo_buffers=_zo_buffers(cell) * FP32 * trainable if cell.trainer.zeroth_order and not streamed else 0,
        activations=(_checkpointed(cell, kept, all_again=again) if cell.engine.activation_checkpointing else kept) + (dequantized if first_order else 0),
        activations_checkpointed=again,
        logits=logits + (block.vocabulary * block.embedded * trained if full and first_order and cell.task.objective not in FRESH_HEADS else 0),
        step=_step(cell, trainable, largest=largest, trained=trained, cpu=cpu) if first_order else 0,
        forward=forward_bytes(cell, block, load=load, a=base, scratch=min(3 * FP32 * trainable, _STREAMED_BYTES) if streamed else 0) + dequantized,
        host=0 if cpu else best,
    )


def _checkpointed(cell: CellConfig, kept: int, *, all_again: int) -> int:
    """Return the activations that are kept where every n-th block is computed again."""
    share = 1 / cell.engine.activation_checkpointing
    return int((1 - share) * kept + share * all_again)


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


def streams(cell: CellConfig, trainable: int) -> bool:
    """Return whether θ + εz exists only where it is read: large parameters, and bf16 ones of any size."""
    return cell.trainer.zeroth_order and (_in_bf16(cell) or (trainable >= STREAM_FROM and cell.trainer.updates_in_place))


def _in_bf16(cell: CellConfig) -> bool:
    return cell.method.every_weight_trains and cell.precision == "bf16"
