"""IPv4 addresses that are written as IPv6 ones."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network

_NAT64 = IPv6Network("64:ff9b::/96")


def inner_ipv4(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 address stands for, None for all others.

    Mapped (RFC 4291), 6to4 (RFC 3056: one IPv4 address has 65,536 networks of /64) and NAT64 (RFC 6052: all
    IPv4 addresses are in one network of /64).
    """
    translated = IPv4Address(int(address) & 0xFFFF_FFFF) if address in _NAT64 else None
    return address.ipv4_mapped or address.sixtofour or translated
