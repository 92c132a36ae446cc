"""The group of processes that compute one cell: rank, collectives and the split of a batch.

    one worker     every method below is the identity and torch.distributed is not touched
    several        data parallel: worker r takes the r-th part of the rows of a batch; sums over workers give what one worker would have computed

The process group is torch's default one, made by whoever started the processes (Ray Train in a sweep). All workers call the same methods in the same order.
Only the first worker writes: records, checkpoints, sinks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from loretta_core.config.engine import EngineConfig
from loretta_core.errors import CellFailed

T = TypeVar("T")

BUCKET_BYTES = 50_000_000
"""Size of the buckets in which gradients are all-reduced: few messages for an adapter, little extra memory for a whole model."""


@dataclass(frozen=True)
class Workers:
    """The rank of this process and the number of processes of its cell."""

    rank: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        """True for the process that writes: rank 0."""
        return self.rank == 0

    def part(self, rows: Sequence[T]) -> Sequence[T]:
        """Return this worker's consecutive rows of a batch; the world size divides their number."""
        assert len(rows) % self.world == 0, "CellConfig refuses such a batch"
        size = len(rows) // self.world
        return rows[self.rank * size : (self.rank + 1) * size]

    def gather(self, item: T) -> list[T]:
        """Return every worker's picklable item, in rank order (all-gather)."""
        if self.world == 1:
            return [item]
        items: list[Any] = [None] * self.world
        dist.all_gather_object(items, item)
        return items

    def sum(self, value: float, *, device: torch.device) -> float:
        """Return the sum of a number over the workers, in fp64 (all-reduce)."""
        if self.world == 1:
            return value
        total = torch.tensor(value, dtype=torch.float64, device=device)
        dist.all_reduce(total)
        return total.item()

    def sum_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """All-reduce every gradient to its sum over the workers, bitwise the same on all of them. A missing gradient counts as zeros."""
        if self.world == 1:
            return
        for bucket in gradient_buckets(parameters):
            flat = torch.cat([_gradient(parameter).reshape(-1) for parameter in bucket])
            dist.all_reduce(flat)
            for parameter, piece in zip(bucket, flat.split([parameter.numel() for parameter in bucket]), strict=True):
                _gradient(parameter).copy_(piece.view_as(parameter))

    def broadcast_from_first(self, tensors: Sequence[Tensor]) -> None:
        """Overwrite the tensors with those of the first worker (broadcast)."""
        if self.world > 1:
            for tensor in tensors:
                dist.broadcast(tensor.detach(), src=0)


SINGLE_WORKER = Workers()
"""The group of a cell that one process computes."""


def workers_of(engine: EngineConfig) -> Workers:
    """Return the group of this process. Raises CellFailed when it is not of the size that the engine asks for."""
    world = dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1
    if world != engine.workers:
        raise CellFailed(f"engine.workers = {engine.workers}, and {world} process{'es' * (world > 1)} came to compute the cell", kind="infrastructure")
    return Workers(dist.get_rank(), world) if world > 1 else Workers()


def seed_step(seed: int, *, step: int, rank: int) -> None:
    """Seed torch's generators for the dropout of one step, so that workers draw different noise and a resumed cell needs no saved state."""
    torch.manual_seed((seed * 1_000_003 + step) * 4_099 + rank)


def _gradient(parameter: nn.Parameter) -> Tensor:
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad


def gradient_buckets(parameters: Sequence[nn.Parameter]) -> Iterator[Sequence[nn.Parameter]]:
    """Split parameters into runs of one dtype of about BUCKET_BYTES each."""
    edges, filled = [0], 0
    for index, parameter in enumerate(parameters):
        size = parameter.numel() * parameter.element_size()
        if filled and (filled + size > BUCKET_BYTES or parameter.dtype != parameters[index - 1].dtype):
            edges.append(index)
            filled = 0
        filled += size
    for start, end in pairwise([*edges, len(parameters)]):
        yield parameters[start:end]
