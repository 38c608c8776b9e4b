"""What the steps have in common: every text they write fits every column and every encoder."""


def clean(text: str, limit: int) -> str:
    """At most `limit` characters of `text`, stripped, with lone surrogates as "?": always valid UTF-8."""
    text = text[:limit].strip()
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
