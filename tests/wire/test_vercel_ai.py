"""The UI message stream of the AI SDK, chunk by chunk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, RootModel

from asgi_events.events import (
    CancelledEvent,
    CompleteEvent,
    ConversationEvent,
    CustomEvent,
    ErrorEvent,
    EventType,
    ExecutionEvent,
    ExecutionStatus,
    InputAnswerEvent,
    InputRequestEvent,
    LogEvent,
    LostEvent,
    ProgressEvent,
    ReasoningDelta,
    StateEvent,
    TextDelta,
    Usage,
)
from asgi_events.wire.encoding import encode_json
from asgi_events.wire.formats import Format
from asgi_events.wire.vercel_ai import VercelAIApprovalsFormat, VercelAIFormat
from tests.wire.ui_message_stream import DONE, accept, chunks

BEGIN = [{"type": "start", "messageId": "e1"}, {"type": "start-step"}]
TOOL = {"dynamic": True, "providerExecuted": True}


def call(
    kind: str, address: str, status: str = "started", **fields: Any
) -> ExecutionEvent[Any]:
    name = address.rpartition("/")[2].partition("#")[0]
    return ExecutionEvent(
        event_type=EventType(f"{kind}_call"),
        actor=name,
        address=address,
        execution_status=ExecutionStatus(status),
        **fields,
    )


def question(n: int = 1, at: str = "chat", type: str = "boolean") -> InputRequestEvent:
    schema = {"type": type}
    return InputRequestEvent(address=at, n=n, message="Well?", response_schema=schema)


def text(address: str, delta: str) -> TextDelta:
    return TextDelta(address=address, delta=delta)


def of(address: str, attempt: int = 1) -> dict[str, Any]:
    return {"asgi-events": {"address": address, "attempt": attempt}}


def opened(address: str, delta: str, *, kind: str = "text") -> list[Any]:
    return [
        {"type": f"{kind}-start", "id": address, "providerMetadata": of(address)},
        {"type": f"{kind}-delta", "id": address, "delta": delta},
    ]


def finish(status: str = "completed", **metadata: Any) -> list[Any]:
    about = {"execution": "e1", "status": status, **metadata}
    return [
        {"type": "finish-step"},
        {"type": "finish", "finishReason": "stop", "messageMetadata": about},
        DONE,
    ]


def ended(status: str, last: dict[str, Any]) -> list[Any]:
    about = {"execution": "e1", "status": status}
    return [{"type": "message-metadata", "messageMetadata": about}, last, DONE]


def execution(kind: str, address: str, status: str, **fields: Any) -> dict[str, Any]:
    name = address.rpartition("/")[2].partition("#")[0]
    data = {"kind": kind, "name": name, "address": address, "status": status, **fields}
    return {"type": "data-execution", "id": address, "data": data}


def stream(
    events: Iterable[BaseModel],
    *,
    end: str | None = None,
    first: int = 1,
    make: type[VercelAIFormat] = VercelAIFormat,
) -> bytes:
    """The bytes of a viewer who sees ``events``, and the end; ``first`` is kept."""
    format: Format = make("e1")
    frames = [(format.reset("trimmed", first) if first > 1 else None) or b""]
    frames += [
        format.frame(number, b"e1:%d" % number, encode_json(event))
        for number, event in enumerate(events, first)
    ]
    last = format.end(end) if end is not None else b""
    assert last is not None
    return b"".join(frames) + last


def told(*events: BaseModel) -> list[Any]:
    """The chunks after ``start`` and ``start-step`` of events in a running root."""
    made = chunks(stream([call("agent", "chat"), *events]))
    assert made[:2] == BEGIN
    return made[2:]


def test_is_a_stream_of_server_sent_events_that_says_its_version() -> None:
    format = VercelAIFormat("e1")

    assert format.media_type == "text/event-stream"
    assert format.headers == {"x-vercel-ai-ui-message-stream": "v1"}
    assert (format.greeting, format.heartbeat) == (
        b": stream-start\n",
        b": keep-alive\n",
    )
    assert format.retry(1000) == b""


def test_begins_with_the_first_event_and_not_with_the_conversation() -> None:
    format = VercelAIFormat("e1")
    conversation = ConversationEvent(thread="c1", run="e1", messages=[])

    assert format.frame(1, b"e1:1", encode_json(conversation)) == b""
    started = format.frame(2, b"e1:2", encode_json(call("agent", "chat")))
    assert chunks(started) == BEGIN


def test_says_a_whole_run_of_text_and_a_tool() -> None:
    run = [
        ConversationEvent(thread="c1", run="e1", messages=[]),
        call("agent", "chat"),
        call("llm", "chat/gpt"),
        ReasoningDelta(address="chat/gpt", delta="Hm."),
        text("chat/gpt", "Let me "),
        text("chat/gpt", "look."),
        call("llm", "chat/gpt", "completed", usage=Usage(output_tokens=3)),
        call("tool", "chat/look", input={"place": "Bonn"}, detail="Bonn"),
        call("tool", "chat/look", "completed", output=[1, None]),
        text("chat", "Found."),
        call("agent", "chat", "completed", execution_time=1.5),
        CompleteEvent(result={"found": 1}),
    ]

    assert chunks(stream(run, end="completed")) == [
        *BEGIN,
        execution("llm", "chat/gpt", "started"),
        *opened("chat/gpt", "Hm.", kind="reasoning"),
        {"type": "reasoning-end", "id": "chat/gpt"},
        *opened("chat/gpt", "Let me "),
        {"type": "text-delta", "id": "chat/gpt", "delta": "look."},
        {"type": "text-end", "id": "chat/gpt"},
        execution("llm", "chat/gpt", "completed", usage={"output_tokens": 3}),
        {
            "type": "tool-input-available",
            "toolCallId": "chat/look",
            "toolName": "look",
            "input": {"place": "Bonn"},
            **TOOL,
            "providerMetadata": {
                "asgi-events": {"address": "chat/look", "detail": "Bonn"}
            },
        },
        {
            "type": "tool-output-available",
            "toolCallId": "chat/look",
            "output": [1, None],
            **TOOL,
        },
        *opened("chat", "Found."),
        {"type": "text-end", "id": "chat"},
        *finish(result={"found": 1}),
    ]


def test_interleaves_the_texts_and_tools_of_parallel_calls() -> None:
    made = told(
        call("tool", "chat/a"),
        call("tool", "chat/a#2"),
        call("llm", "chat/x"),
        call("llm", "chat/x#2"),
        text("chat/x", "1"),
        text("chat/x#2", "2"),
        text("chat/x", "3"),
        call("tool", "chat/a#2", "completed"),
        call("llm", "chat/x", "completed"),
        text("chat/x#2", "4"),
        call("tool", "chat/a", "failed", message="no"),
    )

    given = {"toolName": "a", "input": {}, **TOOL}
    assert made == [
        {"type": "tool-input-available", "toolCallId": "chat/a", **given},
        {"type": "tool-input-available", "toolCallId": "chat/a#2", **given},
        execution("llm", "chat/x", "started"),
        execution("llm", "chat/x#2", "started"),
        *opened("chat/x", "1"),
        *opened("chat/x#2", "2"),
        {"type": "text-delta", "id": "chat/x", "delta": "3"},
        {
            "type": "tool-output-available",
            "toolCallId": "chat/a#2",
            "output": None,
            **TOOL,
        },
        {"type": "text-end", "id": "chat/x"},
        execution("llm", "chat/x", "completed"),
        {"type": "text-delta", "id": "chat/x#2", "delta": "4"},
        {
            "type": "tool-output-error",
            "toolCallId": "chat/a",
            "errorText": "no",
            **TOOL,
        },
    ]


def test_replaces_the_part_of_a_nested_agent_in_place() -> None:
    made = told(
        call("agent", "chat/expert", input={"about": "tea"}, detail="tea"),
        text("chat/expert", "Well"),
        call("agent", "chat/expert", "recovered", from_cache=True, output="yes"),
    )

    about = {"detail": "tea", "input": {"about": "tea"}}
    assert made == [
        execution("agent", "chat/expert", "started", **about),
        *opened("chat/expert", "Well"),
        {"type": "text-end", "id": "chat/expert"},
        execution(
            "agent", "chat/expert", "recovered", **about, output="yes", from_cache=True
        ),
    ]


def test_lets_the_text_after_a_nested_call_be_a_part_of_its_own() -> None:
    made = told(
        text("chat", "Let me look. "),
        call("tool", "chat/look"),
        text("chat", "Found."),
        text("chat", " Done."),
    )

    assert [each["type"] for each in made] == [
        "text-start",
        "text-delta",
        "text-end",
        "tool-input-available",
        "text-start",
        "text-delta",
        "text-delta",
    ]


def test_closes_the_texts_of_the_calls_that_a_call_has_made() -> None:
    made = told(
        call("agent", "chat/a"),
        text("chat/a/gpt", "1"),
        text("chat/ab", "2"),
        call("agent", "chat/a", "completed"),
    )

    assert made[5] == {"type": "text-end", "id": "chat/a/gpt"}
    assert [e for e in made if e["type"] == "text-end"] == [made[5]]


@pytest.mark.parametrize("kind", ["text", "reasoning"])
def test_ignores_an_empty_delta(kind: str) -> None:
    made = TextDelta if kind == "text" else ReasoningDelta

    assert told(made(address="chat", delta="")) == []


def test_begins_a_new_text_when_a_model_is_tried_again() -> None:
    made = told(
        call("llm", "chat/gpt"),
        text("chat/gpt", "Hal"),
        call("llm", "chat/gpt", "retrying", message="broken off", attempt=1, delay=0.5),
        text("chat/gpt", "Hello"),
        call("llm", "chat/gpt", "completed", execution_time=2.0),
    )

    again = [
        {
            "type": "text-start",
            "id": "chat/gpt:2",
            "providerMetadata": of("chat/gpt", 2),
        },
        {"type": "text-delta", "id": "chat/gpt:2", "delta": "Hello"},
        {"type": "text-end", "id": "chat/gpt:2"},
    ]
    failed = {"message": "broken off", "attempt": 1, "delay": 0.5}
    assert made == [
        execution("llm", "chat/gpt", "started"),
        *opened("chat/gpt", "Hal"),
        {"type": "text-end", "id": "chat/gpt"},
        execution("llm", "chat/gpt", "retrying", **failed),
        *again,
        execution("llm", "chat/gpt", "completed", attempt=1, execution_time=2.0),
    ]


def test_gives_a_tool_that_is_tried_again_an_execution_too() -> None:
    made = told(
        call("tool", "chat/look"),
        call("tool", "chat/look", "retrying", message="busy", attempt=1, delay=0.5),
        call("tool", "chat/look", "completed", output=1),
        call("tool", "chat/look#2"),
    )

    assert [each["type"] for each in made] == [
        "tool-input-available",
        "data-execution",
        "tool-output-available",
        "data-execution",
        "tool-input-available",
    ]
    assert made[1] == execution(
        "tool", "chat/look", "retrying", message="busy", attempt=1, delay=0.5
    )
    assert made[3] == execution("tool", "chat/look", "completed", output=1, attempt=1)


@pytest.mark.parametrize("kind", ["agent", "tool", "llm"])
def test_makes_no_part_of_the_outermost_call(kind: str) -> None:
    run = [call(kind, "chat"), call(kind, "chat", "completed"), CompleteEvent()]

    assert chunks(stream(run, end="completed")) == [*BEGIN, *finish()]


def test_says_that_the_outermost_call_is_tried_again() -> None:
    made = told(call("agent", "chat", "retrying", message="no", attempt=1, delay=0.5))

    failed = {"message": "no", "attempt": 1, "delay": 0.5}
    assert made == [execution("agent", "chat", "retrying", **failed)]


def test_replaces_progress_and_state_in_place() -> None:
    made = told(
        ProgressEvent(address="chat/a", current=1, total=2, message="half"),
        ProgressEvent(address="chat/b", current=0.5),
        StateEvent(address="chat", state={"cart": []}),
        StateEvent(address="chat/a", state=None),
    )

    assert made == [
        {
            "type": "data-progress",
            "id": "chat/a",
            "data": {"address": "chat/a", "current": 1, "total": 2, "message": "half"},
        },
        {
            "type": "data-progress",
            "id": "chat/b",
            "data": {"address": "chat/b", "current": 0.5},
        },
        {"type": "data-state", "id": "state", "data": {"cart": []}},
        {"type": "data-state", "id": "state", "data": None},
    ]


def test_keeps_no_log_line_in_the_message() -> None:
    made = told(LogEvent(address="chat", level="warning", message="slow"))

    data = {"address": "chat", "level": "warning", "message": "slow"}
    assert made == [{"type": "data-log", "data": data, "transient": True}]


def test_puts_a_custom_event_between_two_texts() -> None:
    made = told(
        text("chat", "a"),
        CustomEvent(address="chat", name="chart", data={"x": [1, 2]}),
        text("chat", "b"),
    )

    assert made == [
        *opened("chat", "a"),
        {"type": "text-end", "id": "chat"},
        {"type": "data-chart", "data": {"x": [1, 2]}},
        *opened("chat", "b"),
    ]


@pytest.mark.parametrize(
    ("name", "type"),
    [
        ("weather.v2-b_1", "data-weather.v2-b_1"),
        ("my  event\u2028", "data-my-event-"),
        ("état", "data--tat"),
        ("", "data-event"),
        ("execution", "data-custom-execution"),
        ("log", "data-custom-log"),
        ("constructor", "data-custom-constructor"),
        ("__proto__", "data-custom-__proto__"),
        ("x" * 5000, "data-" + "x" * 100),
    ],
)
def test_makes_a_safe_type_of_a_name(name: str, type: str) -> None:
    assert told(CustomEvent(address="chat", name=name)) == [
        {"type": type, "data": None}
    ]


class Price(BaseModel):
    event_type: str = "price"
    amount: float
    error: str = "a member of the application"


class Nameless(BaseModel):
    amount: int


class Pretender(BaseModel):
    event_type: str
    delta: int = 1


class Listed(BaseModel):
    event_type: list[str]


@pytest.mark.parametrize(
    ("event", "type"),
    [
        (Price(amount=1.5), "data-price"),
        (Nameless(amount=1), "data-event"),
        (Listed(event_type=["text_delta"]), "data-event"),
        (RootModel[list[int]]([1, 2]), "data-event"),
        (RootModel[None](None), "data-event"),
        (Pretender(event_type=""), "data-event"),
        (Pretender(event_type="text_delta"), "data-text_delta"),
        (Pretender(event_type="tool_call"), "data-tool_call"),
        (Pretender(event_type="complete"), "data-complete"),
        (Pretender(event_type="conversation"), "data-conversation"),
        (Pretender(event_type="state"), "data-custom-state"),
    ],
)
def test_shows_an_event_of_the_application_as_a_part(
    event: BaseModel, type: str
) -> None:
    assert told(event) == [{"type": type, "data": event.model_dump(mode="json")}]


def test_shows_an_event_that_is_nested_too_deeply_for_the_parser() -> None:
    deep = b'{"event_type":"deep","data":%b1%b}' % (b"[" * 250, b"]" * 250)

    made = VercelAIFormat("e1").frame(1, b"e1:1", deep)

    told = chunks(made)[2]
    assert (told["type"], told["data"]["event_type"]) == ("data-deep", "deep")


def test_reads_a_call_that_is_nested_too_deeply_for_the_parser() -> None:
    deep = b"[" * 250 + b"]" * 250
    event = encode_json(call("tool", "chat/look", input=1)).replace(
        b'"input":1', b'"input":' + deep
    )

    made = VercelAIFormat("e1").frame(1, b"e1:1", event)

    told = chunks(made)[2]
    assert (told["type"], told["toolCallId"]) == ("tool-input-available", "chat/look")


def test_escapes_what_any_client_takes_for_the_end_of_a_line() -> None:
    made = stream([text("chat", "\u2028\u2029\u0085\r\n")])

    assert b"\\u2028\\u2029\\u0085\\r\\n" in made
    assert made.count(b"\n") == 2 * len(chunks(made))


@pytest.mark.parametrize("shown", [False, True])
def test_makes_the_result_the_text_if_there_was_none(shown: bool) -> None:
    said = [text("chat/gpt", "Hello")] if shown else []
    run = [call("agent", "chat"), *said, CompleteEvent(result="Hello.")]

    part = (
        opened("chat/gpt", "Hello") + [{"type": "text-end", "id": "chat/gpt"}]
        if shown
        else opened("chat", "Hello.") + [{"type": "text-end", "id": "chat"}]
    )
    assert chunks(stream(run, end="completed")) == [
        *BEGIN,
        *part,
        *finish(result="Hello."),
    ]


def test_does_not_count_the_text_of_a_failed_attempt() -> None:
    run = [
        call("agent", "chat"),
        text("chat/gpt", "Hal"),
        call("llm", "chat/gpt", "retrying", attempt=1, delay=0.0),
        CompleteEvent(result="Hello."),
    ]

    assert opened("chat", "Hello.")[0] in chunks(stream(run, end="completed"))


@pytest.mark.parametrize("result", [None, "", 3, {"text": "Hello"}])
def test_makes_no_text_of_any_other_result(result: Any) -> None:
    run = [call("agent", "chat"), CompleteEvent(result=result)]

    about = {} if result is None else {"result": result}
    assert chunks(stream(run, end="completed")) == [*BEGIN, *finish(**about)]


def test_passes_on_the_figures_of_the_cache() -> None:
    run = [call("agent", "chat"), CompleteEvent(cache_stats={"hits": 1})]

    assert chunks(stream(run, end="completed")) == [
        *BEGIN,
        *finish(cache_stats={"hits": 1}),
    ]


_OPEN = [
    call("agent", "chat"),
    call("agent", "chat/a", detail="x"),
    call("tool", "chat/a/t"),
    call("llm", "chat/gpt"),
    text("chat/gpt", "Hel"),
    ReasoningDelta(address="chat/a", delta="Hm"),
]


@pytest.mark.parametrize(
    ("event", "status", "last"),
    [
        (ErrorEvent(message="broken"), "failed", {"errorText": "broken"}),
        (LostEvent(message="died"), "lost", {"errorText": "died"}),
        (CancelledEvent(message="stopped"), "cancelled", {"reason": "stopped"}),
    ],
)
def test_closes_what_is_open_at_any_other_end(
    event: BaseModel, status: str, last: dict[str, str]
) -> None:
    made = chunks(stream([*_OPEN, event], end=status))

    (message,) = last.values()
    kind = "abort" if status == "cancelled" else "error"
    assert made[-8:] == [
        {"type": "text-end", "id": "chat/gpt"},
        {"type": "reasoning-end", "id": "chat/a"},
        {
            "type": "tool-output-error",
            "toolCallId": "chat/a/t",
            "errorText": message,
            **TOOL,
        },
        execution("agent", "chat/a", status, detail="x"),
        execution("llm", "chat/gpt", status),
        *ended(status, {"type": kind, **last}),
    ]
    accept(stream([*_OPEN, event], end=status))


def test_closes_what_is_open_at_a_good_end_too() -> None:
    made = chunks(stream([*_OPEN, CompleteEvent()], end="completed"))

    assert {
        "type": "tool-output-available",
        "toolCallId": "chat/a/t",
        "output": None,
        **TOOL,
    } in made
    assert execution("llm", "chat/gpt", "completed") in made
    accept(stream([*_OPEN, CompleteEvent()], end="completed"))


def test_names_a_failure_of_a_tool_that_does_not_say_what_it_was() -> None:
    made = told(call("tool", "chat/t"), call("tool", "chat/t", "cancelled"))

    assert made[1]["errorText"] == "The call was cancelled"


def test_says_that_the_beginning_is_not_kept_and_opens_what_it_hears_of() -> None:
    rest = [
        text("chat/gpt", "lo"),
        call("llm", "chat/gpt", "completed"),
        call("tool", "chat/look", "completed", output=1),
        CompleteEvent(result="Hello"),
    ]

    assert chunks(stream(rest, end="completed", first=7)) == [
        *BEGIN,
        {"type": "data-reset", "data": {"reason": "trimmed", "first": 7}},
        *opened("chat/gpt", "lo"),
        {"type": "text-end", "id": "chat/gpt"},
        execution("llm", "chat/gpt", "completed"),
        {
            "type": "tool-input-available",
            "toolCallId": "chat/look",
            "toolName": "look",
            "input": {},
            **TOOL,
        },
        {
            "type": "tool-output-available",
            "toolCallId": "chat/look",
            "output": 1,
            **TOOL,
        },
        *finish(result="Hello"),
    ]


def test_says_nothing_of_a_place_that_is_not_known_if_all_events_follow() -> None:
    format = VercelAIFormat("e1")

    assert format.reset("foreign", 1) == b""
    begin = format.frame(1, b"e1:1", encode_json(call("agent", "chat")))
    assert chunks(begin) == BEGIN


def test_breaks_the_connection_where_any_clean_end_is_taken_for_the_end() -> None:
    assert VercelAIFormat("e1").goodbye("draining") is None


ADDRESSES = ["chat", "chat/a", "chat/a/b", "chat/a#2", "chat/ab", "", "other"]


@st.composite
def runs(draw: st.DrawFn) -> list[BaseModel]:
    """Any events in any order, as a log that redaction has thinned may have them."""
    address = st.sampled_from(ADDRESSES)
    words = st.text(max_size=3)
    calls = st.builds(
        call,
        st.sampled_from(["agent", "tool", "llm"]),
        address,
        st.sampled_from(
            ["started", "retrying", "completed", "recovered", "failed", "cancelled"]
        ),
        input=st.none() | st.just({"x": 1}),
        message=st.none() | words,
    )
    others = st.one_of(
        st.builds(TextDelta, address=address, delta=words),
        st.builds(ReasoningDelta, address=address, delta=words),
        st.builds(LogEvent, address=address, message=words),
        st.builds(ProgressEvent, address=address, current=st.just(1.0)),
        st.builds(StateEvent, address=address, state=st.just([1])),
        st.builds(CustomEvent, address=address, name=words, data=st.just(1)),
        st.builds(Pretender, event_type=st.sampled_from([*EventType, "x"])),
    )
    numbers = st.integers(1, 3)
    questions = st.one_of(
        st.builds(question, numbers, address, st.sampled_from(["boolean", "string"])),
        st.builds(
            InputAnswerEvent,
            address=address,
            n=numbers,
            action=st.sampled_from(["accept", "decline", "expired", "cancelled"]),
        ),
    )
    drawn = draw(st.lists(calls | others | questions, max_size=25))
    events = list(_asked_once(drawn))
    end = st.one_of(
        st.builds(CompleteEvent, result=st.none() | words),
        st.builds(ErrorEvent, message=words),
        st.builds(CancelledEvent, message=words),
        st.builds(LostEvent),
    )
    return [*events, draw(end)]


def _asked_once(events: Iterable[BaseModel]) -> Iterator[BaseModel]:
    """The events without a question of a number that has been asked."""
    asked: set[int] = set()
    for event in events:
        if isinstance(event, InputRequestEvent):
            if event.n in asked:
                continue
            asked.add(event.n)
        yield event


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(runs(), st.sampled_from([1, 7]), st.booleans())
def test_is_accepted_whatever_happens(
    run: list[BaseModel], first: int, approves: bool
) -> None:
    make = VercelAIApprovalsFormat if approves else VercelAIFormat
    made = stream(run, end="completed", first=first, make=make)

    accept(made)
    assert stream(run, end="completed", first=first, make=make) == made
    assert b'"error":' not in b"".join(
        line.partition(b'"data":')[0] for line in made.splitlines()
    )
