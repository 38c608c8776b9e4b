"""The few pages that visitors may see at the door. Constant bytes: nothing of a request is in them."""

HTML = b"text/html; charset=utf-8"


def _page(title: str, text: str) -> bytes:
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width'><meta name=robots content=noindex>"
        f"<title>{title}</title>"
        "<style>body{font:16px/1.5 system-ui,sans-serif;max-width:32rem;margin:20vh auto;padding:0 1rem;"
        "color:#222;background:#fff}@media(prefers-color-scheme:dark){body{color:#ddd;background:#151515}}"
        f"</style><h1>{title}</h1><p>{text}</p></html>"
    ).encode()


NOT_FOUND = _page("This link does not exist", "Check the address for a typing error.")
EXPIRED = _page("This link has expired", "Its owner set an end date, and that has passed.")
HOME = _page("Short links live here", "There is nothing to see at the front door.")
ROBOTS = b"User-agent: *\nDisallow: /\n"

# The smallest transparent GIF: header, 1x1 screen, 2 colours, transparency, one pixel, trailer.
PIXEL = bytes.fromhex(
    "47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b"
)
