"""Paging through the events themselves while new ones arrive."""

from datetime import UTC, datetime

import pytest

from tests.console import open_console
from tests.contract.acme import BY_NAME, DAY, FIRST, RANGE, Acme, assert_problem
from tests.contract.slow import Gate
from tests.truth import columns_of, make_events

CLICKS = BY_NAME["clicks"]


@pytest.fixture
def acme(tmp_path):
    with open_console(tmp_path) as opened:
        yield Acme(opened)


def pages(acme, between=lambda: None, **params):
    """All pages, with `between` done after each."""
    found, cursor = [], {}
    while True:
        answer = acme.ask(CLICKS, limit=20, **params, **cursor)
        assert answer.status_code == 200, answer.text
        found.append(answer.json())
        between()
        following = found[-1]["meta"]["next_cursor"]
        if following is None:
            return found
        cursor = {"cursor": following}


def ids(found):
    return [event["event_id"] for page in found for event in page["data"]]


def test_pages_do_not_move_while_clicks_arrive(acme):
    before = pages(acme)
    assert len(before) > 5
    number = 0

    def arrive():
        """Clicks that occurred all over the range, and are received now."""
        nonlocal number
        number += 1
        late = make_events(100 + number, 40, FIRST, FIRST + 7 * DAY, [acme.acme], seq=number << 30)
        for event in late:
            event |= {"received_at": FIRST + 8 * DAY, "event_type": "click", "is_bot": False}
        acme.console.insert(columns_of(late))

    during = pages(acme, arrive)
    assert ids(during) == ids(before)
    totals = [page["meta"]["total"] for page in during]
    assert totals == [len(ids(before))] * len(during)
    after = pages(acme)
    assert len(ids(after)) == len(ids(before)) + 40 * number
    assert len(set(ids(after))) == len(ids(after))


def test_the_range_is_counted_once_for_all_pages(acme):
    gate = Gate(acme.console.store)
    gate.open.set()
    acme.console = acme.console.with_store(gate)
    for asked in ({}, {"country": "-US", "include_bots": "true"}):
        gate.asked.clear()
        found = pages(acme, **asked)
        assert len(found) > 5
        assert {page["meta"]["total"] for page in found} == {len(ids(found))}
        assert {page["meta"]["sampled"] for page in found} == {False}
        counted = sum(number for sql, number in gate.asked.items() if sql.startswith("SELECT count()"))
        assert counted == 1
    cursor = found[0]["meta"]["next_cursor"]
    other = acme.ask(CLICKS, limit=20, cursor=cursor, country="US").json()  # another question than before
    whole = acme.ask(CLICKS, limit=20, country="US").json()
    assert 0 < other["meta"]["total"] <= whole["meta"]["total"] < found[0]["meta"]["total"]


def test_pages_that_leave_newer_events_out_do_not_claim_to_have_them(acme):
    acme.console.complete_through = datetime(2030, 1, 1, tzinfo=UTC)
    first, second, *_ = pages(acme)
    newest = max(event["received_at"] for event in acme.events if acme.acme == event["workspace_id"])
    through = [datetime.fromisoformat(page["meta"]["complete_through"]) for page in (first, second)]
    assert through[1].timestamp() * 1000 <= newest < through[0].timestamp() * 1000


def test_a_page_of_events_that_are_far_apart_reads_back_as_far_as_it_must(acme):
    """Not the whole range for each page."""
    gate = Gate(acme.console.store)
    gate.open.set()
    acme.console = acme.console.with_store(gate)
    workspace = acme.console.workspace("sparse")
    key = acme.console.key(workspace, "read")
    for number in range(40):
        at = FIRST - number * 30 * DAY
        events = make_events(300 + number, 1, at, at + 1, [workspace], seq=number << 30)
        for event in events:
            event |= {"event_type": "click", "is_bot": False}
        acme.console.insert(columns_of(events))
    asked = {"start_date": "1990-01-01", "end_date": "2026-03-07", "limit": 10}
    answer = acme.console.get(acme.path(CLICKS), key, asked).json()
    assert len(answer["data"]) == 10
    lists = {sql: number for sql, number in gate.asked.items() if "ORDER BY occurred_at DESC" in sql}
    assert sum(lists.values()) > 2
    assert all(sql.count("occurred_at >=") == 2 for sql in lists)  # the range's begin, and a later one


def test_a_cursor_goes_with_filters_and_the_last_page_has_none(acme):
    asked = {"country": "-US", "event_type": "click,page_view", "include_bots": "true"}
    whole = acme.ask(CLICKS, limit=1000, **asked).json()
    assert whole["meta"]["next_cursor"] is None
    assert ids(pages(acme, **asked)) == ids([whole])
    exactly = acme.ask(CLICKS, limit=len(whole["data"]), **asked).json()
    assert exactly["meta"]["next_cursor"] is None


def test_events_of_the_same_millisecond_are_all_paged_through(acme):
    workspace = acme.console.workspace("burst")
    key = acme.console.key(workspace, "read")
    events = make_events(9, 50, FIRST, FIRST + 1, [workspace])
    events += make_events(10, 50, FIRST, FIRST + 1, [workspace])  # another shard, the same seqs
    for event in events:
        event |= {"event_type": "click", "is_bot": False}
    acme.console.insert(columns_of(events))
    found, cursor = [], {}
    while cursor is not None:
        answer = acme.console.get(acme.path(CLICKS), key, RANGE | {"limit": 7} | cursor).json()
        found += [event["event_id"].replace("-", "") for event in answer["data"]]
        following = answer["meta"]["next_cursor"]
        cursor = following and {"cursor": following}
    assert sorted(found) == sorted(event["event_id"].hex() for event in events)


def test_a_cursor_that_was_changed_or_is_not_ours_is_refused(acme):
    cursor = acme.ask(CLICKS, limit=5).json()["meta"]["next_cursor"]
    assert acme.ask(CLICKS, cursor=cursor).status_code == 200
    changed = [
        cursor[:place] + ("A" if cursor[place] != "A" else "B") + cursor[place + 1 :]
        for place in (0, 9, 30, 50)
    ]
    for wrong in (*changed, cursor[:-4], cursor + "AAAA", "", "x", "é", "=" * 8, "\0", "A" * 60):
        assert_problem(acme.ask(CLICKS, cursor=wrong), 400, field="cursor")
    theirs = acme.console.get(acme.path(CLICKS), acme.others_key, RANGE | {"cursor": cursor})
    assert_problem(theirs, 400, field="cursor")
    assert_problem(acme.ask(CLICKS, cursor=cursor, offset=5), 400, field="offset")
    assert_problem(acme.ask(BY_NAME["countries"], cursor=cursor), 400, field="cursor")


def test_the_events_say_how_far_they_are_complete(acme):
    acme.console.complete_through = datetime(2026, 3, 5, tzinfo=UTC)
    assert acme.ask(CLICKS).json()["meta"]["complete_through"] == "2026-03-05T00:00:00+00:00"
