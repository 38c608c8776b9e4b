"""Dead letters: kept until somebody decides, tried again exactly once, and always in the books."""

import signal
import sys
from asyncio import create_subprocess_exec
from asyncio.subprocess import PIPE

import pytest
from msgspec.structs import replace

from footfall.cli import dead_letters
from footfall.errors import Conflict, FootfallError, Invalid, NotFound
from footfall.model.record import SenderContext, encode
from footfall.state.dead_letters.letter import event_letter, parse_position, unreadable_letter
from footfall.state.dead_letters.letters import DeadLetters, Settled, Size
from tests.contract.acme import assert_problem
from tests.contract.books import NINE, SHARD, event, letter, open_books, received_with, record
from tests.databases import variables

pytestmark = pytest.mark.anyio

PATH = "/api/v1/dead-letters"


@pytest.fixture
async def books(places):
    async with open_books(places) as opened:
        yield opened


@pytest.fixture
async def acme(books):
    return (await books.tenants.create_workspace("acme")).id


async def keep(books, *letters):
    await books.close(*received_with(letters), letters=letters)
    return letters


# ------------------------------------------------------------------------ what a letter holds


async def test_a_letter_holds_its_event_alone_and_gives_it_back(acme):
    visits = [SenderContext("Firefox"), SenderContext("Chrome", country_code="FR")]
    made = record(
        acme, event(page_url="https://a/"), event("site_b", visit=1), visits=visits, source="import:bitly"
    )
    one = event_letter(made, 1, SHARD, 4097, reason="unprocessable", failed_at=5)
    assert (one.site_id, one.hour, one.backfilled, one.position) == (
        "site_b",
        NINE,
        True,
        f"{SHARD:016x}-4097",
    )
    again = one.record()
    assert (again.workspace_id, again.received_at, again.source) == (acme, made.received_at, made.source)
    assert [e.event_id for e in again.events] == [made.events[1].event_id]
    assert again.visits[again.events[0].visit] == visits[1]
    assert made.events[1].visit == 1  # the record itself is as it was


async def test_bytes_that_cannot_be_read_are_kept_and_nobody_is_shown_them(books, acme):
    data = encode(record(acme, event(page_url="https://example.com/planted-page")))
    for seq, each in ((4096, data), (8192, b"\xff no record"), (12288, None)):
        reason = "undecodable" if each else "damaged"
        one = unreadable_letter(acme, SHARD, seq, each, appended_at=NINE + 1, reason=reason, failed_at=5)
        assert (one.whole, one.size, one.payload, one.retryable) == (
            True,
            len(each or b""),
            each or b"",
            each is not None,
        )
        await keep(books, one)
        shown = await books.ask("GET", f"{PATH}/{one.position}", acme)
        assert shown.json()["event"] is None, "it may be another workspace's"
        assert "planted" not in shown.text
    assert (await books.letters.size()).bytes == len(data) + len(b"\xff no record")
    with pytest.raises(Conflict, match="nothing"):
        await books.letters.retry(acme, SHARD, 12288)
    assert await books.letters.retry_all(acme, "damaged") == 0
    assert await books.letters.retry_all(acme, "undecodable") == 2


async def test_a_letter_of_which_an_older_version_kept_a_digest_only_cannot_be_retried(books, acme):
    old = replace(
        unreadable_letter(acme, SHARD, 1, None, appended_at=NINE, reason="undecodable", failed_at=5),
        size=20,
        digest="d" * 64,
    )
    await keep(books, old)
    with pytest.raises(Conflict, match="nothing"):
        await books.letters.retry(acme, SHARD, 1)
    assert await books.letters.retry_all(acme, "undecodable") == 0
    assert (await books.letters.size()).bytes == 0


async def test_a_record_that_can_be_read_by_now_is_booked_as_what_it_holds(books, acme):
    made = record(
        acme,
        event("site_a"),
        event("site_b"),
        event("site_b"),
        tallies=[("site_a", "too_old", 4), ("site_a", "duplicate", 2)],
        source="import:bitly",
    )
    nobodys = (await books.tenants.create_workspace("first")).id
    whole = unreadable_letter(
        nobodys, SHARD, 4096, encode(made), appended_at=NINE + 1, reason="newer_format", failed_at=5
    )
    await keep(books, whole)
    await books.letters.retry_all(nobodys, "newer_format")
    (taken,) = await books.letters.take()
    for _ in range(2):  # repeated, as after an unknown outcome
        await books.letters.unfold([(taken, taken.record())])
    assert await books.lines(nobodys) == {}
    assert await books.lines(acme) == {
        ("received", ""): 9,
        ("rejected", "too_old"): 4,
        ("duplicate", ""): 2,
        ("dead_lettered", ""): 3,
    }
    letters = await books.letters.take()
    assert [(one.seq, one.site_id, one.whole) for one in letters] == [
        (4096, "site_a", False),
        (4097, "site_b", False),
        (4098, "site_b", False),
    ]
    assert [one.record().events[0].event_id for one in letters] == [one.event_id for one in made.events]
    await books.letters.settle([Settled(one, "stored") for one in letters])
    assert (await books.lines(acme))["stored", ""] == 3


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1-2",
        f"{SHARD:016x}",
        f"{SHARD:016x}-",
        f"{SHARD:016x}--1",
        f"{SHARD:016x}-{2**63}",
        "g" * 16 + "-1",
    ],
)
def test_a_position_that_is_none_is_refused(text):
    with pytest.raises(Invalid, match="16 hex digits") as refused:
        parse_position(text)
    assert refused.value.field == "position"


# ------------------------------------------------------------------------------ their life


async def test_a_letter_that_is_stored_after_all_moves_in_the_books_once(books, acme):
    one, two, three = await keep(books, letter(acme, 1), letter(acme, 2), letter(acme, 3))
    assert await books.lines(acme) == {("received", ""): 3, ("dead_lettered", ""): 3}
    assert await books.letters.take() == []
    for each in (one, two, three):
        await books.letters.retry(acme, SHARD, each.seq)
    taken = await books.letters.take()
    assert [each.seq for each in taken] == [1, 2, 3]
    assert taken[0].record() == one.record()

    results = [
        Settled(taken[0], "stored"),
        Settled(taken[1], "duplicate"),
        Settled(taken[2], "failed", "unprocessable", "KeyError", 9000),
    ]
    for _ in range(2):  # repeated, as after an unknown outcome
        await books.letters.settle(results)
        assert await books.lines(acme) == {
            ("received", ""): 3,
            ("stored", ""): 1,
            ("duplicate", ""): 1,
            ("dead_lettered", ""): 1,
        }
    (left,) = (await books.letters.page(acme)).letters
    assert (left.seq, left.status, left.attempts, left.detail, left.failed_at) == (
        3,
        "kept",
        2,
        "KeyError",
        9000,
    )
    assert await books.letters.take() == []


async def test_what_a_crash_left_half_retried_is_taken_again(books, acme, places):
    await keep(books, letter(acme, 1))
    await books.letters.retry(acme, SHARD, 1)
    code = (
        "import asyncio, os, sys\n"
        "from footfall.database import place_of\n"
        "from footfall.settings import load\n"
        "from footfall.state.dead_letters.letters import DeadLetters\n"
        "from footfall.state.tables import open_state\n"
        "assert len(asyncio.run(DeadLetters(open_state(place_of(load(), 'state'))).take())) == 1\n"
        "os.kill(os.getpid(), 9)\n"
    )
    child = await create_subprocess_exec(sys.executable, "-c", code, env=variables(places), stderr=PIPE)
    _, problems = await child.communicate()
    assert child.returncode == -signal.SIGKILL, problems.decode()
    with pytest.raises(Conflict, match="just now"):
        await books.letters.discard(acme, SHARD, 1)  # its row may be in the store already
    (taken,) = await books.letters.take()
    await books.letters.settle([Settled(taken, "stored")])
    assert await books.lines(acme) == {("received", ""): 1, ("stored", ""): 1}
    with pytest.raises(NotFound):
        await books.letters.discard(acme, SHARD, 1)


@pytest.mark.parametrize("places", ["sqlite"], indirect=True)
async def test_a_discarded_letter_is_dropped_in_the_books_and_gone_from_the_file(books, acme, tmp_path):
    await keep(books, letter(acme, 1, page_url="https://example.com/planted-page"))
    assert b"planted-page" in (tmp_path / "state.db").read_bytes()
    await books.letters.retry(acme, SHARD, 1)  # due, but the worker has not taken it
    await books.letters.discard(acme, SHARD, 1)
    assert await books.lines(acme) == {("received", ""): 1, ("dropped", "discarded"): 1}
    assert await books.letters.take() == []
    for path in tmp_path.iterdir():
        assert not path.is_file() or b"planted-page" not in path.read_bytes()


async def test_whether_there_is_room_is_known_before_and_no_closing_fails_of_it(books, acme):
    kept = await keep(books, letter(acme, 1), letter(acme, 2))
    more = [letter(acme, 3)]
    size = Size(2, sum(len(one.payload) for one in kept))
    for limits in ({"max_letters": 2}, {"max_bytes": size.bytes}):
        letters = DeadLetters(books.database, **limits)
        assert await letters.full(more) == size
        assert await letters.full([]) is None
    await keep(books, *more)
    assert await letters.full([]) is not None, "more than there may be: nothing is planned any more"
    await letters.discard(acme, SHARD, 1)
    await letters.discard(acme, SHARD, 2)
    assert await letters.full(more) is None


async def test_all_with_a_reason_are_discarded_and_no_others(books, acme):
    other = (await books.tenants.create_workspace("other")).id
    await keep(
        books,
        *(letter(acme, seq, reason="sessions") for seq in range(5)),
        letter(acme, 5, reason="columns"),
        letter(other, 6, reason="sessions"),
    )
    await books.letters.retry(acme, SHARD, 0)
    await books.letters.take()
    answer = await books.ask("POST", f"{PATH}/discard", acme, json={"reason": "sessions"})
    assert (answer.status_code, answer.json()) == (200, {"discarded": 4})
    assert await books.lines(acme) == {
        ("received", ""): 6,
        ("dropped", "discarded"): 4,
        ("dead_lettered", ""): 2,
    }
    assert (await books.letters.page(other)).total == 1


async def test_a_take_is_bounded_in_bytes_and_gives_out_no_more_before_that_is_settled(books, acme):
    large = [letter(acme, seq, page_url="https://example.com/" + "x" * 5000) for seq in range(6)]
    await keep(books, *large)
    await books.letters.retry_all(acme, "unprocessable")
    for _ in range(2):
        assert [one.seq for one in await books.letters.take(max_bytes=2 * large[0].size)] == [0, 1]
        assert [one.seq for one in await books.letters.begun()] == [0, 1]
    assert [one.seq for one in await books.letters.take(max_bytes=1)] == [0], "one at least"


async def test_all_with_a_reason_are_retried_and_no_others(books, acme):
    other = (await books.tenants.create_workspace("other")).id
    await keep(
        books,
        letter(acme, 1, reason="sessions"),
        letter(acme, 2, reason="columns"),
        letter(other, 3, reason="sessions"),
    )
    answer = await books.ask("POST", f"{PATH}/retry", acme, json={"reason": "sessions"})
    assert (answer.status_code, answer.json()) == (202, {"due": 1})
    assert [one.seq for one in await books.letters.take()] == [1]
    # Those the worker has already are not due once more.
    answer = await books.ask("POST", f"{PATH}/retry", acme, json={"reason": "sessions"})
    assert answer.json() == {"due": 0}


async def test_many_letters_are_taken_in_parts_and_all_settled(books, acme):
    await keep(books, *(letter(acme, seq, shard=SHARD - seq % 3) for seq in range(1300)))
    await books.letters.retry_all(acme, "unprocessable")
    sizes = []
    while taken := await books.letters.take(600):
        sizes.append(len(taken))
        await books.letters.settle([Settled(one, "stored") for one in taken])
    assert sizes == [600, 600, 100]
    assert await books.lines(acme) == {("received", ""): 1300, ("stored", ""): 1300}
    assert (await books.letters.size()).letters == 0


# ------------------------------------------------------------------------------------- API


async def test_the_list_is_paged_newest_first_and_filtered(books, acme):
    await keep(books, *(letter(acme, seq, reason="ab"[seq % 2], failed_at=seq) for seq in range(5)))
    first = (await books.ask("GET", PATH, acme, params={"limit": 2})).json()
    rest = (await books.ask("GET", PATH, acme, params={"limit": 9, "offset": 2})).json()
    seqs = [int(one["position"].split("-")[1]) for one in first["data"] + rest["data"]]
    assert seqs == [4, 3, 2, 1, 0]
    assert first["meta"] == {"total": 5, "limit": 2, "offset": 0}
    only = (await books.ask("GET", PATH, acme, params={"reason": "b"})).json()
    assert [one["reason"] for one in only["data"]] == ["b", "b"]
    one = only["data"][0]
    assert one["received_hour"] == "2026-03-29T09:00:00Z"
    assert (one["status"], one["retryable"], one["events"], one["attempts"]) == ("kept", True, 1, 1)


async def test_one_letter_is_shown_without_who_it_was(books, acme):
    (one,) = await keep(
        books,
        letter(
            acme,
            7,
            visitor_id=2**63 + 11,
            device_hash=2**62 + 13,
            properties='{"plan":"pro"}',
            referrer="https://r/",
        ),
    )
    answer = await books.ask("GET", f"{PATH}/{one.position.upper()}", acme)
    assert answer.status_code == 200, answer.text
    shown = answer.json()
    assert shown["event"]["properties"] == {"plan": "pro"}
    assert shown["event"]["referrer"] == "https://r/"
    assert shown["event"]["country_code"] == "DE"
    for hidden in (str(2**63 + 11), str(2**62 + 13), "48.4", "Ulm", "key_1", "payload"):
        assert hidden not in answer.text


async def test_whatever_is_wrong_with_an_event_it_can_be_shown(books, acme):
    broken = event(properties="{not json", page_url="\x00")
    broken.event_id, broken.occurred_at, broken.visit = b"short", 2**62, 9
    one = event_letter(record(acme, broken), 0, SHARD, 7, reason="unprocessable", failed_at=5)
    await keep(books, one)
    shown = (await books.ask("GET", f"{PATH}/{one.position}", acme)).json()["event"]
    assert (shown["event_id"], shown["occurred_at"]) == (b"short".hex(), None)
    assert (shown["properties"], shown["page_url"]) == ("{not json", "\x00")


async def test_retry_and_discard_over_http(books, acme):
    one, two = await keep(books, letter(acme, 1), letter(acme, 2))
    answer = await books.ask("POST", f"{PATH}/{one.position}/retry", acme)
    assert (answer.status_code, answer.json()["status"]) == (202, "due")
    assert (await books.ask("POST", f"{PATH}/{one.position}/retry", acme)).json()["status"] == "due"
    await books.letters.take()
    assert_problem(await books.ask("DELETE", f"{PATH}/{one.position}", acme), 409)
    assert (await books.ask("DELETE", f"{PATH}/{two.position}", acme)).status_code == 204
    assert_problem(await books.ask("DELETE", f"{PATH}/{two.position}", acme), 404)


async def test_letters_of_another_workspace_do_not_exist(books, acme):
    other = (await books.tenants.create_workspace("other")).id
    (one,) = await keep(books, letter(acme, 1))
    assert (await books.ask("GET", PATH, other)).json()["data"] == []
    assert_problem(await books.ask("GET", f"{PATH}/{one.position}", other), 404)
    assert_problem(await books.ask("POST", f"{PATH}/{one.position}/retry", other), 404)
    assert_problem(await books.ask("DELETE", f"{PATH}/{one.position}", other), 404)
    assert (await books.letters.show(acme, SHARD, 1)).status == "kept"


async def test_only_an_admin_key_may(books, acme):
    requests = [
        ("GET", PATH),
        ("GET", f"{PATH}/{SHARD:016x}-1"),
        ("POST", f"{PATH}/{SHARD:016x}-1/retry"),
        ("POST", f"{PATH}/retry"),
        ("POST", f"{PATH}/discard"),
        ("DELETE", f"{PATH}/{SHARD:016x}-1"),
    ]
    for method, path in requests:
        assert_problem(await books.ask(method, path, acme, None), 401)
        assert_problem(await books.ask(method, path, acme, "read"), 403)


async def test_wrong_questions_are_named(books, acme):
    assert_problem(await books.ask("GET", f"{PATH}/here", acme), 400, "position")
    assert_problem(await books.ask("GET", PATH, acme, params={"limit": 0}), 400, "limit")
    assert_problem(await books.ask("GET", PATH, acme, params={"why": "x"}), 400, "why")
    assert_problem(await books.ask("POST", f"{PATH}/retry", acme, json={}), 400, "reason")
    assert_problem(await books.ask("POST", f"{PATH}/retry", acme, json={"reason": "x", "all": 1}), 400, "all")


async def test_a_second_letter_of_a_position_is_an_error_and_no_replacement(books, acme):
    await keep(books, letter(acme, 1))
    with pytest.raises(Exception, match=r"(?i)unique"):
        await keep(books, letter(acme, 1))
    assert await books.lines(acme) == {("received", ""): 1, ("dead_lettered", ""): 1}


# ------------------------------------------------------------------------------------- CLI


async def test_the_commands_list_show_retry_and_discard(books, acme, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    one, two, _ = await keep(
        books,
        letter(acme, 1, properties='{"plan":"pro"}'),
        letter(acme, 2),
        letter(acme, 3, reason="sessions"),
    )

    async def command(call, *arguments, **options):
        await books.command(call, *arguments, workspace=acme, **options)
        return capsys.readouterr().out

    shown = await command(dead_letters.list_letters)
    assert one.position in shown
    assert "3 of 3" in shown
    assert "1 of 1" in await command(dead_letters.list_letters, reason="sessions")
    assert '"plan": "pro"' in await command(dead_letters.show, one.position)
    assert "discarded" in await command(dead_letters.discard, two.position)
    assert "1 handed" in await command(dead_letters.retry, one.position)
    assert "1 handed" in await command(dead_letters.retry, reason="sessions")
    assert [letter.seq for letter in await books.letters.take()] == [1, 3]
    await keep(books, letter(acme, 4, reason="columns"))
    assert "1 discarded" in await command(dead_letters.discard, reason="columns")
    with pytest.raises(FootfallError, match="just now"):
        await command(dead_letters.discard, one.position)
    with pytest.raises(NotFound):
        await command(dead_letters.show, two.position)
    with pytest.raises(Invalid, match="16 hex"):
        await command(dead_letters.show, "../../keys")
    for both in ((), (one.position, "sessions")):
        with pytest.raises(Invalid, match="either"):
            await command(dead_letters.retry, *both[:1], reason=both[1] if both else None)
        with pytest.raises(Invalid, match="either"):
            await command(dead_letters.discard, *both[:1], reason=both[1] if both else None)


def test_the_command_line_reads_as_documented(capsys):
    with pytest.raises(SystemExit):
        dead_letters.app(["--help"])
    shown = capsys.readouterr().out
    for name in ("list", "show", "retry", "discard"):
        assert name in shown
