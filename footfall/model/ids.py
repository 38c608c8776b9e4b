"""Identifiers: UUIDv7 for events made here, ULID and UUID accepted from clients, short random ids."""

import os
import secrets
import time
import uuid
from itertools import chain, repeat
from struct import Struct

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_CROCKFORD_VALUE = {c: i for i, c in enumerate(_CROCKFORD)} | {c.lower(): i for i, c in enumerate(_CROCKFORD)}
_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"  # without what people misread


_WORDS = Struct(">1024Q")
# Random bits of the operating system, 1024 words of 64 a call: nobody who has seen ids, as every redirect
# shows one, knows others; and a call for each event would give up the GIL each time. Shared by threads:
# two that need more at once may lose a tuple, and never get the same word.
_random_word = chain.from_iterable(map(_WORDS.unpack, map(os.urandom, repeat(_WORDS.size)))).__next__
_VERSION_AND_VARIANT = 0x7 << 76 | 0x2 << 62


def uuid7(at_ms: int | None = None) -> bytes:
    """A new UUIDv7 (RFC 9562, section 5.7) as 16 bytes: sorts by time (ms; default now), 74 random bits."""
    ms = int(time.time() * 1000) if at_ms is None else at_ms
    bits = ms << 80 | _VERSION_AND_VARIANT | (_random_word() & 0xFFF) << 64 | _random_word() >> 2
    return bits.to_bytes(16, "big")


def parse_event_id(text: str) -> bytes:
    """The 16 bytes of a UUID (with or without hyphens) or a ULID (26 characters).

    Raises ValueError for anything else.
    """
    if len(text) == 26:
        value = 0
        for char in text:
            digit = _CROCKFORD_VALUE.get(char)
            if digit is None:
                raise ValueError("not a ULID")
            value = value << 5 | digit
        return value.to_bytes(16, "big") if value < 1 << 128 else _overflow()
    if len(text) == 36 and text[8] == text[13] == text[18] == text[23] == "-":
        text = text.replace("-", "")
    if len(text) != 32 or not text.isascii() or not text.isalnum():
        raise ValueError("neither a UUID nor a ULID")
    return bytes.fromhex(text)


def _overflow() -> bytes:
    raise ValueError("a ULID starts with 0 to 7")


def format_event_id(data: bytes) -> str:
    """The canonical UUID spelling."""
    return str(uuid.UUID(bytes=data))


def short_id(prefix: str, length: int = 10) -> str:
    """A random id for a thing of the metadata store, for example `site_k3v9x2m4tq`."""
    return prefix + "_" + "".join(secrets.choice(_ALPHABET) for _ in range(length))


def short_code(length: int = 7) -> str:
    """A random short code for a link: 31^7 = 27 billion of them."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))
