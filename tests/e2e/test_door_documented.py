"""The OpenAPI document has the door's endpoints, at the door's own address; what it shows is taken there."""

import httpx
import pytest

from tests.e2e.serving import serving


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("documented") / "data") as server:
        yield server


def test_the_example_of_the_document_is_taken_at_the_address_it_names(server):
    document = server.console.get("/openapi.json").json()
    path = document["paths"]["/v1/events"]
    (address,) = path["servers"]
    assert address["url"].endswith(f":{server.port}")
    body = path["post"]["requestBody"]["content"]["application/json"]
    answer = httpx.post(f"{address['url']}/v1/events", json=body["example"], headers=server.door.headers)
    assert answer.status_code == 202
    assert answer.json()["accepted"] == len(body["example"]["events"])
    shape = path["post"]["responses"]["202"]["content"]["application/json"]["schema"]
    assert set(shape["required"]) == set(answer.json())


def test_it_names_the_fields_of_an_event_and_the_properties_of_each_kind(server):
    document = server.console.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    assert {"event_type", "occurred_at", "source", "device_type"} <= set(schemas["EventOfDoor"]["properties"])
    assert "mapping_id" in schemas["PropertiesOfWidgetImpression"]["properties"]
    assert {"/v1/pixel.gif", "/{code}"} <= set(document["paths"])


def test_every_reference_leads_somewhere(server):
    document = server.console.get("/openapi.json").json()
    found = []

    def look(value):
        if isinstance(value, dict):
            if isinstance(value.get("$ref"), str):
                found.append(value["$ref"])
            for each in value.values():
                look(each)
        elif isinstance(value, list):
            for each in value:
                look(each)

    look(document)
    assert found
    for reference in set(found):
        at = document
        for part in reference.removeprefix("#/").split("/"):
            at = at[part]
