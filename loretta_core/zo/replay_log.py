"""The replay log of a zeroth-order run: 4 bytes per step and direction, from which any step's weights are rebuilt bitwise.

θ_T is a function of θ_0, the directions (a function of the seed), the differences d, the learning rates, and the settings of the update. The log has them all
but the directions: θ_0 as a digest, the settings in its header and where they change, a rate where it is not the last one. `replay` feeds the d's to
the optimizer again, and refuses an optimizer that would make other weights of them. The bytes are in `log/log_format.py`.
MeZO (arXiv 2305.17333, section 2.1) describes the idea; the counter-based noise makes it independent of shapes, threads and, for signs, of the device.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor

from loretta_core.errors import OutputError
from loretta_core.zo.base import ZerothOrderBase
from loretta_core.zo.log.log_format import STEPS_PER_BLOCK as STEPS_PER_BLOCK
from loretta_core.zo.log.log_format import Block, Contents, decode_header, decode_records, encode_block, encode_header, encode_settings, steps_in_block
from loretta_core.zo.log.settings import differing
from loretta_core.zo.parameters.placement import digest


@dataclass(frozen=True)
class ReplayLog:
    """The readable part of a log."""

    header: Mapping[str, Any]
    """What the writer was given, and under "run" what decides the weights: settings, rates, start."""
    rows: tuple[tuple[float, ...], ...]
    """The differences of step 0, 1, …; empty for a skipped step."""
    end: int
    """Bytes of the file up to the end of the last good block."""
    damage: str
    """What is damaged, in words, also where it was put right; empty if nothing is."""
    rates: tuple[tuple[float, ...], ...] = ()
    """The learning rates of each step, by group; empty where the header's owner answers for them."""
    settings: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    """Step → the settings that hold from it on: those of step 0, and every change."""


class LogWriter:
    """Appends the steps of a run to a file; use as `optimizer.on_step`.

    Args:
        path: the file. The first step that is logged decides: 0 begins it anew, a later one continues it there and drops what follows.
        header: JSON values of your own that say what the log belongs to.
        optimizer: whose steps are logged; the assignment `optimizer.on_step = writer` says the same, once the initial weights are in place. A log of steps
            that have no optimizer cannot be replayed.
        rates: whether the learning rates are logged. False where the header names their schedule, as a cell's id does: a replay then needs it.

    The first step raises OutputError if the file does not reach so far, or belongs to another run.
    """

    def __init__(self, path: Path, *, header: Mapping[str, Any] | None = None, optimizer: ZerothOrderBase | None = None, rates: bool = True) -> None:
        self._path = path
        self._header = dict(header or {})
        self._logs_rates = rates
        self._begun = False
        self._optimizer: ZerothOrderBase | None = None
        self._start: str | None = None
        self._clear()
        if optimizer is not None:
            self.bind(optimizer)

    def bind(self, optimizer: ZerothOrderBase) -> None:
        """Note the optimizer, and the digest of its weights if it has taken no step yet."""
        self._optimizer = optimizer
        self._start = optimizer.storage.sha256() if optimizer.steps_taken == 0 else None

    def __call__(self, step: int, differences: Sequence[float]) -> None:
        """Log one step. Blocks are written when they are full, when the number of directions or a setting changes, and by `flush`."""
        settings = self._optimizer.update_settings if self._optimizer is not None else {}
        rates = self._optimizer.rates if self._optimizer is not None and self._logs_rates else ()
        if not self._begun:
            self._create_or_cut(step, settings, rates)
            self._begun = True
        assert step == self._next, f"step {step} follows step {self._next - 1}"
        written = self._add(tuple(differences), settings, rates)
        if written:
            with self._path.open("ab") as file:
                file.write(written)

    def flush(self) -> None:
        """Write the buffered steps as one block, and let the disk have all blocks."""
        if self._begun:
            with self._path.open("ab") as file:
                file.write(self._take_block())
                file.flush()
                os.fsync(file.fileno())

    def _clear(self) -> None:
        self._next = 0
        self._settings: Mapping[str, Any] = {}
        self._rates: tuple[float, ...] = ()
        self._block: list[tuple[tuple[float, ...], tuple[float, ...]]] = []

    def _create_or_cut(self, first_step: int, settings: Mapping[str, Any], rates: tuple[float, ...]) -> None:
        """Create the file, or write it again up to `first_step`."""
        header: dict[str, Any] = dict(self._header)
        if settings:
            header["run"] = {"settings": settings, "rates": list(rates), "start_sha256": self._start}
        log = None
        if first_step:
            log = read_log(self._path)
            _check_continues(log, header, first_step, path=self._path)
            header = dict(log.header)
        self._settings, self._rates = (header["run"]["settings"], tuple(header["run"]["rates"])) if settings else ({}, ())
        content = [encode_header(header)]
        for step in range(first_step):
            assert log is not None
            content.append(self._add(log.rows[step], log.settings.get(step, self._settings), log.rates[step] if log.rates else ()))
        content.append(self._take_block())
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_name(f".{self._path.name}.tmp")
        temporary.write_bytes(b"".join(content))
        temporary.replace(self._path)

    def _add(self, row: tuple[float, ...], settings: Mapping[str, Any], rates: tuple[float, ...]) -> bytes:
        """Put a step into the block; returns the bytes of what is complete."""
        written, directions = b"", max((len(known) for known, _ in self._block), default=0)
        if settings != self._settings:
            written += self._take_block() + encode_settings(settings)
            self._settings = settings
        elif row and directions and len(row) != directions:
            written += self._take_block()
        self._block.append((row, rates))
        self._next += 1
        return written + self._take_block() if len(self._block) >= steps_in_block(max(directions, len(row))) else written

    def _take_block(self) -> bytes:
        """Return the bytes of the steps that no record has yet; none are left afterwards."""
        if not self._block:
            return b""
        rows, rates = zip(*self._block, strict=True)
        self._block = []
        news = any(rate != self._rates for rate in rates)
        self._rates = rates[-1]
        return encode_block(Block(rows, rates if news else ()))


def read_log(path: Path) -> ReplayLog:
    """Read a log up to its first damage that one flipped bit does not explain. Raises OutputError when there is no such file or no readable header."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise OutputError(f"{path}: no replay log ({error.strerror}); only zeroth-order cells have one") from None
    try:
        header, start = decode_header(data)
    except ValueError as error:
        raise OutputError(f"{path}: not a replay log: {error}") from None
    run = header.get("run", {"settings": {}, "rates": []})
    contents = decode_records(data, start=start, groups=len(run["rates"]))
    return _assembled(header, contents, rates=tuple(run["rates"]), settings=run["settings"], path=path)


def replay(log: ReplayLog, optimizer: ZerothOrderBase, *, steps: int | None = None, set_lr: Callable[[int], object] | None = None) -> None:
    """Bring freshly initialised parameters to the state after `steps` steps (None: all of the log).

    `optimizer` is built as for the run, over the same initial parameters; `set_lr` is called with each step before it, as the run's schedule was.
    Bitwise the run's weights on the same device type, torch build and thread count; with signs and ZOSGD on any.
    Raises OutputError if the log does not have the step, the optimizer is beyond it, or the log is that of another start, other settings or other rates.
    """
    wanted = len(log.rows) if steps is None else steps
    check_reaches(log, wanted)
    if optimizer.steps_taken > wanted:
        raise OutputError(f"the optimizer has taken {optimizer.steps_taken} steps, step {wanted} lies before: build it anew over the initial weights")
    _check_start(log, optimizer, has_schedule=set_lr is not None)
    settings = _settings_at(log, optimizer.steps_taken)
    for step in range(optimizer.steps_taken, wanted):
        if set_lr is not None:
            set_lr(step)
        settings = log.settings.get(step, settings)
        optimizer.look()
        if settings != (present := optimizer.update_settings):
            raise OutputError(f"step {step} was made by an optimizer with other settings; the log has {'; '.join(differing(settings, present))}")
        if log.rates and log.rates[step] != optimizer.rates:
            raise OutputError(
                f"step {step} was made with learning rate {_rates(log.rates[step])}, the optimizer has {_rates(optimizer.rates)}: give it the run's, "
                "and a schedule as set_lr"
            )
        optimizer.advance(log.rows[step])


def check_reaches(log: ReplayLog, step: int) -> None:
    """Raise OutputError unless the log has the weights after `step` steps; 0 is before training."""
    if not 0 <= step <= len(log.rows):
        raise OutputError(f"the log holds {len(log.rows)} steps, step {step} was asked for; give 0 to {len(log.rows)}{'; ' + log.damage if log.damage else ''}")


def weights_sha256(theta_P: Float[Tensor, " P"]) -> str:
    """Return the digest of a parameter vector's bytes."""
    return digest([theta_P])


def _assembled(header: Mapping[str, Any], contents: Contents, *, rates: tuple[float, ...], settings: Mapping[str, Any], path: Path) -> ReplayLog:
    rows: list[tuple[float, ...]] = []
    every_rate: list[tuple[float, ...]] = []
    changes = {0: settings}
    for record in contents.records:
        if not isinstance(record, Block):
            changes[len(rows)] = record
            continue
        known = record.rates or [rates] * len(record.rows)
        rows += record.rows
        every_rate += known
        rates = known[-1]
    damage = [f"{path}: a flipped bit in the block at byte {at} was put right" for at in contents.repaired]
    if contents.torn:
        damage.append(f"{path}: a damaged or torn block at byte {contents.end}, after step {len(rows)}; the steps before it are good")
    return ReplayLog(header, tuple(rows), contents.end, "; ".join(damage), tuple(every_rate) if rates else (), changes)


def _settings_at(log: ReplayLog, step: int) -> Mapping[str, Any]:
    return log.settings[max(first for first in log.settings if first <= step)]


def _check_start(log: ReplayLog, optimizer: ZerothOrderBase, *, has_schedule: bool) -> None:
    run = log.header.get("run")
    if run is None:
        raise OutputError("the log does not say what decides its weights: it was written without an optimizer; use optimizer.on_step = LogWriter(…)")
    if not log.rates and log.rows and not has_schedule:
        raise OutputError("the log leaves the learning rates to the schedule of its run: give it as set_lr")
    if optimizer.steps_taken == 0 and run["start_sha256"] != (start := optimizer.storage.sha256()):
        raise OutputError(f"the log begins at weights {run['start_sha256']}, the optimizer at {start}: build the model as for the run (files, seed, versions)")


def _check_continues(log: ReplayLog, header: Mapping[str, Any], first_step: int, *, path: Path) -> None:
    ours, theirs = _identity(header), _identity(log.header)
    started = [one["run"]["start_sha256"] for one in (header, log.header) if "run" in one]
    if ours != theirs or (None not in started and len(set(started)) > 1):
        raise OutputError(f"{path}: the replay log belongs to another run: {'; '.join(differing(theirs, ours)) or 'it begins at other weights'}")
    settings = header["run"]["settings"] if "run" in header else {}
    if len(log.rows) < first_step:
        raise OutputError(f"{path}: the replay log ends at step {len(log.rows)} and cannot be continued at step {first_step}; {log.damage or 'it is shorter'}")
    if changed := differing(_settings_at(log, first_step), settings):
        raise OutputError(f"{path}: the replay log belongs to another run: {'; '.join(changed)}")


def _identity(header: Mapping[str, Any]) -> dict[str, Any]:
    """Return what two parts of one run have in common."""
    return {**header, "run": "run" in header}


def _rates(rates: Sequence[float]) -> str:
    return ", ".join(f"{rate:g}" for rate in dict.fromkeys(rates))
