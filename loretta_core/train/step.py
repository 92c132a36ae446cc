"""One optimizer step, first or zeroth order, behind one signature.

    step(batches) -> mean loss over the rows of the global batch

`batches` are the pieces of one global batch, or of one worker's part of it (gradient accumulation). Both steps give the result of the whole batch: gradients
of the pieces add up, and zeroth-order losses of the pieces are averaged under the same direction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from loretta_core.tasks.base import Batch
from loretta_core.train.workers import ALONE, Workers
from loretta_core.zo.optim import ZOSGD, ZerothOrder

LossFn = Callable[[Batch], Tensor]
"""Batch → mean loss over its rows, an fp32 scalar."""

Step = Callable[[Sequence[Batch]], float]


def first_order_step(batches: Sequence[Batch], *, loss_fn: LossFn, optimizer: Optimizer, max_grad_norm: float | None, workers: Workers = ALONE) -> float:
    """Back-propagate each piece, sum over pieces and workers, clip, step. Workers have equally many rows."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    rows = workers.world * sum(map(len, batches))
    total = 0.0
    for batch in batches:
        loss = loss_fn(batch) * (len(batch) / rows)
        loss.backward()
        total += loss.item()
    workers.sum_gradients(parameters)
    if max_grad_norm is not None:
        nn.utils.clip_grad_norm_(parameters, max_grad_norm)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)  # an evaluation may follow, and its activations want the room
    return workers.sum(total, device=parameters[0].device)


def zeroth_order_step(batches: Sequence[Batch], *, loss_fn: LossFn, optimizer: ZOSGD | ZerothOrder) -> float:
    """Evaluate the mean loss on both sides of each direction, step. No gradient is computed."""
    return optimizer.step(partial(_mean_loss, batches, loss_fn=loss_fn))


def _mean_loss(batches: Sequence[Batch], *, loss_fn: LossFn) -> Tensor:
    rows = sum(map(len, batches))
    return torch.stack([loss_fn(batch) * (len(batch) / rows) for batch in batches]).sum()
