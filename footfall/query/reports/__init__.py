"""The reports: one file each, and one line here."""

from typing import Any

from footfall.query.report import Report
from footfall.query.reports import (
    clicks,
    countries,
    devices,
    link,
    overview,
    posts,
    referers,
    stats_timeseries,
    timeseries,
    widgets,
)

REPORTS: tuple[Report[Any], ...] = (
    overview.REPORT,
    link.REPORT,
    clicks.REPORT,
    countries.REPORT,
    devices.REPORT,
    referers.REPORT,
    timeseries.REPORT,
    widgets.REPORT,
    posts.REPORT,
    stats_timeseries.REPORT,
)
