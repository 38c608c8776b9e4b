"""The steps over columns."""

from footfall.enrich.pipeline import STEPS, Pipeline, Step
from footfall.model.columns import NAMES

CHROME = (
    "Mozilla/5.0 (Windows NT 6.1) AppleWebKit/535.11 (KHTML, like Gecko) Chrome/17.0.963.79 Safari/535.11"
)
GIVEN = {"user_agent", "client_hints", "told", "page_url", "referrer", "utm", "own_referrer"}

DEFAULTS = {"utm": None, "told": None, "own_referrer": False}


def batch(**columns):
    rows = max(map(len, columns.values()))
    empty = {name: [DEFAULTS.get(name, "")] * rows for name in GIVEN}
    return empty | columns


def test_every_step_reads_what_is_there_and_fills_columns_of_events():
    known = set(GIVEN)
    for step in STEPS:
        assert set(step.reads) <= known
        assert set(step.writes) <= set(NAMES)
        assert not set(step.writes) & known
        known |= set(step.writes)


def test_rows_keep_their_order():
    columns = batch(
        user_agent=[CHROME, "curl/8.5.0", CHROME, ""],
        page_url=["https://e.com/a?utm_source=x", "", "https://e.com/b", ""],
        referrer=["https://t.co/1", "", "https://e.com/a", "https://www.bing.com/"],
        utm=[None, None, ("s", "email", "", "", ""), None],
    )
    Pipeline().run(columns)
    assert columns["browser"] == ["Chrome", "curl", "Chrome", ""]
    assert columns["is_bot"] == [False, True, False, False]
    assert columns["page_path"] == ["/a", "", "/b", ""]
    assert columns["utm_source"] == ["x", "", "s", ""]
    assert columns["channel"] == ["social", "direct", "email", "search"]
    assert {len(column) for column in columns.values()} == {4}


def test_an_empty_batch():
    columns = {name: [] for name in GIVEN}
    Pipeline().run(columns)
    assert all(columns[name] == [] for step in STEPS for name in step.writes)


def test_each_distinct_input_is_computed_once():
    seen = []

    def run(word):
        seen.append(word)
        return (word.upper(),)

    pipeline = Pipeline((Step("shout", ("word",), ("loud",), run),))
    for _ in range(3):
        columns = {"word": ["a", "b", "a"] * 100}
        pipeline.run(columns)
        assert columns["loud"] == ["A", "B", "A"] * 100
    assert seen == ["a", "b"]


def test_what_is_remembered_is_bounded_and_the_oldest_goes():
    seen = []

    def run(number):
        seen.append(number)
        return (number + 1,)

    pipeline = Pipeline((Step("next", ("n",), ("m",), run),), remember=10)
    columns = {"n": list(range(25))}
    pipeline.run(columns)
    assert columns["m"] == list(range(1, 26))
    seen.clear()
    pipeline.run({"n": list(range(15, 25))})
    assert seen == []
    pipeline.run({"n": [14]})
    assert seen == [14]
