"""Which models are phones, tablets, televisions, and which programs are robots: Matomo's device-detector.

Its lists are thousands of regular expressions, of which the first that matches counts. RE2 finds those that
may, whatever their number, by the words in them; the few with a look-around, which RE2 has not, are then
tried by `re`. The build compiles them (hatch_build.py); `_data/SOURCES.json` says their licence and where
they are from.
"""

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import msgspec
import re2  # pyright: ignore[reportMissingTypeStubs]  it has none

from footfall.errors import Misconfigured

Kind = Literal["", "desktop", "mobile", "tablet", "tv", "other"]

_DATA = Path(__file__).parents[1] / "_data" / "devices.json"

# As device-detector does it: a name stands at the beginning of a word.
_WORD = "(?:^|[^A-Z0-9_-]|[^A-Z0-9-]_|sprd-|MZ-)(?:{})"
_MEMORY = 64 << 20  # bytes that RE2 may take for one list

_re2: Any = re2


class Brand(msgspec.Struct, array_like=True, frozen=True):
    """A maker: what its user agents have in common, what its devices are, and those that are something else.

    `loose`: `pattern` without look-arounds, where it has any; else "".
    """

    pattern: str
    loose: str
    kind: Kind
    models: list[tuple[Kind, str]]


class Data(msgspec.Struct, frozen=True):
    """The file. `devices`: lists by name. `bots`, `apps`: patterns, each with its loose form."""

    devices: dict[str, list[Brand]]
    bots: list[tuple[str, str]]
    apps: list[tuple[str, str]]


class _Pattern(NamedTuple):
    pattern: str
    loose: str


class Patterns:
    """A list of patterns, searched for at once."""

    def __init__(self, patterns: Sequence[_Pattern]) -> None:
        self._filter = _re2.Filter()
        self._exact: dict[int, re.Pattern[str]] = {}
        for place, (pattern, loose) in enumerate(patterns):
            self._filter.Add(_WORD.format(loose or pattern), _options())
            if loose:
                self._exact[place] = re.compile(_WORD.format(pattern), re.IGNORECASE)
        self._filter.Compile()

    def first(self, text: str) -> int | None:
        """The place of the first pattern that is found."""
        found = cast("list[int]", self._filter.Match(text.lower()) or [])
        for place in sorted(found):
            exact = self._exact.get(place)
            if exact is None or exact.search(text):
                return place
        return None


class DeviceList:
    """One of device-detector's lists of devices."""

    def __init__(self, brands: Sequence[Brand]) -> None:
        self._brands = brands
        self._patterns = Patterns([_Pattern(brand.pattern, brand.loose) for brand in brands])
        self._models: dict[int, list[tuple[Kind, Any]]] = {}

    def kind(self, text: str) -> Kind | None:
        """What a device is: "" of a maker who is known and a device that is not; None where nothing is."""
        place = self._patterns.first(text)
        if place is None:
            return None
        models = self._models.get(place)
        if models is None:
            models = self._models[place] = [
                (kind, compile_pattern(_WORD.format(pattern))) for kind, pattern in self._brands[place].models
            ]
        for kind, model in models:
            if model.search(text):
                return kind
        return self._brands[place].kind


def device_kind(list_name: str, text: str) -> Kind | None:
    """As `DeviceList.kind`, of the list with that name."""
    return _lists()[list_name].kind(text)


def is_listed_bot(text: str) -> bool:
    """Whether device-detector knows it for a robot."""
    return _bots().first(text) is not None


def is_listed_app(text: str) -> bool:
    """Whether device-detector knows it for an app or a player of media."""
    return _apps().first(text) is not None


def compile_pattern(pattern: str) -> Any:
    """A pattern without regard to case, as RE2 takes it, or else `re`: ten times faster, where it can be."""
    try:
        return _re2.compile(pattern, _options())
    except _re2.error:
        return re.compile(pattern, re.IGNORECASE)


@cache
def _options() -> Any:
    options = _re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    options.max_mem = _MEMORY
    return options


@cache
def _data() -> Data:
    try:
        return msgspec.json.decode(_DATA.read_bytes(), type=Data)
    except FileNotFoundError:
        raise Misconfigured(
            f"{_DATA} is missing; the package's build makes it: uv sync --reinstall-package footfall"
        ) from None


@cache
def _lists() -> dict[str, DeviceList]:
    return {name: DeviceList(brands) for name, brands in _data().devices.items()}


@cache
def _bots() -> Patterns:
    return Patterns([_Pattern(*each) for each in _data().bots])


@cache
def _apps() -> Patterns:
    return Patterns([_Pattern(*each) for each in _data().apps])
