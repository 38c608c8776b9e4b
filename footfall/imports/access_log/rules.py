"""What a request of an access log counts as: the rules, to be read from top to bottom."""

from collections.abc import Callable
from functools import lru_cache
from typing import Literal, NamedTuple

from msgspec import Struct

from footfall.model.reasons import Reason

Kind = Literal["click", "page_view"]

PAGE_STATUS = frozenset({200, 304})  # 304: the visitor saw the page, from their own cache
REDIRECT_STATUS = frozenset({301, 302, 303, 307, 308})

ASSETS: dict[str, str] = {
    "styles and scripts": "css js mjs map wasm",
    "images": "png jpg jpeg gif svg webp avif ico bmp tif tiff cur heic",
    "fonts": "woff woff2 ttf otf eot",
    "sound and film": "mp3 mp4 m4a m4v webm ogg oga ogv wav flac avi mov mkv m3u8 swf",
    "data and feeds": "json jsonl xml rss atom csv txt yml yaml toml xsl log conf ini webmanifest",
    "documents": "pdf ps tex doc docx xls xlsx ppt pptx odt ods odp epub",
    "archives": "zip gz tgz bz2 xz zst 7z rar tar jar war deb rpm gem whl apk dmg iso",
    "programs": "exe msi bin pcap",
    "source code": "c h cc cpp java py pyc rb lua sh pl vim m4 mk spec patch diff",
}
"""Files that pages are made of or that are downloaded: by the extension of the path."""

_ASSETS = frozenset(" ".join(ASSETS.values()).split())


class Facts(NamedTuple):
    """What the rules look at. `of_link`: the path is the code of a link of the workspace."""

    method: str
    path: str
    status: int
    of_link: bool


class Rule(Struct, frozen=True):
    """`outcome`: a kind of event, or the reason why the line is skipped."""

    says: str
    applies: Callable[[Facts], bool]
    outcome: Kind | Reason


RULES: tuple[Rule, ...] = (
    Rule("not a GET", lambda facts: facts.method != "GET", Reason.METHOD),
    Rule("no path", lambda facts: not facts.path.startswith("/"), Reason.BAD_LINE),
    Rule("a redirect by a link", lambda facts: facts.of_link and facts.status in REDIRECT_STATUS, "click"),
    Rule("not a page's status", lambda facts: facts.status not in PAGE_STATUS, Reason.STATUS),
    Rule("a file, not a page", lambda facts: is_asset(facts.path), Reason.ASSET),
    Rule("all the rest", lambda _: True, "page_view"),
)
"""The first that applies decides."""


@lru_cache(65_536)
def judge(method: str, path: str, status: int, of_link: bool) -> Kind | Reason:  # noqa: FBT001 -- a fact
    """The outcome of the first rule that applies; see `Facts`."""
    facts = Facts(method, path, status, of_link)
    return next(rule.outcome for rule in RULES if rule.applies(facts))


def is_asset(path: str) -> bool:
    """Whether the path's last part ends in the extension of an asset."""
    stem, dot, extension = path.rpartition("/")[2].rpartition(".")
    return bool(dot) and bool(stem) and extension.lower() in _ASSETS
