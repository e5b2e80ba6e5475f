"""The streamer and the printer as their first document shows them, on any bus.

The names, the positions and the defaults here are promised, character for character.
"""

import asyncio
import inspect
import io
import json
from collections.abc import AsyncIterator, Callable
from enum import Enum
from typing import Any, Generic, TypeVar

import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict

from asgi_events import (
    EventBus,
    EventPrinter,
    EventStreamer,
    ExecutionEvent,
    ExecutionResult,
    ExecutionState,
    Message,
    agent,
    tool,
)
from asgi_events.testing import Connection
from asgi_events.wire.sse import Decoder
from tests import TIMEOUT
from tests.payloads import data

T = TypeVar("T")


# The document


class CacheBackend:
    def get_stats(self) -> dict[str, int]:
        return {"hits": 2, "misses": 1}


@tool
async def look_up(text: str) -> str:
    return text.upper()


@agent
async def omni_agent(message: Message) -> str:
    return await look_up(message.content)


api = FastAPI()


@api.get("/stream")
async def stream() -> StreamingResponse:
    message, cache_backend = Message(content="hello"), CacheBackend()

    bus = EventBus()
    streamer = EventStreamer(include_cache_stats=True, heartbeat_interval=0.25)
    bus.subscribe(streamer)
    printer = EventPrinter(show_timestamp=True, show_address=True, file=io.StringIO())
    bus.subscribe(printer)
    state = ExecutionState(event_bus=bus)

    execution_task = asyncio.create_task(
        ExecutionEvent[Message](actor=omni_agent)(message, "", state)
    )

    return StreamingResponse(
        streamer.stream(execution_task=execution_task, cache_backend=cache_backend),
        media_type="text/event-stream",
    )


async def test_streams_through_fastapi_as_written() -> None:
    async with Connection(api, "GET", "/stream") as connection:
        await connection.end()

    assert connection.status == 200
    assert connection.headers["content-type"].startswith("text/event-stream")
    events = data(Decoder().feed(connection.body))
    assert [(e["event_type"], e.get("execution_status")) for e in events] == [
        ("agent_call", "started"),
        ("tool_call", "started"),
        ("tool_call", "completed"),
        ("agent_call", "completed"),
        ("complete", None),
    ]
    assert events[-1]["message"] == "Execution completed successfully"
    assert events[-1]["cache_stats"] == {"hits": 2, "misses": 1}


def parameters(call: Callable[..., Any]) -> list[tuple[str, Any, bool]]:
    return [
        (p.name, p.default, p.kind is p.POSITIONAL_OR_KEYWORD)
        for p in inspect.signature(call).parameters.values()
        if p.name != "self"
    ]


@pytest.mark.parametrize(
    ("call", "first"),
    [
        (
            EventStreamer,
            [("include_cache_stats", True, True), ("heartbeat_interval", 0.25, True)],
        ),
        (
            EventPrinter,
            [("show_timestamp", True, True), ("show_address", True, True)],
        ),
        (
            EventStreamer.stream,
            [
                ("execution_task", inspect.Parameter.empty, True),
                ("cache_backend", None, True),
            ],
        ),
        (
            EventStreamer.response,
            [
                ("execution_task", inspect.Parameter.empty, True),
                ("cache_backend", None, True),
            ],
        ),
    ],
)
def test_takes_its_arguments_in_these_places(
    call: Callable[..., Any], first: list[tuple[str, Any, bool]]
) -> None:
    assert parameters(call)[:2] == first
    assert not any(positional for _, _, positional in parameters(call)[2:])


async def test_streams_what_it_is_given_by_position() -> None:
    bus = EventBus()
    streamer = EventStreamer(True, 0.25)
    bus.subscribe(streamer)
    call = ExecutionEvent[Message](actor=omni_agent)
    task = asyncio.create_task(call(Message(content="a"), "", ExecutionState(bus)))

    events = await read(streamer.stream(task, CacheBackend()))

    assert events[-1]["cache_stats"] == {"hits": 2, "misses": 1}


# Other libraries


class ForeignStatus(Enum):
    STARTED = "started"
    COMPLETED = "completed"


class ForeignActor:
    name = "omni"


class ForeignEvent(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)

    number: int = 0


class ForeignResult(BaseModel, Generic[T]):
    ok: bool = True
    result: T | None = None
    error_message: str | None = None


class AwaitsEvery:
    """Like a bus whose handlers are all coroutine functions."""

    def __init__(self) -> None:
        self.handlers: list[Any] = []

    def subscribe(self, handler: Any) -> None:
        self.handlers.append(handler)

    async def publish(self, event: BaseModel) -> None:
        for handler in self.handlers:
            await self.hand_over(handler, event)

    async def hand_over(self, handler: Any, event: BaseModel) -> None:
        await handler(event)


class AwaitsCoroutines(AwaitsEvery):
    async def hand_over(self, handler: Any, event: BaseModel) -> None:
        answer = handler(event)
        if inspect.iscoroutine(answer):
            await answer


class AwaitsCoroutinesOfAsyncio(AwaitsEvery):
    async def hand_over(self, handler: Any, event: BaseModel) -> None:
        answer = handler(event)
        if asyncio.iscoroutine(answer):
            await answer


class AwaitsAwaitables(AwaitsEvery):
    async def hand_over(self, handler: Any, event: BaseModel) -> None:
        answer = handler(event)
        if inspect.isawaitable(answer):
            await answer


class AwaitsCoroutineFunctions(AwaitsEvery):
    async def hand_over(self, handler: Any, event: BaseModel) -> None:
        if inspect.iscoroutinefunction(handler):
            await handler(event)
        else:
            handler(event)


class AwaitsCoroutineFunctionsOfAsyncio(AwaitsEvery):
    async def hand_over(self, handler: Any, event: BaseModel) -> None:
        if asyncio.iscoroutinefunction(handler):
            await handler(event)
        else:
            handler(event)


class Gathers(AwaitsEvery):
    async def publish(self, event: BaseModel) -> None:
        await asyncio.gather(*(handler(event) for handler in self.handlers))


class MakesTasks(AwaitsEvery):
    async def hand_over(self, handler: Any, event: BaseModel) -> None:
        await asyncio.create_task(handler(event))


class Calls(AwaitsEvery):
    """Like a bus that awaits nothing, so that nothing can hold its publisher back."""

    async def hand_over(self, handler: Any, event: BaseModel) -> None:
        handler(event)
        await asyncio.sleep(0)


AWAITING: list[type[AwaitsEvery]] = [
    AwaitsEvery,
    AwaitsCoroutines,
    AwaitsCoroutinesOfAsyncio,
    AwaitsAwaitables,
    AwaitsCoroutineFunctions,
    pytest.param(
        AwaitsCoroutineFunctionsOfAsyncio,
        marks=pytest.mark.filterwarnings("ignore:.*iscoroutinefunction"),
    ),  # type: ignore[list-item]
    Gathers,
    MakesTasks,
]


async def read(stream: AsyncIterator[str]) -> list[Any]:
    async with asyncio.timeout(TIMEOUT):
        body = "".join([chunk async for chunk in stream])
    return data(Decoder().feed(body.encode()))


async def foreign_execution(bus: Any, count: int) -> ForeignResult[str]:
    for number in range(count):
        await bus.publish(ForeignEvent(number=number))
    return ForeignResult(result="done")


@pytest.mark.parametrize("make", [*AWAITING, Calls])
async def test_streams_from_the_bus_of_another_library(make: type[AwaitsEvery]) -> None:
    bus = make()
    streamer = EventStreamer()
    out = io.StringIO()
    bus.subscribe(streamer)
    bus.subscribe(EventPrinter(file=out))

    task = asyncio.create_task(foreign_execution(bus, 3))
    events = await read(streamer.stream(task))

    assert events[:-1] == [{"number": 0}, {"number": 1}, {"number": 2}]
    assert events[-1]["event_type"] == "complete"
    assert out.getvalue().count("ForeignEvent") == 3


@pytest.mark.parametrize("make", AWAITING)
async def test_holds_the_publisher_of_another_bus_back(make: type[AwaitsEvery]) -> None:
    bus = make()
    streamer = EventStreamer(max_events=4)
    bus.subscribe(streamer)

    task = asyncio.create_task(foreign_execution(bus, 50))
    for _ in range(200):
        await asyncio.sleep(0)
    held = streamer.log.last
    events = await read(streamer.stream(task))

    assert held == 5  # the one that finds the log full is in it
    assert [e.get("number") for e in events[:-1]] == list(range(50))


class Failed(BaseModel):
    ok: bool = False


class FailedWithError(Failed):
    error: str = "the error"
    message: str = "the message"


class FailedWithException:
    ok = False
    error_message = None
    error = ValueError("the exception")


class FailedWithText:
    ok = False

    def __str__(self) -> str:
        return "the text"


class FailedWithMessage:
    ok = False
    error = ""
    message = "the message"


class FailedBeyondWords:
    ok = False

    @property
    def error(self) -> str:
        raise OSError

    def __str__(self) -> str:
        raise OSError


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (ForeignResult(ok=False, error_message="it broke"), "it broke"),
        (FailedWithError(), "the error"),
        (FailedWithMessage(), "the message"),
        (FailedWithException(), "the exception"),
        (FailedWithText(), "the text"),
        (FailedBeyondWords(), "Execution failed"),
        (Failed(), "ok=False"),
        (ExecutionResult(ok=False), "Execution failed"),
        (ExecutionResult(result=FailedWithText()), "the text"),
    ],
)
async def test_ends_in_an_error_whatever_the_class_of_a_failed_result(
    result: Any, message: str
) -> None:
    streamer = EventStreamer()

    async def run() -> Any:
        await streamer(ForeignEvent())
        return result

    events = await read(streamer.stream(asyncio.create_task(run())))

    assert events[-1]["event_type"] == "error"
    assert events[-1]["message"] == message


class Ok:
    def __init__(self, ok: Any) -> None:
        self.ok = ok


@pytest.mark.parametrize(
    "result", [None, Ok(None), Ok(0), Ok(""), Ok(True), {"ok": False}, "ok"]
)
async def test_completes_whatever_else_a_result_may_be(result: Any) -> None:
    streamer = EventStreamer()

    async def run() -> Any:
        await streamer(ForeignEvent())
        return result

    events = await read(streamer.stream(asyncio.create_task(run())))

    assert events[-1]["event_type"] == "complete"


# The calls of other libraries on the terminal


class ForeignCall(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)

    actor: Any
    execution_status: Any
    address: Any
    execution_time: float | None = None


class ForeignCallWithStatus(BaseModel):
    actor: str
    status: str
    address: str


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (
            ForeignCall(
                actor=ForeignActor(),
                execution_status=ForeignStatus.STARTED,
                address="main/omni",
            ),
            "  ▶ omni\n",
        ),
        (
            ForeignCall(
                actor=ForeignActor(),
                execution_status=ForeignStatus.COMPLETED,
                address="main/omni",
                execution_time=0.25,
            ),
            "  ✔ omni 250 ms\n",
        ),
        (
            ForeignCallWithStatus(actor="omni", status="FAILED", address="a/0x7f"),
            "  ✖ omni\n",
        ),
        (
            ForeignCallWithStatus(actor="omni", status="paused", address="a/b/omni"),
            "    • omni paused\n",
        ),
        (
            ForeignCallWithStatus(actor="omni", status="retrying", address="a/b/omni"),
            "    ↻ omni (retrying)\n",
        ),
        (
            ForeignCall(actor="omni", execution_status="started", address=["a", "b"]),
            "  ▶ omni\n",
        ),
        (
            ForeignCall(actor="omni", execution_status="started", address=None),
            "▶ omni\n",
        ),
        (
            ForeignCallWithStatus(actor="omni", status="completed", address=""),
            "✔ omni\nomni: 1 calls, 1 completed\n",
        ),
    ],
)
def test_prints_the_calls_of_another_library_as_calls(
    event: BaseModel, line: str
) -> None:
    out = io.StringIO()
    EventPrinter(False, False, file=out)(event)
    assert out.getvalue() == line


def test_names_a_call_whose_address_does_not_name_its_actor() -> None:
    out = io.StringIO()
    event = ForeignCallWithStatus(actor="omni", status="started", address="0x7f")
    EventPrinter(False, file=out)(event)
    assert out.getvalue() == "▶ omni 0x7f\n"


class NoStatus(BaseModel):
    actor: str = "a"
    address: str = "a"


class NoName(BaseModel):
    actor: int = 1
    status: str = "started"
    address: str = "a"


class NoAddress(BaseModel):
    actor: str = "a"
    status: str = "started"


@pytest.mark.parametrize("event", [NoStatus(), NoName(), NoAddress()])
def test_prints_what_is_no_call_as_json(event: BaseModel) -> None:
    out = io.StringIO()
    EventPrinter(False, file=out)(event)
    name, _, text = out.getvalue().partition(" ")
    assert name == type(event).__name__
    assert json.loads(text) == event.model_dump()
