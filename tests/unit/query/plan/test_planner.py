"""The planner where retention deleted events: rollups still have them, and only of one's own sites."""

from pathlib import Path
from typing import get_args

import msgspec
import pytest

from footfall.model.cubes import CUBES
from footfall.model.times import HOUR_MS
from footfall.query.language.periods import Period
from footfall.query.language.question import And, HasDone, Question, is_, is_not
from footfall.query.plan.archived_sessions import archive_source
from footfall.query.plan.planner import REASONS, SMALL, Reason, deleted_before, plan
from footfall.state.rollups.manifest import ArchivedSessions, Manifest, ManifestEntry, Zone
from footfall.state.rollups.row_counts import RowCounts

DOCS = Path(__file__).parents[4] / "docs" / "api.md"
DAY = 86_400_000
START = 20_000 * DAY
NAMES = tuple(cube.label for cube in CUBES)
OURS, THEIRS = "site_ours", "site_theirs"


def question(**fields):
    period = Period(START, START + 10 * DAY, "UTC")
    return Question(workspace_id="acme", period=period, metrics=("events",), **fields)


def manifest(**raw_from):
    entry = ManifestEntry(1, 202410, 0, 9, START - DAY, START + 20 * DAY, NAMES)
    zones = dict.fromkeys((OURS, THEIRS), Zone("UTC", HOUR_MS))
    return Manifest(1, (entry,), {7: 100}, (), zones, raw_from)


def stored(events):
    return RowCounts({OURS: events}, {7: 0}, frozenset({7}))


def test_a_small_site_is_answered_from_events_while_they_are_there():
    assert plan(question(), manifest(), stored(SMALL)) == (None, "few_events")
    assert plan(question(), manifest(), stored(SMALL + 1)).rollup is not None
    assert plan(question(), manifest(**{OURS: START}), stored(SMALL)).rollup is None  # before the range


def test_a_small_site_is_answered_from_rollups_where_its_events_were_deleted():
    assert plan(question(), manifest(**{OURS: START + DAY}), stored(1)).rollup is not None


def test_what_another_workspace_deletes_is_no_business_of_ours():
    gone = manifest(**{THEIRS: START + DAY})
    assert plan(question(), gone, stored(1)).rollup is None
    assert deleted_before(question(), gone, stored(1)) == 0
    assert deleted_before(question(where=And((is_("site_id", THEIRS),))), gone, stored(1)) == 0
    both = manifest(**{THEIRS: START + 9 * DAY, OURS: START + DAY})
    assert deleted_before(question(), both, stored(1)) == START + DAY


def test_whole_days_come_from_days_and_cut_ones_from_hours():
    link = And((is_("link_id", "link_1"),))
    whole = plan(question(where=link), manifest(), stored(SMALL + 1)).rollup
    assert whole.cube.name == "link"
    for cut in (1, 3 * HOUR_MS):
        period = Period(START + cut, START + 10 * DAY, "UTC")
        asked = Question(workspace_id="acme", period=period, metrics=("events",), where=link)
        assert plan(asked, manifest(), stored(SMALL + 1)).rollup.cube.name == "link_hour"


REASONED = {
    "rollup": ({}, {}),
    "no_rollups": ({}, {"entries": ()}),
    "behaviour": ({"where": HasDone(is_("page_path", "/"))}, {}),
    "metrics": ({"metrics": ("last_at",)}, {}),
    "fields": ({"dimensions": ("page_path", "browser")}, {}),
    "range": ({}, {"rollups_from": START + 10 * DAY}),
}


@pytest.mark.parametrize("reason", REASONED)
def test_where_an_answer_comes_from_has_a_reason(reason):
    asked, there = REASONED[reason]
    found = plan(
        msgspec.structs.replace(question(), **asked),
        msgspec.structs.replace(manifest(), **there) if there else manifest(),
        stored(SMALL + 1),
    )
    assert found.reason == reason
    assert (found.rollup is not None) == (reason == "rollup")


def test_every_reason_is_described():
    assert set(REASONS) == set(get_args(Reason))
    page = DOCS.read_text()
    assert all(f"`{reason}`" in page for reason in REASONS)


def test_many_sites_are_told_by_their_zone_and_not_one_by_one():
    sites = [f"site_{number}" for number in range(1000)]
    entry = ManifestEntry(1, 202410, 0, 9, START - DAY, START + 20 * DAY, NAMES)
    visits = (ArchivedSessions(1, 202410, 9, ("",)),)
    zones, raw_from = dict.fromkeys(sites, Zone("UTC", HOUR_MS)), dict.fromkeys(sites, START + DAY)
    gone = Manifest(1, (entry,), {7: 100}, (), zones, raw_from, visits=visits)
    there = RowCounts(dict.fromkeys(sites, 1), {7: 0}, frozenset({7}))
    period = Period(START, START + 10 * DAY, "UTC")
    asked = Question(workspace_id="acme", period=period, metrics=("bounce_rate",))
    kept = archive_source(asked, gone, there, None)
    assert len(kept.covers) == 1
    assert kept.whole


def test_builds_of_before_do_not_answer_for_what_was_added():
    since = tuple(cube.name for cube in CUBES)  # as they were noted before any cube grew
    entry = ManifestEntry(1, 202410, 0, 9, START - DAY, START + 20 * DAY, since)
    older = msgspec.structs.replace(manifest(), entries=(entry,))
    of_links = question(where=And((is_not("link_id", ""),)), dimensions=("link_id",))
    assert plan(of_links, older, stored(SMALL + 1)).rollup.cube.name == "link"
    for metric in ("sessions", "unique_countries", "unique_clicks"):
        asked = msgspec.structs.replace(of_links, metrics=(metric,))
        assert plan(asked, manifest(), stored(SMALL + 1)).rollup.cube.name == "link"
        assert plan(asked, older, stored(SMALL + 1)).rollup is None
