"""The door's endpoints in the console's OpenAPI document, at the door's own address."""

from typing import Any

import msgspec

from footfall.collect.body.incoming import Envelope, Incoming
from footfall.model.kinds import KINDS
from footfall.model.reasons import MEANINGS

_TAG = "Door"
_EXAMPLE = {
    "events": [
        {"event_type": "page_view", "page_url": "https://shop.example/post/123", "visitor_id": "v_xyz789"},
        {"event_type": "signup", "properties": {"plan": "pro"}},
    ]
}
_GUIDE = "All fields, kinds, other spellings and limits: docs/events.md."


def with_door(document: dict[str, Any], door_url: str) -> dict[str, Any]:
    """The document with the paths of the door."""
    events = [Envelope, Incoming, *(kind.properties for kind in KINDS.values())]
    _, schemas = msgspec.json.schema_components(events, ref_template="#/components/schemas/{name}")
    kinds = {kind.properties.__name__: kind.name for kind in KINDS.values()}
    # In the names of the document, beside those of the console's own.
    text = msgspec.json.encode(schemas).decode()
    for name in schemas:
        text = text.replace(f'"#/components/schemas/{name}"', f'"#/components/schemas/{_name(name, kinds)}"')
    made = {_name(name, kinds): schema for name, schema in msgspec.json.decode(text).items()}
    made["EventEnvelope"]["additionalProperties"] = True
    made["EventOfDoor"]["additionalProperties"] = True  # other spellings, and properties of one's own
    components = document["components"] | {"schemas": document["components"].get("schemas", {}) | made}
    servers = [{"url": door_url, "description": "The door"}]
    paths = {path: {"servers": servers} | operations for path, operations in _paths().items()}
    return document | {"paths": document["paths"] | paths, "components": components}


def _name(name: str, kinds: dict[str, str]) -> str:
    if name in kinds:
        return f"PropertiesOf{name}"
    return {"Envelope": "EventEnvelope", "Incoming": "EventOfDoor"}[name]


def _paths() -> dict[str, dict[str, Any]]:
    site = _parameter("site_id", "The site's public id or domain, where neither the body nor a key says it.")
    return {
        "/v1/events": {
            "post": {
                "operationId": "send_events",
                "tags": [_TAG],
                "summary": "Send events",
                "description": "What is accepted is durable when the answer comes; each event has its own "
                "verdict. With a key (scope ingest), or from a page of a site without one. "
                f"{_GUIDE}",
                "security": [{"key": []}, {}],
                "parameters": [site],
                "requestBody": {"required": True, "content": _bodies()},
                "responses": {
                    "202": {"description": "Read.", "content": {"application/json": {"schema": _VERDICTS}}},
                }
                | _refusals(400, 401, 403, 413, 429, 503),
            }
        },
        "/v1/pixel.gif": {
            "get": {
                "operationId": "pixel",
                "tags": [_TAG],
                "summary": "A page view without a script",
                "description": "The image always comes; `Footfall-Logged` says whether it was recorded.",
                "security": [{}],
                "parameters": [
                    site,
                    _parameter("event_type", "`page_view` by default."),
                    _parameter("url", "The page; by default the Referer."),
                    _parameter("referrer", "What led to the page."),
                    _parameter("visitor_id", "The page's own id of the visitor."),
                ],
                "responses": {
                    "200": {
                        "description": "A transparent image.",
                        "content": {"image/gif": {"schema": {"type": "string", "format": "binary"}}},
                    }
                },
            }
        },
        "/{code}": {
            "get": {
                "operationId": "follow_link",
                "tags": [_TAG],
                "summary": "Follow a short link",
                "description": "A click, and the way on. HEAD and prefetches are answered and not counted.",
                "security": [{}],
                "parameters": [
                    {"name": "code", "in": "path", "required": True, "schema": {"type": "string"},
                     "description": "The short code."}
                ],
                "responses": {
                    "302": {"description": "To the link's target; `Footfall-Event` is the click's id."},
                    "404": {"description": "No link has this code."},
                    "410": {"description": "The link has expired."},
                },
            }
        },
    }  # fmt: skip


def _bodies() -> dict[str, Any]:
    envelope = {"$ref": "#/components/schemas/EventEnvelope"}
    event = {"$ref": "#/components/schemas/EventOfDoor"}
    body = {"anyOf": [envelope, {"type": "array", "items": event}, event]}
    return {
        "application/json": {"schema": body, "example": _EXAMPLE},
        "text/plain": {
            "schema": {"type": "string", "description": "The same, as sendBeacon sends text."},
            "example": _text(_EXAMPLE),
        },
        "application/x-ndjson": {
            "schema": {"type": "string", "description": "One event a line."},
            "example": "\n".join(map(_text, _EXAMPLE["events"])),
        },
    }


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _parameter(name: str, about: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": about, "schema": {"type": "string"}}


def _refusals(*statuses: int) -> dict[str, Any]:
    why = {
        400: "The body cannot be read.",
        401: "There is neither a key nor a site, or nobody knows the key.",
        403: "The key, or the page, may not send.",
        413: "The body or the number of events is too large.",
        429: "Too many requests; try again after `Retry-After` seconds.",
        503: "The log takes no more; try again after `Retry-After` seconds.",
    }
    return {
        str(status): {
            "description": why[status],
            "content": {"application/problem+json": {"schema": {"type": "object"}}},
        }
        for status in statuses
    }


_VERDICTS: dict[str, Any] = {
    "type": "object",
    "required": ["accepted", "rejected", "results"],
    "properties": {
        "accepted": {"type": "integer"},
        "rejected": {"type": "integer"},
        "results": {
            "type": "array",
            "description": "A verdict for each event that is not plainly accepted.",
            "items": {
                "type": "object",
                "required": ["index", "status"],
                "properties": {
                    "index": {"type": "integer", "description": "The event's place in the request."},
                    "status": {"enum": ["accepted", "rejected", "duplicate", "retry"]},
                    "reason": {"enum": [str(reason) for reason in MEANINGS]},
                    "field": {"type": "string"},
                    "message": {"type": "string"},
                    "adjusted": {"type": "string"},
                },
            },
        },
    },
}
