"""The streams that clients of AG-UI get."""

from __future__ import annotations

from functools import partial
from typing import Any

from asgi_events.executions.execution import Execution
from asgi_events.http.exchange import Exchange
from asgi_events.http.problems import send_bytes
from asgi_events.types import ASGIApp, Receive, Scope, Send
from asgi_events.ui.run_agent_input import ReasoningMessage, RunAgentInput
from asgi_events.wire.ag_ui import (
    AGUIDraftFormat,
    AGUIDraftRewindFormat,
    AGUIFormat,
    AGUIRewindFormat,
)
from asgi_events.wire.encoding import encode_json
from asgi_events.wire.frames import json_block
from asgi_events.wire.sse import MEDIA_TYPE

_FORMATS = {
    (False, False): AGUIFormat,
    (False, True): AGUIDraftFormat,
    (True, False): AGUIRewindFormat,
    (True, True): AGUIDraftRewindFormat,
}
"""By whether the client runs again what it has of the run, and is from before 1.0."""


async def run_stream(
    exchange: Exchange,
    execution: Execution,
    asked: RunAgentInput | None = None,
    *,
    resumes: bool = False,
    resumed: tuple[str, frozenset[int]] | None = None,
    **options: Any,
) -> ASGIApp:
    """Return the stream of an execution, or of its rest.

    Args:
        exchange: The request.
        execution: What is streamed.
        asked: What the client has posted.
        resumes: Whether it goes on after ``Last-Event-ID``.
        resumed: For the rest of the execution, its ``runId`` and the numbers of the
            questions after which it begins.
        options: As of ``Exchange.stream``.
    """
    rewinds = is_draft = False
    if asked is not None:
        rewinds = not resumes and _has_thoughts(asked, execution)
        is_draft = _is_before_1_0(exchange, asked)
    format = _FORMATS[rewinds, is_draft]
    make = partial(format, execution.id, execution.thread or execution.id, resumed)
    return await exchange.stream(execution, format=make, resumes=resumes, **options)


def _has_thoughts(asked: RunAgentInput, execution: Execution) -> bool:
    """Whether the client has reasoning of the run that it runs again."""
    return any(
        isinstance(message, ReasoningMessage)
        and message.id.startswith(f"{execution.id}/")
        for message in asked.messages
    )


def _is_before_1_0(exchange: Exchange, asked: RunAgentInput) -> bool:
    # TanStack AI says no version either, but it sends this header, and knows outcomes.
    is_tanstack = "x-run-id" in exchange.request.headers
    return asked.protocol_version is None and not is_tanstack


def gone(run: str) -> ASGIApp:
    """Return the stream of a run whose events are not kept any more."""
    # Clients show the message of an event, and of a response no more than its status.
    return run_error(
        f"Run {run!r} is over, and its events are not kept any more.", "gone"
    )


def run_error(message: str, code: str) -> ASGIApp:
    """Return the stream of a run that has failed before it began."""
    return whole_stream({"type": "RUN_ERROR", "message": message, "code": code})


def whole_stream(*events: dict[str, Any]) -> ASGIApp:
    """Return a whole stream of events."""
    body = b"".join(json_block(encode_json(event)) for event in events)
    headers = {"content-type": MEDIA_TYPE, "cache-control": "no-store"}

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await send_bytes(send, 200, body, headers)

    return answer
