"""What a request of an access log counts as: the rules, to be read from top to bottom."""

import re
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Literal, NamedTuple

from msgspec import Struct

from footfall.errors import Invalid
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
_SCRIPTS = frozenset({"pl", "py", "rb", "lua", "sh"})
_WIKI_PAGE = re.compile(r"/(?:\w{2,3}/)?wiki/[^/]+")
_SHORT = 500  # characters of a pattern, and of a path of which it is remembered what it is
_MOST_PATTERNS = 100


class Pages(NamedTuple):
    """What the owner calls pages although they look like files: extensions, and paths with `*` in them."""

    extensions: frozenset[str] = frozenset()
    patterns: tuple[str, ...] = ()

    @classmethod
    def of(cls, written: Sequence[str]) -> "Pages":
        """`pdf` or `.pdf` is an extension, `/wiki/*` a pattern. Raises Invalid with the field `pages`."""
        if len(written) > _MOST_PATTERNS:
            raise Invalid(f"at most {_MOST_PATTERNS} pages", field="pages")
        extensions: set[str] = set()
        patterns: list[str] = []
        for each in written:
            if len(each) > _SHORT:  # it would be held against 64 KiB of a line in one go
                raise Invalid(f"a page has at most {_SHORT} characters", field="pages")
            if each.startswith("/"):
                patterns.append(each)
            elif re.fullmatch(r"\.?[A-Za-z0-9]{1,16}", each):
                extensions.add(each.removeprefix(".").lower())
            else:
                raise Invalid(
                    "pages are extensions (pdf) or patterns of paths that begin with a slash (/wiki/*)",
                    field="pages",
                )
        return cls(frozenset(extensions), tuple(patterns))

    def has(self, path: str, extension: str) -> bool:
        """Whether it is one of them."""
        return extension in self.extensions or any(fnmatchcase(path, pattern) for pattern in self.patterns)


NO_PAGES = Pages()


class Facts(NamedTuple):
    """What the rules look at. `of_link`: the path is the code of a link of the workspace."""

    method: str
    path: str
    query: str
    status: int
    of_link: bool
    pages: Pages


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
    Rule("a file, not a page", lambda facts: is_asset(facts.path, facts.query, facts.pages), Reason.ASSET),
    Rule("all the rest", lambda _: True, "page_view"),
)
"""The first that applies decides."""


def judge(
    method: str,
    path: str,
    status: int,
    of_link: bool,  # noqa: FBT001 -- a fact
    query: str = "",
    pages: Pages = NO_PAGES,
) -> Kind | Reason:
    """The outcome of the first rule that applies; see `Facts`. Of a query it matters if there is one."""
    facts = Facts(method, path, "?" if query else "", status, of_link, pages)
    # Long ones would fill the memory, and seldom come again.
    is_short = len(path) + len(method) <= _SHORT and not pages.patterns
    return _judge(facts) if is_short else _decide(facts)


def _decide(facts: Facts) -> Kind | Reason:
    return next(rule.outcome for rule in RULES if rule.applies(facts))


_judge = lru_cache(65_536)(_decide)


def is_asset(path: str, query: str = "", pages: Pages = NO_PAGES) -> bool:
    """Whether the path's last part ends in the extension of an asset, and is no page all the same.

    Pages are what the owner says; a page of a wiki (`/wiki/Node.js`, `File:Foo.jpg`); and a script that
    answers: in a folder of them, or with a query.
    """
    name = path.rpartition("/")[2]
    stem, dot, extension = name.rpartition(".")
    extension = extension.lower()
    if not dot or not stem or extension not in _ASSETS:
        return False
    if pages.has(path, extension) or ":" in name or _WIKI_PAGE.fullmatch(path):
        return False
    return not (extension in _SCRIPTS and (query or "/cgi-bin/" in path or "/cgi/" in path))
