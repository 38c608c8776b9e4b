"""Visitors by the campaign parameters (UTM) of their URLs."""

from footfall.query.language.params import ListParams
from footfall.query.language.question import is_not
from footfall.query.reporting.columns import By
from footfall.query.reporting.listing import MOST_VISITORS, Listing
from footfall.query.reporting.report import Report


def _report(field: str, row: str) -> Report[ListParams]:
    return Listing(
        row=row,
        about=f"One value of `{field}`.",
        by=(By(field),),
        order_by=MOST_VISITORS,
        where=(is_not(field, ""),),
    ).report(
        name=f"{field}s",
        path=f"/api/v1/analytics/{field.replace('_', '-')}s",
        title=f"Visitors by {field}",
        description=f"Events whose URL, or whose link's target, named a `{field}`; others are left out.",
    )


UTM_SOURCES = _report("utm_source", "UtmSource")
UTM_MEDIUMS = _report("utm_medium", "UtmMedium")
UTM_CAMPAIGNS = _report("utm_campaign", "UtmCampaign")
UTM_TERMS = _report("utm_term", "UtmTerm")
UTM_CONTENTS = _report("utm_content", "UtmContent")
