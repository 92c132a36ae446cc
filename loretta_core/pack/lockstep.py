"""Run several cells in one process, in lockstep: each as it would run alone, but what they evaluate at the same time is computed in one forward.

    cell 1 ─ build ─ evaluate ─┐                ┌─ update ─ … ─┐
    cell 2 ─ build ─ evaluate ─┼─ one forward ──┼─ update ─ … ─┼─ one forward ─ …
    cell 3 ─ build ─ evaluate ─┘                └─ update ─ … ─┘

Each cell is a coroutine that suspends with an EvalRequest; when all have, the requests are evaluated together (`request_batcher.py`) and the cells resumed with
the results. A cell that ends, whether finished, failed or stopped early, leaves the forward; the others go on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Generic, TypeVar

from loretta_core.pack.coroutine import Coroutine
from loretta_core.pack.lockstep_context import LockstepContext, Submit
from loretta_core.pack.merged_forward import EvalRequest, EvalResult
from loretta_core.pack.request_batcher import RequestBatcher
from loretta_core.train.memory import allocator
from loretta_core.train.pack_context import PackContext, PackInfo

Result = TypeVar("Result")


def pack_id_of(cell_ids: Iterable[str]) -> str:
    """Return the id of a pack, a digest of the ids of its cells."""
    return hashlib.sha256(" ".join(sorted(cell_ids)).encode()).hexdigest()[:12]


def run_in_lockstep(
    functions: Sequence[Callable[[PackContext], Result]],
    *,
    pack_info: PackInfo,
    on_result: Callable[[int, Result], None] | None = None,
    max_bytes: int | None = None,
) -> list[Result | BaseException]:
    """Run functions, each of which computes a cell in the context that it is given.

    Args:
        pack_info: for the records of the cells.
        on_result: called with the index and the result of each function as soon as it returns.
        max_bytes: size limit of a hidden state in one forward, which bounds its memory; None for what suits the device.

    Returns the result of each function, or the exception that it raised.
    """
    allocator.configure_allocator()  # before there are threads
    batcher = RequestBatcher(max_bytes)
    workers = [_Worker(LockstepContext(pack_info, batcher), function) for function in functions]
    try:
        results: dict[int, EvalResult | None] = dict.fromkeys(range(len(workers)))
        while results:
            requests: dict[int, EvalRequest] = {}
            for index, result in results.items():
                request, coroutine = workers[index].resume(result), workers[index].coroutine
                if request is not None:
                    requests[index] = request
                elif on_result is not None and coroutine.error is None:
                    on_result(index, coroutine.result)  # type: ignore[arg-type]
            results = batcher.evaluate(requests, charge={index: workers[index].context.charge for index in requests})
    finally:
        for worker in workers:
            worker.coroutine.close()
    return [worker.coroutine.error or worker.coroutine.result for worker in workers]  # type: ignore[misc]


class _Worker(Generic[Result]):
    """One cell of the pack: its context, and the coroutine that computes it."""

    def __init__(self, context: LockstepContext, function: Callable[[PackContext], Result]) -> None:
        self.context = context
        self.coroutine: Coroutine[EvalRequest, EvalResult | None, Result] = Coroutine(partial(self._run, function), name="cell")

    def _run(self, function: Callable[[PackContext], Result], submit: Submit) -> Result:
        self.context.submit = submit
        return function(self.context)

    def resume(self, result: EvalResult | None) -> EvalRequest | None:
        """Run the cell until its next request, with its clock running."""
        self.context.start_clock()
        try:
            return self.coroutine.resume(result)
        finally:
            self.context.stop_clock()
