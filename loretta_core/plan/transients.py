"""Bytes of a forward without gradients: an evaluation, or the forwards of a zeroth-order step. No torch.

`a` is the bytes of an activation of the base.
"""

from __future__ import annotations

from loretta_core.config.cell import CellConfig
from loretta_core.config.task import FRESH_HEADS
from loretta_core.plan.architectures.blocks import Block
from loretta_core.plan.lengths import ranked_lengths, scored_tokens
from loretta_core.plan.workload import Load

EVALUATION_ROWS = 64
"""Rows of a forward when scoring; `train/build.py` uses the same."""
EVALUATION_SEQUENCES = 16
"""Sequences of a forward when a causal language model writes answers."""
RANKED_TOKENS = 8192
"""Tokens of a forward when it ranks them; `tasks/formats/candidates.py` uses the same."""


def scored_positions(cell: CellConfig, sequences: int, tokens: int) -> int:
    """Return the positions whose logits are made (`tasks/formats/label_logits.py`): with prompt tuning all of them."""
    at_once = tokens if cell.method.prompt_learning else min(tokens, scored_tokens(cell.task))
    return 0 if cell.task.objective in FRESH_HEADS else sequences * at_once


def forward_bytes(cell: CellConfig, block: Block, *, load: Load, a: int, scratch: int) -> int:
    """Return the largest transient of a forward without gradients: a scoring one, or for zeroth order a training one with its `scratch` bytes for θ + εz."""
    scoring = _transient(cell, block, sequences=_scored_at_once(cell, load.evaluation_tokens), tokens=load.evaluation_tokens, a=a)
    if not cell.trainer.zeroth_order:
        return scoring
    if cell.trainer.variants_at_once > 1:
        return max(scoring, _batched(cell, block, load=load, a=a))
    return max(scoring, scratch + _transient(cell, block, sequences=load.rows, tokens=load.tokens, a=a))


def _scored_at_once(cell: CellConfig, tokens: int) -> int:
    """Return the sequences of a forward when scoring."""
    if cell.task.objective != "causal":
        return EVALUATION_ROWS
    return min(EVALUATION_ROWS, max(1, RANKED_TOKENS // tokens)) if ranked_lengths(cell.task) else EVALUATION_SEQUENCES


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
    logits = scored_positions(cell, sequences, tokens) * block.vocabulary
    return a * (sequences * tokens * (cache + mask) + max(sequences * tokens * wide, sequences * tokens * 2 * block.hidden + logits))
