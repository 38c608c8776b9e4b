"""The ledger: what is closed balances, what is in flight is counted, each workspace sees its own."""

import pytest

from footfall.cli import ledger as cli_ledger
from footfall.state import ledger
from footfall.state.dead_letters.letter import unreadable_letter
from footfall.state.ledger import ADJUSTED, HOUR, received
from footfall.state.tables import dead_letters, positions
from footfall.worker.in_flight import InFlightCounter
from tests.contract.acme import assert_problem
from tests.contract.books import NINE, count, event, letter, open_books, received_with, record

pytestmark = pytest.mark.anyio

PATH = "/api/v1/ledger"


def day(**more):
    """The range that NINE lies in."""
    return {"start_date": "2026-03-29T08:00:00Z", "end_date": "2026-03-29T20:00:00Z"} | more


@pytest.fixture
async def books(places):
    async with open_books(places) as opened:
        yield opened


@pytest.fixture
async def acme(books):
    return (await books.tenants.create_workspace("acme")).id


async def ask(books, workspace, **params):
    answer = await books.ask("GET", PATH, workspace, "read", params=day(**params))
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_every_event_received_has_one_outcome(books, acme):
    kept = letter(acme, 7)
    await books.close(
        count(acme, "received", 16),
        count(acme, "received", 4, reason=ADJUSTED),
        count(acme, "stored", 12),
        count(acme, "duplicate", 3),
        count(acme, "rejected", 1, reason="invalid_field"),
        count(acme, "rejected", 2, reason="origin"),
        count(acme, "dropped", 1, reason="overflow"),
        count(acme, "lost", 1),
        *received_with([kept]),
        letters=[kept],
    )
    await books.close(
        count(acme, "received", 5, hour=NINE + HOUR), count(acme, "stored", 5, hour=NINE + HOUR)
    )
    await books.close(
        count(acme, "received", 100, backfilled=True, site="site_b"),
        count(acme, "stored", 100, backfilled=True, site="site_b"),
    )

    data = (await ask(books, acme))["data"]
    assert data == {
        "received": 126,
        "stored": 117,
        "duplicate": 3,
        "rejected": {"invalid_field": 1, "origin": 2},
        "dead_lettered": 1,
        "dropped": {"overflow": 1},
        "lost": 1,
        "in_flight": 0,
        "backfilled": 100,
        "adjusted": 4,
        "balanced": True,
        "imbalances": [],
        "unreadable_records": 0,
    }
    of_one_site = (await ask(books, acme, site_id="site_b"))["data"]
    assert (of_one_site["received"], of_one_site["stored"], of_one_site["dead_lettered"]) == (100, 100, 0)


async def test_by_hour_every_hour_of_the_range_has_its_own_books(books, acme):
    await books.close(count(acme, "received", 3), count(acme, "stored", 3))
    later = NINE + 2 * HOUR
    await books.append(record(acme, event(), event(), received_at=later))
    hours = (await ask(books, acme, by_hour="true", timezone="Asia/Kolkata"))["data"]["by_hour"]
    assert len(hours) == 12
    assert {hour["hour"]: hour["received"] for hour in hours if hour["received"]} == {
        "2026-03-29T14:30:00+05:30": 3,
        "2026-03-29T16:30:00+05:30": 2,
    }
    assert sum(hour["in_flight"] for hour in hours) == 2


async def test_hours_that_do_not_balance_are_named(books, acme):
    await books.close(count(acme, "received", 10), count(acme, "stored", 9))
    await books.close(count(acme, "received", 4, site="site_b"), count(acme, "stored", 4, site="site_b"))
    answer = await ask(books, acme)
    assert answer["data"]["balanced"] is False
    (wrong,) = answer["data"]["imbalances"]
    assert (wrong["site_id"], wrong["line"], wrong["expected"], wrong["found"]) == (
        "site_a",
        "received",
        10,
        9,
    )
    assert (await ask(books, acme, site_id="site_b"))["data"]["balanced"] is True


async def test_a_dead_letter_that_vanished_is_an_imbalance(books, acme):
    kept = letter(acme, 7)
    await books.close(*received_with([kept]), letters=[kept])
    await books.database.run(lambda c: c.execute(dead_letters.delete()).close())
    data = (await ask(books, acme))["data"]
    assert data["balanced"] is False
    assert [(w["line"], w["expected"], w["found"]) for w in data["imbalances"]] == [("dead_lettered", 1, 0)]


async def test_what_the_log_holds_above_the_closed_positions_is_in_flight(books, acme):
    other = (await books.tenants.create_workspace("other")).id
    await books.append(record(acme, event(), event("site_b"), tallies=[("site_a", "origin", 3)]))
    await books.append(record(other, event()))
    await books.append(record(acme, event(), received_at=NINE - 24 * HOUR))
    await books.append(b"no record at all")  # whose it is, nobody knows: the default workspace is told
    nobodys = await books.ledger.books("default", 0, 2**60)
    assert sum((await books.in_flight("default", None, 0, 2**60, nobodys.closed)).by_hour.values()) == 1
    data = (await ask(books, acme))["data"]
    assert (data["received"], data["in_flight"], data["balanced"]) == (5, 5, True)
    assert (await ask(books, acme, site_id="site_b"))["data"]["in_flight"] == 1
    assert (await ask(books, other))["data"]["in_flight"] == 1

    # Closing the first record moves its events to their outcomes, at once for everybody who asks.
    (shard,) = await books.log.shards()
    await books.database.run(lambda c: _close_by_hand(c, shard, 0, acme))
    data = (await ask(books, acme))["data"]
    assert (data["received"], data["in_flight"], data["stored"]) == (5, 0, 2)
    assert data["balanced"] is True


def _close_by_hand(connection, shard, offset, workspace):
    connection.execute(positions.insert().values(shard=f"{shard:016x}", offset=offset))
    ledger.add(
        connection,
        [
            count(workspace, "received", 5),
            count(workspace, "stored", 2),
            count(workspace, "rejected", 3, reason="origin"),
        ],
    )


async def test_a_long_backlog_is_counted_up_to_a_bound_and_says_so(books, acme):
    for _ in range(12):
        await books.append(record(acme, event()))
    books.in_flight = InFlightCounter(books.log, max_records=10)
    answer = await ask(books, acme)
    assert answer["data"]["in_flight"] == 10
    assert answer["meta"]["exact"] is False
    assert "lower bounds" in answer["meta"]["warnings"][0]

    books.in_flight = InFlightCounter(books.log, max_records=12)
    answer = await ask(books, acme)
    assert (answer["data"]["in_flight"], answer["meta"]["exact"]) == (12, True)


async def test_refusals_are_received_too_and_those_within_a_request_are_duplicates():
    made = record("w", event(), event(), event("s"), tallies=[("s", "origin", 4), ("s", "duplicate", 2)])
    assert received(made) == {
        ("site_a", "received", ""): 2,
        ("s", "received", ""): 7,
        ("s", "rejected", "origin"): 4,
        ("s", "duplicate", ""): 2,
    }


async def test_a_workspace_sees_its_own_books_only_with_a_key_that_reads(books, acme):
    other = (await books.tenants.create_workspace("other")).id
    await books.close(count(acme, "received", 10), count(acme, "stored", 9))
    data = (await ask(books, other, site_id="site_a"))["data"]
    assert (data["received"], data["balanced"], data["imbalances"]) == (0, True, [])
    assert_problem(await books.ask("GET", PATH, acme, None), 401)
    assert_problem(await books.ask("GET", PATH, acme, "ingest"), 403)


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"start_date": "yesterday"}, "start_date"),
        ({"start_date": "2026-03-30", "end_date": "2026-03-29"}, "start_date"),
        ({"timezone": "Mars"}, "timezone"),
        ({"site": "x"}, "site"),
        ({"by_hour": "perhaps"}, "by_hour"),
        ({"by_hour": "true", "start_date": "1990-01-01"}, "by_hour"),
        ({"site_id": ""}, "site_id"),
    ],
)
async def test_a_wrong_parameter_is_named(books, acme, params, field):
    assert_problem(await books.ask("GET", PATH, acme, "read", params=params), 400, field)


async def test_records_that_could_not_be_read_are_told_to_all_whoever_they_belonged_to(books, acme):
    first = (await books.tenants.create_workspace("first")).id
    bad = unreadable_letter(first, 1, 0, None, appended_at=NINE + 1, reason="damaged", failed_at=5)
    await books.close(
        *received_with([bad]), count(acme, "received", 1), count(acme, "stored", 1), letters=[bad]
    )
    for workspace, dead in ((first, 1), (acme, 0)):
        answer = await ask(books, workspace)
        assert answer["data"]["balanced"]
        assert answer["data"]["dead_lettered"] == dead
        assert answer["data"]["unreadable_records"] == 1
        assert any("how many events they held is unknown" in each for each in answer["meta"]["warnings"])


async def test_the_range_is_made_of_whole_hours_and_says_when_it_was_widened(books, acme):
    await books.close(count(acme, "received", 1), count(acme, "stored", 1))
    answer = await ask(books, acme, start_date="2026-03-29T09:59:59Z", end_date="2026-03-29T10:10:00Z")
    assert answer["meta"]["query"]["start"] == "2026-03-29T09:00:00+00:00"
    assert answer["meta"]["query"]["end"] == "2026-03-29T11:00:00+00:00"
    assert "widened" in answer["meta"]["warnings"][0]
    assert (await ask(books, acme))["meta"]["warnings"] == []


async def test_counting_a_dead_letter_twice_is_refused_before_anything_is_written(books, acme):
    with pytest.raises(ValueError, match="from the letters"):
        await books.close(count(acme, "dead_lettered", 1))
    assert await books.batches.positions() == {}


async def test_the_command_shows_the_table_and_fails_when_the_books_do_not_balance(
    books, acme, capsys, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "200")
    await books.close(count(acme, "received", 1200), count(acme, "stored", 1198))
    await books.close(count(acme, "rejected", 2, reason="origin"))
    asked = {"start": "2026-03-29", "end": "2026-03-29", "workspace": acme}
    assert await books.command(cli_ledger.ledger, **asked) == 0
    shown = capsys.readouterr().out
    for words in (("received", "1,200"), ("stored", "1,198"), ("rejected", "2"), ("origin", "2")):
        assert any(all(word in line for word in words) for line in shown.splitlines()), shown
    assert shown.rstrip().endswith("balanced")
    assert "NOT" not in shown

    await books.close(count(acme, "received", 3, site="site_b"))
    assert await books.command(cli_ledger.ledger, **asked) == 1
    shown = capsys.readouterr().out
    assert "2026-03-29T09:00:00+00:00 site site_b: received 3, found 0" in shown
    assert "NOT balanced" in shown
    assert await books.command(cli_ledger.ledger, **asked, site="site_a") == 0


# Large ledgers


async def test_a_long_range_is_read_in_parts_that_add_up(books, acme, monkeypatch):
    monkeypatch.setattr(ledger, "PAGE_LINES", 7)
    for hour in range(40):
        site = f"site_{hour % 3}"
        await books.close(
            count(acme, "received", 3, hour=NINE - hour * HOUR, site=site),
            count(acme, "stored", 3 - (hour == 30), hour=NINE - hour * HOUR, site=site),
        )
    range_ = {"start_date": "2026-03-20", "end_date": "2026-04-02"}
    data = (await ask(books, acme, **range_, by_hour=True))["data"]
    assert (data["received"], data["stored"], data["balanced"]) == (120, 119, False)
    assert [(wrong["expected"], wrong["found"]) for wrong in data["imbalances"]] == [(3, 2)]
    assert sum(hour["received"] for hour in data["by_hour"]) == 120
    of_one = (await ask(books, acme, **range_, site_id="site_1"))["data"]
    assert (of_one["received"], of_one["balanced"]) == (39, True)
    pages = [page async for page in books.ledger.pages(acme, NINE - 100 * HOUR, NINE + HOUR)]
    assert len(pages) > 8
    assert [page.start for page in pages[:-1]] == [page.end for page in pages[1:]]


@pytest.mark.parametrize("closed_early", [True, False])
async def test_an_event_that_is_closed_while_a_long_range_is_read_counts_once(
    books, acme, monkeypatch, closed_early
):
    monkeypatch.setattr(ledger, "PAGE_LINES", 2)
    for hour in range(9):
        await books.close(
            count(acme, "received", 1, hour=NINE - hour * HOUR),
            count(acme, "stored", 1, hour=NINE - hour * HOUR),
        )
    await books.append(record(acme, event(), event(), received_at=NINE - 6 * HOUR))
    (shard,) = await books.log.shards()
    read, pages, at = books.ledger.books, [], []

    async def meanwhile(*arguments, **named):
        pages.append(await read(*arguments, **named))
        if len(pages) == at[-1]:
            await books.database.run(lambda c: _close_old(c, shard, acme))
        return pages[-1]

    monkeypatch.setattr(books.ledger, "books", meanwhile)
    for when, in_flight in ((2, 0), (99, 0)) if closed_early else ((99, 2), (8, 2), (99, 0)):
        pages.clear()
        at.append(when)
        data = (await ask(books, acme, start_date="2026-03-20", end_date="2026-04-02"))["data"]
        assert (data["received"], data["in_flight"]) == (11, in_flight)
        assert len(pages) > 7


def _close_old(connection, shard, workspace):
    connection.execute(positions.insert().values(shard=f"{shard:016x}", offset=0))
    hour = NINE - 6 * HOUR
    ledger.add(
        connection, [count(workspace, "received", 2, hour=hour), count(workspace, "stored", 2, hour=hour)]
    )


async def test_a_range_with_too_many_lines_is_refused_with_the_limit(books, acme, monkeypatch):
    monkeypatch.setattr(ledger, "PAGE_LINES", 2)
    monkeypatch.setattr(ledger, "_MOST_PAGES", 3)
    for hour in range(9):
        await books.close(count(acme, "received", 1, hour=NINE - hour * HOUR))
    answer = await books.ask("GET", PATH, acme, "read", params=day(start_date="2026-03-20"))
    assert "at most 6 lines of the ledger" in assert_problem(answer, 400, "start_date")["detail"]
    assert (await books.ask("GET", PATH, acme, "read", params=day())).status_code == 200
