"""Page and campaign: what the page's URL says of both, and other names for a campaign's source."""

from footfall.enrich.page import PageFields, Utm, parse_page
from footfall.enrich.referrer import name_source


def parse_page_and_source(
    page_url: str, utm: Utm | None, referrer: str, *, hash_routes: bool = False
) -> PageFields:
    """As `parse_page`; without a `utm_source` it is what the URL says as `source=` or `ref=`."""
    page = parse_page(page_url, utm, hash_routes=hash_routes)
    if page.utm_source or "?" not in page_url:
        return page
    return page._replace(utm_source=name_source("", page_url, referrer))
