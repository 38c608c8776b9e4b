"""The blocks of `docs/metrics.md`."""

from collections.abc import Iterable

from footfall.model.columns import COLUMNS
from footfall.model.cubes import CUBES, PROPERTY_FIELDS
from footfall.model.session_fields import FIELDS, PAGE_OF
from footfall.query.catalog.fields import GOAL, KINDS, SAID_OF_FIELDS, SEGMENT, SESSION_FIELDS
from footfall.query.catalog.measures import UNIQUE_ERROR, UNIQUE_EXACT
from footfall.query.catalog.metrics import METRICS, Metric, measures_of
from footfall.query.language.body import INTERVALS
from footfall.query.language.saved import MAX_GOALS
from footfall.tenants.tenants import MAX_TAGGED

_ERRORS = {
    "uniques": f"Exact up to {UNIQUE_EXACT}; above, a standard error of {UNIQUE_ERROR:.1%}; "
    "never seen off by 1 %.",
    "count": "None.",
    "money": "None.",
    "time": "None.",
}


def metrics() -> str:
    """Every metric: meaning, error, and how other tools count it."""
    return "\n".join(_about(metric) for metric in METRICS.values())


def dimensions() -> str:
    """What questions can be grouped by, and filtered on."""
    return "\n".join(_dimensions())


def rollups() -> str:
    """What rollups answer."""
    return "\n".join(_rollups())


def _about(metric: Metric) -> str:
    error = _ERRORS.get(metric.unit, "")
    if metric.sql and metric.unit == "ratio":
        sets = {"visitors", "sessions"} & set(measures_of(metric))
        error = "That of the two counts of visitors." if sets else "None."
    lines = [f"### {metric.name}", "", metric.meaning, ""]
    if error:
        lines += [f"*Error:* {error}", ""]
    return "\n".join([*lines, f"*Elsewhere:* {metric.differs}", ""])


def _dimensions() -> Iterable[str]:
    envelope = [column.name for column in COLUMNS if column.name in KINDS]
    yield "All of these can be grouped by; all but those of the last three lines can be filtered on.\n"
    yield f"- Of the event: {_names(name for name in envelope)}."
    yield f"- Of its properties: {_names(PROPERTY_FIELDS)}, and any other as `property:NAME`."
    yield f"- Of its visit: {_names(sorted(SESSION_FIELDS))}."
    yield (
        "- Of its link: `tag` (filter with `is` and `is_not`); an event counts for each tag."
        " Tags are those that links carry now. A question is about the tags of at most"
        f" {MAX_TAGGED:,} links (those that carry the tags it filters by; all that carry any, where it groups"
        " by tag), and is refused where there are more."
    )
    yield (
        f"- Saved goals: `{GOAL}` (filter with `is`, `is_not`, `contains`, `contains_not`); an event counts "
        f"for each that it reaches. A question tells at most {MAX_GOALS} apart. Saved segments are filters "
        f"only: `{SEGMENT}`."
    )
    yield f"- Said of these: {_names(SAID_OF_FIELDS)}."
    yield f"- Time: {_names(f'time:{interval}' for interval in INTERVALS)}; `time` picks one by the range."
    yield (
        "- Clocks: `time:weekday`, 1 (Monday) to 7 (Sunday), and `time:hour_of_day`, 0 to 23, as clocks of"
        " `timezone` showed it.\n"
    )


def _rollups() -> Iterable[str]:
    yield (
        "A question about these fields together (and site, event type, and bots or not) is answered from "
        "rollups, which are kept longer than events; any other needs the events.\n"
    )
    yield "| rollup | by | fields |\n|---|---|---|"
    for cube in CUBES:
        yield f"| {cube.name} | {cube.grain} | {_names(cube.fields) or 'none'} |"
    yield ""


def session_archive() -> str:
    """What is kept of visits whose events are deleted."""
    return (
        f"{_names(name for name in METRICS if METRICS[name].over_sessions)} and the pages of a visit come "
        "from the events. When retention deletes these, it counts their visits first: by site, bots or not "
        "and day of the site's own zone, alone and by one of "
        f"{_names(field for field in FIELDS if field)}. From then on a visit belongs to the day on which "
        "it began, and one over two sites or over the end of a month (UTC) is two; answers that such visits "
        "are part of say so and are not `exact`. Visitors are kept by "
        f"{_names(PAGE_OF)} only. What these rows do not "
        "answer is said to be missing in `meta.warnings`: other fields or several at once, hours, a filter "
        "with several values that is not grouped by, days of another zone."
    )


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
