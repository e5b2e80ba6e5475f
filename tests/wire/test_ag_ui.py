"""An execution in the words of AG-UI."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from ag_ui_validate import create_validator
from hypothesis import given, settings
from hypothesis import strategies as st

from asgi_events.wire.ag_ui import (
    AGUIDraftFormat,
    AGUIDraftRewindFormat,
    AGUIFormat,
    AGUIRewindFormat,
    patches,
)
from tests.wire.ag_ui_events import (
    MILLISECONDS,
    Members,
    call,
    event,
    frames,
    parsed,
    said,
    text,
    thought,
)
from tests.wire.ag_ui_rules import Rules

ROOT = call("agent", "chat")
END = event("complete", message="Execution completed successfully")
SUCCESS = {"type": "success"}
FINISHED = {
    "type": "RUN_FINISHED",
    "threadId": "x",
    "runId": "x",
    "outcome": SUCCESS,
}
USER = {"id": "u1", "role": "user", "content": "Hello"}
CONVERSATION = event("conversation", thread="t1", run="r1", messages=[USER])


def ended(status: str = "completed", **members: Any) -> Members:
    """The metadata of the end of a call."""
    return {"execution_status": status, **members}


def check(events: list[Members], first: int = 1) -> list[Members]:
    """Return what is said, after all judges have passed it."""
    told = [each for _, each in parsed(b"".join(frames(events, first=first)))]
    rules = Rules()
    for each in told:
        rules.take(each)
    rules.finish()
    validator = create_validator()
    found = [d for each in told for d in validator.feed(each)]
    found += validator.finalize()
    assert [str(d) for d in found if d.severity == "error"] == []
    return told


def test_begins_with_the_first_event_whatever_it_is() -> None:
    assert [parsed(made) for made in frames([ROOT, END])] == [
        [
            (
                "x:1",
                {
                    "type": "RUN_STARTED",
                    "threadId": "x",
                    "runId": "x",
                    "protocolVersion": "1.0",
                    "timestamp": MILLISECONDS,
                },
            )
        ],
        [(None, FINISHED | {"timestamp": MILLISECONDS})],
    ]


def test_has_the_id_before_the_data_and_ids_for_parts_of_an_event() -> None:
    (made,) = frames([CONVERSATION])
    assert made == (
        b"id: x:0.1\n"
        b'data: {"type":"RUN_STARTED","threadId":"t1","runId":"r1",'
        b'"protocolVersion":"1.0","timestamp":1767323045678}\n\n'
        b"id: x:1\n"
        b'data: {"type":"MESSAGES_SNAPSHOT","messages":[{"id":"u1","role":"user",'
        b'"content":"Hello"}],"timestamp":1767323045678}\n\n'
    )


def test_says_what_the_conversation_was_with_its_run_and_thread() -> None:
    with_null = USER | {"name": None}
    events = [CONVERSATION | {"messages": [with_null]}, ROOT, END]
    told = check(events)
    assert told[1]["messages"] == [USER]
    assert (told[-1]["threadId"], told[-1]["runId"]) == ("t1", "r1")


def test_takes_no_message_away_for_a_conversation_that_comes_late() -> None:
    assert said(ROOT, CONVERSATION, END) == [FINISHED]


def test_shows_text_as_a_message_of_its_call() -> None:
    usage = {"input_tokens": 3, "output_tokens": 5}
    assert said(
        ROOT,
        call("llm", "chat/llm"),
        text("chat/llm", "Hel"),
        text("chat/llm", ""),
        text("chat/llm", "lo"),
        call("llm", "chat/llm", "completed", execution_time=0.5, usage=usage),
        call("agent", "chat", "completed"),
        END,
    ) == [
        {"type": "STEP_STARTED", "stepName": "chat/llm"},
        {
            "type": "TEXT_MESSAGE_START",
            "messageId": "x/chat/llm",
            "role": "assistant",
        },
        {"type": "TEXT_MESSAGE_CONTENT", "messageId": "x/chat/llm", "delta": "Hel"},
        {"type": "TEXT_MESSAGE_CONTENT", "messageId": "x/chat/llm", "delta": "lo"},
        {"type": "TEXT_MESSAGE_END", "messageId": "x/chat/llm"},
        {
            "type": "STEP_FINISHED",
            "stepName": "chat/llm",
            "metadata": ended(execution_time=0.5, usage=usage),
        },
        FINISHED,
    ]


def test_lets_reasoning_and_text_of_a_call_follow_each_other() -> None:
    reasoning, more = "x/chat@reasoning", "x/chat@reasoning@2"
    assert said(
        ROOT,
        thought("chat", "hm"),
        text("chat", "A"),
        thought("chat", "oh"),
        text("chat", "B"),
        END,
    ) == [
        {"type": "REASONING_START", "messageId": reasoning},
        {
            "type": "REASONING_MESSAGE_START",
            "messageId": reasoning,
            "role": "reasoning",
        },
        {"type": "REASONING_MESSAGE_CONTENT", "messageId": reasoning, "delta": "hm"},
        {"type": "REASONING_MESSAGE_END", "messageId": reasoning},
        {"type": "REASONING_END", "messageId": reasoning},
        {"type": "TEXT_MESSAGE_START", "messageId": "x/chat", "role": "assistant"},
        {"type": "TEXT_MESSAGE_CONTENT", "messageId": "x/chat", "delta": "A"},
        {"type": "TEXT_MESSAGE_END", "messageId": "x/chat"},
        {"type": "REASONING_START", "messageId": more},
        {"type": "REASONING_MESSAGE_START", "messageId": more, "role": "reasoning"},
        {"type": "REASONING_MESSAGE_CONTENT", "messageId": more, "delta": "oh"},
        {"type": "REASONING_MESSAGE_END", "messageId": more},
        {"type": "REASONING_END", "messageId": more},
        {"type": "TEXT_MESSAGE_START", "messageId": "x/chat@2", "role": "assistant"},
        {"type": "TEXT_MESSAGE_CONTENT", "messageId": "x/chat@2", "delta": "B"},
        {"type": "TEXT_MESSAGE_END", "messageId": "x/chat@2"},
        FINISHED,
    ]


def test_begins_a_new_message_behind_a_call_that_was_made_in_between() -> None:
    told = said(
        ROOT,
        text("chat", "I look."),
        text("chat/a", "another call"),
        call("tool", "chat/look"),
        text("chat", "Seen."),
        END,
    )
    assert [(each["type"], each.get("messageId")) for each in told] == [
        ("TEXT_MESSAGE_START", "x/chat"),
        ("TEXT_MESSAGE_CONTENT", "x/chat"),
        ("TEXT_MESSAGE_START", "x/chat/a"),
        ("TEXT_MESSAGE_CONTENT", "x/chat/a"),
        ("TEXT_MESSAGE_END", "x/chat"),
        ("TOOL_CALL_START", None),
        ("TOOL_CALL_ARGS", None),
        ("TOOL_CALL_END", None),
        ("TEXT_MESSAGE_START", "x/chat@2"),
        ("TEXT_MESSAGE_CONTENT", "x/chat@2"),
        ("TEXT_MESSAGE_END", "x/chat@2"),
        ("TEXT_MESSAGE_END", "x/chat/a"),
        ("TOOL_CALL_RESULT", "x/chat/look@result"),
        ("RUN_FINISHED", None),
    ]


def test_begins_a_new_message_where_a_call_starts_anew() -> None:
    retry = {"message": "busy", "attempt": 1, "delay": 0.5}
    assert said(
        ROOT,
        call("llm", "chat/llm"),
        text("chat/llm", "wro"),
        call("llm", "chat/llm", "retrying", **retry),
        text("chat/llm", "right"),
        call("llm", "chat/llm", "completed"),
        END,
    ) == [
        {"type": "STEP_STARTED", "stepName": "chat/llm"},
        {"type": "TEXT_MESSAGE_START", "messageId": "x/chat/llm", "role": "assistant"},
        {"type": "TEXT_MESSAGE_CONTENT", "messageId": "x/chat/llm", "delta": "wro"},
        {
            "type": "TEXT_MESSAGE_END",
            "messageId": "x/chat/llm",
            "metadata": {"execution_status": "retrying"},
        },
        {
            "type": "CUSTOM",
            "name": "retrying",
            "value": {"address": "chat/llm", "actor": "llm", **retry},
        },
        {
            "type": "TEXT_MESSAGE_START",
            "messageId": "x/chat/llm@2",
            "role": "assistant",
        },
        {"type": "TEXT_MESSAGE_CONTENT", "messageId": "x/chat/llm@2", "delta": "right"},
        {"type": "TEXT_MESSAGE_END", "messageId": "x/chat/llm@2"},
        {"type": "STEP_FINISHED", "stepName": "chat/llm", "metadata": ended()},
        FINISHED,
    ]


def test_shows_parallel_tools_with_their_input_and_output() -> None:
    assert said(
        ROOT,
        call("tool", "chat/look", input={"at": "a\u2028b"}, detail="at a"),
        call("tool", "chat/look#2"),
        call("tool", "chat/look#2", "completed"),
        call("tool", "chat/look", "completed", output={"n": 1}),
        END,
    ) == [
        {
            "type": "TOOL_CALL_START",
            "toolCallId": "x/chat/look",
            "toolCallName": "look",
            "metadata": {"detail": "at a"},
        },
        {
            "type": "TOOL_CALL_ARGS",
            "toolCallId": "x/chat/look",
            "delta": '{"at":"a\u2028b"}',
        },
        {"type": "TOOL_CALL_END", "toolCallId": "x/chat/look"},
        {
            "type": "TOOL_CALL_START",
            "toolCallId": "x/chat/look#2",
            "toolCallName": "look",
        },
        {"type": "TOOL_CALL_ARGS", "toolCallId": "x/chat/look#2", "delta": "{}"},
        {"type": "TOOL_CALL_END", "toolCallId": "x/chat/look#2"},
        {
            "type": "TOOL_CALL_RESULT",
            "messageId": "x/chat/look#2@result",
            "toolCallId": "x/chat/look#2",
            "content": "",
            "role": "tool",
            "metadata": ended(),
        },
        {
            "type": "TOOL_CALL_RESULT",
            "messageId": "x/chat/look@result",
            "toolCallId": "x/chat/look",
            "content": '{"n":1}',
            "role": "tool",
            "metadata": ended(),
        },
        FINISHED,
    ]


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_tells_of_a_tool_that_has_not_returned(status: str) -> None:
    told = said(
        ROOT,
        call("tool", "chat/look"),
        call("tool", "chat/look", status, message="no light"),
        END,
    )
    assert told[3] == {
        "type": "TOOL_CALL_RESULT",
        "messageId": "x/chat/look@result",
        "toolCallId": "x/chat/look",
        "content": "no light",
        "role": "tool",
        "metadata": {
            "execution_status": status,
            "message": "no light",
            "tanstack": {"state": "output-error"},
        },
    }


def test_shows_a_nested_agent_in_a_tool_as_a_sub_agent() -> None:
    inner, deep = "x/chat/look/ask", "x/chat/look/ask/think"
    assert said(
        ROOT,
        call("tool", "chat/look"),
        call("agent", "chat/look/ask", detail="a question"),
        call("agent", "chat/look/ask/think"),
        text("chat/look/ask/think", "deep"),
        call("agent", "chat/look/ask/think", "failed", message="tired"),
        call("tool", "chat/look/ask/find"),
        call("tool", "chat/look/ask/find", "recovered", output="x"),
        call("agent", "chat/look/ask", "completed", output=[1]),
        text("chat/look", "seen"),
        call("tool", "chat/look", "completed", output="text"),
        END,
    )[3:] == [
        {
            "type": "SUBAGENT_STARTED",
            "subagentRunId": inner,
            "name": "ask",
            "description": "a question",
            "parentToolCallId": "x/chat/look",
        },
        {
            "type": "SUBAGENT_STARTED",
            "subagentRunId": deep,
            "name": "think",
            "parentSubagentRunId": inner,
        },
        {
            "type": "TEXT_MESSAGE_START",
            "messageId": deep,
            "role": "assistant",
            "subagentRunId": deep,
        },
        {"type": "TEXT_MESSAGE_CONTENT", "messageId": deep, "delta": "deep"},
        {"type": "TEXT_MESSAGE_END", "messageId": deep},
        {
            "type": "SUBAGENT_ERROR",
            "subagentRunId": deep,
            "message": "tired",
            "code": "failed",
            "metadata": ended("failed", message="tired"),
        },
        {
            "type": "TOOL_CALL_START",
            "toolCallId": "x/chat/look/ask/find",
            "toolCallName": "find",
            "subagentRunId": inner,
        },
        {
            "type": "TOOL_CALL_ARGS",
            "toolCallId": "x/chat/look/ask/find",
            "delta": "{}",
        },
        {"type": "TOOL_CALL_END", "toolCallId": "x/chat/look/ask/find"},
        {
            "type": "TOOL_CALL_RESULT",
            "messageId": "x/chat/look/ask/find@result",
            "toolCallId": "x/chat/look/ask/find",
            "content": "x",
            "role": "tool",
            "metadata": ended("recovered"),
            "subagentRunId": inner,
        },
        {
            "type": "SUBAGENT_FINISHED",
            "subagentRunId": inner,
            "result": [1],
            "outcome": SUCCESS,
            "metadata": ended(),
        },
        {
            "type": "TEXT_MESSAGE_START",
            "messageId": "x/chat/look@text",
            "role": "assistant",
        },
        {
            "type": "TEXT_MESSAGE_CONTENT",
            "messageId": "x/chat/look@text",
            "delta": "seen",
        },
        {"type": "TEXT_MESSAGE_END", "messageId": "x/chat/look@text"},
        {
            "type": "TOOL_CALL_RESULT",
            "messageId": "x/chat/look@result",
            "toolCallId": "x/chat/look",
            "content": "text",
            "role": "tool",
            "metadata": ended(),
        },
        FINISHED,
    ]


def test_sends_a_state_first_whole_and_then_its_changes() -> None:
    state: Members = {"steps": ["a"], "done": False, "plan": "x" * 50}
    assert said(
        ROOT,
        event("state", "chat", state=state),
        event("state", "chat", state=state | {"steps": ["a", "b"]}),
        event("state", "chat", state=state | {"steps": ["a", "b"]}),
        event("state", "chat", state=[1]),
        event("state", "chat"),
        END,
    ) == [
        {"type": "STATE_SNAPSHOT", "snapshot": state},
        {
            "type": "STATE_DELTA",
            "delta": [{"op": "add", "path": "/steps/1", "value": "b"}],
        },
        {"type": "STATE_SNAPSHOT", "snapshot": [1]},
        {"type": "STATE_SNAPSHOT", "snapshot": None},
        FINISHED,
    ]


def test_sends_the_whole_state_each_time_without_the_library(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(patches, "_jsonpatch", None)
    states = [event("state", "chat", state={"n": n}) for n in range(2)]
    assert said(ROOT, *states, END)[:2] == [
        {"type": "STATE_SNAPSHOT", "snapshot": {"n": 0}},
        {"type": "STATE_SNAPSHOT", "snapshot": {"n": 1}},
    ]


def test_passes_on_an_event_that_is_nested_too_deeply_for_pydantic() -> None:
    deep = "[" * 230 + "1" + "]" * 230
    event = b'{"event_type":"custom","address":"","name":"deep","data":%b}'

    made = AGUIFormat("x", "x").frame(1, b"x:1", event % deep.encode())

    assert made.endswith(b'"name":"deep","value":%b}\n\n' % deep.encode())


def test_passes_on_as_custom_what_the_protocol_has_no_word_for() -> None:
    model = {"event_type": "found", "address": "chat/look", "url": "/", "n": None}
    told = said(
        ROOT,
        call("agent", "chat/look"),
        event("progress", "chat", current=1, total=2),
        event("log", "chat/look", level="info", message="line"),
        event("custom", "chat", name="chart", data=[1]),
        event("custom", "", name="nothing"),
        model | {"timestamp": "2026-01-02T03:04:05.678Z"},
        event("text_delta", "chat", words="of another library"),
        call("agent", "chat/look", "completed"),
        END,
    )
    look = {"subagentRunId": "x/chat/look"}
    time = {"timestamp": "2026-01-02T03:04:05.678Z"}
    assert told[1:-2] == [
        {
            "type": "CUSTOM",
            "name": "progress",
            "value": {"address": "chat", "current": 1, "total": 2},
        },
        {
            "type": "CUSTOM",
            "name": "log",
            "value": {"address": "chat/look", "level": "info", "message": "line"},
            **look,
        },
        {
            "type": "CUSTOM",
            "name": "chart",
            "value": [1],
            "metadata": {"address": "chat"},
        },
        {"type": "CUSTOM", "name": "nothing", "value": None},
        {"type": "CUSTOM", "name": "found", "value": model | time, **look},
        {
            "type": "CUSTOM",
            "name": "text_delta",
            "value": event("text_delta", "chat", words="of another library"),
        },
    ]


@pytest.mark.parametrize("payload", [{"n": 1}, [1], "text", None, {"event_type": 1}])
def test_passes_on_a_model_without_a_type_as_raw(payload: Any) -> None:
    made = frames([ROOT, payload])[1]
    assert parsed(made) == [("x:2", {"type": "RAW", "event": payload})]


def test_makes_a_message_of_a_result_where_nobody_has_seen_text() -> None:
    assert said(ROOT, event("complete", message="done", result="All of it")) == [
        {"type": "TEXT_MESSAGE_START", "messageId": "x/chat", "role": "assistant"},
        {"type": "TEXT_MESSAGE_CONTENT", "messageId": "x/chat", "delta": "All of it"},
        {"type": "TEXT_MESSAGE_END", "messageId": "x/chat"},
        FINISHED | {"result": "All of it"},
    ]


def test_makes_no_message_of_a_result_after_text() -> None:
    told = said(ROOT, text("chat", "All"), event("complete", message="", result="All"))
    assert told[2:] == [
        {"type": "TEXT_MESSAGE_END", "messageId": "x/chat"},
        FINISHED | {"result": "All"},
    ]


@pytest.mark.parametrize("result", [None, 0, {"error": 1}, [], ""])
def test_gives_another_result_with_the_end(result: Any) -> None:
    (told,) = said(ROOT, event("complete", message="", result=result))
    assert told == FINISHED | ({} if result is None else {"result": result})


OPEN = [
    ROOT,
    call("tool", "chat/look"),
    call("agent", "chat/look/ask"),
    call("llm", "chat/look/ask/llm"),
    thought("chat/look/ask/llm", "h"),
    text("chat", "A"),
]


def closed(status: str, message: str) -> list[Members]:
    """What is said of all that is open at the end of ``OPEN``."""
    facts = {"execution_status": status}
    if status != "cancelled":
        facts["message"] = message
    reasoning = {"messageId": "x/chat/look/ask/llm@reasoning"}
    return [
        {"type": "TEXT_MESSAGE_END", "messageId": "x/chat"},
        {"type": "REASONING_MESSAGE_END", **reasoning},
        {"type": "REASONING_END", **reasoning},
        {
            "type": "STEP_FINISHED",
            "stepName": "chat/look/ask/llm",
            "metadata": facts,
            "subagentRunId": "x/chat/look/ask",
        },
        {
            "type": "SUBAGENT_ERROR",
            "message": message,
            "code": status,
            "metadata": facts,
            "subagentRunId": "x/chat/look/ask",
        },
        {
            "type": "TOOL_CALL_RESULT",
            "messageId": "x/chat/look@result",
            "toolCallId": "x/chat/look",
            "content": message,
            "role": "tool",
            "metadata": {**facts, "tanstack": {"state": "output-error"}},
        },
    ]


@pytest.mark.parametrize(("kind", "code"), [("error", "failed"), ("lost", "lost")])
def test_closes_what_is_open_and_tells_of_a_failure(kind: str, code: str) -> None:
    told = said(*OPEN, event(kind, message="It broke"))
    end = {"type": "RUN_ERROR", "message": "It broke", "code": code}
    assert told[-7:] == [*closed(code, "It broke"), end]
    check([*OPEN, event(kind, message="It broke")])


def test_closes_what_is_open_when_it_is_cancelled() -> None:
    told = said(*OPEN, event("cancelled", message="Enough"))
    end = FINISHED | {
        "outcome": {"type": "cancelled"},
        "metadata": {"message": "Enough"},
    }
    assert told[-7:] == [*closed("cancelled", "The call has been cancelled"), end]
    check([*OPEN, event("cancelled", message="Enough")])


@pytest.mark.parametrize("format", [AGUIDraftFormat, AGUIDraftRewindFormat])
def test_ends_for_older_clients_as_if_their_user_had_stopped_it(
    format: type[AGUIFormat],
) -> None:
    made = frames([ROOT, event("cancelled", message="Enough")], format)[-1]
    assert parsed(made) == [
        (
            None,
            {
                "type": "RUN_ERROR",
                "message": "Enough",
                "code": "abort",
                "timestamp": MILLISECONDS,
            },
        )
    ]


def test_says_lost_without_an_id_if_it_has_none() -> None:
    lost = json.dumps(event("lost", message="It is gone")).encode()
    format = AGUIFormat("x", "t")
    format.frame(1, b"x:1", json.dumps(ROOT).encode())
    format.frame(2, b"x:2", json.dumps(text("chat", "A")).encode())
    assert format.frame(3, b"", lost) == (
        b'data: {"type":"TEXT_MESSAGE_END","messageId":"x/chat",'
        b'"timestamp":1767323045678}\n\n'
        b'data: {"type":"RUN_ERROR","message":"It is gone","code":"lost",'
        b'"timestamp":1767323045678}\n\n'
    )


@pytest.mark.parametrize("event_id", ["x:2", "x:2:lost"])
def test_gives_the_end_no_id_so_that_a_client_that_missed_it_gets_it_again(
    event_id: str,
) -> None:
    lost = json.dumps(event("lost", message="")).encode()
    format = AGUIFormat("x", "t")
    format.frame(1, b"x:1", json.dumps(text("chat", "A")).encode())
    ids = [id for id, _ in parsed(format.frame(2, event_id.encode(), lost))]
    assert ids == ["x:1.1" + event_id.removeprefix("x:2"), None]


def test_begins_in_the_middle_where_the_oldest_events_are_gone() -> None:
    format = AGUIFormat("r9", "t9")
    begin = format.reset("trimmed", 7)
    rest = [
        text("chat/ask/llm", "lo"),
        call("llm", "chat/ask/llm", "completed"),
        call("tool", "chat/look", "failed", message="dark"),
        call("agent", "chat/ask", "completed"),
        event("complete", message="", result="Hello"),
    ]
    frames = [
        format.frame(n, b"x:%d" % n, json.dumps(each).encode())
        for n, each in enumerate(rest, 7)
    ]
    assert begin is not None
    assert parsed(begin) == [
        (
            None,
            {
                "type": "RUN_STARTED",
                "threadId": "t9",
                "runId": "r9",
                "protocolVersion": "1.0",
            },
        ),
        (
            None,
            {
                "type": "CUSTOM",
                "name": "reset",
                "value": {"reason": "trimmed", "first": 7},
            },
        ),
    ]
    told = [each for _, each in parsed(begin + b"".join(frames))]
    assert [each["type"] for each in told][2:] == [
        "TEXT_MESSAGE_START",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_END",
        "STEP_STARTED",
        "STEP_FINISHED",
        "TOOL_CALL_START",
        "TOOL_CALL_ARGS",
        "TOOL_CALL_END",
        "TOOL_CALL_RESULT",
        "SUBAGENT_STARTED",
        "SUBAGENT_FINISHED",
        "RUN_FINISHED",
    ]
    rules = Rules()
    for each in told:
        rules.take(each)
    rules.finish()


@pytest.mark.parametrize("reason", ["foreign", "future", "malformed"])
def test_needs_no_word_for_an_id_that_it_cannot_continue_from(reason: str) -> None:
    format = AGUIFormat("x", "x")
    assert format.reset(reason, 1) == b""
    assert parsed(format.frame(1, b"x:1", json.dumps(ROOT).encode())) != []


def test_breaks_the_connection_off_where_its_clients_would_see_the_end() -> None:
    format = AGUIFormat("x", "x")
    format.frame(1, b"x:1", json.dumps(ROOT).encode())
    assert format.reset("future", 1) is None
    assert format.goodbye("draining") is None
    assert format.end("completed") == b""
    assert format.retry(1000) == b""


def test_takes_reasoning_away_that_a_client_has_seen_before() -> None:
    events = [CONVERSATION, ROOT, thought("chat", "hm"), END]
    plain, rewound = frames(events), frames(events, AGUIRewindFormat)
    assert rewound[1:] == plain[1:]
    assert [(id, e["type"], e.get("messages")) for id, e in parsed(rewound[0])] == [
        ("x:0.1", "RUN_STARTED", None),
        (None, *("MESSAGES_SNAPSHOT", [_rewind("reasoning")])),
        (None, *("MESSAGES_SNAPSHOT", [_rewind("assistant")])),
        ("x:1", "MESSAGES_SNAPSHOT", [USER]),
    ]


def _rewind(role: str) -> Members:
    return {"id": "rewind", "role": role, "content": ""}


def test_rewinds_nothing_without_a_conversation() -> None:
    assert frames([ROOT, END], AGUIRewindFormat) == frames([ROOT, END])


@st.composite
def executions(draw: st.DrawFn) -> list[Members]:
    """Any tree of calls whose events are mixed as parallel calls mix them."""
    running = {"chat": "agent"}
    counts: dict[str, int] = {}
    events = [ROOT]
    if draw(st.booleans()):
        events.insert(0, CONVERSATION)
    for _ in range(draw(st.integers(0, 25))):
        at = draw(st.sampled_from(sorted(running)))
        match draw(st.sampled_from(["call", "call", "end", "text", "think", "more"])):
            case "call":
                name = f"{at}/{draw(st.sampled_from('ab'))}"
                count = counts[name] = counts.get(name, 0) + 1
                name += f"#{count}" if count > 1 else ""
                running[name] = draw(st.sampled_from(["agent", "tool", "llm"]))
                events.append(call(running[name], name))
            case "end":
                events += _ends(running, at, draw)
            case "text":
                events.append(text(at, draw(st.sampled_from(["", "a", "\u2028"]))))
            case "think":
                events.append(thought(at, "t"))
            case _:
                events.append(draw(_more(at, running[at])))
    kind = draw(st.sampled_from(["complete", "error", "cancelled", "lost"]))
    if kind != "lost" and draw(st.booleans()):
        events += _ends(running, "chat", draw)
    return [*events, event(kind, message="over")]


def _ends(running: dict[str, str], at: str, draw: st.DrawFn) -> Iterator[Members]:
    inside = sorted(each for each in running if each.startswith(at + "/"))
    for each in [*reversed(inside), at]:
        if each == "chat" and at != "chat":
            continue
        status = draw(st.sampled_from(["completed", "failed", "cancelled"]))
        kind = running[each]
        if each != "chat":
            del running[each]
        yield call(kind, each, status)


def _more(at: str, kind: str) -> st.SearchStrategy[Members]:
    return st.sampled_from(
        [
            call(kind, at, "retrying", message="m", attempt=1, delay=0.1),
            event("state", at, state={"n": 1}),
            event("state", at, state={"n": 2, "m": [1]}),
            event("log", at, message="line"),
            event("custom", at, name="c"),
        ]
    )


@settings(max_examples=150, deadline=None)
@given(events=executions())
def test_is_accepted_by_the_rules_whatever_the_execution_does(
    events: list[Members],
) -> None:
    check(events)


@settings(max_examples=100, deadline=None)
@given(events=executions(), data=st.data())
def test_is_accepted_wherever_it_begins_and_whatever_is_hidden(
    events: list[Members], data: st.DataObject
) -> None:
    *body, end = events
    first = data.draw(st.integers(0, len(body)))
    hidden = data.draw(st.sets(st.integers(0, len(body))))
    shown = [each for n, each in enumerate(body) if n >= first and n not in hidden]
    check([*shown, end])


@settings(max_examples=50, deadline=None)
@given(events=executions())
def test_numbers_its_blocks_so_that_each_is_a_place_to_resume(
    events: list[Members],
) -> None:
    for number, made in enumerate(frames(events), 1):
        blocks = made.split(b"\n\n")[:-1]
        ids = [block.partition(b"\n")[0] for block in blocks]
        wanted = [b"id: x:%d.%d" % (number - 1, i) for i in range(1, len(blocks))]
        wanted += [b"id: x:%d" % number] if blocks else []
        if number == len(events):
            wanted.pop()
            assert ids.pop().startswith(b'data: {"type":"RUN_')
        assert ids == wanted
