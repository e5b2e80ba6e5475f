"""What the tests say about the events of a stream."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from asgi_events.testing import Client, Connection
from asgi_events.testing.connection import TIMEOUT
from asgi_events.types import ASGIApp
from asgi_events.wire.sse import ServerSentEvent

__all__ = [
    "PLACE",
    "TIMEOUT",
    "Connection",
    "call",
    "data",
    "kinds",
    "to_json",
    "without_place",
]

TERMINAL = {"complete", "error", "cancelled", "lost"}

PLACE = b'"address":"","timestamp":"2026-01-02T03:04:05Z"'
"""What terminal events have beside what they say, under ``fixed_time``."""


async def call(app: ASGIApp, method: str, path: str, **options: Any) -> Connection:
    """A whole exchange: the connection, after the application has returned."""
    return await Client(app).request(method, path, **options)


def to_json(value: Any) -> bytes:
    return json.dumps(value).encode()


def data(events: list[ServerSentEvent]) -> list[Any]:
    """The JSON of unnamed events, without the place of the terminal one."""
    return [
        without_place(json.loads(e.data)) for e in events if e.event is None and e.data
    ]


def without_place(event: Any) -> Any:
    """A terminal event without its address and time, after a look at both."""
    if isinstance(event, dict) and event.get("event_type") in TERMINAL:
        assert event.pop("address") == ""
        assert datetime.fromisoformat(event.pop("timestamp")).tzinfo is not None
    return event


def kinds(events: list[ServerSentEvent]) -> list[str]:
    """The ``event_type`` of unnamed events."""
    return [item["event_type"] for item in data(events)]
