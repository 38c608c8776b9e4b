"""The few pages that visitors may see at the door. Constant bytes: nothing of a request is in them."""

from base64 import b64encode
from hashlib import sha256

from footfall.http.answer_headers import NO_CONTENT, NO_REFERRER

HTML = b"text/html; charset=utf-8"

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:32rem;margin:20vh auto;padding:0 1rem;"
    "color:#222;background:#fff}@media(prefers-color-scheme:dark){body{color:#ddd;background:#151515}}"
)
POLICY = f"{NO_CONTENT}; style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'".encode()
"""The content policy of the pages: their own style and nothing else."""

HEADERS = [(b"cache-control", b"no-store"), (b"referrer-policy", NO_REFERRER.encode())]
"""What else is sent with a page."""


def _page(title: str, text: str) -> bytes:
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width'><meta name=robots content=noindex>"
        f"<title>{title}</title>"
        f"<style>{_STYLE}</style><h1>{title}</h1><p>{text}</p></html>"
    ).encode()


NOT_FOUND = _page("This link does not exist", "Check the address for a typing error.")
EXPIRED = _page("This link has expired", "Its owner set an end date, and that has passed.")
HOME = _page("Short links live here", "There is nothing to see at the front door.")
ROBOTS = b"User-agent: *\nDisallow: /\n"

# The smallest transparent GIF: header, 1x1 screen, 2 colours, transparency, one pixel, trailer.
PIXEL = bytes.fromhex(
    "47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b"
)
