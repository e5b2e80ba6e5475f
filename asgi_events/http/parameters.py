"""The parameters and headers of the routes, as OpenAPI describes them."""

from __future__ import annotations

from typing import Any

from asgi_events.executions.listing import MOST, STATUSES

HEADERS: dict[str, Any] = {
    "Location": {
        "description": "The path of the execution.",
        "required": True,
        "schema": {"type": "string", "format": "uri-reference"},
    },
    "Retry-After": {
        "description": "Seconds until the client may try again.",
        "required": True,
        "schema": {"type": "integer", "minimum": 0},
    },
    "WWW-Authenticate": {
        "description": "How to authenticate.",
        "required": True,
        "schema": {"type": "string"},
    },
    "Link": {
        "description": 'The next page, as `rel="next"` (RFC 8288), if there is one.',
        "schema": {"type": "string"},
    },
    "Accept-Post": {
        "description": "The media type that the body must have.",
        "required": True,
        "schema": {"type": "string"},
    },
}
"""Of responses, by the names of their components."""

PARAMETERS: dict[str, Any] = {
    "ExecutionId": {
        "name": "id",
        "in": "path",
        "required": True,
        "description": "The id of the execution.",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"},
    },
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "The same key finds the same execution, which starts once.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    },
    "InputNumber": {
        "name": "n",
        "in": "path",
        "required": True,
        "description": "The number of the question.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "LastEventId": {
        "name": "Last-Event-ID",
        "in": "header",
        "description": "The id of the last event that the client has.",
        "schema": {"type": "string"},
    },
    "LastEventIdQuery": {
        "name": "last_event_id",
        "in": "query",
        "description": "The same, for clients that cannot set headers.",
        "schema": {"type": "string"},
    },
    "Thread": {
        "name": "thread",
        "in": "query",
        "description": "The thread of the caller that it continues, a conversation "
        "say: one execution of a thread runs at a time.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    },
    "Wait": {
        "name": "wait",
        "in": "query",
        "description": "Seconds to wait for an execution that is about to start.",
        "schema": {"type": "number", "minimum": 0},
    },
}
"""Of requests, by the names of their components."""


def _filter(name: str, description: str, **schema: Any) -> dict[str, Any]:
    schema = {"type": "string"} | schema
    return {"name": name, "in": "query", "description": description, "schema": schema}


LIST_PARAMETERS: list[Any] = [
    _filter("thread", "Only those of that thread.", minLength=1, maxLength=255),
    _filter(
        "status", "Only those that stand so.", enum=[str(status) for status in STATUSES]
    ),
    _filter("actor", "Only those of that actor.", minLength=1, maxLength=255),
    _filter("after", "The `next` of the page before."),
    _filter(
        "limit",
        "How many a page has at most.",
        type="integer",
        minimum=1,
        maximum=MOST,
        default=50,
    ),
]
"""The parameters of the list of executions."""
