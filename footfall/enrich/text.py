"""What the door, the imports and the steps have in common: texts that fit every column and encoder."""


def clean(text: str, limit: int) -> str:
    """At most `limit` characters of `text`, stripped, with lone surrogates as "?": always valid UTF-8."""
    text = text[:limit].strip()
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def preferred_language(accept_language: str) -> str:
    """The first language of an Accept-Language header, which the browser prefers."""
    return accept_language.split(",", 1)[0].split(";", 1)[0].strip()
