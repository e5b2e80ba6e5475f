"""The models of what is published: their JSON, whole, and what they refuse."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from asgi_events import (
    EventType,
    ExecutionEvent,
    ExecutionResult,
    ExecutionState,
    ExecutionStatus,
    Message,
    agent,
    llm,
    tool,
)
from asgi_events.events import (
    AuthorType,
    CancelledEvent,
    CompleteEvent,
    ErrorEvent,
    InputAnswerEvent,
    InputRequestEvent,
    LogEvent,
    LostEvent,
    ProgressEvent,
    TextDelta,
)
from asgi_events.wire.encoding import encode_json

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)


@agent
async def research(message: Message) -> str:
    return message.content


@tool
async def search(query: str) -> str:
    return query


@llm
async def write(prompt: str) -> str:
    return prompt


MODELS: list[Any] = [
    pytest.param(
        LogEvent(address="a/b", timestamp=NOON, message="m"),
        {
            "event_type": "log",
            "address": "a/b",
            "timestamp": "2026-01-02T12:00:00Z",
            "level": "info",
            "message": "m",
        },
        id="log",
    ),
    pytest.param(
        TextDelta(address="a", timestamp=NOON, delta="d"),
        {
            "event_type": "text_delta",
            "address": "a",
            "timestamp": "2026-01-02T12:00:00Z",
            "delta": "d",
        },
        id="text delta",
    ),
    pytest.param(
        ProgressEvent(address="a", timestamp=NOON, current=1),
        {
            "event_type": "progress",
            "address": "a",
            "timestamp": "2026-01-02T12:00:00Z",
            "current": 1.0,
        },
        id="progress",
    ),
    pytest.param(
        ProgressEvent(address="a", timestamp=NOON, current=1, total=4, message="m"),
        {
            "event_type": "progress",
            "address": "a",
            "timestamp": "2026-01-02T12:00:00Z",
            "current": 1.0,
            "total": 4.0,
            "message": "m",
        },
        id="progress of a total",
    ),
    pytest.param(
        InputRequestEvent(
            address="a",
            timestamp=NOON,
            n=1,
            message="m",
            response_schema={"type": "boolean"},
            expires=NOON,
            to="t",
        ),
        {
            "event_type": "input_request",
            "address": "a",
            "timestamp": "2026-01-02T12:00:00Z",
            "n": 1,
            "message": "m",
            "response_schema": {"type": "boolean"},
            "expires": "2026-01-02T12:00:00Z",
            "to": "t",
        },
        id="question",
    ),
    pytest.param(
        InputAnswerEvent(
            address="a", timestamp=NOON, n=1, action="accept", by="b", content=[False]
        ),
        {
            "event_type": "input_answer",
            "address": "a",
            "timestamp": "2026-01-02T12:00:00Z",
            "n": 1,
            "action": "accept",
            "by": "b",
            "content": [False],
        },
        id="answer",
    ),
    pytest.param(
        InputAnswerEvent(address="a", timestamp=NOON, n=1, action="expired"),
        {
            "event_type": "input_answer",
            "address": "a",
            "timestamp": "2026-01-02T12:00:00Z",
            "n": 1,
            "action": "expired",
        },
        id="no answer",
    ),
    pytest.param(
        ExecutionEvent[str](actor=research, timestamp=NOON),
        {
            "event_type": "agent_call",
            "address": "",
            "timestamp": "2026-01-02T12:00:00Z",
            "actor": "research",
            "execution_status": "started",
            "from_cache": False,
        },
        id="call",
    ),
    pytest.param(
        ExecutionEvent[str](
            event_type=EventType.TOOL_CALL,
            actor="search",
            address="research/search#2",
            timestamp=NOON,
            execution_status=ExecutionStatus.FAILED,
            execution_time=0.5,
            detail="d",
            message="m",
        ),
        {
            "event_type": "tool_call",
            "address": "research/search#2",
            "timestamp": "2026-01-02T12:00:00Z",
            "actor": "search",
            "execution_status": "failed",
            "execution_time": 0.5,
            "detail": "d",
            "message": "m",
            "from_cache": False,
        },
        id="failed call",
    ),
    pytest.param(
        CompleteEvent(timestamp=NOON),
        {
            "event_type": "complete",
            "message": "Execution completed successfully",
            "address": "",
            "timestamp": "2026-01-02T12:00:00Z",
        },
        id="complete",
    ),
    pytest.param(
        CompleteEvent(
            timestamp=NOON, cache_stats={"hits": 0, "of": None}, result=False
        ),
        {
            "event_type": "complete",
            "message": "Execution completed successfully",
            "address": "",
            "timestamp": "2026-01-02T12:00:00Z",
            "cache_stats": {"hits": 0, "of": None},
            "result": False,
        },
        id="complete with everything",
    ),
    pytest.param(
        ErrorEvent(timestamp=NOON, message="boom"),
        {
            "event_type": "error",
            "message": "boom",
            "address": "",
            "timestamp": "2026-01-02T12:00:00Z",
        },
        id="error",
    ),
    pytest.param(
        CancelledEvent(timestamp=NOON),
        {
            "event_type": "cancelled",
            "message": "Execution cancelled",
            "address": "",
            "timestamp": "2026-01-02T12:00:00Z",
        },
        id="cancelled",
    ),
    pytest.param(
        LostEvent(timestamp=NOON),
        {
            "event_type": "lost",
            "message": "The process that ran this execution died",
            "address": "",
            "timestamp": "2026-01-02T12:00:00Z",
        },
        id="lost",
    ),
    pytest.param(
        Message(content="c"), {"content": "c", "author": "user"}, id="message"
    ),
    pytest.param(
        ExecutionResult[str](),
        {
            "result": None,
            "execution_time": None,
            "ok": True,
            "error_message": None,
        },
        id="result",
    ),
]


@pytest.mark.parametrize(("event", "expected"), MODELS)
def test_writes_exactly(event: BaseModel, expected: dict[str, Any]) -> None:
    written = json.loads(encode_json(event))
    assert written == expected
    assert list(written) == list(expected)  # event_type comes first


@pytest.mark.parametrize(("event", "expected"), MODELS)
def test_reads_what_it_wrote(event: BaseModel, expected: dict[str, Any]) -> None:
    read = type(event).model_validate_json(encode_json(event))
    assert json.loads(encode_json(read)) == expected


@pytest.mark.parametrize(("event", "expected"), MODELS)
def test_is_frozen(event: BaseModel, expected: dict[str, Any]) -> None:
    field = next(iter(expected))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(event, field, getattr(event, field))


@pytest.mark.parametrize(
    "event",
    [
        CompleteEvent(),
        CompleteEvent(cache_stats=None, result=None),
        ErrorEvent(message="é\n"),
        CancelledEvent(),
        LostEvent(),
    ],
    ids=["complete", "complete of None", "error", "cancelled", "lost"],
)
def test_starts_a_terminal_event_as_clients_look_for_it(event: BaseModel) -> None:
    written = encode_json(event)
    kind = json.loads(written)["event_type"]
    assert written.startswith(f'{{"event_type":"{kind}","message":"'.encode())


def test_writes_the_contract_s_complete_event_to_the_byte() -> None:
    assert encode_json(CompleteEvent(timestamp=NOON)) == (
        b'{"event_type":"complete","message":"Execution completed successfully",'
        b'"address":"","timestamp":"2026-01-02T12:00:00Z"}'
    )


@pytest.mark.parametrize(
    ("actor", "event_type"),
    [
        pytest.param(research, EventType.AGENT_CALL, id="agent"),
        pytest.param(search, EventType.TOOL_CALL, id="tool"),
        pytest.param(write, EventType.LLM_CALL, id="llm"),
    ],
)
def test_takes_its_type_from_the_actor(actor: Any, event_type: EventType) -> None:
    event = ExecutionEvent[Message](actor=actor)
    assert (event.event_type, event.actor) == (event_type, actor)
    assert event.execution_status is ExecutionStatus.STARTED


def test_is_generic_in_its_result() -> None:
    assert issubclass(ExecutionEvent[Message], ExecutionEvent)
    assert isinstance(ExecutionEvent[int](actor=search), ExecutionEvent)


def _undecorated() -> None: ...


@pytest.mark.parametrize(
    "actor",
    [_undecorated, "search", None, 3, object()],
    ids=["function", "name", "None", "int", "object"],
)
def test_refuses_an_actor_that_is_not_decorated(actor: Any) -> None:
    with pytest.raises(
        ValidationError, match="is not an actor: decorate it with @agent, @tool or @llm"
    ):
        ExecutionEvent[Message](actor=actor)


def test_refuses_to_be_made_without_an_actor() -> None:
    with pytest.raises(ValidationError, match="None is not an actor: decorate it"):
        ExecutionEvent[Message]()  # type: ignore[call-arg]  # that is the point


async def test_refuses_to_run_what_was_read_from_the_wire() -> None:
    wire = encode_json(ExecutionEvent[Message](actor=research))
    event = ExecutionEvent[Message].model_validate_json(wire)
    with pytest.raises(TypeError, match="read from the wire.*'research'"):
        await event(Message(content="c"), "", ExecutionState())


@pytest.mark.parametrize(
    "make",
    [
        lambda: LogEvent(message="m", colour="red"),
        lambda: CompleteEvent(why="x"),
        lambda: ExecutionEvent[str](actor=research, why="x"),
    ],
    ids=["log", "complete", "call"],
)
def test_refuses_an_unknown_field(make: Any) -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        make()


def test_refuses_an_unknown_level() -> None:
    with pytest.raises(ValidationError, match="'debug', 'info', 'warning' or 'error'"):
        LogEvent(message="m", level="loud")  # type: ignore[arg-type]  # the point


def test_dates_an_event_in_utc() -> None:
    before = datetime.now(UTC)
    timestamp = LogEvent(message="m").timestamp
    assert timestamp.tzinfo is UTC
    assert before <= timestamp <= datetime.now(UTC)


@pytest.mark.parametrize(
    ("enum", "values"),
    [
        pytest.param(
            EventType,
            "agent_call tool_call llm_call log text_delta reasoning_delta progress "
            "state conversation custom input_request input_answer "
            "complete error cancelled lost",
            id="EventType",
        ),
        pytest.param(
            ExecutionStatus,
            "started retrying completed failed cancelled recovered lost",
            id="ExecutionStatus",
        ),
        pytest.param(AuthorType, "user assistant system tool", id="AuthorType"),
    ],
)
def test_names_on_the_wire(enum: Any, values: str) -> None:
    assert [str(member) for member in enum] == values.split()
