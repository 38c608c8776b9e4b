"""What is one text where case is ignored: the one rule of filters and of searches in tables.

Unicode's NFKC_Casefold (ß is ss, ligatures are their letters, wide letters narrow ones, joiners and soft
hyphens nothing), and the four letters of i, with a dot or without, are one: languages pair them in two ways.
"""

from unicodedata import category, normalize

_DOT = "i\u0307"  # how İ is folded
_DOTLESS = "\u0131"


def fold(text: str) -> str:
    """The text by that rule."""
    folded = normalize("NFKC", normalize("NFKC", text).casefold())
    if not folded.isascii():
        folded = "".join(
            letter for letter in folded if category(letter) != "Cf" and not "\ufe00" <= letter <= "\ufe0f"
        )
    return folded.replace(_DOT, "i").replace(_DOTLESS, "i")


def folded(sql: str) -> str:
    """The same as ClickHouse's SQL, of SQL that is a text, whether valid UTF-8 or not."""
    text = f"normalizeUTF8NFKCCasefold(toValidUTF8({sql}))"
    return f"replaceAll(replaceAll({text}, '{_DOT}', 'i'), '{_DOTLESS}', 'i')"
