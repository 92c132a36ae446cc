"""The gain of computing zeroth-order cells together, in one forward of their frozen model. No torch.

    forward of one variant      o + max(f, w)           o: the host starts its operations, one after the other; f: their arithmetic; w: the weights are read
    of V variants together      o + LOSS · max(V f, w)
    gain                        V (o + max(f, w)) / (o + LOSS · max(V f, w))

What is saved is the host's time and the reading of weights: much on a GPU or with a small model, nothing where a CPU is busy with arithmetic already.
`tests/benchmarks/bench_packing.py` is where o and LOSS come from (toy-bert and a width of 768, one core); on GPUs they are not measured.
"""

from __future__ import annotations

from collections.abc import Sequence

from loretta_core.config.trainer import FirstOrderTrainer, InContext, NoTraining
from loretta_core.plan.cost import forward_flops
from loretta_core.plan.devices import UTILISATION
from loretta_core.plan.placement.engine_options import EngineOption
from loretta_core.plan.sizing import Sized
from loretta_core.plan.workload import Load

LOSS = 1.04
"""Attention in a merged forward is made of plain operations instead of one fused kernel."""

PAYS = 1.1


def gain(sized: Sized, trial: EngineOption, *, variants: int) -> float:
    """Return cells per hour together over one by one, in their steps.

    Args:
        sized, trial: of one of the cells, which are alike.
        variants: losses that a step of all of them needs.
    """
    cell, block, device = sized.cell, sized.shapes.block, trial.devices.device
    host_s = block.repeats * cell.method.block_host_s
    flops = (device.fp32_flops if cell.precision == "fp32" else device.bf16_flops) * UTILISATION
    load = Load(cell.batch_size // cell.engine.gradient_accumulation, sized.tokens, sized.evaluation_tokens)
    arithmetic_s, reading_s = forward_flops(block, load) / flops, trial.memory.weights / device.bandwidth
    return variants * (host_s + max(arithmetic_s, reading_s)) / (host_s + LOSS * max(variants * arithmetic_s, reading_s))


def variants_of(sizes: Sequence[Sized]) -> int:
    """Return how many losses a step of zeroth-order cells needs, at their first step."""
    return sum(_variants(one) for one in sizes)


def _variants(sized: Sized) -> int:
    trainer = sized.cell.trainer
    assert not isinstance(trainer, FirstOrderTrainer | NoTraining | InContext), "not of zeroth order"
    directions = trainer.directions_at(0, steps_per_epoch=1)
    return trainer.losses(directions) + trainer.carries_tangent
