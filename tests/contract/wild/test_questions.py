"""Questions and exports about what is odd: large numbers, formulas, visits over midnight."""

import pytest

from tests.e2e.serving import until

BIG = 9007199254740992  # 2^53: from here on not every whole number is a Float64
NUMBERS = [BIG, BIG + 1, -BIG - 1, 3, "17", 2.5, "9007199254740993", 12345678901234567890, "nothing"]


@pytest.fixture(scope="module")
def numbers(world):
    name = world.event(properties={"order_id": NUMBERS[0]})
    for number in NUMBERS[1:]:
        world.event(event_type=name, properties={"order_id": number})
    world.stored(name, count=len(NUMBERS))
    return name


@pytest.mark.parametrize(
    ("operator", "bound", "count"),
    [
        ("gt", BIG, 3),
        ("gte", BIG + 1, 3),
        ("gt", BIG + 1, 1),
        ("gte", BIG, 4),
        ("lt", BIG + 1, 5),
        ("lte", BIG + 1, 7),
        ("lt", -BIG, 1),
        ("gte", -BIG - 1, 8),
        ("gt", -BIG - 1, 7),
        ("gt", 9223372036854775807, 1),
        ("gt", 2, 7),
        ("gt", 2.4, 7),
        ("gt", 2.5, 6),
        ("lte", 17.0, 4),
    ],
)
def test_whole_numbers_are_compared_as_what_they_are(world, numbers, operator, bound, count):
    filters = [["is", "event_type", [numbers]], [operator, "property:order_id", bound]]
    assert world.ask(["events"], filters=filters) == [(count,)]


@pytest.mark.parametrize(
    "beginning", ["\0", "\t", "\r", "\n", " ", "\ufeff", "\u200b", "\u00a0", "\u2028", "\x01", "", "\0 \t"]
)
@pytest.mark.parametrize("formula", ["=1+1", "+1", "-1+2", "@SUM(A1)", "\uff1d1+1"])
def test_no_cell_of_a_csv_is_a_formula(world, beginning, formula):
    name = world.event(properties={"v": beginning + formula})
    world.stored(name)
    question = {
        "metrics": ["events"],
        "dimensions": ["property:v"],
        "filters": [["is", "event_type", [name]]],
    }
    answer = world.console.post("/v1/export", json={"format": "csv", "date_range": "all"} | question)
    row = answer.content.decode().split("\r\n", 1)[1].lstrip('"')
    assert row.startswith("'" + beginning + formula.replace('"', '""')), row


@pytest.mark.parametrize("text", ["a=1", "\0", "1-2", " x", "caf\u00e9", "\u00b1", "mail@example.com"])
def test_text_that_is_no_formula_stays_as_it_is(world, text):
    name = world.event(properties={"v": text})
    world.stored(name)
    question = {
        "metrics": ["events"],
        "dimensions": ["property:v"],
        "filters": [["is", "event_type", [name]]],
    }
    answer = world.console.post("/v1/export", json={"format": "csv", "date_range": "all"} | question)
    row = answer.content.decode().split("\r\n", 1)[1].lstrip('"')
    assert row.startswith("'\0" if text == "\0" else text)


def test_a_question_names_a_site_by_its_domain(world):
    made = world.console.post("/api/v1/sites", json={"name": "Wild shop", "origins": ["wild-shop.example"]})
    assert made.status_code == 201, made.text
    site = made.json()["id"]

    def is_known():
        answer = world.door.post("/v1/events", json={"events": [{"event_type": "shopped", "site_id": site}]})
        return answer.json()["accepted"]

    until(is_known)
    until(lambda: world.ask(["events"], site_id=site) != [(0,)])
    events = world.ask(["events"], site_id=site)
    until(lambda: world.ask(["events"], site_id="wild-shop.example") == events)  # the console hears of it
    assert world.ask(["events"], site_id=["https://www.wild-shop.example", world.site]) != events
    answer = world.console.get("/api/v1/analytics/overview", params={"site_id": "wild-shop.example"})
    assert [(answer.json()["data"]["events"],)] == events
    assert world.ask(["events"], site_id="other.example") == [(0,)]
