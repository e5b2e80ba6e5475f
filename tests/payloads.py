"""The JSON of the events of a stream."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from asgi_events.wire.sse import ServerSentEvent

TERMINAL = {"complete", "error", "cancelled", "lost"}

PLACE = b'"address":"","timestamp":"2026-01-02T03:04:05Z"'
"""The end of each terminal event under the fixture ``fixed_time``."""


def to_json(value: Any) -> bytes:
    return json.dumps(value).encode()


def data(events: list[ServerSentEvent]) -> list[Any]:
    """Return the JSON of unnamed events, the terminal one without its place."""
    return [
        without_place(json.loads(e.data)) for e in events if e.event is None and e.data
    ]


def without_place(event: Any) -> Any:
    """Check the address and time of a terminal event, and return it without them."""
    if isinstance(event, dict) and event.get("event_type") in TERMINAL:
        assert event.pop("address") == ""
        assert datetime.fromisoformat(event.pop("timestamp")).tzinfo is not None
    return event


def kinds(events: list[ServerSentEvent]) -> list[str]:
    """Return the ``event_type`` of unnamed events."""
    return [item["event_type"] for item in data(events)]
