"""Every operation that the console documents, asked with what is allowed there and what is not."""

import json
import warnings
from contextlib import suppress

import pytest
import requests
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable

from tests.e2e.serving import KEY, serving

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import schemathesis
    from schemathesis.checks import not_a_server_error
    from schemathesis.core.failures import FailureGroup
    from schemathesis.generation import GenerationMode
    from schemathesis.specs.openapi import checks as openapi

EXAMPLES = 4
"""Of each operation, allowed and not allowed each: always the same ones."""

_QUESTION = {
    "metrics": ["visitors", "revenue", "last_at", "ctr"],
    "dimensions": ["time", "event_type", "is_bot"],
    "date_range": "7d",
    "filters": [["is_not", "os", ["x"]]],
    "order_by": [["visitors", "asc"]],
    "compare": "previous_period",
    "timezone": "Asia/Kolkata",
    "week_start": "sunday",
    "site_id": None,
}
QUERIES = {"/v1/query": _QUESTION, "/v1/export": _QUESTION | {"compare": None}}

_CHECKS = (
    not_a_server_error,
    openapi.status_code_conformance,
    openapi.content_type_conformance,
    openapi.response_schema_conformance,
)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("schemathesis") / "data") as server:
        server.send(20, "page_view")
        server.send(20, "click")
        yield server


@pytest.fixture(scope="module")
def schema(server):
    document = server.console.get("/openapi.json").json()
    # The door's are at another address.
    own = {path: methods for path, methods in document["paths"].items() if "servers" not in methods}
    return schemathesis.openapi.from_dict(document | {"paths": own})


@pytest.fixture(scope="module")
def session():
    with requests.Session() as opened:
        yield opened


_settings = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_every_operation_answers_as_it_is_documented(server, schema, session, mode):
    asked, failed, answered = 0, [], set()
    headers = {"Authorization": f"Bearer {KEY}"}
    for result in schema.get_all_operations():
        operation = result.ok()

        @_settings
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case):
            nonlocal asked
            asked += 1
            if mode is GenerationMode.POSITIVE and case.operation.path in QUERIES:
                case.body = case.body | QUERIES[case.operation.path]  # the names are not in the document
            response = case.call(str(server.console.base_url), session=session, headers=headers)
            answered.add((case.operation.label, response.status_code // 100))
            try:
                case.validate_response(response, checks=_CHECKS)
            except FailureGroup as group:
                failed.extend(f"{case.operation.label}: {each}" for each in group.exceptions)

        with suppress(Unsatisfiable):  # nothing can be wrong with it: it takes nothing
            ask()
    assert not failed, "\n\n".join(failed)
    assert asked > 50
    if mode is GenerationMode.POSITIVE:
        unanswered = {label for label, _ in answered} - {label for label, kind in answered if kind == 2}
        assert not [label for label in unanswered if label.startswith("GET") and "{" not in label]
        assert not [label for label in unanswered if label.removeprefix("POST ") in QUERIES]


VALUES = {
    "string": "5",
    "integer": 5,
    "number": 1.5,
    "boolean": True,
    "array": [],
    "object": {},
    "null": None,
}
"""One of each type of JSON."""


def test_no_body_takes_one_type_for_another(server):
    document = server.console.get("/openapi.json").json()
    bodies = [
        (method, path, _resolved(document, operation["requestBody"]["content"]["application/json"]["schema"]))
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if "servers" not in operations and "requestBody" in operation
    ]
    assert len(bodies) >= 11
    for method, path, schema in bodies:
        for name, kinds in schema["properties"].items():
            allowed = _types(document, kinds)
            for kind in VALUES.keys() - allowed:
                answer = server.console.request(method, path.format(**_ANY), json={name: VALUES[kind]})
                problem = answer.json()
                said = (method, path, name, kind, problem)
                assert (answer.status_code, problem.get("field")) == (400, name), said
                assert "`" not in problem["detail"], said
                assert "Expected" in problem["detail"], said
        for body, fields in ({"nonsense": 1}, {"nonsense"}), ({}, {*schema.get("required", ())}):
            problem = server.console.request(method, path.format(**_ANY), json=body).json()
            assert not fields or (problem["status"] == 400 and problem["field"] in fields), (path, problem)


_ANY = dict.fromkeys(("link_id", "site_id", "goal_id", "segment_id"), "none")


def test_what_the_page_fills_in_for_a_body_is_taken(server):
    """As it stands, where it names what is there."""
    site = server.console.get("/api/v1/sites").json()["data"][0]["id"]
    link = server.console.post("/api/v1/links", json={"url": "https://example.com"}).json()["id"]
    ids = {"link_id": link, "site_id": site}
    saved = {"name": "for a change", "event_type": "x"}, {"name": "x", "filters": [["is", "browser", ["x"]]]}
    for kind, body in zip(("goal", "segment"), saved, strict=True):
        for there in server.console.get(f"/api/v1/{kind}s", params={"limit": 1000}).json()["data"]:
            server.console.delete(f"/api/v1/{kind}s/{there['id']}")  # a name is taken once
        ids[f"{kind}_id"] = server.console.post(f"/api/v1/{kind}s", json=body).json()["id"]
    document = server.console.get("/openapi.json").json()
    asked = 0
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if method == "servers" or "requestBody" not in operation or "servers" in operations:
                continue
            content = operation["requestBody"]["content"]["application/json"]
            body = json.loads(json.dumps(content["example"]).replace("site_k3v9x2m4tq", site))
            answer = server.console.request(method, path.format(**ids), json=body)
            only_here = path == "/api/v1/rollups/rebuild"  # for commands on the machine itself
            assert answer.is_success or only_here, (method, path, body, answer.text)
            assert operation.get("description"), path
            asked += 1
    assert asked >= 11


def _resolved(document, schema):
    name = schema.get("$ref", "").rpartition("/")[2]
    return document["components"]["schemas"][name] if name else schema


def _types(document, schema):
    """The types of JSON that a schema allows."""
    schema = _resolved(document, schema)
    either = schema.get("oneOf", schema.get("anyOf"))
    if either:
        return set().union(*(_types(document, each) for each in either))
    kinds = schema.get("type", [*VALUES])
    found = {kinds} if isinstance(kinds, str) else set(kinds)
    return found | {"integer"} if "number" in found else found
