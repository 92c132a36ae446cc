"""Time and money of a cell, from floating-point operations and bytes moved. Standard library only.

    forward          2 · (weights of the matrices) + 4 · L · queries · blocks      operations a token, L tokens in its row
    backward         as much again for the gradients of activations, and once more for those of weights that train
    zeroth order     forwards only
    reward, metric   an evaluation writes: a forward of the prompts, then one of a token per row for each token that may be written
    step             max(arithmetic, bytes of weights and activations / bandwidth) + bytes of the update / bandwidth + what workers send / link

An estimate for comparing and for budgets (a factor of two is usual); memory is the part that is held to 10 %.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from loretta_core.config.cell import CellConfig
from loretta_core.config.engine import Zero
from loretta_core.config.price import price_usd
from loretta_core.config.trainer import FirstOrderTrainer, InContext, NoTraining
from loretta_core.plan.architectures.blocks import Block
from loretta_core.plan.devices import UTILISATION, Device, Devices
from loretta_core.plan.lengths import written_tokens
from loretta_core.plan.memory import Memory
from loretta_core.plan.workload import Load, Shapes


@dataclass(frozen=True)
class Cost:
    """Time and money of a cell on given devices."""

    step_s: float
    total_s: float
    """All steps and all evaluations."""
    evaluation_s: float
    """The part of it that is evaluation."""
    usd: float | None
    """None where the device has no price."""


def cost_of(cell: CellConfig, shapes: Shapes, memory: Memory, *, load: Load, devices: Devices, rows: int) -> Cost:
    """Return the time of a step and of the run, and its price.

    Args:
        load: what a worker computes at once.
        rows: training rows, for budgets in epochs.
    """
    device, workers = devices.device, cell.engine.workers
    flops = (device.fp32_flops if cell.precision == "fp32" else device.bf16_flops) * UTILISATION
    trainable = shapes.trainable
    forward_s = forward_flops(shapes.block, load) / flops
    pieces = cell.engine.gradient_accumulation
    passes = passes_per_step(cell, trainable=trainable, total=shapes.block.total)
    compute_s = pieces * (max(passes * forward_s, _bytes(memory, passes) / device.bandwidth) + passes * _writing_s(cell, shapes, memory, load, flops, device))
    step_s = compute_s + _update_bytes(cell, memory, trainable) / device.bandwidth + _traffic_s(cell, memory, trainable, devices)
    steps = cell.trainer.total_steps(rows=rows, batch_size=cell.batch_size)
    evaluation_s = evaluated_rows(cell, steps=steps) / (load.rows * workers) * forward_s
    total_s = steps * step_s + evaluation_s
    return Cost(step_s if steps else 0.0, total_s, evaluation_s, price_usd(total_s, workers=workers, gpus=cell.engine.gpus, usd_per_hour=device.price))


VALIDATION_ROWS, TEST_ROWS = 500, 1000
"""Rows of the splits, as far as anyone knows before reading them."""


def evaluations_of(cell: CellConfig, *, steps: int) -> int:
    """Return how often the validation rows are scored: before training, every so many steps, and after the last."""
    return 1 + (math.ceil(steps / cell.trainer.evaluation_period(steps)) if steps else 0)


def evaluated_rows(cell: CellConfig, *, steps: int) -> int:
    """Return the rows of all evaluations: of the validation rows, and of the test rows before and after training where these are scored."""
    validation = evaluations_of(cell, steps=steps) * (cell.task.validation_rows or VALIDATION_ROWS)
    return validation + (2 * (cell.task.test_rows or TEST_ROWS) if cell.score_test else 0)


def forward_flops(block: Block, load: Load) -> float:
    """Return the floating-point operations of one forward of one piece on one worker."""
    return load.count * (2 * block.matrices + 4 * load.tokens * block.queries * block.repeats)


def passes_per_step(cell: CellConfig, *, trainable: int, total: int) -> float:
    """Return the arithmetic of a step in forwards: a backward pass counts as one, or as two where every weight trains."""
    trainer = cell.trainer
    if isinstance(trainer, NoTraining | InContext):
        return 0.0
    if isinstance(trainer, FirstOrderTrainer):
        again = 1 / cell.engine.activation_checkpointing if cell.engine.activation_checkpointing else 0.0
        return 2.0 + again + min(1.0, trainable / total)
    directions = trainer.directions_at(0, steps_per_epoch=1)
    return float(trainer.losses(directions) + trainer.carries_tangent)


def _bytes(memory: Memory, passes: float) -> float:
    """Return the bytes that a step moves: weights are read once a pass, activations written and read."""
    return passes * memory.weights + 2 * memory.activations


def _writing_s(cell: CellConfig, shapes: Shapes, memory: Memory, load: Load, flops: float, device: Device) -> float:
    """Return the seconds in which the answers to one piece are written, token by token: every token reads the weights, and computes with one position a row."""
    tokens = written_tokens(cell.task) if cell.trainer.jumps else 0
    position_s = forward_flops(shapes.block, Load(load.rows, 1, 1)) / flops
    return tokens * max(position_s, memory.weights / device.bandwidth)


def _update_bytes(cell: CellConfig, memory: Memory, trainable: int) -> float:
    """Return the bytes that an update moves: weights, gradients and state are read and written; zeroth order draws z once or twice."""
    return 2 * (memory.optimizer + memory.masters + memory.gradients) + (4 * 4 * trainable if cell.trainer.zeroth_order else 4 * trainable)


def _traffic_s(cell: CellConfig, memory: Memory, trainable: int, devices: Devices) -> float:
    """Return the seconds of communication: a ring all-reduce of gradients (data parallel, ZeRO 1 and 2), all-gathers of weights (ZeRO 3), offload."""
    n = cell.engine.workers
    seconds = 0.0
    if n > 1 and not cell.trainer.zeroth_order:
        width = 2 if cell.method.every_weight_trains and cell.precision != "fp32" else 4
        times = 3.0 if cell.engine.sharded else 2.0
        seconds = times * (n - 1) / n * width * trainable / devices.device.link
    if isinstance(cell.engine, Zero) and cell.engine.offload != "none":
        seconds += 2 * memory.host / devices.device.host_link
    return seconds
