"""What versions 5, 6 and 7 of the AI SDK make of the translated streams."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from pydantic import BaseModel

from asgi_events.events import (
    CancelledEvent,
    CompleteEvent,
    CustomEvent,
    ErrorEvent,
    InputRequestEvent,
    LogEvent,
    LostEvent,
    ProgressEvent,
    ReasoningDelta,
    StateEvent,
)
from asgi_events.wire.vercel_ai import VercelAIApprovalsFormat, VercelAIFormat
from tests.clients.node import answers
from tests.wire.test_vercel_ai import call, runs, stream, text

pytestmark = pytest.mark.node

RUN: list[BaseModel] = [
    call("agent", "chat"),
    call("llm", "chat/gpt"),
    ReasoningDelta(address="chat/gpt", delta="Hm."),
    text("chat/gpt", "Let me "),
    text("chat/gpt", "look."),
    call("llm", "chat/gpt", "completed"),
    call("tool", "chat/look", input={"place": "Bonn"}, detail="Bonn"),
    call("tool", "chat/look#2"),
    call("agent", "chat/expert"),
    ProgressEvent(address="chat/look", current=1, total=2),
    ProgressEvent(address="chat/look", current=2, total=2),
    call("tool", "chat/look#2", "failed", message="busy"),
    LogEvent(address="chat", message="slow"),
    call("tool", "chat/look", "completed", output=["x"]),
    call("agent", "chat/expert", "completed", output=1),
    StateEvent(address="chat", state={"cart": 1}),
    StateEvent(address="chat", state={"cart": 2}),
    CustomEvent(address="chat", name="chart", data=[1]),
    text("chat", "Found."),
    call("agent", "chat", "completed"),
]
_METADATA = {"asgi-events": {"address": "chat/gpt", "attempt": 1}}
PARTS: list[dict[str, Any]] = [
    {"type": "step-start"},
    {
        "type": "data-execution",
        "id": "chat/gpt",
        "data": {
            "kind": "llm",
            "name": "gpt",
            "address": "chat/gpt",
            "status": "completed",
        },
    },
    {
        "type": "reasoning",
        "text": "Hm.",
        "state": "done",
        "providerMetadata": _METADATA,
    },
    {
        "type": "text",
        "text": "Let me look.",
        "state": "done",
        "providerMetadata": _METADATA,
    },
    {
        "type": "dynamic-tool",
        "toolName": "look",
        "toolCallId": "chat/look",
        "state": "output-available",
        "input": {"place": "Bonn"},
        "output": ["x"],
        "providerExecuted": True,
        "callProviderMetadata": {
            "asgi-events": {"address": "chat/look", "detail": "Bonn"}
        },
    },
    {
        "type": "dynamic-tool",
        "toolName": "look",
        "toolCallId": "chat/look#2",
        "state": "output-error",
        "input": {},
        "errorText": "busy",
        "providerExecuted": True,
    },
    {
        "type": "data-execution",
        "id": "chat/expert",
        "data": {
            "kind": "agent",
            "name": "expert",
            "address": "chat/expert",
            "status": "completed",
            "output": 1,
        },
    },
    {
        "type": "data-progress",
        "id": "chat/look",
        "data": {"address": "chat/look", "current": 2, "total": 2},
    },
    {"type": "data-state", "id": "state", "data": {"cart": 2}},
    {"type": "data-chart", "data": [1]},
    {
        "type": "text",
        "text": "Found.",
        "state": "done",
        "providerMetadata": {"asgi-events": {"address": "chat", "attempt": 1}},
    },
]


def parts(message: dict[str, Any]) -> list[dict[str, Any]]:
    """Its parts, without the id that version 7 leaves in a reasoning."""
    return [
        {k: v for k, v in part.items() if (part["type"], k) != ("reasoning", "id")}
        for part in message["parts"]
    ]


async def test_reads_one_message_of_the_same_parts_in_every_version() -> None:
    made = stream([*RUN, CompleteEvent(result={"n": 1})], end="completed").decode()

    (read,) = await answers("ai-sdk-read.mjs", [made])

    assert list(read) == ["ai5", "ai6", "ai7"]
    for message in read.values():
        assert parts(message) == PARTS
        assert (message["id"], message["status"], message["error"]) == (
            "e1",
            "ready",
            None,
        )
        assert message["metadata"] == {
            "execution": "e1",
            "status": "completed",
            "result": {"n": 1},
        }
        assert message["data"].count("data-log") == 1
        assert (message["requests"], message["tools"]) == (1, [])
        assert message["isValid"]


@pytest.mark.parametrize(
    ("event", "status", "error"),
    [
        (ErrorEvent(message="broken"), "error", "broken"),
        (LostEvent(message="died"), "error", "died"),
        (CancelledEvent(message="stopped"), "ready", None),
    ],
)
async def test_reads_that_it_has_ended_otherwise(
    event: BaseModel, status: str, error: str | None
) -> None:
    made = stream([*RUN[:8], text("chat", "Hm"), event], end="lost").decode()

    (read,) = await answers("ai-sdk-read.mjs", [made])

    for message in read.values():
        assert (message["status"], message["error"]) == (status, error)
        states = [part["state"] for part in message["parts"] if "state" in part]
        assert states == ["done", "done", "output-error", "output-error", "done"]


async def test_reads_any_run_without_an_error_of_its_own() -> None:
    many: list[list[BaseModel]] = []

    @settings(
        max_examples=60,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(runs())
    def collect(run: list[BaseModel]) -> None:
        many.append(run)

    collect()
    formats = [VercelAIFormat, VercelAIApprovalsFormat] * (len(many) // 2)
    streams = [
        stream(run, end="completed", make=make).decode()
        for run, make in zip(many, formats, strict=True)
    ]

    read = await answers("ai-sdk-read.mjs", streams)

    for run, made, versions in zip(many, streams, read, strict=True):
        end: Any = run[-1]
        fails = isinstance(end, ErrorEvent | LostEvent)
        asked = sum(isinstance(event, InputRequestEvent) for event in run)
        expected = (end.message if fails else None, 1, ["ask"] * asked)
        for version, each in versions.items():
            if version == "ai5" and "tool-approval-request" in made:
                assert "approval" in each["error"]  # it does not know them
            else:
                assert (each["error"], each["requests"], each["tools"]) == expected
