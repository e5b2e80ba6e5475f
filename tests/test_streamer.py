"""``EventStreamer``: the contract, the end, and what its readers' leaving does."""

import asyncio
import gc
import io
import json
import logging
import random
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from pydantic import BaseModel
from starlette.responses import StreamingResponse

from asgi_events import (
    EventBus,
    EventPrinter,
    EventStreamer,
    ExecutionEvent,
    ExecutionResult,
    ExecutionState,
    Message,
    agent,
)
from asgi_events.aio import signals
from asgi_events.aio.timers import Tick, Timer, TimerWheel
from asgi_events.bus import NOTHING
from asgi_events.events import CompleteEvent, TextDelta
from asgi_events.http import streamer as streamer_module
from asgi_events.http.streamer import EventStream
from asgi_events.log.cursor import Cursor
from asgi_events.log.log import Log
from asgi_events.log.source import FrameSource
from asgi_events.types import ASGIApp, Receive, Scope, Send
from asgi_events.wire.sse import KEEP_ALIVE, STREAM_START, Decoder
from tests.asgi import PLACE, TIMEOUT, Connection, call, data, without_place


def terminal(kind: bytes, message: bytes, more: bytes = b"") -> bytes:
    """The frame of a terminal event."""
    return b'data: {"event_type":"%b","message":"%b",%b%b}\n\n' % (
        kind,
        message,
        PLACE,
        more,
    )


COMPLETE = terminal(b"complete", b"Execution completed successfully")
CANCELLED = terminal(b"cancelled", b"Execution cancelled")

pytestmark = pytest.mark.usefixtures("fixed_time")


class Number(BaseModel):
    n: int


class Anything(BaseModel):
    value: Any


def numbers(*values: int) -> bytes:
    return b"".join(b'data: {"n":%d}\n\n' % value for value in values)


async def settle() -> None:
    """Some turns of the loop, in which everything that can go on has gone on."""
    for _ in range(20):
        await asyncio.sleep(0)


async def read(stream: AsyncIterator[str]) -> bytes:
    """The whole stream."""
    async with asyncio.timeout(TIMEOUT):
        return "".join([chunk async for chunk in stream]).encode()


async def finish(task: asyncio.Future[Any]) -> None:
    """Wait for the end of a task, whatever it is."""
    await asyncio.wait({task}, timeout=TIMEOUT)
    assert task.done()


class Job:
    """An execution that publishes what it is told to, and tells its life."""

    def __init__(
        self,
        streamer: EventStreamer,
        *values: int,
        cleanup: Callable[["Job"], Awaitable[None]] | None = None,
    ) -> None:
        self.bus = EventBus()
        self.bus.subscribe(streamer)
        self.life: list[str] = []
        self.published = 0
        self._orders: asyncio.Queue[int | None] = asyncio.Queue()
        self._cleanup = cleanup
        self.tell(*values)
        self.task = asyncio.create_task(self._run())

    def tell(self, *values: int | None) -> None:
        for value in values:
            self._orders.put_nowait(value)

    async def publish(self, value: int) -> None:
        await self.bus.publish(Number(n=value))
        self.published += 1

    async def _run(self) -> str:
        self.life.append("started")
        try:
            while (value := await self._orders.get()) is not None:
                await self.publish(value)
            return "result"
        except asyncio.CancelledError:
            self.life.append("cancelled")
            raise
        finally:
            for _ in range(5):  # it takes a while, or waiting for it would not show
                await asyncio.sleep(0)
            if self._cleanup is not None:
                await self._cleanup(self)
            self.life.append("cleaned up")


CUT_SHORT = ["started", "cancelled", "cleaned up"]
IN_FULL = ["started", "cleaned up"]


class Cache:
    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def get_stats(self) -> Any:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


class AsyncCache(Cache):
    async def get_stats(self) -> Any:
        await asyncio.sleep(0)
        return super().get_stats()


# The contract


@agent
async def omni_agent(message: Message) -> str:
    return message.content.upper()


def contract(bus: EventBus) -> tuple[EventStreamer, asyncio.Task[Any], Any]:
    message, state = Message(content="hello"), ExecutionState(bus)
    cache_backend = Cache({"hits": 2, "misses": 1})

    streamer = EventStreamer(include_cache_stats=True, heartbeat_interval=0.25)
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
    c = await call(app, "GET", "/", asgi=asgi)

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

    c = await call(app, "GET", "/")

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

    assert (await call(response, "GET", "/")).headers["x-run"] == "7"


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


# The terminal event


@pytest.mark.parametrize(
    ("cache", "stats"),
    [
        pytest.param(Cache({"hits": 1}), {"hits": 1}, id="sync"),
        pytest.param(AsyncCache({"hits": 1}), {"hits": 1}, id="async"),
        pytest.param(Cache(Number(n=3)), {"n": 3}, id="model"),
        pytest.param(Cache({}), {}, id="empty"),
        pytest.param(Cache(0), 0, id="zero"),
    ],
)
async def test_completes_with_the_stats_of_the_cache(cache: Cache, stats: Any) -> None:
    streamer = EventStreamer()
    job = Job(streamer)
    job.tell(None)

    body = await read(streamer.stream(execution_task=job.task, cache_backend=cache))

    (event,) = Decoder().feed(body)
    assert without_place(json.loads(event.data or "")) == {
        "event_type": "complete",
        "message": "Execution completed successfully",
        "cache_stats": stats,
    }


@pytest.mark.parametrize("cache", [Cache, AsyncCache], ids=["sync", "async"])
async def test_completes_although_the_stats_fail(
    cache: type[Cache], caplog: pytest.LogCaptureFixture
) -> None:
    streamer = EventStreamer()
    job = Job(streamer)
    job.tell(1, None)
    broken = cache(ConnectionError("The cache is away."))

    body = await read(streamer.stream(execution_task=job.task, cache_backend=broken))

    assert body == STREAM_START + numbers(1) + COMPLETE
    (record,) = caplog.records
    assert record.getMessage().startswith("get_stats() of <")
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "The cache is away."


async def test_asks_for_no_stats_when_they_are_not_included() -> None:
    streamer = EventStreamer(include_cache_stats=False)
    job = Job(streamer)
    job.tell(None)

    stream = streamer.stream(execution_task=job.task, cache_backend=Cache({"hits": 1}))

    assert await read(stream) == STREAM_START + COMPLETE


@pytest.mark.parametrize(
    ("result", "written"),
    [
        pytest.param("text", "text", id="str"),
        pytest.param(Number(n=1), {"n": 1}, id="model"),
        pytest.param(
            ExecutionResult[Number](result=Number(n=1)), {"n": 1}, id="ExecutionResult"
        ),
        pytest.param({"a": None}, {"a": None}, id="dict with None"),
        pytest.param(0, 0, id="zero"),
    ],
)
async def test_includes_the_result_when_asked_to(result: Any, written: Any) -> None:
    async def job() -> Any:
        return result

    told = EventStreamer(include_result=True)
    untold = EventStreamer()
    task = asyncio.create_task(job())

    body = await read(told.stream(execution_task=task))

    (event,) = Decoder().feed(body)
    assert without_place(json.loads(event.data or "")) == {
        "event_type": "complete",
        "message": "Execution completed successfully",
        "result": written,
    }
    assert await read(untold.stream(execution_task=task)) == STREAM_START + COMPLETE


async def _raises(error: BaseException) -> Any:
    raise error


async def _returns(result: Any) -> Any:
    return result


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        pytest.param(
            lambda: _raises(ValueError("it broke")), "it broke", id="exception"
        ),
        pytest.param(lambda: _raises(ValueError()), "", id="exception without text"),
        pytest.param(
            lambda: _raises(ValueError("\ud800")), "\ufffd", id="lone surrogate"
        ),
        pytest.param(
            lambda: _returns(ExecutionResult[Any](ok=False, error_message="it broke")),
            "it broke",
            id="ExecutionResult",
        ),
        pytest.param(
            lambda: _returns(ExecutionResult[Any](ok=False, result=1)),
            "Execution failed",
            id="ExecutionResult without text",
        ),
    ],
)
async def test_ends_in_an_error_when_the_execution_failed(
    outcome: Callable[[], Any], message: str
) -> None:
    streamer = EventStreamer(include_result=True)
    task = asyncio.create_task(outcome())

    body = await read(
        streamer.stream(execution_task=task, cache_backend=Cache({"hits": 1}))
    )

    assert data(Decoder().feed(body)) == [{"event_type": "error", "message": message}]


async def test_tells_of_an_error_what_the_hook_says() -> None:
    streamer = EventStreamer(error_message=lambda error: type(error).__name__)
    task = asyncio.create_task(_raises(ValueError("secret")))

    body = await read(streamer.stream(execution_task=task))

    assert body == (STREAM_START + terminal(b"error", b"ValueError"))


class Speechless(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def _broken(error: BaseException) -> str:
    raise RuntimeError("the hook is broken")


def _no_text(error: BaseException) -> Any:
    return error


@pytest.mark.parametrize("hook", [str, _broken, _no_text])
async def test_ends_in_an_error_although_nobody_can_say_which(
    hook: Callable[[BaseException], str], caplog: pytest.LogCaptureFixture
) -> None:
    streamer = EventStreamer(error_message=hook)
    task = asyncio.create_task(_raises(Speechless()))
    stream = streamer.stream(execution_task=task)
    reading = asyncio.create_task(read(stream))
    await settle()
    ended = reading.done()
    reading.cancel()
    await finish(reading)

    assert ended
    (event,) = data(Decoder().feed(reading.result()))
    assert event == {"event_type": "error", "message": "Execution failed"}
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


async def test_ends_in_cancelled_when_the_execution_was_cancelled() -> None:
    streamer = EventStreamer()
    job = Job(streamer, 1)
    stream = streamer.stream(execution_task=job.task, cache_backend=Cache({"hits": 1}))
    await settle()

    job.task.cancel()

    assert await read(stream) == STREAM_START + numbers(1) + CANCELLED


async def test_says_why_the_execution_was_cancelled() -> None:
    streamer = EventStreamer()
    job = Job(streamer)
    streamer.cancel_message = "The quota is used up"

    job.task.cancel()

    assert await read(streamer.stream(execution_task=job.task)) == (
        STREAM_START + terminal(b"cancelled", b"The quota is used up")
    )


@pytest.mark.parametrize(
    ("resolve", "last"),
    [
        pytest.param(lambda f: f.set_result(1), COMPLETE, id="result"),
        pytest.param(
            lambda f: f.set_exception(ValueError("it broke")),
            terminal(b"error", b"it broke"),
            id="exception",
        ),
        pytest.param(lambda f: f.cancel(), CANCELLED, id="cancelled"),
    ],
)
async def test_follows_a_future_that_is_no_task(
    resolve: Callable[[asyncio.Future[Any]], object], last: bytes
) -> None:
    streamer = EventStreamer()
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    stream = streamer.stream(execution_task=future)
    reading = asyncio.create_task(read(stream))
    await settle()

    streamer(Number(n=1))
    resolve(future)

    assert await reading == STREAM_START + numbers(1) + last


# Readers


async def test_gives_every_reader_everything() -> None:
    streamer = EventStreamer()
    job = Job(streamer, 1)
    first = asyncio.create_task(read(streamer.stream(execution_task=job.task)))
    second = asyncio.create_task(read(streamer.stream(execution_task=job.task)))
    await settle()
    job.tell(2)
    await settle()
    late = asyncio.create_task(read(streamer.stream(execution_task=job.task)))
    job.tell(3, None)

    whole = STREAM_START + numbers(1, 2, 3) + COMPLETE
    assert await asyncio.gather(first, second, late) == [whole] * 3
    after = streamer.stream(execution_task=job.task)
    assert await read(after) == whole


async def test_gives_every_response_everything() -> None:
    streamer = EventStreamer()
    job = Job(streamer, 1)
    async with Connection(streamer.response(execution_task=job.task)) as first:
        await first.until(numbers(1))
        async with Connection(streamer.response(execution_task=job.task)) as second:
            await second.until(numbers(1))
            job.tell(2, None)
            await first.end()
            await second.end()

    assert first.body == second.body == STREAM_START + numbers(1, 2) + COMPLETE


# A reader leaves


async def _by_its_response(streamer: EventStreamer, job: Job) -> None:
    async with Connection(streamer.response(execution_task=job.task)) as c:
        await c.until(numbers(1))
        c.disconnect()
        await c.end()


async def _by_its_response_while_it_sends(streamer: EventStreamer, job: Job) -> None:
    async with Connection(streamer.response(execution_task=job.task)) as c:
        await c.until(numbers(1))
        c.stall()
        job.tell(2)
        await settle()
        c.disconnect()
        await c.end()


async def _by_its_response_before_the_start(streamer: EventStreamer, job: Job) -> None:
    c = Connection(streamer.response(execution_task=job.task))
    c.disconnect()
    async with c:
        await c.end()


async def _by_a_server_that_cancels_its_response(
    streamer: EventStreamer, job: Job
) -> None:
    async with Connection(streamer.response(execution_task=job.task)) as c:
        await c.until(numbers(1))
        c.task.cancel()
        await finish(c.task)
        c.task = asyncio.ensure_future(asyncio.sleep(0))  # for the harness to await


async def _by_aclose(streamer: EventStreamer, job: Job) -> None:
    stream = streamer.stream(execution_task=job.task)
    await anext(stream)
    await anext(stream)
    await stream.aclose()


async def _by_aclose_before_it_began(streamer: EventStreamer, job: Job) -> None:
    await streamer.stream(execution_task=job.task).aclose()


async def _by_cancelling_its_consumer(streamer: EventStreamer, job: Job) -> None:
    consumer = asyncio.create_task(read(streamer.stream(execution_task=job.task)))
    await settle()
    consumer.cancel()
    await finish(consumer)
    assert consumer.cancelled()


async def _by_dropping_it_unread(streamer: EventStreamer, job: Job) -> None:
    stream = streamer.stream(execution_task=job.task)
    await settle()
    del stream
    gc.collect()


async def _by_dropping_it_half_read(streamer: EventStreamer, job: Job) -> None:
    stream = streamer.stream(execution_task=job.task)
    await anext(stream)
    await anext(stream)
    await settle()
    del stream
    gc.collect()


async def _by_dropping_its_response(streamer: EventStreamer, job: Job) -> None:
    response = streamer.response(execution_task=job.task)
    await settle()
    del response
    gc.collect()


def starlette(streamer: EventStreamer, job: Job) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        response = StreamingResponse(
            streamer.stream(execution_task=job.task), media_type="text/event-stream"
        )
        await response(scope, receive, send)

    return app


async def _by_starlette_before_the_first_chunk(
    streamer: EventStreamer, job: Job
) -> None:
    c = Connection(starlette(streamer, job))
    c.disconnect()
    async with c:
        await c.end()
    assert c.bodies == []


async def _by_starlette_while_it_waits(streamer: EventStreamer, job: Job) -> None:
    async with Connection(starlette(streamer, job)) as c:
        await c.until(numbers(1))
        await settle()
        c.disconnect()
        await c.end()


async def _by_starlette_while_it_sends(streamer: EventStreamer, job: Job) -> None:
    async with Connection(starlette(streamer, job)) as c:
        await c.until(numbers(1))
        c.stall()
        job.tell(2)
        await settle()
        c.disconnect()
        await c.end()


Leaves = Callable[[EventStreamer, Job], Awaitable[None]]

WAITING = [
    _by_its_response,
    _by_its_response_while_it_sends,
    _by_its_response_before_the_start,
    _by_a_server_that_cancels_its_response,
    _by_aclose,
    _by_aclose_before_it_began,
    _by_cancelling_its_consumer,
]
NOT_WAITING = [
    _by_dropping_it_unread,
    _by_dropping_it_half_read,
    _by_dropping_its_response,
    _by_starlette_before_the_first_chunk,
    _by_starlette_while_it_waits,
    _by_starlette_while_it_sends,
]


@pytest.mark.parametrize("leaves", WAITING)
async def test_has_cancelled_the_execution_when_its_reader_has_left(
    leaves: Leaves,
) -> None:
    streamer = EventStreamer()
    job = Job(streamer, 1)
    await settle()

    await leaves(streamer, job)

    assert job.life == CUT_SHORT
    await finish(job.task)
    assert job.task.cancelled()


@pytest.mark.parametrize("leaves", NOT_WAITING)
async def test_cancels_the_execution_when_its_reader_is_dropped(leaves: Leaves) -> None:
    streamer = EventStreamer()
    job = Job(streamer, 1)
    await settle()

    await leaves(streamer, job)

    await finish(job.task)
    assert job.task.cancelled()
    assert job.life == CUT_SHORT


@pytest.mark.parametrize("leaves", [*WAITING, *NOT_WAITING])
async def test_cancels_the_execution_only_when_its_last_reader_leaves(
    leaves: Leaves,
) -> None:
    streamer = EventStreamer(heartbeat_interval=None)
    job = Job(streamer, 1)
    last = streamer.stream(execution_task=job.task)

    await leaves(streamer, job)
    await settle()

    assert job.life == ["started"]
    job.tell(3)
    body = ""
    async with asyncio.timeout(TIMEOUT):
        while numbers(3).decode() not in body:
            body += await anext(last)
    await last.aclose()
    assert job.life == CUT_SHORT


@pytest.mark.parametrize("leaves", [*WAITING, *NOT_WAITING])
async def test_lets_the_execution_continue_when_told_to(leaves: Leaves) -> None:
    streamer = EventStreamer(on_disconnect="continue")
    job = Job(streamer, 1)
    await settle()

    await leaves(streamer, job)
    job.tell(3, None)

    await finish(job.task)
    assert job.life == IN_FULL
    assert await job.task == "result"


async def test_does_not_hold_an_execution_that_continues_back() -> None:
    streamer = EventStreamer(on_disconnect="continue", max_events=10)
    job = Job(streamer, 1)
    stream = streamer.stream(execution_task=job.task)
    await anext(stream)
    await anext(stream)

    await stream.aclose()
    job.tell(*range(2, 101), None)
    for _ in range(10):
        await settle()
    done = job.task.done()
    job.task.cancel()
    await finish(job.task)

    assert (job.published, done) == (100, True)


async def test_gives_a_late_reader_the_end_of_an_execution_that_continued() -> None:
    streamer = EventStreamer(on_disconnect="continue", max_events=10)
    job = Job(streamer, 1)
    await streamer.stream(execution_task=job.task).aclose()
    job.tell(2, 3)
    await settle()

    late = streamer.stream(execution_task=job.task)
    reading = asyncio.create_task(read(late))
    job.tell(4, None)
    await settle()
    ended = reading.done()
    reading.cancel()
    await finish(reading)

    assert ended
    assert reading.result() == STREAM_START + numbers(1, 2, 3, 4) + COMPLETE


async def test_does_not_cancel_an_execution_whose_end_was_read() -> None:
    streamer = EventStreamer()
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    stream = streamer.stream(execution_task=future)
    future.set_result(1)
    assert await read(stream) == STREAM_START + COMPLETE

    await stream.aclose()

    assert future.result() == 1


async def test_does_not_cancel_an_execution_that_is_told_to_be_over() -> None:
    streamer = EventStreamer()
    job = Job(streamer)
    stream = streamer.stream(execution_task=job.task)
    streamer.end(CompleteEvent())

    assert await read(stream) == STREAM_START + COMPLETE
    await settle()

    assert job.life == ["started"]  # it still cleans up, and may
    job.tell(None)
    await finish(job.task)
    assert job.life == IN_FULL


async def test_stops_its_heartbeat_when_its_reader_leaves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    running: set[Timer] = set()

    class Watched(Timer):
        def stop(self) -> None:
            running.discard(self)
            super().stop()

    class Watch(TimerWheel):
        def start(self, tick: Tick, at: float) -> Timer:
            timer = Watched(tick)
            running.add(timer)
            return timer

    monkeypatch.setattr(streamer_module, "timers", Watch)
    streamer = EventStreamer(on_disconnect="continue")
    job = Job(streamer, 1)
    stream = streamer.stream(execution_task=job.task)
    await anext(stream)
    assert len(running) == 1

    await stream.aclose()

    assert running == set()
    job.tell(None)
    await finish(job.task)


async def test_leaves_once_however_often_it_is_closed() -> None:
    streamer = EventStreamer()
    job = Job(streamer)
    stream = streamer.stream(execution_task=job.task)
    other = streamer.stream(execution_task=job.task)

    await stream.aclose()
    await stream.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(stream)
    del stream
    gc.collect()
    await settle()

    assert job.life == ["started"]
    await other.aclose()


async def test_says_so_when_the_cleanup_of_an_execution_takes_long(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(streamer_module, "_CLEANUP_TIMEOUT", 0.01)
    go_on = asyncio.Event()

    async def cleanup(_: Job) -> None:
        await go_on.wait()

    streamer = EventStreamer()
    job = Job(streamer, cleanup=cleanup)
    stream = streamer.stream(execution_task=job.task)
    await settle()

    await stream.aclose()

    (message,) = caplog.messages
    assert "is still cleaning up 0.01 s after it was cancelled." in message
    go_on.set()
    await finish(job.task)


def test_may_be_dropped_after_its_loop_has_gone() -> None:
    async def main() -> EventStream:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        return EventStreamer().stream(execution_task=future)

    stream = asyncio.run(main())

    del stream
    gc.collect()  # a message of __del__ would fail this test


# Back-pressure


async def test_holds_the_execution_back_until_there_is_a_reader() -> None:
    streamer = EventStreamer(max_events=10)
    job = Job(streamer, *range(100))
    job.tell(None)
    await settle()

    assert job.published == 10
    assert streamer.log.last == 11  # the one that waits is in the log

    body = await read(streamer.stream(execution_task=job.task))
    assert body == STREAM_START + numbers(*range(100)) + COMPLETE


async def test_holds_the_execution_back_by_bytes() -> None:
    streamer = EventStreamer(max_bytes=10 * len(numbers(1)))
    job = Job(streamer, *[1] * 100)
    job.tell(None)
    await settle()

    assert job.published == 10
    body = await read(streamer.stream(execution_task=job.task))
    assert body == STREAM_START + numbers(*[1] * 100) + COMPLETE


async def test_holds_the_execution_back_for_a_slow_reader() -> None:
    streamer = EventStreamer(max_events=10)
    job = Job(streamer, *range(30))
    slow = streamer.stream(execution_task=job.task)
    await anext(slow)
    fast = asyncio.create_task(read(streamer.stream(execution_task=job.task)))
    await settle()
    assert job.published == 10

    async with asyncio.timeout(TIMEOUT):
        assert await anext(slow) == numbers(*range(11)).decode()
    await settle()
    assert 10 < job.published < 30

    job.tell(None)
    rest = await read(slow)
    assert rest == numbers(*range(11, 30)) + COMPLETE
    assert await fast == STREAM_START + numbers(*range(30)) + COMPLETE


async def test_lets_the_execution_go_on_when_the_slow_reader_leaves() -> None:
    streamer = EventStreamer(max_events=10)
    job = Job(streamer, *range(30))
    job.tell(None)
    slow = streamer.stream(execution_task=job.task)
    fast = asyncio.create_task(read(streamer.stream(execution_task=job.task)))
    await settle()
    assert job.published == 10

    await slow.aclose()

    assert await fast == STREAM_START + numbers(*range(30)) + COMPLETE


@pytest.mark.parametrize("leaves", [_by_aclose, _by_its_response])
@pytest.mark.parametrize("count", [5, 50], ids=["within bounds", "beyond bounds"])
async def test_does_not_hold_back_a_cleanup_that_publishes(
    count: int, leaves: Leaves, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streamer_module, "_CLEANUP_TIMEOUT", 0.5)

    async def cleanup(job: Job) -> None:
        for number in range(count):
            await job.publish(number)

    streamer = EventStreamer(max_events=10)
    job = Job(streamer, 1, cleanup=cleanup)

    try:
        await leaves(streamer, job)
    finally:
        job.task.cancel()
        await finish(job.task)

    assert job.published == 1 + count


async def test_releases_a_publisher_that_waits_when_the_reader_leaves() -> None:
    streamer = EventStreamer(max_events=10, on_disconnect="continue")
    job = Job(streamer, *range(11))
    stream = streamer.stream(execution_task=job.task)
    await settle()
    assert job.published == 10

    await stream.aclose()
    await settle()

    assert job.published == 11
    job.task.cancel()
    await finish(job.task)


# Fairness


@pytest.mark.parametrize("reads", [True, False], ids=["reads", "leaves"])
async def test_leaves_others_their_turns_while_an_execution_never_awaits(
    reads: bool,
) -> None:
    streamer = EventStreamer(max_events=1_000)
    bus = EventBus()
    bus.subscribe(streamer)
    turns = published = longest = 0

    async def job() -> None:
        nonlocal published, longest
        turn, since = turns, 0
        for number in range(20_000):
            if turns != turn:
                turn, since = turns, number
            longest = max(longest, number - since)
            await bus.publish(Number(n=number))
            published += 1

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count_turns())
    task = asyncio.create_task(job())
    async with Connection(streamer.response(execution_task=task)) as c:
        await c.until(numbers(0))
        if not reads:
            c.disconnect()
        await c.end()
    counting.cancel()
    await finish(counting)

    assert longest <= 128
    assert (published == 20_000) is reads
    assert task.cancelled() is not reads


async def test_leaves_others_their_turns_between_the_chunks_of_a_long_log() -> None:
    streamer = EventStreamer(max_events=1_000_000)
    for number in range(50_000):
        streamer(Number(n=number))
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    future.set_result(None)
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count_turns())
    turns_at = [turns async for _ in streamer.stream(execution_task=future)]
    counting.cancel()
    await finish(counting)

    assert len(turns_at) > 10
    assert len(set(turns_at[1:])) == len(turns_at[1:])


# Wrong arguments


async def test_asks_for_a_task_and_not_a_coroutine() -> None:
    streamer = EventStreamer()
    coroutine = _returns(1)
    wrong: Any = coroutine

    with pytest.raises(
        TypeError,
        match=r"execution_task must be a task: wrap the coroutine in "
        r"asyncio.create_task\(…\), got coroutine",
    ):
        streamer.stream(execution_task=wrong)
    with pytest.raises(TypeError, match="must be a task"):
        streamer.response(execution_task=wrong)
    coroutine.close()


@pytest.mark.parametrize("wrong", [None, 1, "task"])
async def test_asks_for_a_task(wrong: Any) -> None:
    with pytest.raises(TypeError, match=f"got {type(wrong).__name__}"):
        EventStreamer().stream(execution_task=wrong)


async def test_serves_one_execution_only() -> None:
    streamer = EventStreamer()
    job, other = Job(streamer), Job(EventStreamer())
    job.tell(None)
    other.tell(None)
    stream = streamer.stream(execution_task=job.task)

    with pytest.raises(ValueError, match="another execution already: make one each"):
        streamer.stream(execution_task=other.task)

    assert await read(stream) == STREAM_START + COMPLETE
    await finish(other.task)


async def test_counts_no_reader_that_could_not_be_made() -> None:
    streamer = EventStreamer()
    job = Job(streamer)
    stream = streamer.stream(execution_task=job.task)

    with pytest.raises(RuntimeError, match="no running event loop"):
        await asyncio.to_thread(streamer.stream, execution_task=job.task)

    await stream.aclose()
    cancelled = job.task.cancelled()
    job.task.cancel()
    await finish(job.task)
    assert cancelled


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"heartbeat_interval": 0}, ValueError, "heartbeat_interval must be a number"),
        ({"heartbeat_interval": -1}, ValueError, "heartbeat_interval must be a number"),
        ({"heartbeat_interval": "1"}, TypeError, "heartbeat_interval must be a number"),
        ({"on_disconnect": "stop"}, ValueError, 'on_disconnect must be "cancel" or'),
        ({"max_events": 0}, ValueError, "must be at least 1"),
        ({"max_bytes": 0}, ValueError, "must be at least 1"),
        ({"error_message": "sorry"}, TypeError, "error_message must be callable"),
    ],
)
def test_refuses_options_that_make_no_sense(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        EventStreamer(**options)


async def test_refuses_a_send_timeout_that_makes_no_sense() -> None:
    streamer = EventStreamer()
    job = Job(streamer)

    with pytest.raises(ValueError, match="send_timeout must be a number"):
        streamer.response(execution_task=job.task, send_timeout=0)

    job.task.cancel()
    await finish(job.task)


# Nothing is left


def alive(*kinds: type) -> int:
    gc.collect()
    return sum(isinstance(thing, kinds) for thing in gc.get_objects())


@pytest.mark.parametrize("shape", ["response", "stream", "starlette"])
async def test_leaves_nothing_behind_however_its_readers_leave(shape: str) -> None:
    chance = random.Random(7)
    kinds = (EventStreamer, EventStream, Log, Cursor, Job)
    before = alive(*kinds)
    things: list[weakref.ref[Any]] = []

    async def pause() -> None:
        for _ in range(chance.randrange(12)):
            await asyncio.sleep(0)

    async def one() -> asyncio.Task[str]:
        streamer = EventStreamer(max_events=chance.choice([2, 1_000]))
        job = Job(streamer, *range(chance.randrange(6)))
        things.extend([weakref.ref(streamer), weakref.ref(streamer.log)])
        if shape == "stream":
            stream = streamer.stream(execution_task=job.task)
            things.append(weakref.ref(stream))
            reading = asyncio.create_task(read(stream))
            await pause()
            job.tell(*chance.choice([[1], [1, None]]))
            await pause()
            reading.cancel()
            await finish(reading)
        else:
            app: ASGIApp = starlette(streamer, job)
            if shape == "response":
                app = streamer.response(execution_task=job.task)
            async with Connection(app) as c:
                await pause()
                if chance.random() < 0.3:
                    c.stall()
                job.tell(*chance.choice([[1], [1, None]]))
                await pause()
                c.disconnect()
                await c.end()
        return job.task

    tasks = [await one() for _ in range(200)]
    gc.collect()
    for task in tasks:
        await finish(task)
    assert {task.cancelled() for task in tasks} == {True, False}
    del task
    tasks.clear()
    await settle()

    assert alive(*kinds) == before
    assert [thing() for thing in things if thing() is not None] == []


# What nothing may hold up, share or lose


async def test_lets_publishers_go_when_the_end_comes_in_a_full_log() -> None:
    streamer = EventStreamer(max_events=4)
    task: asyncio.Task[None] = asyncio.create_task(asyncio.sleep(3600))
    stream = streamer.stream(execution_task=task)
    waiting = [
        room
        for number in range(8)
        if (room := streamer(TextDelta(delta=str(number)))) is not NOTHING
    ]

    task.cancel()
    await finish(task)
    await asyncio.wait_for(asyncio.gather(*waiting), 5)

    assert len(waiting) == 4
    await stream.aclose()


@pytest.mark.parametrize("how", ["hangs", "is cancelled"])
async def test_ends_although_its_cache_statistics_never_come(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asgi_events.log.writer._STATS_TIMEOUT", 0.01)

    class Cache:
        async def get_stats(self) -> None:
            if how == "is cancelled":
                raise asyncio.CancelledError
            await asyncio.sleep(3600)

    streamer = EventStreamer()
    task: asyncio.Task[None] = asyncio.create_task(asyncio.sleep(0))
    stream = streamer.stream(execution_task=task, cache_backend=Cache())

    body = await asyncio.wait_for(read(stream), 5)

    assert body == STREAM_START + COMPLETE


NOT_HEARD = "No event of "


@pytest.mark.parametrize("subscribed", [False, True])
async def test_says_so_when_it_heard_nothing_of_an_execution(
    subscribed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    bus = EventBus()
    streamer = EventStreamer()
    if subscribed:
        bus.subscribe(streamer)
    call = ExecutionEvent[Message](actor=omni_agent)
    task = asyncio.create_task(call(Message(content="m"), "", ExecutionState(bus)))

    await read(streamer.stream(task))

    said = [m for m in caplog.messages if m.startswith(NOT_HEARD)]
    assert len(said) == (0 if subscribed else 1)


async def test_does_not_ask_for_events_of_an_execution_that_failed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    streamer = EventStreamer()
    task = asyncio.create_task(_raises(ValueError("before there was an event")))
    await read(streamer.stream(task))
    assert not [m for m in caplog.messages if m.startswith(NOT_HEARD)]


# The process is told to stop

STOPPED = terminal(b"cancelled", b"Execution cancelled: the server is shutting down")


async def test_cancels_what_is_streamed_when_the_process_is_told_to_stop() -> None:
    streamer = EventStreamer(drain_grace=0, heartbeat_interval=None)
    job = Job(streamer, 1)
    streams = [streamer.stream(execution_task=job.task) for _ in range(2)]
    reading = [asyncio.create_task(read(stream)) for stream in streams]
    await settle()

    stopping = signals.tell()
    bodies = await asyncio.gather(*reading)
    await asyncio.wait(stopping, timeout=TIMEOUT)

    assert bodies == [STREAM_START + numbers(1) + STOPPED] * 2
    assert job.life == CUT_SHORT
    assert len(stopping) == 1


async def test_lets_what_is_streamed_end_within_the_grace() -> None:
    streamer = EventStreamer(drain_grace=TIMEOUT, heartbeat_interval=None)
    job = Job(streamer)
    async with Connection(streamer.response(execution_task=job.task)) as c:
        await c.until(STREAM_START)
        signals.tell()
        await settle()
        job.tell(1, None)
        await c.end()

    assert c.body == STREAM_START + numbers(1) + COMPLETE
    assert job.life == IN_FULL


async def test_shortens_the_grace_when_it_is_told_again() -> None:
    streamer = EventStreamer(drain_grace=3600, heartbeat_interval=None)
    job = Job(streamer)
    async with Connection(streamer.response(execution_task=job.task)) as c:
        await c.until(STREAM_START)
        first = signals.tell()
        await settle()
        second = signals.tell(0.0)
        await c.end()
        await asyncio.wait({*first, *second}, timeout=TIMEOUT)

    assert c.body == STREAM_START + STOPPED


async def test_ends_the_stream_of_a_task_that_does_not_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(streamer_module, "_CLEANUP_TIMEOUT", 0.05)
    gate = asyncio.Event()

    async def cleanup(job: Job) -> None:
        await gate.wait()

    streamer = EventStreamer(drain_grace=0, heartbeat_interval=None)
    job = Job(streamer, 1, cleanup=cleanup)
    async with Connection(streamer.response(execution_task=job.task)) as c:
        await c.until(numbers(1))
        signals.tell()
        await c.end()
    gate.set()
    await finish(job.task)

    assert c.body.endswith(
        terminal(
            b"cancelled",
            b"Execution cancelled: the server is shutting down; "
            b"its cleanup was not done after 0.05 s",
        )
    )


async def test_hears_nothing_if_it_is_to_hear_nothing_or_has_no_readers() -> None:
    deaf = EventStreamer(handle_signals=False)
    left = EventStreamer(on_disconnect="continue")
    jobs = [Job(deaf), Job(left)]
    stream = deaf.stream(execution_task=jobs[0].task)
    await left.stream(execution_task=jobs[1].task).aclose()

    stopping = signals.tell()
    await stream.aclose()
    for job in jobs:
        job.tell(None)
        await finish(job.task)

    assert stopping == []


@pytest.mark.parametrize("headers", [{"x": "a\r\nb"}, {"": "a"}, {"te": "a"}])
async def test_refuses_headers_before_it_counts_a_reader(
    headers: dict[str, str],
) -> None:
    streamer = EventStreamer(on_disconnect="cancel")
    job = Job(streamer, 1, None)
    with pytest.raises(ValueError):
        streamer.response(execution_task=job.task, headers=headers)
    await finish(job.task)

    assert job.life == IN_FULL
