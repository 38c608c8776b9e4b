"""The client's address among what headers and logs write for it: lists, ports, brackets, quotes.

It is the client's or none: what is not understood is no address, and so in no hash, look-up or message.
"""

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address

_LONGEST = 1000  # of a list; a longer text is none, and is not remembered as such
_NAT64 = IPv6Network("64:ff9b::/96")
_INSIDE = tuple(
    ip_network(each)
    for each in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
        "192.168.0.0/16", "::/127", "fc00::/7", "fe80::/10",
    )
)  # fmt: skip
"""Networks of which everybody has one of their own."""


def client_address(text: str) -> str:
    """The address of the client; "" if `text` tells none.

    Of a list, in which each proxy writes behind the one before (`X-Forwarded-For`), it is the first that is
    no address of an inner network, else the first. A list of which a member is no address is none.
    """
    return _client_address(text) if len(text) <= _LONGEST else ""


@lru_cache(16_384)
def _client_address(text: str) -> str:
    text = text.strip().strip("\"'")
    members = [member for part in text.split(",") if (member := part.strip()) not in {"", "-"}]
    found = [parse_address(member) for member in members]
    known = [address for address in found if address is not None]
    if not known or len(known) < len(found):
        return ""
    return str(next((address for address in known if not _is_inside(address)), known[0]))


def parse_address(text: str) -> Address | None:
    """One address, however it is written; None if it is none. One of IPv4 within IPv6 is that of IPv4."""
    text = text.strip().strip("\"'")
    if text[:4].lower() == "for=":  # of RFC 7239
        text = text[4:].partition(";")[0].strip('"')
    if text.startswith("["):
        text, closed, port = text[1:].partition("]")
        if not closed or (port and not _is_port(port.removeprefix(":"))):
            return None
    elif text.count(":") == 1:
        text, _, port = text.partition(":")
        if not _is_port(port):
            return None
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
        return IPv6Address(int(address))  # without its zone
    return address


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5


def _is_inside(address: Address) -> bool:
    return any(network.version == address.version and address in network for network in _INSIDE)
