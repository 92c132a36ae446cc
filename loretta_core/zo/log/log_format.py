"""The bytes of a replay log: records of a few steps each, so small that a flipped bit can be put right.

    file     = magic · header length (u32) · header (JSON) · CRC-32 (u32) · record · record · …
    record   = kind (u8) · count (varint) · payload · CRC-32 of all before (u32)
    kind 1…32        so many steps: count is the number of directions, the payload steps × directions fp32 differences; a skipped step is a row of NaN
    kind 64 + 1…32   the same, and after the differences a learning rate (fp64) per step and group: written where a rate is not the last one known
    kind 128         settings that hold from the next step on: count is the length of the payload, JSON

A block of 32 steps with one direction takes 6 bytes besides its 128 of differences. No record is longer than a CRC-32 can correct a single bit of: if one
flip makes the checksum right, it is the one that happened (but for chances of 1 in 10⁶ among blocks damaged otherwise). Worse damage ends the usable prefix.
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

MAGIC = b"ZOLOG2\n\0"
OLD_MAGIC = b"ZOLOG1\n\0"

STEPS_PER_BLOCK = 32
"""Most steps in one block: a killed run repeats at most so many."""
BYTES_PER_BLOCK = 1024
"""Most bytes of differences in one block of several steps."""
LONGEST_REPAIRED_HEADER = 1 << 14
"""Most bytes of a header in which a flipped bit is looked for: the time grows with their square, to a second here."""
_RATES, _SETTINGS = 64, 128


@dataclass(frozen=True)
class Block:
    """Some consecutive steps of a run."""

    rows: Sequence[tuple[float, ...]]
    """The differences of each step; empty for a skipped one."""
    rates: Sequence[tuple[float, ...]] = ()
    """The learning rates of each step, by group; empty where they are the last ones known."""


@dataclass
class Contents:
    """The records that a reader found between the header and the end, or the first damage."""

    records: list[Block | Mapping[str, Any]] = field(default_factory=list)
    """Blocks of steps, and settings that hold from the step after them."""
    end: int = 0
    """Bytes up to the end of the last good record."""
    repaired: list[int] = field(default_factory=list)
    """Where records with a flipped bit began."""
    torn: bool = False
    """Whether the file goes on after `end`, with nothing that can be read."""


def steps_in_block(directions: int) -> int:
    """Return the most steps of a block of so many directions."""
    return max(1, min(STEPS_PER_BLOCK, BYTES_PER_BLOCK // (4 * max(1, directions))))


def encode_header(header: Mapping[str, Any]) -> bytes:
    """Return the beginning of a file."""
    text = json.dumps(header, sort_keys=True).encode()
    return MAGIC + struct.pack("<I", len(text)) + text + struct.pack("<I", zlib.crc32(text))


def decode_header(data: bytes) -> tuple[dict[str, Any], int]:
    """Return the header, one flipped bit put right, and where it ends. Raises ValueError, in words, if the file does not begin with one."""
    if data[: len(OLD_MAGIC)] == OLD_MAGIC:
        raise ValueError("an earlier version wrote it, without the settings that decide the weights, so that a replay could not be checked; train again")
    if len(data) < len(MAGIC) + 4 or sum((one ^ other).bit_count() for one, other in zip(data, MAGIC, strict=False)) > 1:
        raise ValueError("it does not begin like one")
    size = struct.unpack_from("<I", data, len(MAGIC))[0]
    for possible in (size, *(size ^ 1 << bit for bit in range(32))):
        if (text := _header_text(data, possible, repairs=False)) is not None:
            return json.loads(text), len(MAGIC) + possible + 8
    if (text := _header_text(data, size, repairs=True)) is None:
        raise ValueError("its header is damaged")
    return json.loads(text), len(MAGIC) + size + 8


def _header_text(data: bytes, size: int, *, repairs: bool) -> bytes | None:
    """Return the text of a header of so many bytes if its checksum is right, or one flipped bit in either makes it so; else None."""
    start = len(MAGIC) + 4
    end = start + size
    if end + 4 > len(data):
        return None
    text, found = bytearray(data[start:end]), struct.unpack_from("<I", data, end)[0]
    wrong = zlib.crc32(text) ^ found
    if not wrong or (repairs and wrong.bit_count() == 1):
        return bytes(text)
    for at in range(size if repairs and size <= LONGEST_REPAIRED_HEADER else 0):
        for bit in range(8):
            text[at] ^= 1 << bit
            if zlib.crc32(text) == found:
                return bytes(text)
            text[at] ^= 1 << bit
    return None


def encode_settings(settings: Mapping[str, Any]) -> bytes:
    """Return a record of settings."""
    text = json.dumps(settings, sort_keys=True).encode()
    return _sealed(bytes([_SETTINGS]) + _varint(len(text)) + text)


def encode_block(block: Block) -> bytes:
    """Return a record of steps, which all have the same number of directions, or none."""
    directions = max(1, *map(len, block.rows))
    values = [value for row in block.rows for value in (row or (math.nan,) * directions)]
    rates = [rate for row in block.rates for rate in row]
    kind = len(block.rows) + (_RATES if rates else 0)
    return _sealed(bytes([kind]) + _varint(directions) + struct.pack(f"<{len(values)}f{len(rates)}d", *values, *rates))


def decode_records(data: bytes, *, start: int, groups: int) -> Contents:
    """Read records up to the end of the file or the first damage; `groups` is the number of learning rates of a step."""
    found, buffer = Contents(end=start), bytearray(data)
    while found.end < len(buffer):
        end = _good_end(buffer, found.end, groups=groups)
        if end is None:
            end = _repair(buffer, found.end, groups=groups)
            if end is None:
                found.torn = True
                break
            found.repaired.append(found.end)
        record = _decode(bytes(buffer[found.end : end]))
        if not isinstance(record, Block):
            groups = len(record["groups"])
        found.records.append(record)
        found.end = end
    return found


def _sealed(body: bytes) -> bytes:
    return body + struct.pack("<I", zlib.crc32(body))


def _decode(record: bytes) -> Block | Mapping[str, Any]:
    kind, count, payload = _frame(record, 0)
    if kind == _SETTINGS:
        return json.loads(record[payload:-4])
    steps = kind % _RATES
    values = struct.unpack_from(f"<{steps * count}f", record, payload)
    rows = [values[at : at + count] for at in range(0, len(values), count)]
    rates = struct.unpack(f"<{(len(record) - 4 - payload - 4 * len(values)) // 8}d", record[payload + 4 * len(values) : -4])
    each = len(rates) // steps
    return Block([() if math.isnan(row[0]) else row for row in rows], [rates[at : at + each] for at in range(0, len(rates), each)] if each else ())


def _good_end(data: bytes | bytearray, start: int, *, groups: int) -> int | None:
    """Return where the record at `start` ends; None if there is no good one."""
    end = _end(data, start, groups=groups)
    if end is None or end > len(data) or zlib.crc32(data[start : end - 4]) != int.from_bytes(data[end - 4 : end], "little"):
        return None
    return end


def _end(data: bytes | bytearray, start: int, *, groups: int) -> int | None:
    """Return where the record at `start` says that it ends; None if it is not the beginning of one."""
    kind, count, payload = _frame(data, start)
    if kind == _SETTINGS:
        return payload + count + 4
    steps = kind % _RATES
    if kind >= _SETTINGS or not 1 <= steps <= STEPS_PER_BLOCK or count < 1:
        return None
    return payload + 4 * steps * count + (8 * steps * groups if kind > _RATES else 0) + 4


def _frame(data: bytes | bytearray, start: int) -> tuple[int, int, int]:
    """Return kind, count, and where the payload begins."""
    count, at = 0, start + 1
    for shift in range(0, 35, 7):
        byte = data[at] if at < len(data) else 0
        count |= (byte & 127) << shift
        at += 1
        if byte < 128:
            break
    return data[start], count, at


def _repair(data: bytearray, start: int, *, groups: int) -> int | None:
    """Flip back the one bit that makes the record at `start` good, and return its end; None, and nothing changed, if there is none."""
    end = _end(data, start, groups=groups)
    longest = BYTES_PER_BLOCK + 8 * STEPS_PER_BLOCK * groups + 16
    last = min(len(data), start + longest, end if end is not None and end <= len(data) else start + 6)
    for at in range(start, last):
        for bit in range(8):
            data[at] ^= 1 << bit
            if (found := _good_end(data, start, groups=groups)) is not None:
                return found
            data[at] ^= 1 << bit
    return None


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])
