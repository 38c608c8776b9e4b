"""IP address -> place, from MaxMind DB files. Runs at the door: addresses go no further.

Reads the nested records of MaxMind and DB-IP and the flat ones of ip-location-db and IPinfo.
What a file does not know is empty; nothing about an address is ever an error.
"""

import re
from datetime import UTC, date, datetime
from functools import lru_cache
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any, NamedTuple, cast

from maxminddb import (
    InvalidDatabaseError,
    open_database,  # pyright: ignore[reportUnknownVariableType]  a type argument is missing
)

from footfall.enrich.text import clean
from footfall.errors import Misconfigured
from footfall.model.addresses import inner_ipv4

PACKAGED = Path(__file__).parents[1] / "_data" / "country.mmdb"

REMEMBERED = 16_384  # addresses, about 6 MB


# Two letters that are free for users (AA, QM to QZ, XA to XZ, ZZ) are none; XK is what all call Kosovo.
_COUNTRY = re.compile("(?!AA|AP|EU|EZ|UN|Q[M-Z]|X[A-JL-Z]|ZZ)[A-Z]{2}")
_SAID_OF_COUNTRIES = {"UK": "GB", "EL": "GR"}


class Geo(NamedTuple):
    """Where an address is. Region is the ISO 3166-2 part after the country, or a name."""

    country_code: str = ""
    region: str = ""
    city: str = ""
    latitude: float | None = None
    longitude: float | None = None
    timezone: str = ""
    asn: int = 0


NOWHERE = Geo()


class GeoReader:
    """Looks addresses up in the file at `path`, or in all files (*.mmdb) of the directory `path`.

    A directory may hold a city and a network file, or one file for IPv4 and one for IPv6: the
    first, by name, that knows a field gives it. None is the country data of the package; if
    that was never built, every place is empty.

    `networks`: a file of networks beside it, for the numbers that the others do not know.

    Raises Misconfigured when a given path has no readable database.
    """

    def __init__(self, path: Path | None, networks: Path | None = None) -> None:
        if path is None:
            files = [PACKAGED] if PACKAGED.exists() else []
        else:
            files = sorted(path.glob("*.mmdb")) if path.is_dir() else [path]
            if not files:
                raise Misconfigured(f"geo_database: no .mmdb file in {path}")
        try:
            opened: list[Any] = [open_database(file) for file in files]
        except (OSError, InvalidDatabaseError) as error:
            raise Misconfigured(f"geo_database: {error}") from None
        built: list[int] = [reader.metadata().build_epoch for reader in opened]
        self.build_date: date | None = datetime.fromtimestamp(min(built), UTC).date() if built else None
        self._readers = opened + _opened_networks(networks)
        self._remembered = lru_cache(maxsize=REMEMBERED)(self._look_up)

    def lookup(self, ip: str) -> Geo:
        """Where `ip` is; empty for private and unknown addresses and for what is no address."""
        return self._remembered(ip)

    def close(self) -> None:
        """Release the files; nothing new is found afterwards."""
        for reader in self._readers:
            reader.close()

    def _look_up(self, ip: str) -> Geo:
        merged: dict[str, Any] = {}
        for reader in self._readers:
            try:
                record = reader.get(_plain(ip))
            except (TypeError, ValueError, InvalidDatabaseError):
                continue  # no address, the other family's file, a damaged record, or closed
            merged = {**_dict(record), **merged}
        return _read(merged) if merged else NOWHERE


def _opened_networks(path: Path | None) -> list[Any]:
    try:
        return [open_database(path)] if path else []
    except (OSError, InvalidDatabaseError) as error:
        raise Misconfigured(f"asn_database: {error}") from None


def _plain(ip: str) -> str:
    """Without zone ("%eth0"), and as IPv4 where it is one (::ffff:192.0.2.1, see `inner_ipv4`)."""
    if ":" in ip:
        address = IPv6Address(ip.partition("%")[0])
        return str(inner_ipv4(address) or address)
    return ip


def _read(record: dict[str, Any]) -> Geo:
    location = _dict(record.get("location"))
    subdivision = _dict(next(iter(_list(record.get("subdivisions"))), None))
    country = record.get("country")
    code = (
        record.get("country_code")
        or (country if isinstance(country, str) else _dict(country).get("iso_code"))
        or _dict(record.get("registered_country")).get("iso_code")
    )
    return Geo(
        country_code=country_of(_text(code)),
        region=_text(
            subdivision.get("iso_code") or _name(subdivision) or record.get("state1") or record.get("region")
        ),
        city=_text(_name(record.get("city"))),
        latitude=_degrees(location.get("latitude", record.get("latitude")), 90),
        longitude=_degrees(location.get("longitude", record.get("longitude")), 180),
        timezone=_text(location.get("time_zone") or record.get("timezone")),
        asn=_asn(record.get("autonomous_system_number") or record.get("asn")),
    )


@lru_cache(2048)
def country_of(code: str) -> str:
    """The ISO 3166-1 code of a country; "" where `code` names none.

    CDNs and databases have codes of their own for what is no country: Tor (T1), proxies (A1), satellites
    (A2), Europe (EU), Asia and the Pacific (AP), unknown (XX, ZZ, --).
    """
    code = code.strip().upper()
    if code in _SAID_OF_COUNTRIES:
        return _SAID_OF_COUNTRIES[code]
    return code if _COUNTRY.fullmatch(code) else ""


def _dict(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []


def _text(value: Any) -> str:
    return clean(value, 100) if isinstance(value, str) else ""


def _name(value: Any) -> Any:
    """A name is text, or English among {"names": {"en": ...}}."""
    return value if isinstance(value, str) else _dict(_dict(value).get("names")).get("en")


def _degrees(value: Any, limit: int) -> float | None:
    try:
        degrees = float(value)
    except (TypeError, ValueError):
        return None
    return degrees if -limit <= degrees <= limit else None


def _asn(value: Any) -> int:
    digits = str(value or "").removeprefix("AS")
    return int(digits) if digits.isdecimal() and int(digits) < 1 << 32 else 0
