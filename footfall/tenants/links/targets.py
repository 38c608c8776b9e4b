"""What a link may point at, and where it may live: targets, codes and hosts.

A target ends in a `Location` header, so it is brought into the form that every browser
reads the same way: plain ASCII, with a host that means what it looks like. Sources: RFC 3986
for the parts, the WHATWG URL standard for what browsers make of the rest, UTS 46 for names.
"""

import re
from collections.abc import Collection
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from urllib.parse import quote, unquote_plus, urlsplit

from footfall.errors import Invalid
from footfall.model.addresses import inner_ipv4

MAX_URL = 8192
MAX_HOST = 253


# Paths of the door. They are refused on every domain, in upper and lower case.
RESERVED = frozenset({
    "favicon.ico", "robots.txt", ".well-known", "v1", "v2", "api", "health", "metrics", "docs", "openapi",
})  # fmt: skip

_CODE = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TARGET = re.compile(r"(https?)://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:@]+)(?::([0-9]{1,5}))?")
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
# C0, DEL and C1; lone surrogates have no encoding.
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\\\ud800-\udfff]")
_JOINERS = "\u200c\u200d"
# Everything printable that may stand in a header as it is. "%" too: what is encoded stays so.
_SAFE = "!#$%&'()*+,-./:;=?@[]^_{|}~"


def check_target(url: str, own: Collection[str]) -> str:
    """The form of `url` that goes into `Location`: ASCII, spaces percent-encoded, host in punycode.

    `own` are hosts of this installation, in the form of `names_of`: a link to one of them
    could lead back to itself. Raises Invalid with field `url`.
    """
    url = url.strip(" ")
    if len(url) > MAX_URL:
        raise Invalid(f"url is longer than {MAX_URL} characters", field="url")
    if _FORBIDDEN.search(url):
        raise Invalid("url must not contain control characters, line breaks or backslashes", field="url")
    parts = _TARGET.fullmatch(url)
    if parts is None:
        raise Invalid("url must start with http:// or https://", field="url")
    if "@" in parts[2]:
        raise Invalid("url must not contain a user name or password", field="url")
    authority = _AUTHORITY.fullmatch(parts[2])
    if authority is None:
        raise Invalid("url must name a host, as in https://example.com/", field="url")
    host, port = check_host(authority[1], field="url"), _port(authority[2], "url")
    location = f"{parts[1].lower()}://{host}{f':{port}' if port else ''}{as_written(parts[3])}"
    if len(location) > MAX_URL:
        raise Invalid(f"url is longer than {MAX_URL} characters once it is encoded", field="url")
    if any(name in own for name in names_of(location)):
        raise loop_error(location)
    return location


def as_written(text: str) -> str:
    """`text` as it stands behind the host of a target: percent-encoded where that must be."""
    return quote(text, safe=_SAFE)


def with_query(location: str, query: bytes) -> str:
    """A checked target with the query of a visit, whose parameters replace the target's of the same name.

    One that is empty replaces nothing. Only the target's query can change, by nothing but what a header and a
    query may hold. A target that would be too long stays as it is.
    """
    visit = [part for part in quote(query, safe=_SAFE.replace("#", "")).split("&") if part]
    if not visit:
        return location
    place, hash_, fragment = location.partition("#")
    path, _, own = place.partition("?")
    replaced = {_parameter(part) for part in visit if part.partition("=")[2]}
    kept = [part for part in own.split("&") if part and _parameter(part) not in replaced]
    names = {_parameter(part) for part in kept}
    added = [part for part in visit if _parameter(part) not in names]
    made = f"{path}?{'&'.join([*kept, *added])}{hash_}{fragment}"
    return made if len(made) <= MAX_URL else location


def _parameter(part: str) -> str:
    return unquote_plus(part.partition("=")[0])


@lru_cache(2000)  # asked at every redirect; targets may be 8 KiB long
def names_of(location: str) -> tuple[str, ...]:
    """The names under which a checked target's host is compared with hosts of ours.

    The host alone (which stands for all its ports), and with its port; 80 and 443 count as none. And the
    same as `localhost` where it is another name or address of the machine itself.
    """
    host, port = _host_and_port(location)
    names = (host, with_port(host, port))
    same = own_name(host)
    return names if same == host else (*names, same, with_port(same, port))


def host_of(location: str) -> str:
    """The host of a checked target as it stands in a Host header."""
    return with_port(*_host_and_port(location))


def _host_and_port(location: str) -> tuple[str, int | None]:
    parts = urlsplit(location)
    return parts.netloc.removesuffix(f":{parts.port}"), parts.port


def own_name(host: str) -> str:
    """`localhost` for all names and addresses of the machine itself; an IPv4 address in IPv6 as IPv4."""
    if host == "localhost" or host.endswith((".localhost", "localhost.localdomain")):
        return "localhost"
    if host.startswith("["):
        inner = IPv6Address(host[1:-1])
        mapped = inner_ipv4(inner)
        if mapped is None:
            return "localhost" if inner.is_loopback or inner.is_unspecified else host
        host = str(mapped)
    if _is_address(host) and (IPv4Address(host).is_loopback or host.startswith("0.")):
        return "localhost"
    return host


def with_port(host: str, port: int | None) -> str:
    """`host:port` as it stands in a Host header; 80 and 443 are left out."""
    return host if port in {None, 80, 443} else f"{host}:{port}"


def loop_error(location: str) -> Invalid:
    """The error for a target on one of our own hosts."""
    return Invalid(f"url must not point back at this installation ({host_of(location)})", field="url")


def check_code(code: str) -> str:
    """`code`, if a link may have it. Raises Invalid with field `code`."""
    if code.lower() in RESERVED:
        raise Invalid(
            f"code {code!r} is reserved; also reserved: {', '.join(sorted(RESERVED))}", field="code"
        )
    if not _CODE.fullmatch(code):
        raise Invalid("code must be 1 to 64 of the characters A-Z a-z 0-9 _ -", field="code")
    return code


def check_domain(domain: str) -> str:
    """A short domain as it stands in the Host header: lower case, punycode, perhaps with a port.

    Raises Invalid with field `domain`.
    """
    split = _AUTHORITY.fullmatch(domain.strip(" "))
    if split is None or _FORBIDDEN.search(domain):
        raise Invalid("domain must be a host name, as in go.example.com", field="domain")
    host, port = check_host(split[1], field="domain"), _port(split[2], "domain")
    if host != "localhost" and ("." not in host or _is_address(host)):
        raise Invalid("domain must be a full host name, as in go.example.com", field="domain")
    return with_port(host, port)


def check_host(host: str, *, field: str) -> str:
    """A host in the form that goes over the wire: lower case, IDN as punycode, no trailing dot.

    Raises Invalid with `field`.
    """
    if host.startswith("["):
        try:
            return f"[{IPv6Address(host[1:-1])}]"
        except AddressValueError:
            raise Invalid(f"{field} contains a wrong IPv6 address", field=field) from None
    name = _to_ascii(host, field).lower().removesuffix(".")
    if len(name) > MAX_HOST or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise Invalid(f"{field} contains a wrong host name", field=field)
    # Browsers take a host whose last label is a number for an address: 0x7f.1, 2130706433.
    if re.fullmatch(r"[0-9]+|0x[0-9a-f]*", name.rsplit(".", 1)[-1]) and not _is_address(name):
        raise Invalid(f"{field} contains a wrong IPv4 address; write it as 192.0.2.1", field=field)
    return name


def _port(digits: str | None, field: str) -> int | None:
    if digits is None:
        return None
    port = int(digits)
    if not 1 <= port <= 65535:
        raise Invalid(f"{field} contains a wrong port; 1 to 65535 are allowed", field=field)
    return port


def _is_address(name: str) -> bool:
    try:
        IPv4Address(name)
    except AddressValueError:
        return False
    return True


def _to_ascii(host: str, field: str) -> str:
    """As browsers do it (UTS 46, not transitional), which take symbols and emoji that IDNA 2008 does not."""
    if host.isascii():
        return host
    import idna  # noqa: PLC0415 -- its tables are large, and few hosts need them

    try:
        labels = idna.uts46_remap(host, std3_rules=False, transitional=False).split(".")
        return ".".join(label if label.isascii() else _to_punycode(label) for label in labels)
    except (idna.IDNAError, UnicodeError):
        raise Invalid(f"{field} contains a host name that no browser accepts", field=field) from None


def _to_punycode(label: str) -> str:
    """One label that was mapped. Raises IDNAError for what is not valid by UTS 46."""
    import idna  # noqa: PLC0415 -- as above

    idna.check_nfc(label)
    idna.check_initial_combiner(label)
    idna.check_bidi(label)
    for place, char in enumerate(label):
        if char in _JOINERS and not idna.valid_contextj(label, place):
            raise idna.InvalidCodepointContext("a joiner where none may be")
    return f"xn--{label.encode('punycode').decode()}"
