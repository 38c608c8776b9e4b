"""Sums of money are right whatever anybody sends: no number of large amounts makes them wrap."""

import json
import time

import pytest

from footfall import main
from footfall.eventlog.port import Entry
from footfall.model.ids import uuid7
from footfall.model.record import RawEvent, Record, SenderContext, encode
from footfall.settings import load
from tests.contract.access_log import console
from tests.contract.door import KEY, open_door

pytestmark = pytest.mark.anyio

MOST = 10**12


def conversion(value, currency="EUR"):
    return {
        "event_type": "conversion",
        "properties": {"name": "order", "value_minor": value, "currency": currency},
    }


@pytest.mark.parametrize("value", [MOST + 1, -MOST - 1, 2**53, 2**63, -(2**70)])
async def test_a_value_beyond_the_limit_is_refused_alone(tmp_path, value):
    async with open_door(tmp_path) as rig:
        site = await rig.tenants.create_site("default", "Shop")
        for answer in (
            await rig.http.post(f"/v1/events?site_id={site.id}", json=[conversion(MOST), conversion(value)]),
            await rig.post([conversion(-MOST), conversion(value)]),
        ):
            [verdict] = answer.json()["results"]
            assert (verdict["index"], verdict["field"]) == (1, "properties.value_minor")
        assert len(await rig.events()) == 2


async def revenue(data):
    async with console(data) as http:
        answer = await http.post("/v1/query", json={"metrics": ["revenue"], "date_range": "day"})
    assert answer.status_code == 200, answer.text
    return answer.json()["results"][0]["metrics"][0]


@pytest.mark.parametrize(
    "value", [2**53, -(2**53), 2**62, -(2**62) - 1, 2**31 - 1, 2**31, -(2**31) - 1, MOST]
)
async def test_sums_do_not_wrap(tmp_path, value):
    """Values as an older version took them, too: they are in data directories."""
    await main.prepare(load(data=tmp_path, admin_key=KEY))
    count = 3000
    async with open_door(tmp_path) as rig:
        received = int(time.time() * 1000)
        text, small = (
            json.dumps({"name": "order", "value_minor": amount, "currency": currency})
            for amount, currency in ((value, "EUR"), (7, "USD"))
        )
        for part in range(3):
            events = [
                RawEvent(uuid7(received), "conversion", received, properties=each)
                for each in [text] * (count // 3) + [small] * (part == 0)
            ]
            record = Record(1, received, "default", "api", events, [SenderContext()])
            await rig.door.log.append(Entry("k", encode(record)))
    expected = {"EUR": count * value, "USD": 7}
    await revenue(tmp_path)
    assert await revenue(tmp_path) == expected
