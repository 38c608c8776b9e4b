"""What the door, the imports and the steps have in common: texts that fit every column and encoder."""

import re
from functools import lru_cache

_QUALITY = re.compile(r"\+?(?:0(?:\.\d*)?|1(?:\.0*)?|\.\d+)", re.ASCII)
_LANGUAGE = re.compile("[A-Za-z]{2,8}")
_SUBTAG = re.compile("[A-Za-z0-9]{1,8}")


def clean(text: str, limit: int) -> str:
    """At most `limit` characters of `text`, stripped, with lone surrogates as "?": always valid UTF-8."""
    text = text[:limit].strip()
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def without_controls(text: str) -> str:
    """Without control characters and lone surrogates, which no reader of ours should meet."""
    if text.isprintable():
        return text
    return "".join(
        c for c in text if c >= " " and not "\x7f" <= c <= "\x9f" and not "\ud800" <= c <= "\udfff"
    )


@lru_cache(4096)
def preferred_language(accept_language: str) -> str:
    """The language that an Accept-Language header, or what is written like one, prefers; "" for any.

    The one of the highest quality, of several the first; as `language_tag` writes it.
    """
    best, most = "", 0.0
    for part in accept_language.split(","):
        tag, _, parameters = part.partition(";")
        quality = _quality(parameters)
        if quality > most and (language := language_tag(tag)):
            best, most = language, quality
    return best


def _quality(parameters: str) -> float:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q":
            return float(value) if _QUALITY.fullmatch(value.strip()) else 0.0
    return 1.0


def language_tag(text: str) -> str:
    """A language as RFC 5646 writes it (`en-US`, `zh-Hans-CN`), in whatever case and with whatever dashes.

    "" for what is none. Wishes about calendars and the like (`-u-...`) say nothing about the language.
    """
    parts = text.strip().partition(".")[0].partition("@")[0].replace("_", "-").split("-")  # de_DE.UTF-8@euro
    if not _LANGUAGE.fullmatch(parts[0]) or parts[0].lower() in {"posix", "undefined", "null"}:
        return ""
    tag = [parts[0].lower()]
    for part in parts[1:]:
        if not _SUBTAG.fullmatch(part) or len(part) == 1:
            break
        tag.append(
            part.title()
            if len(part) == 4 and part.isalpha()
            else part.upper()
            if len(part) == 2
            else part.lower()
        )
    return "-".join(tag)
