"""The queue between thin Tune trials and warm worker groups: one asyncio actor.

    trial ── run(cells) ────────────► queue ◄── pull(group) ── rank 0 of a group
          ◄── outcome by outcome ────       ◄── finish(group, outcome)

It knows nothing of Ray: `queue_client.py` makes an actor of it. A cell whose failure another attempt may mend (`failures/retry.py`) is put back at the front.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from jobs.failures import retry
from jobs.failures.outcome import Outcome

PULL_TIMEOUT_S = 10.0
"""Seconds that a worker group's pull waits before it answers "idle"."""


@dataclass(frozen=True)
class Order:
    """The answer to a pull. "idle" means ask again: waits are bounded, so that a group notices the end of the driver."""

    action: Literal["work", "idle", "stop"]
    cells: tuple[tuple[str, str], ...] = ()
    """(id, JSON) of the cells to compute: one, or several together."""


@dataclass
class _Entry:
    cell_id: str
    cell_json: str
    done: asyncio.Future[Outcome]
    pack: str = ""
    """Cells that wait next to each other with the same name are handed out together."""
    failures: list[str] = field(default_factory=list)
    """Classes of the failures so far."""


@dataclass
class CellQueue:
    """Cells that wait, cells that groups compute, and the futures of the trials that asked for them."""

    _entries: dict[str, _Entry] = field(default_factory=dict)
    _waiting: deque[_Entry] = field(default_factory=deque)
    _held: dict[str, dict[str, _Entry]] = field(default_factory=dict)
    """Group → the cells that it computes, by cell id."""
    _lost: set[str] = field(default_factory=set)
    """Groups whose processes are gone. A pull of theirs may still wait here, since a call outlives its caller; it must not take a cell."""
    _arrival: asyncio.Condition = field(default_factory=asyncio.Condition)
    _stopping: bool = False
    _interrupted: bool = False
    _no_groups: str = ""

    async def run(self, cells: Sequence[tuple[str, str]]) -> AsyncIterator[Outcome]:
        """Queue cells, (id, JSON) each, to be computed together; each outcome comes when its cell is over. Asking twice for a cell computes it once."""
        pack = cells[0][0] if len(cells) > 1 else ""
        loop = asyncio.get_running_loop()
        new = [_Entry(cell_id, cell_json, loop.create_future(), pack) for cell_id, cell_json in cells if cell_id not in self._entries]
        self._entries |= {entry.cell_id: entry for entry in new}
        if new:
            async with self._arrival:
                self._waiting.extend(new)
                self._arrival.notify()
            self._resolve_waiting_if_over()
        for outcome in asyncio.as_completed([asyncio.shield(self._entries[cell_id].done) for cell_id, _ in cells]):
            yield await outcome

    async def pull(self, group: str, timeout_s: float) -> Order:
        """Return what a group computes next, or "idle" after `timeout_s` seconds without anything."""
        async with self._arrival:
            try:
                await asyncio.wait_for(self._arrival.wait_for(lambda: self._waiting or self._stopping or group in self._lost), timeout_s)
            except TimeoutError:
                return Order("idle")
            if self._stopping or group in self._lost:
                return Order("stop")
            chosen = [self._waiting.popleft()]
            while chosen[0].pack and self._waiting and self._waiting[0].pack == chosen[0].pack:
                chosen.append(self._waiting.popleft())
        self._held[group] = {entry.cell_id: entry for entry in chosen}
        return Order("work", tuple((entry.cell_id, entry.cell_json) for entry in chosen))

    async def finish(self, group: str, outcome: Outcome) -> None:
        """Take the outcome of a cell that a group held: final, or the cell is queued again."""
        entry = self._held.get(group, {}).pop(outcome.cell_id, None)
        if entry is not None and not await self._requeue(entry, outcome):
            self._resolve(entry, replace(outcome, message=outcome.message or retry.retry_note(entry.failures)))

    async def on_group_lost(self, group: str, reason: str, *, kind: str = "infrastructure") -> bool:
        """Requeue the cells of a group whose processes are gone, each by itself, or report them as failed. Returns whether it held any."""
        async with self._arrival:
            self._lost.add(group)
            self._arrival.notify_all()
        held = self._held.pop(group, {})
        for entry in reversed(held.values()):  # each goes to the front, so that they end up in their order
            outcome = Outcome.process_lost(entry.cell_id, reason=reason, kind=kind, times=len(entry.failures) + 1)
            if not await self._requeue(entry, outcome):
                self._resolve(entry, outcome)
        return bool(held)

    async def fail_waiting(self, reason: str) -> None:
        """Fail every cell that waits, now or later, with the reason: there are no groups and there will be none."""
        self._no_groups = reason
        self._resolve_waiting_if_over()

    async def stop(self, interrupt: bool) -> None:
        """Tell all groups to stop. With `interrupt`, waiting cells are interrupted too, and running ones are asked to end early."""
        self._interrupted = self._interrupted or interrupt
        self._resolve_waiting_if_over()
        async with self._arrival:
            self._stopping = True
            self._arrival.notify_all()

    async def is_interrupted(self) -> bool:
        """Return whether running cells should end early."""
        return self._interrupted

    async def has_waiting(self) -> bool:
        """Return whether a cell waits for a group."""
        return bool(self._waiting)

    async def _requeue(self, entry: _Entry, outcome: Outcome) -> bool:
        """Put a failed cell back at the front if another attempt may mend it; return whether it was."""
        if outcome.status != "failed":
            return False
        if entry.pack and outcome.kind == "memory":
            next_json: str | None = entry.cell_json  # by itself it takes less
        else:
            entry.failures.append(outcome.kind)
            next_json = retry.next_attempt(entry.cell_json, kind=outcome.kind, failures=entry.failures.count(outcome.kind))
        if next_json is None:
            return False
        entry.cell_json, entry.pack = next_json, ""  # what is wrong with one must not be tried on all
        async with self._arrival:
            self._waiting.appendleft(entry)
            self._arrival.notify()
        self._resolve_waiting_if_over()
        return True

    def _resolve_waiting_if_over(self) -> None:
        """Give waiting cells their outcome once no group will run them: after an interrupt, or without groups."""
        if not (self._interrupted or self._no_groups):
            return
        while self._waiting:
            entry = self._waiting.popleft()
            if self._interrupted:
                self._resolve(entry, Outcome(entry.cell_id, "interrupted", message="the sweep was stopped before the cell began"))
            else:
                self._resolve(entry, Outcome(entry.cell_id, "failed", kind="infrastructure", message=self._no_groups))

    def _resolve(self, entry: _Entry, outcome: Outcome) -> None:
        if not entry.done.done():
            entry.done.set_result(outcome)
