"""What the real clients of AG-UI make of the translated streams."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from asgi_events.wire.ag_ui import (
    AGUIDraftFormat,
    AGUIFormat,
    AGUIRewindFormat,
    AGUIRun,
    Transcript,
)
from tests.clients.node import answers
from tests.wire.ag_ui_events import Members, call, event, frames, text, thought
from tests.wire.test_ag_ui import CONVERSATION, ROOT, executions

pytestmark = pytest.mark.node

RUN = [
    CONVERSATION,
    ROOT,
    text("chat", "I look. "),
    call("tool", "chat/look", input={"place": "Bonn"}, detail="Bonn"),
    call("tool", "chat/look#2"),
    call("agent", "chat/look/expert"),
    call("llm", "chat/look/expert/llm"),
    thought("chat/look/expert/llm", "Hm"),
    thought("chat/look/expert/llm", "m."),
    text("chat/look/expert/llm", "It is "),
    text("chat/look/expert/llm", "there."),
    call("llm", "chat/look/expert/llm", "completed", usage={"input_tokens": 1}),
    call("agent", "chat/look/expert", "completed"),
    call("tool", "chat/look#2", "failed", message="busy"),
    event("state", "chat", state={"cart": {"n": 1}, "a/b~": [1]}),
    event("state", "chat", state={"cart": {"n": 2}, "a/b~": [0, 1, 2]}),
    call("tool", "chat/look", "completed", output={"n": 1}),
    event("custom", "chat", name="chart", data=[1]),
    text("chat", "Seen."),
    call("agent", "chat", "completed"),
]
COMPLETE = event("complete", message="", result={"n": 1})
ENDS = [
    (COMPLETE, None, "success"),
    (event("cancelled", message="Enough"), None, "cancelled"),
    (event("error", message="It broke"), "It broke", None),
    (event("lost", message="It died"), "It died", None),
]


def body(events: list[Members], format: Any = AGUIFormat, upto: int = -1) -> str:
    made = frames(events, format)
    return b"".join(made if upto < 0 else made[:upto]).decode()


def transcript(events: list[Members]) -> Transcript:
    """What we believe that a client has in the end."""
    run, made = AGUIRun("x", "x", patches=False), Transcript()
    made.messages = [CONVERSATION["messages"][0] | {"content": "Hi"}]
    for each in events:
        for said in run.take(each, "x"):
            made.add(said)
    return made


async def test_reads_the_same_messages_and_state_as_we_do() -> None:
    events = [*RUN, COMPLETE]

    (read,) = await answers("ag-ui-read.mjs", [[body(events)]])

    expected = transcript(events)
    for name in ("ag-ui", "ag-ui-0"):
        if name in read:  # CopilotKit need not be installed
            assert read[name] == {
                "messages": expected.messages,
                "state": {"cart": {"n": 2}, "a/b~": [0, 1, 2]},
                "error": None,
                "outcome": "success",
                "complaints": [],
            }
    tanstack = read["tanstack"]
    assert (tanstack["status"], tanstack["complaints"]) == ("ready", [])
    parts = [part for each in tanstack["messages"][1:] for part in each["parts"]]
    assert [part["type"] for part in parts] == [
        "text",
        "tool-call",
        "tool-call",
        "thinking",
        "tool-result",
        "tool-result",
        "text",
        "text",
    ]
    assert [part.get("state") for part in parts if "tool" in part["type"]] == [
        "complete",
        "error",
        "error",
        "complete",
    ]


async def test_reads_how_a_run_has_ended() -> None:
    runs = [[*RUN[:9], text("chat", "S"), end] for end, _, _ in ENDS]
    formats = (AGUIFormat, AGUIDraftFormat)
    bodies = [[body(run, format)] for run in runs for format in formats]

    read = await answers("ag-ui-read.mjs", bodies)

    for n, (_, error, outcome) in enumerate(ENDS):
        told, older = read[2 * n : 2 * n + 2]
        agent, tanstack = told["ag-ui"], told["tanstack"]
        assert (agent["error"], agent["outcome"]) == (error, outcome)
        assert agent["messages"] == transcript(runs[n]).messages
        assert tanstack["error"] == error
        assert tanstack["status"] == ("error" if error else "ready")
        assert (agent["complaints"], tanstack["complaints"]) == ([], [])
        if "ag-ui-0" in older:
            stopped = "Enough" if outcome == "cancelled" else error
            assert older["ag-ui-0"]["error"] == stopped
            assert older["ag-ui-0"]["messages"] == agent["messages"]


async def test_reads_a_run_again_into_the_messages_that_it_has_of_it() -> None:
    events = [*RUN, COMPLETE]
    whole = body(events, AGUIRewindFormat)
    parts = [body(events, upto=n) for n in range(1, len(events) + 1)]

    read = await answers("ag-ui-read.mjs", [[part, whole] for part in parts])

    expected = transcript(events)
    for each in read:
        assert each["ag-ui"]["messages"] == expected.messages
        assert each["ag-ui"]["state"] == expected.states[-1]
        assert each["ag-ui"]["error"] is None


async def test_reads_any_run_without_a_complaint() -> None:
    many: list[list[Members]] = []

    @settings(max_examples=40, phases=[Phase.generate], database=None)
    @given(executions(), st.booleans())
    def collect(run: list[Members], begins: bool) -> None:
        many.append(run if begins else run[1:])

    collect()
    read = await answers("ag-ui-read.mjs", [[body(run)] for run in many])

    for run, each in zip(many, read, strict=True):
        message = run[-1]["message"] if run[-1]["event_type"] in _FAILURES else None
        agent, tanstack = each["ag-ui"], each["tanstack"]
        assert (agent["error"], tanstack["error"]) == (message, message)
        assert (agent["complaints"], tanstack["complaints"]) == ([], [])
        assert agent["messages"] == transcript(run).messages


_FAILURES = ("error", "lost")
