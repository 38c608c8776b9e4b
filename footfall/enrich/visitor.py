"""Visitors and sessions as 64-bit numbers, from which nobody gets back to an address or an id.

Keyed BLAKE2b (RFC 7693) of 8 bytes; each kind has its own personalisation, so that equal
inputs of two kinds never give equal numbers on purpose. 0 means unknown and is never returned.
"""

from hashlib import blake2b
from ipaddress import IPv6Address, ip_address

from footfall.model.addresses import inner_ipv4


def device_hash(salt: bytes, workspace_id: str, ip: str, user_agent: str) -> int:
    """The same device on the same day in the same workspace; `salt` is the day's (16 to 64 bytes).

    Of an IPv6 address the /64 counts: privacy extensions change the rest within a network. An
    IPv4 address inside IPv6 is itself. Text that is no address counts as it is.
    """
    return _hash(salt, b"device", workspace_id, _network(ip), user_agent)


def client_visitor(secret: bytes, client_id: str) -> int:
    """A visitor by the id their client keeps; `secret` is the workspace's and never changes."""
    return _hash(secret, b"visitor", client_id)


def client_session(secret: bytes, session: str) -> int:
    """A session by the client's own name for it."""
    return _hash(secret, b"session", session)


def public_event_id(secret: bytes, site_id: str, event_id: bytes) -> bytes:
    """The id under which an event is kept that came without a key.

    Anybody may choose any id. Under the workspace's secret none of them becomes one that somebody with a
    key sends, or another site; the same one stays the same.
    """
    data = site_id.encode("utf-8", "surrogatepass") + b"\0" + event_id
    return blake2b(data, digest_size=16, key=secret, person=b"event").digest()


def session_id(visitor: int, started_ms: int) -> int:
    """A session made here: of this visitor, started at this time (ms since 1970)."""
    return _hash(b"", b"started", str(visitor), str(started_ms))


def _network(ip: str) -> str:
    if ":" not in ip:
        return ip
    try:
        address = ip_address(ip)
    except ValueError:
        return ip
    if not isinstance(address, IPv6Address):
        return ip
    return str(inner_ipv4(address) or address.packed[:8].hex())


def _hash(key: bytes, kind: bytes, *parts: str) -> int:
    data = b"\0".join(part.encode("utf-8", "surrogatepass") for part in parts)
    return int.from_bytes(blake2b(data, digest_size=8, key=key, person=kind).digest(), "big") or 1
