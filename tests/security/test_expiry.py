"""Keys that end by themselves."""

import time
from datetime import UTC, datetime

import pytest

from tests.e2e.serving import until


def test_a_key_expires_at_both_ports_and_stays_in_the_list(server):
    end = datetime.fromtimestamp(int(time.time()) + 2, UTC).isoformat().replace("+00:00", "Z")
    made = server.console.post("/api/v1/keys", json={"name": "brief", "scopes": ["admin"], "expires_at": end})
    assert made.status_code == 201, made.text
    assert made.json()["expires_at"] == end
    secret = {"authorization": f"Bearer {made.json()['key']}"}
    until(lambda: server.console.get("/api/v1/keys", headers=secret).status_code == 401)
    event = {"events": [{"event_type": "after expiry"}]}
    until(lambda: server.door.post("/v1/events", json=event, headers=secret).status_code == 401)
    listed = {key["id"]: key["expires_at"] for key in server.console.get("/api/v1/keys").json()["data"]}
    assert listed[made.json()["id"]] == end


@pytest.mark.parametrize("end", ["1969-12-31T23:59:59Z", "1970-01-01T00:00:00Z", "2020-01-01T00:00:00Z"])
def test_no_key_is_made_that_has_expired(server, end):
    body = {"name": "late", "scopes": ["read"], "expires_at": end}
    refused = server.console.post("/api/v1/keys", json=body)
    assert (refused.status_code, refused.json()["field"]) == (400, "expires_at")
