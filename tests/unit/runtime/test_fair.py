"""Who has the fewest comes next, and nobody has more than a share."""

import asyncio

import pytest

from footfall.runtime.fair import Fair

pytestmark = pytest.mark.anyio

A, B = ("a", "key"), ("b", "key")


async def take(fair, asker, order, *, name=None):
    thing = await fair.take(asker)
    order.append(name or asker)
    return thing


async def settled():
    for _ in range(5):
        await asyncio.sleep(0)


async def test_one_never_has_more_than_its_share_though_things_lie_idle():
    fair, order = Fair(range(4), 3), []
    asking = [asyncio.create_task(take(fair, A, order)) for _ in range(10)]
    await settled()
    assert order == [A] * 3
    assert await fair.take(B) in range(4)
    await settled()
    assert order == [A] * 3
    fair.give_back(asking[0].result(), A)
    await settled()
    assert order == [A] * 4
    for task in asking:
        task.cancel()


async def test_who_has_the_fewest_comes_next_first_by_workspace_then_by_key():
    fair, order = Fair(range(3), 3), []
    held = [await fair.take(asker) for asker in [("a", "1"), ("a", "1"), ("b", "1")]]
    waiting = [("a", "1"), ("a", "1"), ("a", "2"), ("b", "2"), ("c", "1")]
    tasks = [asyncio.create_task(take(fair, asker, order)) for asker in waiting]
    await settled()
    fair.give_back(held[0], ("a", "1"))
    await settled()
    assert order == [("c", "1")]
    fair.give_back(held[1], ("a", "1"))
    await settled()
    assert order[1:] == [("a", "1")]
    fair.give_back(tasks[4].result(), ("c", "1"))
    await settled()
    assert order[2:] == [("a", "2")]
    for task in tasks:
        task.cancel()


async def test_what_nobody_wants_any_more_goes_to_the_next():
    fair = Fair(["reader"], 1)
    thing = await fair.take(A)
    gone = asyncio.create_task(fair.take(A))
    staying = asyncio.create_task(fair.take(B))
    await settled()
    fair.give_back(thing, A)  # it is lent to `gone`, or to `staying`, and neither knows yet
    gone.cancel()
    assert await staying == "reader"
    fair.give_back("reader", B)
    assert await fair.take(A) == "reader"
    fair.give_back("reader", A)
    assert fair._lent == {}
    assert fair._waiting == {}


async def test_who_is_cancelled_just_when_it_is_lent_gives_it_back():
    fair = Fair(["reader"], 1)
    thing = await fair.take(A)
    gone = asyncio.create_task(fair.take(B))
    await settled()
    fair.give_back(thing, A)
    gone.cancel()
    await asyncio.wait({gone})
    assert await fair.take(A) == "reader"


async def test_one_may_come_before_all():
    fair, order = Fair(range(1), 1), []
    thing = await fair.take(A)
    asyncio.create_task(take(fair, B, order)).add_done_callback(lambda _: None)
    first = asyncio.create_task(fair.take_before_all())
    await settled()
    fair.give_back(thing, A)
    await settled()
    assert first.done()
    assert order == []
    fair.give_back(first.result())
    await settled()
    assert order == [B]
