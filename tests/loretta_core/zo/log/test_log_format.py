"""The bytes of a replay log: what is written is read, and any single flipped bit is put right."""

import pytest

from loretta_core.zo.log.log_format import STEPS_PER_BLOCK, Block, decode_header, decode_records, encode_block, encode_header, encode_settings, steps_in_block

ROWS = [(0.5, -1.25), (), (3.0, 2.0**-30)]
RECORDS = [
    Block(ROWS, [(0.1, 0.2)] * 2 + [(0.05, 0.2)]),
    {"groups": [{}], "seed": 3},
    Block([(1.0,)] * STEPS_PER_BLOCK),
    Block([()], [(0.3,)]),
]
DATA = b"".join(encode_block(record) if isinstance(record, Block) else encode_settings(record) for record in RECORDS)


def test_what_is_written_is_read():
    header, start = decode_header(encode_header({"a": [1, None]}) + DATA)
    assert header == {"a": [1, None]}
    found = decode_records(encode_header({"a": [1, None]}) + DATA, start=start, groups=2)
    assert found.records == RECORDS
    assert (found.end, found.torn, found.repaired) == (start + len(DATA), False, [])


@pytest.mark.parametrize("bit", [0, 3, 7])
def test_any_flipped_bit_is_put_right(bit):
    for at in range(len(DATA)):
        damaged = bytearray(DATA)
        damaged[at] ^= 1 << bit
        found = decode_records(bytes(damaged), start=0, groups=2)
        assert found.records == RECORDS, at
        assert len(found.repaired) == 1


def test_two_flipped_bits_end_what_can_be_read():
    damaged = bytearray(DATA)
    damaged[-1] ^= 1
    damaged[-2] ^= 1
    found = decode_records(bytes(damaged), start=0, groups=2)
    assert found.records == RECORDS[:-1]
    assert found.torn


@pytest.mark.parametrize("directions", [1, 2, 8, 20, 100, 128, 300, 20_000])
def test_frames_are_small_at_any_number_of_directions(directions):
    steps = steps_in_block(directions)
    assert 1 <= steps <= STEPS_PER_BLOCK
    record = encode_block(Block([(0.5,) * directions] * steps))
    assert len(record) <= 1.05 * 4 * directions * steps
    (block,) = decode_records(record, start=0, groups=1).records
    assert block.rows == [(0.5,) * directions] * steps


def test_any_flipped_bit_of_a_header_is_put_right():
    written = encode_header({"a": [1, None]})
    for bit in range(8 * len(written)):
        damaged = bytearray(written + DATA)
        damaged[bit // 8] ^= 1 << bit % 8
        assert decode_header(bytes(damaged)) == ({"a": [1, None]}, len(written)), bit


def test_a_header_that_is_damaged_is_refused():
    data = bytearray(encode_header({"a": 1}))
    data[15] ^= 3
    for bad in (bytes(data), encode_header({"a": 1})[:20], b"", b"ZOLOG2"):
        with pytest.raises(ValueError, match=r"header is damaged|does not begin like one"):
            decode_header(bad)
