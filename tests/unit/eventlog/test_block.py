"""A block either says what was written, or that it is damaged."""

import pytest

from footfall.eventlog.block import Block, DamagedBlock, decode, encode

MAGIC = b"magic!!!"
BODIES = [b"", b"a", b"bc" * 300, bytes(7)]


def test_what_is_encoded_is_decoded():
    last, data = encode(MAGIC, 1 << 50, 1234.5, BODIES)
    assert last == (1 << 50) + 3
    assert decode(MAGIC, data) == Block(1 << 50, last, 1234.5, BODIES)


def test_any_flipped_bit_is_noticed_and_costs_one_body_or_the_block():
    _, data = encode(MAGIC, 7, 1234.5, BODIES)
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            block = decode(MAGIC, bytes(damaged))
        except DamagedBlock:
            continue
        assert block.damaged == 1
        assert block._replace(records=BODIES) == Block(7, 10, 1234.5, BODIES)
        assert all(found in (None, body) for found, body in zip(block.records, BODIES, strict=True))


@pytest.mark.parametrize("data", [b"", b"x", None, 7, "text", bytes(36), encode(MAGIC, 0, 0, BODIES)[1][:-1]])
def test_what_is_no_block_is_damaged(data):
    with pytest.raises(DamagedBlock):
        decode(MAGIC, data)


def test_a_block_of_another_segment_is_damaged():
    with pytest.raises(DamagedBlock):
        decode(b"another!", encode(MAGIC, 0, 0, BODIES)[1])
