"""The queue between thin Tune trials and warm worker groups: one asyncio actor.

    trial ── run(cells) ────────────► queue ◄── pull(group) ── rank 0 of a group
          ◄── outcome by outcome ────       ◄── finish(group, outcome)

It knows nothing of Ray: `train_executor.py` makes an actor of it. A cell whose failure another attempt may mend (`failures/retry.py`) is put back at the
front.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from jobs.failures import retry
from jobs.failures.outcome import Outcome


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
    """Cells that wait, cells in the hands of groups, and the futures of those who asked for them."""

    _entries: dict[str, _Entry] = field(default_factory=dict)
    _waiting: deque[_Entry] = field(default_factory=deque)
    _held: dict[str, dict[str, _Entry]] = field(default_factory=dict)
    """Group → what it computes, by cell id."""
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
            self._settle_what_nobody_will_run()
        for outcome in asyncio.as_completed([asyncio.shield(self._entries[cell_id].done) for cell_id, _ in cells]):
            yield await outcome

    async def pull(self, group: str, patience_s: float) -> Order:
        """What a group computes next, or "idle" after `patience_s` seconds without anything."""
        async with self._arrival:
            try:
                await asyncio.wait_for(self._arrival.wait_for(lambda: self._waiting or self._stopping or group in self._lost), patience_s)
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
        """A group is through with a cell that it held."""
        entry = self._held.get(group, {}).pop(outcome.cell_id, None)
        if entry is not None and not await self._is_tried_again(entry, outcome):
            self._settle(entry, replace(outcome, message=outcome.message or retry.remark(entry.failures)))

    async def lose(self, group: str, reason: str, *, kind: str = "infrastructure") -> bool:
        """A group's processes are gone. Returns whether it held a cell, which waits again now, by itself, or is reported as failed."""
        async with self._arrival:
            self._lost.add(group)
            self._arrival.notify_all()
        held = self._held.pop(group, {})
        for entry in reversed(held.values()):  # each goes to the front, so that they end up in their order
            outcome = Outcome.lost(entry.cell_id, reason=reason, kind=kind, times=len(entry.failures) + 1)
            if not await self._is_tried_again(entry, outcome):
                self._settle(entry, outcome)
        return bool(held)

    async def abandon(self, reason: str) -> None:
        """There are no groups and there will be none: everything that waits, now or later, fails with the reason."""
        self._no_groups = reason
        self._settle_what_nobody_will_run()

    async def stop(self, interrupt: bool) -> None:
        """Send the groups home. With `interrupt`, cells that wait are given back and running ones are asked to end early."""
        self._interrupted = self._interrupted or interrupt
        self._settle_what_nobody_will_run()
        async with self._arrival:
            self._stopping = True
            self._arrival.notify_all()

    async def is_interrupted(self) -> bool:
        """Whether running cells should end early."""
        return self._interrupted

    async def has_waiting(self) -> bool:
        """Whether a cell waits for a group."""
        return bool(self._waiting)

    async def _is_tried_again(self, entry: _Entry, outcome: Outcome) -> bool:
        if outcome.status != "failed":
            return False
        if entry.pack and outcome.kind == "memory":
            changed: str | None = entry.cell_json  # by itself it takes less
        else:
            entry.failures.append(outcome.kind)
            changed = retry.again(entry.cell_json, kind=outcome.kind, failures=entry.failures.count(outcome.kind))
        if changed is None:
            return False
        entry.cell_json, entry.pack = changed, ""  # what is wrong with one must not be tried on all
        async with self._arrival:
            self._waiting.appendleft(entry)
            self._arrival.notify()
        self._settle_what_nobody_will_run()
        return True

    def _settle_what_nobody_will_run(self) -> None:
        if not (self._interrupted or self._no_groups):
            return
        while self._waiting:
            entry = self._waiting.popleft()
            if self._interrupted:
                self._settle(entry, Outcome(entry.cell_id, "interrupted", message="the sweep was stopped before the cell began"))
            else:
                self._settle(entry, Outcome(entry.cell_id, "failed", kind="infrastructure", message=self._no_groups))

    def _settle(self, entry: _Entry, outcome: Outcome) -> None:
        if not entry.done.done():
            entry.done.set_result(outcome)
