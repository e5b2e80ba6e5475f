"""Typed events of what a stream carries."""

import re
from typing import Any, Literal

import pytest
from pydantic import BaseModel
from pydantic_core import from_json

from asgi_events.events import (
    CustomEvent,
    EventType,
    ExecutionEvent,
    ExecutionStatus,
    LogEvent,
    ProgressEvent,
    ReasoningDelta,
    Usage,
)
from asgi_events.wire.decoding import EventDecoder, ResetEvent
from asgi_events.wire.encoding import encode_json
from asgi_events.wire.sse import ServerSentEvent


class Chart(BaseModel):
    event_type: Literal["chart"] = "chart"
    points: list[int]


class Table(BaseModel):
    event_type: Literal["table"]
    rows: int


class Unnamed(BaseModel):
    event_type: str
    rows: int


def call(status: str, **fields: Any) -> ExecutionEvent[Any]:
    return ExecutionEvent[Any](
        event_type=EventType.LLM_CALL,
        actor="ask",
        execution_status=ExecutionStatus(status),
        **fields,
    )


def test_makes_events_of_ours_and_of_the_application() -> None:
    decoder = EventDecoder([Chart, Table])
    events = [
        LogEvent(message="hello"),
        ProgressEvent(current=1, total=2),
        ReasoningDelta(delta="hm"),
        CustomEvent(name="approval", data={"by": None, "of": [None, 1]}),
        call("started", input={"topic": None}),
        call("retrying", attempt=1, delay=0.5, message="busy"),
        call("completed", output=[None], usage=Usage(output_tokens=3)),
        Chart(points=[1, 2]),
        Table(event_type="table", rows=3),
    ]

    assert [decoder.from_json(encode_json(event)) for event in events] == events


@pytest.mark.parametrize(
    ("payload", "event"),
    [
        pytest.param(
            b'{"event_type":"other","a":1}',
            {"event_type": "other", "a": 1},
            id="an event that no model knows",
        ),
        pytest.param(b'{"a":1}', {"a": 1}, id="an event without a type"),
        pytest.param(
            b'{"event_type":"chart","points":"many"}',
            {"event_type": "chart", "points": "many"},
            id="somebody else's event of the same name",
        ),
        pytest.param(b"[1]", {"value": [1]}, id="no object"),
        pytest.param("null", {"value": None}, id="null"),
    ],
)
def test_leaves_as_json_what_no_model_takes(payload: Any, event: Any) -> None:
    assert EventDecoder([Chart]).from_json(payload) == event


def test_ignores_what_only_a_later_version_has() -> None:
    event = LogEvent(message="hello")
    later = encode_json(event)[:-1] + b',"color":"red"}'

    assert EventDecoder().from_json(later) == event


def test_knows_the_named_events_of_a_stream() -> None:
    decoder = EventDecoder([Chart])

    assert decoder.from_sse(
        ServerSentEvent(data='{"event_type":"chart","points":[1]}')
    ) == Chart(points=[1])
    assert decoder.from_sse(
        ServerSentEvent(event="reset", data='{"reason":"trimmed","first":7}')
    ) == ResetEvent(reason="trimmed", first=7)
    assert decoder.from_sse(ServerSentEvent(event="end", data="{}")) is None
    assert decoder.from_sse(ServerSentEvent(event="goodbye", data="{}")) is None


def test_says_what_a_model_lacks() -> None:
    with pytest.raises(TypeError, match="Unnamed has no event_type to be known by"):
        EventDecoder([Unnamed])
    with pytest.raises(TypeError, match="BaseModel has no event_type to be known by"):
        EventDecoder([BaseModel])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            Chart,
            f"types takes a list of pydantic models, got {Chart!r}: write "
            "types=[Chart].",
        ),
        (
            "chart",
            "types takes a list of pydantic models, got 'chart': write types=[Chart].",
        ),
        (5, "types takes a list of pydantic models, got 5: write types=[Chart]."),
        ([int], "types takes pydantic models, got <class 'int'>."),
        ([Chart(points=[])], "types takes pydantic models, got Chart("),
    ],
)
def test_says_what_is_no_list_of_models(given: Any, message: str) -> None:
    with pytest.raises(TypeError, match=re.escape(message)):
        EventDecoder(given)


def test_takes_any_iterable_of_models() -> None:
    decoder = EventDecoder(model for model in (Chart, Table))
    assert decoder.from_json('{"event_type":"table","rows":1}') == Table(
        event_type="table", rows=1
    )


def test_reads_an_event_that_is_nested_too_deeply_for_pydantic() -> None:
    data: Any = 1
    for _ in range(230):
        data = [data]
    event = CustomEvent(name="deep", data=data)
    with pytest.raises(ValueError, match="recursion limit"):
        from_json(encode_json(event))

    assert EventDecoder().from_json(encode_json(event)) == event
    with pytest.raises(ValueError, match="Expecting value"):
        EventDecoder().from_json(b'{"a":')


def test_says_that_json_is_nested_deeper_than_python_reads() -> None:
    deep = b"[" * 100_000 + b"]" * 100_000

    with pytest.raises(ValueError, match="nested deeper than Python reads"):
        EventDecoder().from_json(b'{"event_type":"deep","data":%b}' % deep)
