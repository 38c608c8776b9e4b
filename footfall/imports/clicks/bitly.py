"""The click files of bitly and USA.gov: one JSON object a line.

Source of the format: USA.gov's description of its 1.usa.gov data. `h` code, `hh` short
domain, `u` destination, `t` time of the click in Unix seconds, `a` user agent, `c` country,
`gr` region, `cy` city, `ll` latitude and longitude, `tz` time zone, `r` referrer (`direct`
for none), `al` accept-language, `nk` 1 for a returning visitor, `g` hash of the destination.
Lines with `_heartbeat_` are signs of life of the sender, no clicks.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from footfall.enrich.geo import country_of
from footfall.enrich.text import preferred_language
from footfall.imports.clicks.line import ImportedClick, RefusedLine
from footfall.model.reasons import Reason
from footfall.model.record import SenderContext
from footfall.model.times import to_millis

_Name = Annotated[str, Meta(min_length=1, max_length=200)]


class _Line(Struct):
    """A line as it is in the file; keys that are not listed say nothing about the click."""

    code: _Name = msgspec.field(name="h")
    url: str = msgspec.field(name="u")
    # Later than 1970 and, for the sake of the arithmetic, before the year 5000.
    time: Annotated[float, Meta(gt=0, lt=1e11)] = msgspec.field(name="t")
    domain: Annotated[str, Meta(max_length=253)] | None = msgspec.field(name="hh", default=None)
    user_agent: str | None = msgspec.field(name="a", default=None)
    referrer: str | None = msgspec.field(name="r", default=None)
    language: str | None = msgspec.field(name="al", default=None)
    country: str | None = msgspec.field(name="c", default=None)
    region: str | None = msgspec.field(name="gr", default=None)
    city: str | None = msgspec.field(name="cy", default=None)
    timezone: str | None = msgspec.field(name="tz", default=None)
    place: tuple[Annotated[float, Meta(ge=-90, le=90)], Annotated[float, Meta(ge=-180, le=180)]] | None = (
        msgspec.field(name="ll", default=None)
    )
    returning: int | None = msgspec.field(name="nk", default=None)
    destination_hash: str | None = msgspec.field(name="g", default=None)


class _Heartbeat(Struct):
    heartbeat: object = msgspec.field(name="_heartbeat_", default=None)


_lines = msgspec.json.Decoder(_Line)
_heartbeats = msgspec.json.Decoder(_Heartbeat)
_encode = msgspec.json.Encoder().encode


def parse(text: str) -> ImportedClick | RefusedLine:
    """The click that a line tells of, or why it tells of none."""
    try:
        line = _lines.decode(text)
    except (ValueError, RecursionError) as error:  # of msgspec, for broken JSON and wrong types alike
        return _explain(text, error)
    latitude, longitude = line.place or (None, None)
    properties: dict[str, Any] = {}
    if line.returning is not None:
        properties["nk"] = line.returning
    if line.destination_hash:
        properties["g"] = line.destination_hash
    return ImportedClick(
        domain=(line.domain or "").lower(),
        code=line.code,
        url=line.url,
        occurred_at=to_millis(line.time),
        referrer="" if line.referrer in {None, "direct"} else line.referrer or "",
        properties=_encode(properties).decode() if properties else "",
        visit=SenderContext(
            user_agent=line.user_agent or "",
            language=preferred_language(line.language or ""),
            country_code=country_of(line.country or ""),
            region=line.region or "",
            city=line.city or "",
            latitude=latitude,
            longitude=longitude,
            timezone=line.timezone or "",
        ),
    )


def _explain(text: str, error: Exception) -> RefusedLine:
    try:
        if _heartbeats.decode(text).heartbeat is not None:
            return RefusedLine(Reason.HEARTBEAT, "a heartbeat, no click")
    except (ValueError, RecursionError):
        pass
    return RefusedLine(Reason.BAD_LINE, str(error))
