"""The console beside its reports: health, metrics, the page of the API, the OpenAPI document."""

from footfall.errors import StoreDown
from footfall.query.language.params import filter_parameters, parameters
from footfall.query.reports import REPORTS
from tests.contract.acme import assert_problem


def test_health_needs_no_key_and_tells_ready_from_alive(acme):
    assert acme.console.get("/health/live").json() == {"status": "ok"}
    assert acme.console.get("/health/ready").json()["status"] == "ok"
    for path in ("/health/live", "/health/ready"):
        answer = acme.console.head(path)
        assert (answer.status_code, answer.content) == (200, b"")
    acme.console.trouble = StoreDown("the store does not answer")
    try:
        assert_problem(acme.console.get("/health/ready"), 503)
        assert acme.console.head("/health/ready").status_code == 503
        assert acme.console.get("/health/live").status_code == 200
    finally:
        acme.console.trouble = None


def test_metrics_need_a_key_of_the_first_workspace(acme):
    assert_problem(acme.console.get("/metrics"), 401)
    assert_problem(acme.console.get("/metrics", acme.key), 403)
    assert acme.console.get("/api/v1/analytics/overview", acme.key).status_code == 200
    assert_problem(acme.console.get("/metrics", acme.console.key(acme.acme, "admin")), 403)


def test_the_page_of_the_api_comes_from_here_and_lets_nothing_else_in(acme):
    assert acme.console.get("/").headers["location"] == "/docs"
    page = acme.console.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "http" not in page.text.replace("http-equiv", "")
    for name in ("start.js", "swagger-ui-bundle.js", "swagger-ui.css"):
        asset = acme.console.get(f"/docs/{name}")
        assert asset.status_code in (200, 404)  # Swagger UI is fetched when the package is built
        assert asset.headers["x-content-type-options"] == "nosniff" or asset.status_code == 404
    assert_problem(acme.console.get("/docs/../../etc/passwd"), 404)


def test_unknown_paths_and_methods_are_problems(acme):
    assert_problem(acme.console.get("/api/v1/analytics/overwiev", acme.key), 404)
    assert_problem(acme.console.get("/nothing"), 404)


def test_who_sends_events_to_the_console_is_told_where_the_door_is(acme):
    assert "/v1/events" in assert_problem(acme.console.post("/v1/events", {"events": []}), 404)["detail"]
    assert_problem(acme.console.post("/api/v1/analytics/overview", {}), 405)


def references(node):
    if isinstance(node, dict):
        for name, value in node.items():
            if name == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_openapi_describes_every_parameter_and_every_answer(acme):
    document = acme.console.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    schemas = document["components"]["schemas"]
    shared = {
        f"#/components/parameters/{name}": each for name, each in document["components"]["parameters"].items()
    }
    for reference in references(document):
        assert reference in shared or reference.removeprefix("#/components/schemas/") in schemas, reference
    operations = [path[method] for path in document["paths"].values() for method in path if method == "get"]
    ids = [operation["operationId"] for operation in operations]
    assert len(ids) == len(set(ids))
    for report in REPORTS:
        operation = document["paths"][report.path.replace(":str", "")]["get"]
        assert operation["security"] == [{"key": []}]
        assert {"200", "400", "401", "403", "503"} <= set(operation["responses"])
        given = [shared[each["$ref"]] if "$ref" in each else each for each in operation["parameters"]]
        found = {each["name"]: each for each in given}
        assert len(found) == len(given)
        assert all(each["description"] for each in found.values())
        own = {each.name for each in parameters(report.params)} | ({"id"} if "{" in report.path else set())
        assert set(found) == own | set(report.defaults) | {"filters", "properties"}
        filters = found["filters"]["schema"]["properties"]
        assert set(filters) == {each.name for each in filter_parameters()}
        assert all(each["description"] for each in filters.values())
        assert {"24h", "30d", "yesterday", "last_month", "all"} <= set(found["interval"]["schema"]["enum"])
        if "granularity" in found:
            assert found["granularity"]["schema"]["enum"] == ["hour", "day", "week", "month", "year"]
            assert set(found["granularity"]["schema"]["enum"]) <= set(found["interval"]["schema"]["enum"])
        assert [each["name"] for each in given if each.get("required")] == [
            each.name for each in parameters(report.params) if each.required
        ] + ["id"] * ("{" in report.path)
        if "limit" in found:
            assert found["limit"]["schema"]["maximum"] in (100, 1000)
        answer = operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
        shape = schemas[answer.rsplit("/", 1)[-1]]["properties"]["data"]
        row = schemas[(shape.get("items") or shape)["$ref"].rsplit("/", 1)[-1]]
        given = acme.ask(report).json()["data"]
        given = given[0] if isinstance(given, list) else given
        assert set(given) <= set(row["properties"])
        assert set(row["required"]) <= set(given)


def test_every_declared_default_holds(acme):
    for report in REPORTS:
        plain = acme.ask(report).json()
        for name, schema in ((each.name, each.schema) for each in parameters(report.params)):
            if "default" in schema:
                value = schema["default"]
                text = ",".join(value) if isinstance(value, tuple | list) else str(value).lower()
                text = str(value) if name == "timezone" else text
                assert acme.ask(report, **{name: text}).json()["data"] == plain["data"], name
