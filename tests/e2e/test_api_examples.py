"""The examples of the API's pages: every endpoint has one, and each answer is what a demo answers."""

import httpx
import pytest

from tests.e2e.api_examples import PAGES, Example, demo, examples, fresh, rewritten, same, shown

# These ask by POST.
READS = ("/v1/query", "/v1/export")


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with demo(tmp_path_factory.mktemp("demo")) as started:
        yield started


def page(path):
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_answer_is_what_a_demo_answers(running, path):
    answers = fresh(running, page(path))
    wrong = [each.written for each in examples(page(path)) if not same(each.answer, answers[each.written])]
    assert wrong == [], "python -m tests.e2e.api_examples writes the answers of today into the pages"


def test_every_endpoint_that_answers_questions_has_an_example(running):
    shown_paths = {
        each.path.partition("?")[0].replace("$LINK", "{id}")
        for path in PAGES
        for each in examples(page(path))
    }
    document = running.console.get("/openapi.json").json()["paths"]
    asked = {
        path
        for path, methods in document.items()
        if ("get" in methods or path in READS) and "servers" not in methods  # those are the door's
    }
    # /api/v1/links/{link_id} answers with a row of /api/v1/links.
    one_of_a_list = {path for path in asked if path.rpartition("/")[0] in asked and path.endswith("}")}
    assert asked - one_of_a_list - shown_paths == set()


def test_a_number_that_differs_is_seen_and_an_id_is_not():
    old = '{"data": [{"link_id": "link_aaaaaaaaaa", "clicks": 12, "at": "2012-03-16T18:00:00+00:00"}]}'
    assert same(old, old.replace("aaaaaaaaaa", "b2b2b2b2b2").replace(', "c', ',\n   "c'))
    assert not same(old, old.replace("12,", "13,"))
    assert not same(old, old.replace("18:00", "19:00"))
    assert same(
        '"complete_through": "2026-11-21T08:45:47.643+00:00"', '"complete_through": "2027-01-01T00:00:00Z"'
    )


def test_an_answer_is_written_below_its_question_and_nothing_else_changes():
    text = "# T\n\n```console\n$ ask '/a'\n{}\n\n$ ask /b -d '\n  {\"x\": 1}'\nold\n```\n\nrest\n"
    first, second = examples(text)
    assert first == Example("$ ask '/a'", "/a", None, "{}")
    assert second == Example("$ ask /b -d '\n  {\"x\": 1}'", "/b", '\n  {"x": 1}', "old")
    assert rewritten(text, {each.written: each.answer for each in (first, second)}) == text
    new = rewritten(text, {first.written: "{}", second.written: "new"})
    assert new == text.replace("old", "new")


def test_rows_and_meta_are_shortened():
    rows = [{"n": 1}, {"n": 2}, {"n": 3}]
    answer = httpx.Response(200, json={"data": rows, "meta": {"total": 3, "warnings": ["long"]}})
    assert shown(answer, whole=False) == '{"data": [{"n": 1}, {"n": 2}, …], "meta": {"total": 3, …}}'
    assert (
        shown(answer, whole=True)
        == '{"data": [{"n": 1}, {"n": 2}, …], "meta": {"total": 3, "warnings": ["long"]}}'
    )
