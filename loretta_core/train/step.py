"""Optimizer steps of first and zeroth order, behind one signature.

    step(batches) -> mean loss over the rows of the global batch

`batches` are the pieces of one global batch, or of one worker's part of it (gradient accumulation). Both steps give the result of the whole batch: gradients
of the pieces add up, and zeroth-order losses of the pieces are averaged under the same direction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from loretta_core.tasks.base import Batch
from loretta_core.train.pack_context import Backward
from loretta_core.train.workers import SINGLE_WORKER, Workers
from loretta_core.zo.optim import ZOSGD, ZerothOrder

LossFn = Callable[[Batch], Tensor]
"""Batch → mean loss over its rows, an fp32 scalar."""

Step = Callable[[Sequence[Batch]], float]


def first_order_step(
    batches: Sequence[Batch], *, backward: Backward, optimizer: Optimizer, max_grad_norm: float | None, workers: Workers = SINGLE_WORKER
) -> float:
    """Back-propagate, all-reduce the gradients, clip and step. Workers have equally many rows."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    total = backward(batches)
    workers.sum_gradients(parameters)
    if max_grad_norm is not None:
        nn.utils.clip_grad_norm_(parameters, max_grad_norm)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)  # an evaluation may follow, and its activations want the room
    return workers.sum(total, device=parameters[0].device)


def back_propagate(batches: Sequence[Batch], *, loss_fn: LossFn, world: int = 1) -> float:
    """Back-propagate piece by piece; returns a worker's part of the mean loss over the rows of `world` workers."""
    rows = world * sum(map(len, batches))
    total = 0.0
    for batch in batches:
        loss = loss_fn(batch) * (len(batch) / rows)
        loss.backward()
        total += loss.item()
    return total


def zeroth_order_step(batches: Sequence[Batch], *, loss_fn: LossFn, optimizer: ZOSGD | ZerothOrder) -> float:
    """Evaluate the mean loss on both sides of each direction, step. No gradient is computed."""
    return optimizer.step(MeanLoss(batches, loss_fn))


@dataclass(frozen=True)
class MeanLoss:
    """A closure that computes the loss of a global batch, and exposes the batch."""

    batches: Sequence[Batch]
    loss_fn: LossFn

    def __call__(self) -> Tensor:
        """Return the mean loss over all rows."""
        rows = sum(map(len, self.batches))
        return torch.stack([self.loss_fn(batch) * (len(batch) / rows) for batch in self.batches]).sum()
