"""Bytes that a zeroth-order trainer keeps besides weights and buffers: of numbers for every trained one, and of the bases of its subspaces.

    per trained number    `state_numbers` of the trainer (momentum, moments, curvature, masks), and an fp32 copy of bf16 weights that a torch optimizer steps
    per matrix (m, n)     subzero: r (m + n), zo_muon: r m, with r at most the smaller side

The matrices of a PEFT method have a small side, so that their bases are as large as they are: all of them (subzero), or every second one (zo_muon: LoRA's B).
Tensor-train cores are no matrices and have none.
"""

from __future__ import annotations

from loretta_core.config.cell import CellConfig
from loretta_core.config.trainers.zeroth_order import Subzero, ZoMuon
from loretta_core.methods.formulas import FP32
from loretta_core.plan.architectures.blocks import Block


def zo_state_bytes(cell: CellConfig, block: Block, *, trainable: int, bf16: bool) -> int:
    """Return the bytes that are kept over steps; 0 for a trainer of first order. `bf16`: what trains is bf16."""
    trainer = cell.trainer
    if not trainer.zeroth_order:
        return 0
    copies = 1 if bf16 and not trainer.updates_in_place else 0
    return round(((trainer.state_numbers + copies) * trainable + _bases(cell, block, trainable=trainable)) * FP32)


def _bases(cell: CellConfig, block: Block, *, trainable: int) -> int:
    trainer = cell.trainer
    if not isinstance(trainer, Subzero | ZoMuon) or cell.method.tensor_trains:
        return 0
    both = isinstance(trainer, Subzero)
    if not cell.method.every_weight_trains:
        return trainable if both else trainable // 2
    matrices = [(layer.out_features, layer.in_features) for layer in block.roles.values()] * block.repeats + [(block.vocabulary, block.embedded)]
    return sum(min(trainer.rank, m, n) * (m + n if both else m) for m, n in matrices)
