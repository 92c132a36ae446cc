"""Evaluators for several workers that exchange scalars only, over a process group (torch.distributed, gloo is enough).

    DirectionParallel   worker r evaluates every W-th variant of the step; the losses are gathered        bitwise the run of one worker, for any W
    DataParallel        every worker evaluates all variants on its part of the batch; the losses are averaged, weighted by rows

Everything after the all-gather (mean, clipping, skip, update) is computed from it alone, in rank order, by the same code on every worker; so replicas stay
bit-identical without ever sending a parameter. Every `check_every` evaluations a digest of θ travels with the losses. A message is 8 bytes per loss and 16
more: at most 16·q + 24 bytes per step and worker for q two-sided directions. Schedules of q and of the learning rate must be functions of the step.
A worker that died is restored by `resume_from_log`, which reads the log and 4 bytes per step and direction instead of a copy of the weights.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

import torch
import torch.distributed as dist

from loretta_core.errors import CellFailed
from loretta_core.zo.guards.closures import Closure, generator_states
from loretta_core.zo.optim import ZOSGD, ZerothOrder
from loretta_core.zo.parameters.placement import Storage
from loretta_core.zo.replay_log import ReplayLog, replay
from loretta_core.zo.variants import Evaluator, Serial, Variant


class _ScalarExchange:
    """All-gather of numbers: sends those of this worker with its weight and, every `check_every` calls, its digest of θ."""

    def __init__(self, group: dist.ProcessGroup | None, *, check_every: int) -> None:
        self._group, self._check_every, self._calls = group, check_every, 0
        self.bytes_sent = 0
        """Bytes of payload that this worker has sent so far."""

    def gather(self, numbers: Sequence[float], *, weight: float, storage: Storage) -> tuple[list[list[float]], list[float]]:
        """Return numbers and weight of every rank, in rank order. Raises CellFailed when two ranks hold different parameters."""
        digest = storage.sha256()[:16] if self._calls % self._check_every == 0 else "0" * 16
        self._calls += 1
        message = torch.frombuffer(bytearray(struct.pack(f"<{len(numbers) + 1}d", *numbers, weight) + bytes.fromhex(digest)), dtype=torch.uint8)
        self.bytes_sent += message.numel()
        messages = [torch.empty_like(message) for _ in range(dist.get_world_size(self._group))]
        dist.all_gather(messages, message, group=self._group)
        rows = [bytes(one.tolist()) for one in messages]
        if len({row[-8:] for row in rows}) > 1:
            raise CellFailed(f"workers hold different parameters: their digests are {[row[-8:].hex() for row in rows]}; resume the cell from its log")
        values = [struct.unpack(f"<{len(numbers) + 1}d", row[:-8]) for row in rows]
        return [list(row[:-1]) for row in values], [row[-1] for row in values]


class DirectionParallel:
    """Splits the variants of a step among workers; every worker's closure must be the same loss of the same batch, under the same dropout masks if it has any.

    Args:
        group: the process group; None is the default one.
        inner: evaluates the variants of one worker.
        check_every: steps between comparisons of the workers' parameters.
    """

    def __init__(self, group: dist.ProcessGroup | None = None, *, inner: Evaluator | None = None, check_every: int = 100) -> None:
        self._group, self._inner = group, inner or Serial()
        self.exchange = _ScalarExchange(group, check_every=check_every)

    def losses(self, closure: Closure, *, storage: Storage, variants: Iterable[Variant]) -> list[float]:
        """Return one loss per variant, gathered from all workers. Raises CellFailed when workers draw other dropout masks."""
        rank, workers = dist.get_rank(self._group), dist.get_world_size(self._group)
        whole, before = list(variants), generator_states(storage.devices)
        own = self._inner.losses(closure, storage=storage, variants=islice(whole, rank, None, workers)) if rank < len(whole) else []
        padded = own + [0.0] * (-(-len(whole) // workers) - len(own))
        masks = 0 if torch.equal(before, generator_states(storage.devices)) else _number_of(before)
        rows, drawn = self.exchange.gather(padded, weight=masks, storage=storage)
        if len(set(drawn) - {0}) > 1:
            raise CellFailed(
                "the loss draws random numbers, as dropout does, and the workers' generators are in different states, so that each evaluates its variants "
                "under other masks: give every worker the same torch.manual_seed(…) before the first step, or call model.eval()"
            )
        return [rows[index % workers][index // workers] for index in range(len(whole))]


def _number_of(state: torch.Tensor) -> int:
    """Return a number from 1 to 2³² that tells generator states from each other, exact as a float."""
    return 1 + zlib.crc32(state.numpy().data)


class DataParallel:
    """Splits the rows of a batch among workers.

    Args:
        group, inner, check_every: as in DirectionParallel.
        weight: rows in this worker's part of the current batch; the losses must be means over them.
    """

    def __init__(
        self,
        group: dist.ProcessGroup | None = None,
        *,
        inner: Evaluator | None = None,
        weight: Callable[[], float] = lambda: 1.0,
        check_every: int = 100,
    ) -> None:
        self._inner, self._weight = inner or Serial(), weight
        self.exchange = _ScalarExchange(group, check_every=check_every)

    def losses(self, closure: Closure, *, storage: Storage, variants: Iterable[Variant]) -> list[float]:
        """Return one loss per variant, averaged over all workers."""
        rows, weights = self.exchange.gather(self._inner.losses(closure, storage=storage, variants=variants), weight=self._weight(), storage=storage)
        total = sum(weights)
        return [sum(loss * weight for loss, weight in zip(column, weights, strict=True)) / total for column in zip(*rows, strict=True)]


def resume_from_log(
    optimizer: ZOSGD | ZerothOrder, log: ReplayLog, *, group: dist.ProcessGroup | None = None, set_lr: Callable[[int], object] | None = None
) -> int:
    """Bring every worker to the last step that all of their logs hold, and check that they agree; returns that step.

    `optimizer` is built as for the run, over the initial parameters or those of an earlier step. Raises CellFailed when the parameters differ.
    """
    steps = torch.tensor([len(log.rows)])
    dist.all_reduce(steps, op=dist.ReduceOp.MIN, group=group)
    replay(log, optimizer, steps=int(steps), set_lr=set_lr)
    _ScalarExchange(group, check_every=1).gather([], weight=0.0, storage=optimizer.storage)
    return int(steps)
