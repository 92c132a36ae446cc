"""Several cells in one process: each runs as it would by itself, in turns, and what they compute on the frozen model at the same time is computed at once.

    cell 1 ─ build ─ evaluate ─┐                ┌─ update ─ … ─┐
    cell 2 ─ build ─ evaluate ─┼─ one forward ──┼─ update ─ … ─┼─ one forward ─ …
    cell 3 ─ build ─ evaluate ─┘                └─ update ─ … ─┘

A cell that ends, whether finished, failed or stopped early, leaves the forward; the others go on. What cannot be merged is computed cell by cell.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from loretta_core.pack.coroutine import Coroutine, random_state, set_random_state
from loretta_core.pack.merged_forward import EvalRequest, EvalResult, MergedForward, Values
from loretta_core.tasks.base import Batch
from loretta_core.train.memory import allocator
from loretta_core.train.pack_context import Backward, CellComputation, PackContext, PackInfo
from loretta_core.train.step import MeanLoss
from loretta_core.zo.parameters.flat import FlatParameters
from loretta_core.zo.parameters.placement import Storage
from loretta_core.zo.variants import Closure, Evaluator, Variant, stacked

log = logging.getLogger(__name__)

Result = TypeVar("Result")
Ask = Callable[[EvalRequest], EvalResult | None]
"""A question to the pack; None: compute it yourself."""


def pack_id_of(cell_ids: Iterable[str]) -> str:
    """A name for cells that are computed together."""
    return hashlib.sha256(" ".join(sorted(cell_ids)).encode()).hexdigest()[:12]


def run_in_lockstep(
    functions: Sequence[Callable[[PackContext], Result]], *, facts: PackInfo, over: Callable[[int, Result], None] | None = None, most_bytes: int | None = None
) -> list[Result | BaseException]:
    """Run functions, each of which computes a cell at the seat that it is given.

    Args:
        facts: for the records.
        over: told the index and the result of each as soon as it is there.
        most_bytes: of a hidden state in one forward, to bound its memory; None for what suits the device.

    Returns what each has returned, or raised.
    """
    allocator.configure_allocator()  # before there are threads
    table = _Table(most_bytes)
    members = [_Member(_Place(facts, table), function) for function in functions]
    try:
        replies: dict[int, EvalResult | None] = dict.fromkeys(range(len(members)))
        while replies:
            asked: dict[int, EvalRequest] = {}
            for index, reply in replies.items():
                question, turn = members[index].advance(reply), members[index].turn
                if question is not None:
                    asked[index] = question
                elif over is not None and turn.error is None:
                    over(index, turn.result)  # type: ignore[arg-type]
            replies = table.answers(asked, seats={index: members[index].seat for index in asked})
    finally:
        for member in members:
            member.turn.abandon()
    return [member.turn.error or member.turn.result for member in members]  # type: ignore[misc]


class _Member(Generic[Result]):
    def __init__(self, seat: _Place, function: Callable[[PackContext], Result]) -> None:
        self.seat = seat
        self.turn: Coroutine[EvalRequest, EvalResult | None, Result] = Coroutine(partial(self._run, function), name="cell")

    def _run(self, function: Callable[[PackContext], Result], ask: Ask) -> Result:
        self.seat.ask = ask
        return function(self.seat)

    def advance(self, reply: EvalResult | None) -> EvalRequest | None:
        self.seat.resumed()
        try:
            return self.turn.advance(reply)
        finally:
            self.seat.paused()


@dataclass
class _Table:
    """What the cells of a pack share."""

    most_bytes: int | None
    first: CellComputation | None = None
    """Of the cell that was built first: its frozen weights are everybody's."""
    merges: bool = True
    """Until something cannot be merged."""
    _merged: MergedForward | None = None

    def answers(self, asked: dict[int, EvalRequest], *, seats: dict[int, _Place]) -> dict[int, EvalResult | None]:
        """Answer questions, those of one kind in one forward."""
        kinds: dict[object, list[int]] = {}
        for index, question in asked.items():
            kinds.setdefault(question.kind, []).append(index)
        replies: dict[int, EvalResult | None] = dict.fromkeys(asked)
        for indices in kinds.values():
            if self.merges:
                started = time.perf_counter()
                found = self._answered([asked[index] for index in indices])
                took, variants = time.perf_counter() - started, sum(asked[index].variants for index in indices)
                for index, answer in zip(indices, found, strict=True):
                    replies[index] = answer
                    seats[index].charge(took * asked[index].variants / variants)
        return replies

    def _answered(self, questions: Sequence[EvalRequest]) -> Sequence[EvalResult | None]:
        assert self.first is not None, "only a cell that was built asks"
        if self._merged is None:
            self._merged = MergedForward(self.first.model, objective=self.first.objective, collate=self.first.collate, most_bytes=self.most_bytes)
        try:
            return self._merged.answer(questions) or [None] * len(questions)
        except RuntimeError as error:  # out of memory too: a cell by itself takes less
            self.merges = False
            log.warning("the cells of this pack are computed one by one from here on: %s", error)
            return [None] * len(questions)


@dataclass
class _Place:
    """The seat of one cell."""

    facts: PackInfo
    table: _Table
    ask: Ask = field(default=lambda question: None)
    _own: CellComputation | None = None
    _fixed: Values = field(default_factory=dict)
    _charged: float = 0.0
    _since: float = 0.0

    def clock(self) -> float:
        """Seconds of this cell so far; called while it runs."""
        return self._charged + time.perf_counter() - self._since

    def resumed(self) -> None:
        """The cell runs."""
        self._since = time.perf_counter()

    def paused(self) -> None:
        """Others do."""
        self._charged = self.clock()

    def charge(self, seconds: float) -> None:
        """The cell's part of something shared."""
        self._charged += seconds

    def join(self, arithmetic: CellComputation) -> None:
        """See Seat."""
        self._own = arithmetic
        if self.table.first is None:
            self.table.first = arithmetic
        self._fixed = _share_frozen(arithmetic, self.table.first)

    def evaluator(self, alone: Evaluator) -> Evaluator:
        """See Seat."""
        return _Together(self, alone)

    def backward(self, alone: Backward) -> Backward:
        """See Seat."""
        return partial(self._backward, alone)

    def losses(self, batches: Sequence[Batch], *, storage: FlatParameters, variants: Sequence[Variant]) -> list[float] | None:
        """Of variants of what trains; None where the cell computes them itself."""
        assert self._own is not None, "the cell was built"
        names = {id(parameter): name for name, parameter in self._own.trainable.items()}
        views = storage.split(stacked(storage, variants))
        answer = self._asked({names[id(parameter)]: view for parameter, view in zip(storage.parameters, views, strict=True)}, batches)
        return None if answer is None else answer.losses

    def _backward(self, alone: Backward, batches: Sequence[Batch]) -> float:
        assert self._own is not None, "the cell was built"
        trainable = self._own.trainable
        answer = self._asked({name: parameter.detach()[None] for name, parameter in trainable.items()}, batches, random=random_state())
        if answer is None:
            return alone(batches)
        if answer.random is not None:
            set_random_state(answer.random)
        for name, parameter in trainable.items():
            gradient = answer.gradients[name][0]
            parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient
        return answer.losses[0]

    def _asked(self, values: Values, batches: Sequence[Batch], *, random: list[Tensor] | None = None) -> EvalResult | None:
        if not self.table.merges:
            return None
        variants = len(next(iter(values.values())))
        fixed = {name: value.expand(variants, *value.shape[1:]) for name, value in self._fixed.items()}
        return self.ask(EvalRequest(values, fixed, batches, random))


@dataclass(frozen=True)
class _Together:
    """Evaluates with the others of the pack."""

    seat: _Place
    alone: Evaluator

    def losses(self, closure: Closure, *, storage: Storage, variants: Iterable[Variant]) -> list[float]:
        """See Evaluator."""
        if not (isinstance(closure, MeanLoss) and isinstance(storage, FlatParameters) and self.seat.table.merges):
            return self.alone.losses(closure, storage=storage, variants=variants)
        chosen = list(variants)
        found = self.seat.losses(closure.batches, storage=storage, variants=chosen)
        return self.alone.losses(closure, storage=storage, variants=chosen) if found is None else found


def _share_frozen(own: CellComputation, first: CellComputation) -> Values:
    """Let the frozen weights of a cell be those of the first where they are equal, bit by bit. Returns the others, (1, …)."""
    theirs: dict[str, nn.Parameter] = dict(first.model.named_parameters())
    different: dict[str, Tensor] = {}
    for name, parameter in own.model.named_parameters():
        if name in own.trainable or parameter is theirs[name]:
            continue
        if parameter.data_ptr() == theirs[name].data_ptr() or torch.equal(parameter, theirs[name]):
            parameter.data = theirs[name].data
        else:
            different[name] = parameter.detach()[None]
    return different
