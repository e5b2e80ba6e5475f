"""``EventStreamer``: the contract, and what is streamed."""

import asyncio
import io
from typing import Any

import pytest
from pydantic import BaseModel
from starlette.responses import StreamingResponse

from asgi_events import (
    EventBus,
    EventPrinter,
    EventStreamer,
    ExecutionEvent,
    ExecutionState,
    Message,
)
from asgi_events.log.source import FrameSource
from asgi_events.testing import Client, Connection
from asgi_events.types import Receive, Scope, Send
from asgi_events.wire.sse import KEEP_ALIVE, STREAM_START, Decoder
from tests import TIMEOUT
from tests.http.streamer.jobs import (
    COMPLETE,
    Cache,
    Job,
    Number,
    finish,
    numbers,
    omni_agent,
    read,
    settle,
    terminal,
)
from tests.payloads import data

pytestmark = pytest.mark.usefixtures("fixed_time")


class Anything(BaseModel):
    value: Any


# The contract


def contract(bus: EventBus) -> tuple[EventStreamer, asyncio.Task[Any], Any]:
    message, state = Message(content="hello"), ExecutionState(bus)
    cache_backend = Cache({"hits": 2, "misses": 1})

    streamer = EventStreamer(include_cache_stats=True, heartbeat_interval=60.0)
    bus.subscribe(streamer)
    execution_task = asyncio.create_task(
        ExecutionEvent[Message](actor=omni_agent)(message, "", state)
    )
    return streamer, execution_task, cache_backend


CONTRACT_END = terminal(
    b"complete",
    b"Execution completed successfully",
    b',"cache_stats":{"hits":2,"misses":1}',
)


async def test_streams_str_as_its_contract_says() -> None:
    bus = EventBus()
    streamer, execution_task, cache_backend = contract(bus)

    chunks = []
    async for chunk in streamer.stream(
        execution_task=execution_task, cache_backend=cache_backend
    ):
        assert isinstance(chunk, str)
        chunks.append(chunk)

    body = "".join(chunks).encode()
    assert chunks[0] == ": stream-start\n"
    assert body.endswith(b"\n\n" + CONTRACT_END)
    events = data(Decoder().feed(body))
    assert [(e["event_type"], e.get("execution_status")) for e in events] == [
        ("agent_call", "started"),
        ("agent_call", "completed"),
        ("complete", None),
    ]


@pytest.mark.parametrize("spec_version", ["2.3", "2.4"])
async def test_streams_through_the_response_of_starlette(spec_version: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        bus = EventBus()
        bus.subscribe(
            EventPrinter(show_timestamp=True, show_address=True, file=io.StringIO())
        )
        streamer, execution_task, cache_backend = contract(bus)
        response = StreamingResponse(
            streamer.stream(execution_task=execution_task, cache_backend=cache_backend),
            media_type="text/event-stream",
        )
        await response(scope, receive, send)

    asgi = {"version": "3.0", "spec_version": spec_version}
    c = await Client(app).get("/", asgi=asgi)

    assert c.headers["content-type"].startswith("text/event-stream")
    assert c.bodies[0] == STREAM_START
    assert c.body.endswith(b"\n\n" + CONTRACT_END)
    assert c.ended


async def test_streams_through_its_own_response() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        streamer, execution_task, cache_backend = contract(EventBus())
        response = streamer.response(
            execution_task=execution_task, cache_backend=cache_backend
        )
        await response(scope, receive, send)

    c = await Client(app).get("/")

    assert c.messages[0] == {
        "type": "http.response.start",
        "status": 200,
        "headers": [
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"cache-control", b"no-cache, no-transform"),
            (b"x-accel-buffering", b"no"),
            (b"x-content-type-options", b"nosniff"),
        ],
    }
    assert c.bodies[0] == STREAM_START
    assert c.body.endswith(b"\n\n" + CONTRACT_END)
    assert c.ended


async def test_adds_headers_to_its_own_response() -> None:
    streamer = EventStreamer()
    job = Job(streamer)
    job.tell(None)

    response = streamer.response(execution_task=job.task, headers={"X-Run": "7"})

    assert (await Client(response).get("/")).headers["x-run"] == "7"


async def test_gives_a_source_of_frames() -> None:
    streamer = EventStreamer()
    job = Job(streamer)
    stream = streamer.stream(execution_task=job.task)

    assert isinstance(stream, FrameSource)
    assert aiter(stream) is stream
    await stream.aclose()


# What is streamed


async def test_gives_everything_then_one_terminal_event() -> None:
    streamer = EventStreamer()
    job = Job(streamer, 1, 2, 3)
    job.tell(None)

    body = await read(streamer.stream(execution_task=job.task))

    assert body == STREAM_START + numbers(1, 2, 3) + COMPLETE


async def test_gives_events_as_they_come() -> None:
    streamer = EventStreamer(heartbeat_interval=None)
    job = Job(streamer)
    stream = streamer.stream(execution_task=job.task)
    assert await anext(stream) == STREAM_START.decode()

    for number in range(3):
        job.tell(number)
        async with asyncio.timeout(TIMEOUT):
            assert await anext(stream) == numbers(number).decode()

    await stream.aclose()


async def test_gives_what_was_published_before_there_was_a_reader() -> None:
    streamer = EventStreamer()
    job = Job(streamer, 1, 2, 3)
    await settle()
    assert job.published == 3

    stream = streamer.stream(execution_task=job.task)
    job.tell(4, None)

    assert await read(stream) == STREAM_START + numbers(1, 2, 3, 4) + COMPLETE


async def test_streams_a_task_that_was_done_before() -> None:
    streamer = EventStreamer()
    job = Job(streamer, 1, 2)
    job.tell(None)
    await finish(job.task)

    body = await read(streamer.stream(execution_task=job.task))

    assert body == STREAM_START + numbers(1, 2) + COMPLETE


@pytest.mark.parametrize("heartbeat_interval", [None, 60.0])
async def test_ends_at_once_whatever_the_heartbeat_interval(
    heartbeat_interval: float | None,
) -> None:
    streamer = EventStreamer(heartbeat_interval=heartbeat_interval)
    job = Job(streamer, 1)
    reading = asyncio.create_task(read(streamer.stream(execution_task=job.task)))
    await settle()

    job.tell(None)
    await settle()  # no timer is due meanwhile: only a wake-up can have ended it

    assert reading.done()
    assert await reading == STREAM_START + numbers(1) + COMPLETE


@pytest.mark.parametrize("heartbeat_interval", [None, 60.0])
async def test_ends_its_response_at_once(heartbeat_interval: float | None) -> None:
    streamer = EventStreamer(heartbeat_interval=heartbeat_interval)
    job = Job(streamer, 1)
    async with Connection(streamer.response(execution_task=job.task)) as c:
        await c.until(numbers(1))

        job.tell(None)
        await settle()

        assert c.ended
        assert c.task.done()
    assert c.body == STREAM_START + numbers(1) + COMPLETE


async def test_flushes_everything_before_its_end() -> None:
    streamer = EventStreamer()
    bus = EventBus()
    bus.subscribe(streamer)

    async def job() -> None:
        for number in range(500):
            await bus.publish(Number(n=number))

    task = asyncio.create_task(job())
    body = await read(streamer.stream(execution_task=task))

    assert body == STREAM_START + numbers(*range(500)) + COMPLETE


async def test_drops_what_is_published_after_its_end() -> None:
    streamer = EventStreamer()
    job = Job(streamer, 1)
    job.tell(None)
    first = streamer.stream(execution_task=job.task)
    second = streamer.stream(execution_task=job.task)
    await read(first)

    async with asyncio.timeout(TIMEOUT):
        await job.publish(2)

    late = streamer.stream(execution_task=job.task)
    whole = STREAM_START + numbers(1) + COMPLETE
    assert await read(second) == whole
    assert await read(late) == whole


async def test_sends_a_comment_after_silence() -> None:
    streamer = EventStreamer(heartbeat_interval=0.03)
    job = Job(streamer)
    stream = streamer.stream(execution_task=job.task)

    async with asyncio.timeout(TIMEOUT):
        chunks = [await anext(stream) for _ in range(3)]
        job.tell(1, None)
        rest = [chunk async for chunk in stream]

    assert chunks == [": stream-start\n", ": keep-alive\n", ": keep-alive\n"]
    body = "".join(rest).encode().replace(KEEP_ALIVE, b"")
    assert body == numbers(1) + COMPLETE


async def test_sends_no_comment_soon_after_data(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = asyncio.get_running_loop()
    real, ahead = loop.time, 0.0
    monkeypatch.setattr(loop, "time", lambda: real() + ahead)
    streamer = EventStreamer(heartbeat_interval=6_000)
    job = Job(streamer)
    stream = streamer.stream(execution_task=job.task)
    chunks: list[str] = []

    async def consume() -> None:
        async for chunk in stream:
            chunks.append(chunk)

    consuming = asyncio.create_task(consume())
    await settle()
    for number in range(3):
        ahead += 4_000
        await settle()
        job.tell(number)
        await settle()
    data = [numbers(number).decode() for number in range(3)]
    assert chunks == [": stream-start\n", *data]

    ahead += 5_900
    await settle()
    assert chunks == [": stream-start\n", *data]
    ahead += 200
    await settle()
    assert chunks == [": stream-start\n", *data, ": keep-alive\n"]

    consuming.cancel()
    await finish(consuming)
    assert job.task.cancelled()


async def test_sends_comments_through_its_response() -> None:
    streamer = EventStreamer(heartbeat_interval=0.03)
    job = Job(streamer)
    async with Connection(streamer.response(execution_task=job.task)) as c:
        await c.until(STREAM_START + KEEP_ALIVE * 2)


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("no repr either")


@pytest.mark.parametrize(
    ("value", "written"),
    [
        pytest.param("a\ud800b", "a\ufffdb", id="lone surrogate"),
        pytest.param({"\udfff": 1}, {"\ufffd": 1}, id="surrogate in a key"),
        pytest.param(Unprintable(), "<Unprintable>", id="no JSON and no repr"),
        pytest.param([len, 1], ["<built-in function len>", 1], id="no JSON"),
        pytest.param(float("nan"), None, id="NaN"),
    ],
)
async def test_goes_on_after_a_value_that_json_has_not(
    value: Any, written: Any
) -> None:
    streamer = EventStreamer(include_result=True)
    bus = EventBus()
    bus.subscribe(streamer)

    async def job() -> Any:
        await bus.publish(Anything(value=value))
        await bus.publish(Number(n=1))
        return [value]

    task = asyncio.create_task(job())
    body = await read(streamer.stream(execution_task=task))

    assert data(Decoder().feed(body)) == [
        {"value": written},
        {"n": 1},
        {
            "event_type": "complete",
            "message": "Execution completed successfully",
            "result": [written],
        },
    ]
