"""The replay log of a zeroth-order run: 4 bytes per step and direction, from which any step's weights are rebuilt bitwise.

    file   = magic · header length (u32) · header (JSON) · block · block · …
    block  = "ZOBK" · first step (u32) · steps (u32) · directions (u32) · CRC-32 of the block (u32) · steps × directions fp32 differences

θ_T is a function of θ_0, the directions (a function of the seed) and the differences d: `replay` feeds them to `optimizer.apply` again. A skipped step is a
row of NaN. A block holds consecutive steps with the same number of directions and is written whole; a damaged or torn one ends the usable prefix.
MeZO (arXiv 2305.17333, section 2.1) describes the idea; the counter-based noise makes it independent of shapes, threads and, for signs, of the device.
"""

from __future__ import annotations

import json
import math
import os
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor

from loretta_core.errors import OutputError
from loretta_core.zo.optim import ZOSGD, ZerothOrder
from loretta_core.zo.parameters.placement import digest

MAGIC = b"ZOLOG1\n\0"
_BLOCK = struct.Struct("<4sIIII")
_BLOCK_MAGIC = b"ZOBK"

STEPS_PER_BLOCK = 256
"""Steps in one block. Its frame of 20 bytes is then 2 % of its scalars at one direction; a killed run repeats at most so many steps."""


@dataclass(frozen=True)
class ReplayLog:
    """The readable part of a log."""

    header: Mapping[str, Any]
    rows: tuple[tuple[float, ...], ...]
    """The differences of step 0, 1, …; empty for a skipped step."""
    end: int
    """Bytes of the file up to the end of the last good block."""
    damage: str
    """The reason why reading ended before the file did; empty if it did not."""


class LogWriter:
    """Appends the steps of a run to a file; use as `optimizer.on_step`.

    Args:
        path: the file. The first step that is logged decides: 0 begins it anew, a later one continues it there and drops what follows.
        header: JSON values that say what the log belongs to, such as the digest of the initial weights.

    The first step raises OutputError if the file does not reach so far, or belongs to another run.
    """

    def __init__(self, path: Path, *, header: Mapping[str, Any]) -> None:
        self._path = path
        self._header = header
        self._begun = False
        self._rows: list[tuple[float, ...]] = []
        self._next = 0

    def __call__(self, step: int, differences: Sequence[float]) -> None:
        """Log one step. Blocks are written when they are full, when the number of directions changes, and by `flush`."""
        if not self._begun:
            _create_or_cut(self._path, self._header, step)
            self._begun, self._next = True, step
        assert step == self._next, f"step {step} follows step {self._next - 1}"
        if differences and any(self._rows) and len(differences) != max(map(len, self._rows)):
            self.flush()
        self._rows.append(tuple(differences))
        self._next += 1
        if len(self._rows) == STEPS_PER_BLOCK:
            self.flush()

    def flush(self) -> None:
        """Write the buffered steps to the disk as one block."""
        if self._rows:
            with self._path.open("ab") as file:
                file.write(_encode_block(self._rows, first_step=self._next - len(self._rows)))
                file.flush()
                os.fsync(file.fileno())
            self._rows = []


def read_log(path: Path) -> ReplayLog:
    """Read the good prefix of a log. Raises OutputError when there is no such file or no readable header."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise OutputError(f"{path}: no replay log ({error.strerror}); only zeroth-order cells have one") from None
    header, start = _header(data, path)
    rows: list[tuple[float, ...]] = []
    end, damage = start, ""
    for first_step, block, at in _blocks(data, start):
        if isinstance(block, str):
            damage = f"{path}: {block} at byte {end}, after step {len(rows)}; the steps before it are good"
            break
        if first_step != len(rows):
            damage = f"{path}: a block of step {first_step} at byte {end} follows step {len(rows)}; the steps before it are good"
            break
        rows += block
        end = at
    return ReplayLog(header, tuple(rows), end, damage)


def replay(log: ReplayLog, optimizer: ZOSGD | ZerothOrder, *, steps: int | None = None, set_lr: Callable[[int], object] | None = None) -> None:
    """Bring freshly initialised parameters to the state after `steps` steps (None: all of the log).

    `optimizer` is built as for the run, over the same initial parameters; `set_lr` is called with each step before it, as the run's schedule was.
    Bitwise the run's weights on the same device type, torch build and thread count; with signs and ZOSGD on any. Raises OutputError if the log is shorter.
    """
    wanted = len(log.rows) if steps is None else steps
    if wanted > len(log.rows):
        raise OutputError(f"the log holds {len(log.rows)} steps, step {wanted} was asked for{'; ' + log.damage if log.damage else ''}")
    for step in range(optimizer.steps_taken, wanted):
        if set_lr is not None:
            set_lr(step)
        optimizer.apply(log.rows[step])


def weights_sha256(theta_P: Float[Tensor, " P"]) -> str:
    """Return the digest of a parameter vector's bytes."""
    return digest([theta_P])


def _create_or_cut(path: Path, header: Mapping[str, Any], first_step: int) -> None:
    """Create the file, or cut it so that it ends just before `first_step`."""
    if first_step == 0:
        text = json.dumps(header, sort_keys=True).encode()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(MAGIC + struct.pack("<I", len(text)) + text)
        return
    log = read_log(path)
    if log.header != dict(header):
        raise OutputError(f"{path}: the replay log belongs to another run: it says {dict(log.header)}, this is {dict(header)}")
    if len(log.rows) < first_step:
        raise OutputError(f"{path}: the replay log ends at step {len(log.rows)} and cannot be continued at step {first_step}; {log.damage or 'it is shorter'}")
    _cut(path, log, first_step)


def _cut(path: Path, log: ReplayLog, first_step: int) -> None:
    """Cut the file before `first_step`: earlier blocks stay, the block that holds it is written again up to there."""
    data = path.read_bytes()
    _, end = _header(data, path)
    kept = 0
    for first, block, at in _blocks(data[: log.end], end):
        if first + len(block) > first_step:
            break
        end, kept = at, first + len(block)
    rest = _encode_block(log.rows[kept:first_step], first_step=kept) if kept < first_step else b""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(data[:end] + rest)
    temporary.replace(path)


def _header(data: bytes, path: Path) -> tuple[dict[str, Any], int]:
    start = len(MAGIC) + 4
    try:
        if data[: len(MAGIC)] != MAGIC:
            raise ValueError("it does not begin like one")
        (size,) = struct.unpack_from("<I", data, len(MAGIC))
        return json.loads(data[start : start + size]), start + size
    except (ValueError, struct.error) as error:
        raise OutputError(f"{path}: not a replay log, or its header is damaged: {error}") from None


def _blocks(data: bytes, start: int) -> Iterator[tuple[int, list[tuple[float, ...]] | str, int]]:
    """Yield (first step, rows or an error text, end of the block) of one block after the other."""
    while start < len(data):
        body = start + _BLOCK.size
        if body > len(data):
            yield 0, "a torn block", start
            return
        magic, first_step, steps, directions, checksum = _BLOCK.unpack_from(data, start)
        end = body + 4 * steps * directions
        if magic != _BLOCK_MAGIC or end > len(data):
            yield 0, "a torn block" if magic == _BLOCK_MAGIC else "a damaged block", start
            return
        if zlib.crc32(data[start : body - 4] + data[body:end]) != checksum:
            yield 0, "a block with a wrong checksum", start
            return
        values = struct.unpack_from(f"<{steps * directions}f", data, body)
        rows = [values[at : at + directions] for at in range(0, len(values), directions)]
        yield first_step, [() if math.isnan(row[0]) else row for row in rows], end
        start = end


def _encode_block(rows: Sequence[tuple[float, ...]], *, first_step: int) -> bytes:
    directions = max(1, *map(len, rows))
    values = [value for row in rows for value in (row or (math.nan,) * directions)]
    frame = _BLOCK.pack(_BLOCK_MAGIC, first_step, len(rows), directions, 0)[:-4]
    payload = struct.pack(f"<{len(values)}f", *values)
    return frame + struct.pack("<I", zlib.crc32(frame + payload)) + payload
