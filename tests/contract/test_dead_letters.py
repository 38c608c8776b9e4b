"""Dead letters: kept until somebody decides, tried again exactly once, and always in the books."""

import signal
import sys
from asyncio import create_subprocess_exec
from asyncio.subprocess import PIPE

import pytest

from footfall import cli_dead_letters
from footfall.errors import Conflict, FootfallError, Invalid, NotFound, Retryable
from footfall.model.record import Visit
from footfall.state.batches import Batches
from footfall.state.dead_letters import Settled
from footfall.state.letters import event_letter, parse_position, unreadable_letter
from tests.contract.acme import assert_problem
from tests.contract.books import NINE, SHARD, event, letter, open_books, received_with, record

pytestmark = pytest.mark.anyio

PATH = "/api/v1/dead-letters"


@pytest.fixture
async def books(tmp_path):
    async with open_books(tmp_path) as opened:
        yield opened


@pytest.fixture
async def acme(books):
    return (await books.tenants.create_workspace("acme")).id


async def keep(books, *letters):
    await books.close(*received_with(letters), letters=letters)
    return letters


# ------------------------------------------------------------------------ what a letter holds


async def test_a_letter_holds_its_event_alone_and_gives_it_back(acme):
    visits = [Visit("Firefox"), Visit("Chrome", country_code="FR")]
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


async def test_of_bytes_that_cannot_be_read_size_and_digest_are_kept_only(books, acme, tmp_path):
    one = unreadable_letter(
        acme, SHARD, 8192, b"\xffplanted-203.0.113.9", appended_at=NINE + 1, reason="undecodable", failed_at=5
    )
    assert (one.size, len(one.digest), one.payload, one.retryable) == (20, 64, b"", False)
    await keep(books, one)
    with pytest.raises(Conflict, match="nothing is left"):
        await books.letters.retry(acme, SHARD, 8192)
    assert await books.letters.retry_all(acme, "undecodable") == 0
    assert (await books.letters.size()).bytes == 0
    assert b"203.0.113.9" not in (tmp_path / "state.db").read_bytes()
    shown = await books.ask("GET", f"{PATH}/{one.position}", acme)
    assert shown.json()["event"] is None


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


async def test_what_a_crash_left_half_retried_is_taken_again(books, acme, tmp_path):
    await keep(books, letter(acme, 1))
    await books.letters.retry(acme, SHARD, 1)
    code = (
        "import asyncio, os, sys\n"
        "from pathlib import Path\n"
        "from footfall.state.dead_letters import DeadLetters\n"
        "from footfall.state.tables import open_state\n"
        "assert len(asyncio.run(DeadLetters(open_state(Path(sys.argv[1]))).take())) == 1\n"
        "os.kill(os.getpid(), 9)\n"
    )
    child = await create_subprocess_exec(sys.executable, "-c", code, tmp_path / "state.db", stderr=PIPE)
    _, problems = await child.communicate()
    assert child.returncode == -signal.SIGKILL, problems.decode()
    with pytest.raises(Conflict, match="just now"):
        await books.letters.discard(acme, SHARD, 1)  # its row may be in the store already
    (taken,) = await books.letters.take()
    await books.letters.settle([Settled(taken, "stored")])
    assert await books.lines(acme) == {("received", ""): 1, ("stored", ""): 1}
    with pytest.raises(NotFound):
        await books.letters.discard(acme, SHARD, 1)


async def test_a_discarded_letter_is_dropped_in_the_books_and_gone_from_the_file(books, acme, tmp_path):
    await keep(books, letter(acme, 1, page_url="https://example.com/planted-page"))
    assert b"planted-page" in (tmp_path / "state.db").read_bytes()
    await books.letters.retry(acme, SHARD, 1)  # due, but the worker has not taken it
    await books.letters.discard(acme, SHARD, 1)
    assert await books.lines(acme) == {("received", ""): 1, ("dropped", "discarded"): 1}
    assert await books.letters.take() == []
    for path in tmp_path.iterdir():
        assert not path.is_file() or b"planted-page" not in path.read_bytes()


async def test_too_many_letters_stop_the_worker_and_change_nothing(books, acme):
    await keep(books, letter(acme, 1), letter(acme, 2))
    whole = (await books.letters.size()).bytes
    for limits in ({"max_letters": 2}, {"max_letter_bytes": whole}):
        books.batches = Batches(books.database, **limits)
        before = await books.lines(acme)
        with pytest.raises(Retryable, match="too many dead letters"):
            await keep(books, letter(acme, 3))
        assert await books.lines(acme) == before
        assert len(await books.batches.open_plans()) == 1
        await books.database.run(lambda c: c.exec_driver_sql("DELETE FROM plans").close())
    await books.letters.discard(acme, SHARD, 1)
    books.batches = Batches(books.database, max_letters=2)
    await keep(books, letter(acme, 3))
    assert (await books.letters.size()).letters == 2


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
    with pytest.raises(Exception, match="UNIQUE"):
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

    shown = await command(cli_dead_letters.list_letters)
    assert one.position in shown
    assert "3 of 3" in shown
    assert "1 of 1" in await command(cli_dead_letters.list_letters, reason="sessions")
    assert '"plan": "pro"' in await command(cli_dead_letters.show, one.position)
    assert "discarded" in await command(cli_dead_letters.discard, two.position)
    assert "1 handed" in await command(cli_dead_letters.retry, one.position)
    assert "1 handed" in await command(cli_dead_letters.retry, reason="sessions")
    assert [letter.seq for letter in await books.letters.take()] == [1, 3]
    with pytest.raises(FootfallError, match="just now"):
        await command(cli_dead_letters.discard, one.position)
    with pytest.raises(NotFound):
        await command(cli_dead_letters.show, two.position)
    with pytest.raises(Invalid, match="16 hex"):
        await command(cli_dead_letters.show, "../../keys")
    for both in ((), (one.position, "sessions")):
        with pytest.raises(Invalid, match="either"):
            await command(cli_dead_letters.retry, *both[:1], reason=both[1] if both else None)


def test_the_command_line_reads_as_documented(capsys):
    with pytest.raises(SystemExit):
        cli_dead_letters.app(["--help"])
    shown = capsys.readouterr().out
    for name in ("list", "show", "retry", "discard"):
        assert name in shown
