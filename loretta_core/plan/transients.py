"""Bytes of a forward without gradients: an evaluation, or the forwards of a zeroth-order step. No torch.

`a` is the bytes of an activation of the base.
"""

from __future__ import annotations

from loretta_core.config.cell import CellConfig
from loretta_core.config.task import FRESH_HEADS
from loretta_core.plan.architectures.blocks import Block
from loretta_core.plan.lengths import scored_tokens, written_tokens
from loretta_core.plan.workload import Load

EVALUATION_ROWS = 64
"""Rows of a forward when scoring; `train/build.py` uses the same."""
SCORED_TOKENS = 8192
"""Most tokens of a forward when a decoder is scored; `tasks/formats/candidates.py` uses the same."""
WRITTEN_TOKENS = 32_768
"""Most tokens whose keys and values are held while answers are written; `tasks/formats/generation.py` uses the same."""


def scored_positions(cell: CellConfig, sequences: int, tokens: int) -> int:
    """Return the positions whose logits are made (`tasks/formats/label_logits.py`): with prompt tuning all of them."""
    at_once = tokens if cell.method.prompt_learning else min(tokens, scored_tokens(cell.task))
    return 0 if cell.task.objective in FRESH_HEADS else sequences * at_once


def forward_bytes(cell: CellConfig, block: Block, *, load: Load, a: int, scratch: int) -> int:
    """Return the largest transient of a forward without gradients: a scoring one, or for zeroth order a training one with its `scratch` bytes for θ + εz."""
    tokens = load.evaluation_tokens
    scoring = _transient(cell, block, sequences=_at_once(cell, tokens, limit=SCORED_TOKENS), tokens=tokens, a=a)
    if written_tokens(cell.task):  # a row with its reference is about as long as one with what is written
        scoring = max(scoring, _transient(cell, block, sequences=_at_once(cell, tokens, limit=WRITTEN_TOKENS), tokens=tokens, a=a, positions=1))
    if not cell.trainer.zeroth_order:
        return scoring
    if cell.trainer.variants_at_once > 1:
        return max(scoring, _batched(cell, block, load=load, a=a))
    return max(scoring, scratch + _transient(cell, block, sequences=load.rows, tokens=load.tokens, a=a))


def _at_once(cell: CellConfig, tokens: int, *, limit: int) -> int:
    """Return the sequences of a forward when scoring: a batch, or as many as a decoder's limit of tokens allows."""
    return min(EVALUATION_ROWS, max(1, limit // tokens)) if cell.task.objective == "causal" else EVALUATION_ROWS


def _batched(cell: CellConfig, block: Block, *, load: Load, a: int) -> int:
    """Return the largest transient of all variants in one forward: attention is not fused there, and what a tensor train adds is a tensor of its own."""
    sequences = load.rows * cell.trainer.variants_at_once
    attention = 3 * block.hidden + 3 * block.queries + 2 * block.keys + block.heads * load.tokens
    added = block.hidden if cell.method.tensor_trains else 0
    plain = _transient(cell, block, sequences=sequences, tokens=load.tokens, a=a)
    return max(plain, a * sequences * load.tokens * (attention + added))


def _transient(cell: CellConfig, block: Block, *, sequences: int, tokens: int, a: int, positions: int | None = None) -> int:
    """Return the largest transient of a block, or of the logits, which are made at so many `positions` of a sequence; None: where the task scores."""
    stream = 3 * block.hidden  # of the embeddings, which the caller still holds, before the block, and in it
    wide = stream + max((3 if block.gated else 2) * block.inner, 2 * block.queries + 2 * block.keys)
    cache = 0 if block.post_norm else 2 * block.keys * block.repeats  # decoders keep keys and values for a next token
    mask = tokens // 4  # a byte for each pair
    logits = (scored_positions(cell, sequences, tokens) if positions is None else sequences * positions) * block.vocabulary
    return a * (sequences * tokens * (cache + mask) + max(sequences * tokens * wide, sequences * tokens * 2 * block.hidden + logits))
