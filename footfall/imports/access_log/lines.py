"""One line after the other: which format it is of, and what was written around it on its way.

Every line is read for itself, but for the W3C's format, whose lines mean what the last `#Fields:` said.
"""

import re
from collections.abc import Callable

from footfall.errors import Invalid
from footfall.imports.access_log import balancers, combined, format_strings, json_log, w3c
from footfall.imports.access_log.request import Request, identity, identity_of_text
from footfall.imports.clicks.chunk import LONGEST_LINE

# What syslog (of RFC 3164 and 5424, and with ISO times), containers and `docker compose` write in front.
_FRAME = re.compile(
    r"(?:<\d{1,3}>)?(?:"
    r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d (?:[^\s:\[\]]+ )?[^\s:\[\]]+(?:\[\d+\])?: "
    r"|1 \d{4}-\S+ \S+ \S+ \S+ \S+ (?:-|\[[^\]]*\]) (?:\ufeff)?"
    r"|\d{4}-\d\d-\d\dT\S+ (?:stdout|stderr) F "
    r"|\d{4}-\d\d-\d\dT\S+ \S+ [^\s:\[\]]+(?:\[\d+\])?: "
    r"|\d{4}-\d\d-\d\dT[\d:.]+Z (?=\S+ \S+ .*\[)"
    r"|[\w.-]+ +\| "
    r")"
)
_NAMED = frozenset(
    {"", "auto", "combined", "common", "vhost_combined", "main", "json", "w3c", "haproxy", "envoy", "alb"}
)
_HAPROXY = re.compile(r"haproxy\s*\{([^}]*)\}")
_FIELDS = "#fields:"
_UNREADABLE = "\N{REPLACEMENT CHARACTER}"  # as `reader` writes it


class Directive(ValueError):
    """A line is about the log itself."""


class LineReader:
    """Reads the lines of a file, in their order.

    `format_name`: one of the servers' names or "" to look at each line; nginx's `log_format` or Apache's
    `LogFormat`; or `haproxy {Host|User-Agent}` with the request headers that HAProxy captures. `fields`: the
    `#Fields:` of the W3C's format that was last met, and so in force for the next line. Raises Invalid for a
    wrong one of the two.
    """

    def __init__(self, format_name: str = "", fields: str = "") -> None:
        self._written = format_name
        self._read: Callable[[str], Request] | None = None
        self._captures: tuple[str, ...] = ()
        named = format_name.strip()
        if found := _HAPROXY.fullmatch(named):
            self._captures = tuple(name.strip().lower() for name in found[1].split("|"))
        elif named.lower() not in _NAMED:
            self._read = format_strings.reader_of(format_name)
        self.fields = ""
        self._w3c: w3c.Fields | None = None
        if fields:
            try:
                self._set_fields(fields)
            except ValueError as error:
                raise Invalid(f"fields: {error}", field="fields") from None

    def __reduce__(self) -> tuple[type["LineReader"], tuple[str, str]]:
        """A process that reads a file has one of its own."""
        return LineReader, (self._written, self.fields)

    def __call__(self, line: str) -> bytes:
        """What tells a line from others: nothing that an address is part of."""
        try:
            return identity(self.parse(line))
        except ValueError:
            return identity_of_text(line)

    def parse(self, line: str) -> Request:
        """The request of a line. Raises ValueError, without the line in its text; Directive is one."""
        if len(line) > LONGEST_LINE:
            raise ValueError(f"longer than {LONGEST_LINE} characters")
        if line == _UNREADABLE:
            raise ValueError("no text in UTF-8, or without an end")
        line = line.removeprefix("\ufeff")
        if line.startswith("#"):
            if line[: len(_FIELDS)].lower() == _FIELDS:
                self._set_fields(line[len(_FIELDS) :])
            raise Directive("about the log itself")
        try:
            return self._unframed(line)
        except json_log.WrappedLine as wrapped:
            return self._without_wrapping(wrapped.line)

    def _set_fields(self, directive: str) -> None:
        self._w3c, self.fields = None, ""  # should these tell too little, no others are in force
        self._w3c = w3c.read_fields(directive)
        self.fields = directive.strip()

    def _without_wrapping(self, line: str) -> Request:
        try:
            return self._unframed(line)
        except json_log.WrappedLine:
            raise ValueError("a line within a line within a line") from None

    def _unframed(self, line: str) -> Request:
        try:
            return self._one(line)
        except ValueError:
            frame = _FRAME.match(line)
            if frame is None:
                raise
        return self._one(line[frame.end() :])

    def _one(self, line: str) -> Request:
        if self._read is not None:
            return self._read(line)
        if line.startswith("{"):
            return json_log.parse(line)
        if self._w3c is not None:
            return w3c.parse(line, self._w3c)
        try:
            return combined.parse(line)
        except ValueError:
            found = balancers.parse(line, self._captures)
            if found is None:
                raise
            return found
