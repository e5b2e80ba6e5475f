"""Events as the log has them, short to write in the tests of AG-UI."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from asgi_events.wire.ag_ui import AGUIFormat
from asgi_events.wire.sse import Decoder

TIME = "2026-01-02T03:04:05.678Z"
MILLISECONDS = 1767323045678

Members = dict[str, Any]


def event(kind: str, address: str = "", **members: Any) -> Members:
    """Any event of ours."""
    return {"event_type": kind, "address": address, "timestamp": TIME, **members}


def call(kind: str, address: str, status: str = "started", **members: Any) -> Members:
    """An event of a call; its actor is named as in the address."""
    actor = address.rpartition("/")[2].partition("#")[0]
    return event(
        f"{kind}_call", address, actor=actor, execution_status=status, **members
    )


def text(address: str, delta: str) -> Members:
    return event("text_delta", address, delta=delta)


def thought(address: str, delta: str) -> Members:
    return event("reasoning_delta", address, delta=delta)


def question(address: str, n: int = 1, **members: Any) -> Members:
    """A question, which is answered by yes or no."""
    schema = {"type": "boolean"}
    asked = {"n": n, "message": f"Question {n}?", "response_schema": schema}
    return event("input_request", address, **asked | members)


def answer(address: str, n: int = 1, action: str = "accept", **more: Any) -> Members:
    return event("input_answer", address, n=n, action=action, **more)


def frames(
    events: Iterable[Members],
    format: Callable[[str, str], AGUIFormat] = AGUIFormat,
    first: int = 1,
) -> list[bytes]:
    """The bytes for each event of the execution ``x``."""
    return fed(format("x", "x"), events, first)


def fed(format: AGUIFormat, events: Iterable[Members], first: int = 1) -> list[bytes]:
    """The bytes that a format makes of each event of the execution ``x``."""
    return [
        format.frame(number, b"x:%d" % number, json.dumps(each).encode())
        for number, each in enumerate(events, first)
    ]


def parsed(made: bytes) -> list[tuple[str | None, Members]]:
    """The ids and the JSON of blocks, as a client of SSE reads them."""
    return [(e.id, json.loads(e.data or "")) for e in Decoder().feed(made)]


def said(*events: Members) -> list[Members]:
    """The events of a whole run, without RUN_STARTED and the timestamps."""
    told = [each for _, each in parsed(b"".join(frames(events)))]
    assert [each.pop("timestamp") for each in told] == [MILLISECONDS] * len(told)
    assert told[0] == {
        "type": "RUN_STARTED",
        "threadId": "x",
        "runId": "x",
        "protocolVersion": "1.0",
    }
    return told[1:]
