"""``EventSourceResponse``: one connection, from its first byte to each of its ends."""

import asyncio
import inspect
import logging
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from fastapi import FastAPI
from pydantic import BaseModel

from asgi_events import EventSourceResponse, ServerSentEvent
from asgi_events.aio import signals
from asgi_events.http import response as responses
from asgi_events.log.cursor import Cursor
from asgi_events.log.log import Log
from asgi_events.log.source import FrameSource
from asgi_events.types import ASGIApp, Receive, Scope, Send
from asgi_events.wire.sse import KEEP_ALIVE, MAX_CHUNK, STREAM_START
from tests.asgi import PLACE, TIMEOUT, Connection, call

pytestmark = pytest.mark.usefixtures("fixed_time")

HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
]
START = {"type": "http.response.start", "status": 200, "headers": HEADERS}
END = {"type": "http.response.body", "body": b"", "more_body": False}


def chunk(body: bytes) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": True}


async def settle() -> None:
    """Some turns of the loop, in which everything that can go on has gone on."""
    for _ in range(20):
        await asyncio.sleep(0)


class Clock:
    """The loop's clock, put forward by hand; what is due then happens.

    It also goes by itself, so what tests tell apart is at least a minute apart.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        real = loop.time
        self._ahead = 0.0
        monkeypatch.setattr(loop, "time", lambda: real() + self._ahead)

    async def advance(self, seconds: float) -> None:
        self._ahead += seconds
        await settle()


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


class Spy:
    """An application, and who did what on its connection."""

    def __init__(self, app: ASGIApp) -> None:
        self.received: list[str] = []
        self.receivers: set[asyncio.Task[Any] | None] = set()
        self.receiving = 0
        self.sent = 0
        self.senders: set[asyncio.Task[Any] | None] = set()
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def spy_receive() -> Any:
            self.receivers.add(asyncio.current_task())
            self.receiving += 1
            message = await receive()
            self.received.append(message["type"])
            return message

        async def spy_send(message: Any) -> None:
            self.senders.add(asyncio.current_task())
            self.sent += 1
            await send(message)

        await self._app(scope, spy_receive, spy_send)


class Content:
    """An iterable of one's own making: a queue that tells its life."""

    def __init__(self, *items: Any) -> None:
        self.life: list[str] = []
        self.queue: asyncio.Queue[Any] = asyncio.Queue()
        for item in items:
            self.queue.put_nowait(item)

    def put(self, item: Any) -> None:
        self.queue.put_nowait(item)

    async def __aiter__(self) -> AsyncIterator[Any]:
        self.life.append("started")
        try:
            while (item := await self.queue.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            self.life.append("finally")
            await asyncio.sleep(0)
            self.life.append("cleaned up")


CLEANED_UP = ["started", "finally", "cleaned up"]


class Source:
    """A source of frames that notes what is done to it."""

    def __init__(self, take: Callable[[], bytes | None]) -> None:
        self.taken = 0
        self.closed = 0
        self.farewell: bytes | None = None
        self._take = take

    def take(self, limit: int = MAX_CHUNK) -> bytes | None:
        assert not self.closed, "take() after aclose()"
        self.taken += 1
        if self.farewell is not None:
            farewell, self.farewell, self._take = self.farewell, None, lambda: None
            return farewell
        return self._take()

    def on_ready(self, wake: Callable[[], None]) -> None:
        pass

    def dismiss(self, farewell: bytes) -> None:
        self.farewell = farewell

    async def aclose(self) -> None:
        self.closed += 1


def idle() -> bytes | None:
    return b""


# What is sent


async def test_sends_a_short_stream() -> None:
    content = Content("one", "two", None)
    async with Connection(EventSourceResponse(content)) as c:
        await c.end()

    assert c.messages == [
        START,
        chunk(STREAM_START),
        chunk(b"data: one\n\ndata: two\n\n"),
        END,
    ]
    assert content.life == CLEANED_UP


async def test_sends_nothing_but_its_beginning_when_there_is_nothing() -> None:
    c = await call(EventSourceResponse(Content(None)), "GET", "/")

    assert c.messages == [START, chunk(b": stream-start\n"), END]


async def test_sends_its_first_bytes_before_there_is_an_event() -> None:
    async with Connection(EventSourceResponse(Content())) as c:
        await settle()

        assert c.messages == [START, chunk(STREAM_START)]


async def test_sends_each_event_as_it_comes() -> None:
    content = Content()
    async with Connection(EventSourceResponse(content)) as c:
        for number in range(3):
            content.put(str(number))
            await c.until(b"data: %d\n\n" % number)

    assert c.bodies == [STREAM_START, b"data: 0\n\n", b"data: 1\n\n", b"data: 2\n\n"]


class Point(BaseModel):
    x: int


async def test_takes_items_of_every_kind() -> None:
    content = Content(
        "text\nof two lines",
        b"event: raw\ndata: bytes\n\n",
        {"a": None},
        Point(x=1),
        ServerSentEvent(event="named", data="", id="9"),
        None,
    )

    c = await call(EventSourceResponse(content), "GET", "/")

    assert c.body == (
        b": stream-start\n"
        b"data: text\ndata: of two lines\n\n"
        b"event: raw\ndata: bytes\n\n"
        b'data: {"a":null}\n\n'
        b'data: {"x":1}\n\n'
        b"event: named\ndata: \nid: 9\n\n"
    )


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_reads_over_the_body_of_the_request(method: str) -> None:
    spy = Spy(EventSourceResponse(Content("a")))
    async with Connection(spy, method, body=[b"x" * 1_000, b"y", b"z"]) as c:
        await c.until(b"data: a\n\n")
        assert not c.ended

    assert spy.received == ["http.request"] * 3 + ["http.disconnect"]


async def test_sends_more_headers_and_other_values_for_its_own() -> None:
    response = EventSourceResponse(
        Content(None),
        status=201,
        headers={"X-Accel-Buffering": "yes", "Location": "/executions/1"},
    )

    c = await call(response, "GET", "/")

    assert c.messages[0] == {
        "type": "http.response.start",
        "status": 201,
        "headers": [
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"cache-control", b"no-cache, no-transform"),
            (b"x-accel-buffering", b"yes"),
            (b"x-content-type-options", b"nosniff"),
            (b"location", b"/executions/1"),
        ],
    }


async def test_answers_head_with_headers_and_no_body() -> None:
    content = Content("a")
    spy = Spy(EventSourceResponse(content))

    c = await call(spy, "HEAD", "/")

    assert c.messages == [START, END]
    assert content.life == []
    assert spy.receiving == 0


@pytest.mark.parametrize("method", ["HEAD", "GET"])
async def test_closes_its_source(method: str) -> None:
    source = Source(lambda: None)

    await call(EventSourceResponse(source), method, "/")

    assert source.closed == 1


async def test_closes_an_iterable_that_it_never_started() -> None:
    class Unstarted:
        closed = 0

        def __aiter__(self) -> "Unstarted":
            return self

        async def __anext__(self) -> str:
            raise AssertionError("HEAD iterates nothing")

        async def aclose(self) -> None:
            self.closed += 1

    content = Unstarted()

    await call(EventSourceResponse(content), "HEAD", "/")

    assert content.closed == 1


@pytest.mark.parametrize("kind", ["websocket", "lifespan"])
async def test_answers_nothing_but_http(kind: str) -> None:
    source = Source(idle)
    response = EventSourceResponse(source)

    async def unused(*_: Any) -> None:
        raise AssertionError("nothing is received or sent")

    with pytest.raises(RuntimeError, match=f"answers http requests, not '{kind}'"):
        await response({"type": kind}, unused, unused)
    assert source.closed == 1


@pytest.mark.parametrize(
    "asgi",
    [{"version": "3.0"}, {"version": "3.0", "spec_version": "2.4"}],
    ids=["no spec_version", "2.4"],
)
async def test_behaves_the_same_whatever_the_spec_version(asgi: dict[str, str]) -> None:
    content = Content("a")
    async with Connection(EventSourceResponse(content), asgi=asgi) as c:
        await c.until(b"data: a\n\n")
        c.disconnect()
        await c.end()

    assert content.life == CLEANED_UP


# Heartbeats


async def test_sends_a_comment_after_silence(clock: Clock) -> None:
    async with Connection(
        EventSourceResponse(Content(), heartbeat_interval=1_500)
    ) as c:
        await settle()
        await clock.advance(1_400)
        assert c.bodies == [STREAM_START]

        await clock.advance(200)
        assert c.bodies == [STREAM_START, b": keep-alive\n"]

        await clock.advance(1_600)
        assert c.bodies == [STREAM_START, b": keep-alive\n", b": keep-alive\n"]


async def test_sends_no_comment_soon_after_data(clock: Clock) -> None:
    content = Content()
    async with Connection(EventSourceResponse(content, heartbeat_interval=1_500)) as c:
        await settle()
        for number in range(4):
            await clock.advance(1_000)
            content.put(str(number))
            await settle()
        data = [b"data: %d\n\n" % number for number in range(4)]
        assert c.bodies == [STREAM_START, *data]

        await clock.advance(1_400)
        assert c.bodies == [STREAM_START, *data]
        await clock.advance(200)
        assert c.bodies == [STREAM_START, *data, KEEP_ALIVE]


async def test_sends_data_and_no_comment_when_both_are_due(clock: Clock) -> None:
    content = Content()
    async with Connection(EventSourceResponse(content, heartbeat_interval=1_500)) as c:
        await settle()
        content.put("a")
        await clock.advance(1_600)

        assert c.bodies == [STREAM_START, b"data: a\n\n"]


async def test_sends_no_comment_without_an_interval(clock: Clock) -> None:
    response = EventSourceResponse(Content(), heartbeat_interval=None)
    async with Connection(response) as c:
        await settle()
        await clock.advance(100_000)

        assert c.bodies == [STREAM_START]


async def test_sends_comments_by_the_real_clock() -> None:
    response = EventSourceResponse(Content(), heartbeat_interval=0.03)
    async with Connection(response) as c:
        await c.until(STREAM_START + KEEP_ALIVE * 3)


# The client leaves


async def test_stops_when_an_idle_client_leaves() -> None:
    content = Content("a")
    spy = Spy(EventSourceResponse(content))
    async with Connection(spy) as c:
        await c.until(b"data: a\n\n")
        sent = spy.sent

        c.disconnect()
        await c.end()

    assert content.life == CLEANED_UP
    assert spy.sent == sent
    assert spy.received == ["http.request", "http.disconnect"]
    assert spy.receiving == 2  # and not again after the disconnect
    assert len(spy.receivers) == 1
    assert spy.senders == {c.task}


async def test_stops_when_a_client_leaves_that_does_not_read() -> None:
    content = Content()
    spy = Spy(EventSourceResponse(content))
    async with Connection(spy) as c:
        await c.until(STREAM_START)
        c.stall()
        content.put("a")
        await settle()
        content.put("b")
        sent = spy.sent

        c.disconnect()
        await c.end()

    assert content.life == CLEANED_UP
    assert spy.sent == sent
    assert spy.receiving == 2


async def test_stops_when_the_client_has_left_before_the_start() -> None:
    content = Content(*map(str, range(1_000)))
    spy = Spy(EventSourceResponse(content))
    c = Connection(spy)
    c.disconnect()

    async with c:
        await c.end()

    assert content.life in ([], CLEANED_UP)
    assert spy.sent <= 2
    assert spy.receiving == 2


async def test_sends_no_more_of_many_frames_once_the_client_has_left() -> None:
    frames = iter([b"data: more\n\n"] * 10_000)
    source = Source(lambda: next(frames, None))
    spy = Spy(EventSourceResponse(source))
    async with Connection(spy) as c:
        await c.until(b"data: more\n\n")
        c.disconnect()
        await c.end()

    assert spy.sent < 100
    assert source.closed == 1


@pytest.mark.parametrize("fails_at", [1, 2, 3])
async def test_takes_an_error_of_send_for_a_client_that_has_left(fails_at: int) -> None:
    content = Content("a")
    sent: list[Any] = []

    async def receive() -> Any:
        return await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)
        if len(sent) == fails_at:
            raise BrokenPipeError("The client has left.")

    response = EventSourceResponse(content)
    await asyncio.wait_for(
        response({"type": "http", "method": "GET"}, receive, send), TIMEOUT
    )

    assert sent == [START, chunk(STREAM_START), chunk(b"data: a\n\n")][:fails_at]
    assert content.life == (CLEANED_UP if fails_at == 3 else [])


async def test_takes_an_error_of_receive_for_a_client_that_has_left(
    caplog: pytest.LogCaptureFixture,
) -> None:
    content = Content("a")
    failing = asyncio.Event()

    async def receive() -> Any:
        await failing.wait()
        raise RuntimeError("receive is broken")

    async def send(message: Any) -> None:
        if message.get("body") == b"data: a\n\n":
            failing.set()

    response = EventSourceResponse(content)
    await asyncio.wait_for(
        response({"type": "http", "method": "GET"}, receive, send), TIMEOUT
    )

    assert content.life == CLEANED_UP
    assert caplog.messages == ["receive() failed; the client is taken to be gone."]


async def test_gives_up_a_send_that_never_returns_to_a_client_that_has_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(responses, "_GONE_TIMEOUT", 0.01)
    content = Content("a")
    left = asyncio.Event()

    async def receive() -> Any:
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message.get("body") == b"data: a\n\n":
            left.set()
            await asyncio.Event().wait()

    response = EventSourceResponse(content, send_timeout=None)
    await asyncio.wait_for(
        response({"type": "http", "method": "GET"}, receive, send), TIMEOUT
    )

    assert content.life == CLEANED_UP


@pytest.mark.parametrize("fails_at", [1, 2, 3])
async def test_takes_any_error_of_send_for_normal_once_the_client_has_left(
    fails_at: int,
) -> None:
    left = asyncio.Event()
    sent = 0

    async def receive() -> Any:
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        nonlocal sent
        sent += 1
        if sent == fails_at:
            left.set()
            raise RuntimeError("unable to perform operation; the handler is closed")

    response = EventSourceResponse(Content("a"))
    await asyncio.wait_for(
        response({"type": "http", "method": "GET"}, receive, send), TIMEOUT
    )

    assert sent == fails_at


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_raises_an_error_of_send_while_the_client_is_there(method: str) -> None:
    sent = 0

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        nonlocal sent
        sent += 1
        raise RuntimeError("broken")

    response = EventSourceResponse(Content("a"))
    with pytest.raises(RuntimeError, match="broken"):
        await asyncio.wait_for(
            response({"type": "http", "method": method}, receive, send), TIMEOUT
        )

    assert sent == 1  # and no farewell that would fail as well


# The process is told to stop

CANCELLED = (
    b'data: {"event_type":"cancelled",'
    b'"message":"Execution cancelled: the server is shutting down",%b}\n\n' % PLACE
)


async def test_ends_with_a_terminal_event_when_the_process_is_told_to_stop() -> None:
    content = Content("a")
    async with Connection(EventSourceResponse(content)) as c:
        await c.until(b"data: a\n\n")
        stopping = signals.tell()
        await c.end()

    assert c.body == STREAM_START + b"data: a\n\n" + CANCELLED
    assert c.ended
    assert content.life == CLEANED_UP
    assert [stopped.done() for stopped in stopping] == [True]


async def test_goes_on_when_the_process_is_told_to_stop_if_it_is_to_hear_nothing() -> (
    None
):
    content = Content("a")
    async with Connection(EventSourceResponse(content, handle_signals=False)) as c:
        await c.until(b"data: a\n\n")
        stopping = signals.tell()
        content.put("b")
        await c.until(b"data: b\n\n")

    assert stopping == []


async def test_drops_a_stuck_client_soon_when_the_process_is_told_to_stop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(responses, "_STOPPING_TIMEOUT", 0.05)
    content = Content("a")
    async with Connection(EventSourceResponse(content, send_timeout=None)) as c:
        await c.until(b"data: a\n\n")
        c.stall()
        content.put("b")
        await settle()
        signals.tell()
        await c.end()

    assert not c.ended
    assert content.life == CLEANED_UP


async def test_says_the_terminal_event_to_a_server_that_can_not_wait_for_it() -> None:
    source = Source(idle)
    response = EventSourceResponse(source)
    response.source_hears = True  # and it takes its time
    with pytest.raises(asyncio.CancelledError):
        async with Connection(response) as c:
            await c.until(STREAM_START)
            signals.tell()
            c.task.cancel()
            await c.end()

    assert c.body == STREAM_START + CANCELLED
    assert c.ended


async def test_waits_for_its_source_on_a_server_that_cancels_first_and_waits() -> None:
    frames = [b"data: last\n\n", None]
    ready = asyncio.Event()
    source = Source(lambda: frames.pop(0) if ready.is_set() else b"")
    response = EventSourceResponse(source, heartbeat_interval=0.05)
    response.source_hears = True
    with pytest.raises(asyncio.CancelledError):
        async with Connection(response, asgi={"version": "3.0"}) as c:  # daphne's
            await c.until(STREAM_START)
            signals.tell()
            c.task.cancel()
            await settle()
            waiting = not c.task.done()
            ready.set()
            await c.end()

    assert waiting
    assert c.body.endswith(b"data: last\n\n")
    assert c.ended


async def test_listens_no_longer_once_its_stream_is_over() -> None:
    spy = Spy(EventSourceResponse(Content("a", None)))
    async with Connection(spy) as c:
        await c.end()
        await settle()

        assert c.ended
        assert asyncio.all_tasks() == {asyncio.current_task()}
    assert spy.received == ["http.request"]


# The client does not read


async def test_drops_a_stream_whose_client_does_not_read(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    content = Content()
    spy = Spy(EventSourceResponse(content, send_timeout=3_000))
    async with Connection(spy) as c:
        await c.until(STREAM_START)
        c.stall()
        content.put("a")
        await settle()

        await clock.advance(2_900)
        assert not c.task.done()
        await clock.advance(200)

        assert c.task.done()
        await c.task  # no exception, and no cancellation either
        assert c.messages == [START, chunk(STREAM_START)]
    assert spy.sent == 3
    assert content.life == CLEANED_UP
    assert caplog.messages == [
        "An event stream was dropped: its client took nothing for 3000 s."
    ]


async def test_drops_a_stream_whose_client_does_not_read_its_comments(
    clock: Clock,
) -> None:
    content = Content()
    async with Connection(
        EventSourceResponse(content, heartbeat_interval=1_500, send_timeout=3_000)
    ) as c:
        await c.until(STREAM_START)
        c.stall()

        await clock.advance(1_600)
        await clock.advance(2_900)
        assert not c.task.done()
        await clock.advance(200)

        assert c.task.done()
        assert c.messages == [START, chunk(STREAM_START)]
    assert content.life == CLEANED_UP


async def test_does_not_drop_a_client_that_is_slow_but_reads(clock: Clock) -> None:
    content = Content()
    async with Connection(EventSourceResponse(content, send_timeout=3_000)) as c:
        for number in range(4):
            await c.until(STREAM_START)
            c.stall()
            content.put(str(number))
            await clock.advance(2_000)
            c.resume()
            await c.until(b"data: %d\n\n" % number)

        assert not c.task.done()


async def test_waits_for_ever_without_a_send_timeout(clock: Clock) -> None:
    content = Content()
    response = EventSourceResponse(content, send_timeout=None)
    async with Connection(response) as c:
        await c.until(STREAM_START)
        c.stall()
        content.put("a")
        await clock.advance(100_000)
        assert not c.task.done()

        c.resume()
        await c.until(b"data: a\n\n")


async def test_drops_a_stuck_stream_within_a_slot_of_the_wheel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = asyncio.get_running_loop()
    now = loop.time()
    monkeypatch.setattr(loop, "time", lambda: now)
    content = Content()
    async with Connection(EventSourceResponse(content, send_timeout=3)) as c:
        await c.until(STREAM_START)
        c.stall()
        content.put("a")
        await settle()

        now += 2.9
        await settle()
        assert not c.task.done()
        now += 0.15
        await settle()

        assert c.task.done()
    assert content.life == CLEANED_UP


async def test_drops_a_stuck_stream_by_the_real_clock() -> None:
    content = Content()
    async with Connection(EventSourceResponse(content, send_timeout=0.05)) as c:
        await c.until(STREAM_START)
        c.stall()
        content.put("a")

        await c.end()

        assert c.messages == [START, chunk(STREAM_START)]


async def test_does_not_swallow_a_cancel_that_comes_with_the_send_timeout(
    clock: Clock,
) -> None:
    content = Content()
    async with Connection(EventSourceResponse(content, send_timeout=3_000)) as c:
        await c.until(STREAM_START)
        c.stall()
        content.put("a")
        await settle()
        asyncio.get_running_loop().call_later(3_000.03, c.task.cancel)

        await clock.advance(3_100)

        await asyncio.wait({c.task}, timeout=TIMEOUT)
        assert c.task.cancelled()
        with pytest.raises(asyncio.CancelledError):
            await c.task
        c.task = asyncio.ensure_future(asyncio.sleep(0))  # for the harness to await
    assert content.life == CLEANED_UP


# The server cancels


async def test_says_the_end_first_when_the_server_cancels() -> None:
    content = Content("a")
    spy = Spy(EventSourceResponse(content))
    async with Connection(spy) as c:
        await c.until(b"data: a\n\n")

        c.task.cancel()
        await asyncio.sleep(0)  # uvicorn leaves no more than this one turn

        assert c.messages == [START, chunk(STREAM_START), chunk(b"data: a\n\n"), END]
        await asyncio.wait({c.task}, timeout=TIMEOUT)
        assert c.task.cancelled()
        assert spy.senders == {c.task}
        c.task = asyncio.ensure_future(asyncio.sleep(0))
    assert content.life == CLEANED_UP
    assert c.messages[-1] == END


async def test_says_nothing_to_a_client_that_has_left_when_the_server_cancels() -> None:
    content = Content("a")
    spy = Spy(EventSourceResponse(content))
    async with Connection(spy) as c:
        await c.until(b"data: a\n\n")
        sent = spy.sent
        c.disconnect()
        await asyncio.sleep(0)  # the disconnect is received, but not yet acted upon
        c.task.cancel()

        await asyncio.wait({c.task}, timeout=TIMEOUT)

        assert spy.sent == sent
        c.task = asyncio.ensure_future(asyncio.sleep(0))
    assert content.life == CLEANED_UP


async def test_does_not_hang_when_the_server_cancels_a_blocked_send(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(responses, "_FAREWELL_TIMEOUT", 0.01)
    content = Content()
    async with Connection(EventSourceResponse(content)) as c:
        await c.until(STREAM_START)
        c.stall()
        content.put("a")
        await settle()

        c.task.cancel()
        await asyncio.wait({c.task}, timeout=TIMEOUT)

        assert c.task.cancelled()
        assert c.messages == [START, chunk(STREAM_START)]
        c.task = asyncio.ensure_future(asyncio.sleep(0))
    assert content.life == CLEANED_UP
    assert caplog.messages == [
        "A cancelled event stream could not say its end: client stuck."
    ]


# The iterable fails


@pytest.mark.parametrize(
    ("error_message", "said"),
    [
        pytest.param(None, "The stream failed.", id="neutral"),
        pytest.param(lambda error: f"Sorry, {error}!", "Sorry, secret!", id="hook"),
    ],
)
async def test_sends_the_events_before_an_error_then_says_so(
    error_message: Callable[[BaseException], str] | None,
    said: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    error = RuntimeError("secret")
    content = Content("a", "b", error)

    c = await call(
        EventSourceResponse(content, error_message=error_message), "GET", "/"
    )

    assert c.messages[0] == START
    assert c.messages[-1] == END
    assert c.body == (
        b": stream-start\ndata: a\n\ndata: b\n\n"
        b'data: {"event_type":"error","message":"%b",%b}\n\n' % (said.encode(), PLACE)
    )
    assert content.life == CLEANED_UP
    (record,) = caplog.records
    assert record.exc_info is not None and record.exc_info[1] is error


async def test_says_so_when_an_item_is_of_the_wrong_type(
    caplog: pytest.LogCaptureFixture,
) -> None:
    c = await call(EventSourceResponse(Content("a", 5, "b")), "GET", "/")

    assert c.body == (
        b": stream-start\ndata: a\n\n"
        b'data: {"event_type":"error","message":"The stream failed.",%b}\n\n' % PLACE
    )
    assert c.ended
    (record,) = caplog.records
    assert "got int" in str(record.exc_info and record.exc_info[1])


async def test_ends_its_body_when_the_source_is_broken() -> None:
    def take() -> bytes | None:
        raise ZeroDivisionError("a bug")

    source = Source(take)
    c = Connection(EventSourceResponse(source))
    with pytest.raises(ZeroDivisionError, match="a bug"):
        async with c:
            await c.end()

    assert c.messages == [START, chunk(STREAM_START), END]
    assert source.closed == 1


# Fairness


class Turns:
    """Counts the turns that another task gets."""

    def __init__(self) -> None:
        self.count = 0
        self._task = asyncio.ensure_future(self._go_round())

    async def _go_round(self) -> None:
        while True:
            self.count += 1
            await asyncio.sleep(0)

    async def __aenter__(self) -> "Turns":
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})


class Flood:
    """A producer that never awaits; how much it did between the others' turns."""

    data = b"." * 92
    block = b"data: " + data + b"\n\n"
    count = 100_000

    def __init__(self, turns: Turns) -> None:
        self.produced = 0
        self.longest = 0
        self.life: list[str] = []
        self._turns = turns

    async def __aiter__(self) -> AsyncIterator[bytes]:
        turn, since = self._turns.count, 0
        try:
            for number in range(self.count):
                if self._turns.count != turn:
                    turn, since = self._turns.count, number
                self.longest = max(self.longest, number - since)
                self.produced += 1
                yield self.block
        finally:
            self.life.append("finally")


async def test_leaves_others_their_turns_while_a_producer_never_awaits() -> None:
    async with Turns() as turns:
        content = Flood(turns)
        c = await call(EventSourceResponse(content), "GET", "/")

    assert c.body == STREAM_START + Flood.block * Flood.count
    assert content.longest <= 2 * MAX_CHUNK // len(Flood.block)


async def test_stops_a_producer_that_never_awaits_when_its_client_leaves() -> None:
    async with Turns() as turns:
        content = Flood(turns)
        spy = Spy(EventSourceResponse(content))
        async with Connection(spy) as c:
            await c.until(Flood.block)
            c.disconnect()
            await c.end()

    assert content.produced < Flood.count // 10
    assert content.longest <= 2 * MAX_CHUNK // len(Flood.block)
    assert content.life == ["finally"]


@pytest.mark.parametrize("leaves", [False, True], ids=["reads", "leaves"])
async def test_leaves_others_their_turns_while_it_sends_a_long_log(
    leaves: bool,
) -> None:
    log = Log("x", max_events=1_000_000, max_bytes=1 << 30)
    for _ in range(100_000):
        log.append(Flood.data)
    log.append(b"end", end="completed")
    turns_at: list[int] = []

    async with Turns() as turns:

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            async def count(message: Any) -> None:
                turns_at.append(turns.count)
                await send(message)

            await EventSourceResponse(Cursor(log))(scope, receive, count)

        async with Connection(app) as c:
            await c.until(Flood.block.rstrip())
            if leaves:
                c.disconnect()
            await c.end()

    chunks = turns_at[2:-1]  # after the start and its comment, before the end
    assert len(set(chunks)) == len(chunks)
    assert (len(chunks) > 100) is not leaves


# max_duration and max_backlog


def _is_goodbye(body: bytes, reason: str) -> bool:
    pattern = rb'event: goodbye\nretry: \d+\ndata: {"reason":"%b"}\n\n'
    return re.fullmatch(pattern % reason.encode(), body) is not None


async def test_says_goodbye_after_its_max_duration(clock: Clock) -> None:
    content = Content("a")
    response = EventSourceResponse(content, heartbeat_interval=None, max_duration=6_000)
    async with Connection(response) as c:
        await c.until(b"data: a\n\n")
        await clock.advance(5_300)
        assert c.bodies == [STREAM_START, b"data: a\n\n"]

        await clock.advance(800)
        await c.end()

    assert c.bodies[:2] == [STREAM_START, b"data: a\n\n"]
    assert _is_goodbye(c.bodies[2], "max_duration")
    assert len(c.bodies) == 3
    assert c.messages[-1] == END
    assert content.life == CLEANED_UP


async def test_does_not_send_all_away_at_the_same_time(
    clock: Clock,
) -> None:
    responses = [
        EventSourceResponse(
            Source(idle),
            heartbeat_interval=None,
            send_timeout=None,
            max_duration=100_000,
        )
        for _ in range(50)
    ]
    connections = [Connection(response) for response in responses]
    for c in connections:
        await c.__aenter__()
    await settle()

    await clock.advance(95_000)
    gone = sum(c.ended for c in connections)
    await clock.advance(5_100)

    assert 0 < gone < 50
    assert all(c.ended for c in connections)
    for c in connections:
        await c.__aexit__(None, None, None)


async def test_ends_by_the_real_clock_after_its_max_duration() -> None:
    response = EventSourceResponse(Content(), max_duration=0.05)

    c = await call(response, "GET", "/")

    assert _is_goodbye(c.bodies[-1], "max_duration")


def _daphne() -> dict[str, Any]:
    return {"asgi": {"version": "3.0"}}


def _http2() -> dict[str, Any]:
    return {"http_version": "2"}


def _http1() -> dict[str, Any]:
    return {}


@pytest.mark.parametrize("scope", [_daphne, _http2])
async def test_says_goodbye_before_a_server_buffers_too_much(
    scope: Callable[[], dict[str, Any]],
) -> None:
    log = Log("x", keeps="unstored")
    for _ in range(1_000):
        log.append(Flood.data)
    log.commit(1_000)
    response = EventSourceResponse(Cursor(log), max_backlog=MAX_CHUNK)

    async with Connection(response, **scope()) as c:
        await c.end()

    assert _is_goodbye(c.bodies[-1], "backlog")
    assert MAX_CHUNK < len(c.body) < 3 * MAX_CHUNK
    assert c.messages[-1] == END


async def test_sends_any_number_of_bytes_where_the_server_holds_it_back() -> None:
    log = Log("x", keeps="unstored")
    for _ in range(1_000):
        log.append(Flood.data)
    log.commit(1_000)
    response = EventSourceResponse(Cursor(log), max_backlog=1)

    async with Connection(response, **_http1()) as c:
        await c.until(b"id: x:1000\n")
        assert not c.ended


# Options


@pytest.mark.parametrize(
    "option", ["heartbeat_interval", "send_timeout", "max_duration"]
)
@pytest.mark.parametrize(
    ("value", "error"),
    [
        (0, ValueError),
        (-1.0, ValueError),
        (float("inf"), ValueError),
        (float("nan"), ValueError),
        ("15", TypeError),
        (True, TypeError),
    ],
)
def test_refuses_seconds_that_are_none(
    option: str, value: Any, error: type[Exception]
) -> None:
    options: dict[str, Any] = {option: value}

    with pytest.raises(error, match=f"{option} must be a number of seconds.*, got"):
        EventSourceResponse(Content(), **options)


@pytest.mark.parametrize("content", [None, "text", b"bytes", ["list"], object()])
def test_refuses_content_that_is_no_async_iterable(content: Any) -> None:
    with pytest.raises(
        TypeError,
        match=f"must be an async iterable of events, got {type(content).__name__}",
    ):
        EventSourceResponse(content)


@pytest.mark.parametrize(
    "name",
    ["Connection", "keep-alive", "Transfer-Encoding", "UPGRADE", "te"],
)
def test_refuses_headers_that_belong_to_the_connection(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name!r} belongs to the connection"):
        EventSourceResponse(Content(), headers={name: "x"})


BAD_VALUES = ["a\r", "a\n", "a\0", "a\x7f", "a\r\nset-cookie: a=b", "日本"]
BAD_NAMES = ["", "a b", "a:b", "x-té", "x\r\ny", "x\0", "Content-Length"]


@pytest.mark.parametrize("value", BAD_VALUES)
def test_refuses_values_that_no_header_can_have(value: str) -> None:
    with pytest.raises(ValueError, match="The header 'x-test'"):
        EventSourceResponse(Content(), headers={"x-test": value})


@pytest.mark.parametrize("name", BAD_NAMES)
def test_refuses_names_that_no_header_of_a_stream_can_have(name: str) -> None:
    with pytest.raises(ValueError, match="header's name|has no length"):
        EventSourceResponse(Content(), headers={name: "a"})


def test_refuses_headers_that_are_no_text() -> None:
    with pytest.raises(TypeError, match="a str and a str, got 'x-count': 1"):
        EventSourceResponse(Content(), headers={"x-count": 1})  # type: ignore[dict-item]


def test_is_an_asgi_application_to_those_who_inspect_it() -> None:
    assert inspect.iscoroutinefunction(EventSourceResponse.__call__)
    assert list(inspect.get_annotations(EventSourceResponse.__call__)) == [
        "scope",
        "receive",
        "send",
        "return",
    ]


# Many, at random


async def test_leaves_nothing_behind_however_its_clients_leave() -> None:
    contents: list[Content] = []
    for number in range(200):
        content = Content(*map(str, range(number % 7)))
        contents.append(content)
        async with Connection(EventSourceResponse(content)) as c:
            for _ in range(number % 11):
                await asyncio.sleep(0)
            if number % 3 == 0:
                c.stall()
            content.put("x")
            for _ in range(number % 5):
                await asyncio.sleep(0)
            c.disconnect()
            await c.end()

    await settle()
    lives = [content.life for content in contents]
    assert all(life in ([], CLEANED_UP) for life in lives)
    assert CLEANED_UP in lives


def test_is_told_apart_from_an_iterable_by_its_methods() -> None:
    source = Source(idle)

    assert isinstance(source, FrameSource)
    assert EventSourceResponse(source).source is source


async def test_is_sent_once() -> None:
    response = EventSourceResponse(Content("a", None))
    await call(response, "GET", "/")
    with pytest.raises(RuntimeError, match="has been sent.*make a new one for each"):
        await call(response, "GET", "/")


async def _items() -> AsyncIterator[str]:
    yield "a"


async def _answer() -> str:
    return "a"


@pytest.mark.parametrize(
    ("content", "cure"),
    [
        (lambda: _items, "got function: call it"),
        (lambda: _answer(), "got coroutine: await it"),
        (lambda: iter(["a"]), "got list_iterator: yield its items in an async gen"),
    ],
    ids=["function", "coroutine", "iterator"],
)
def test_says_what_to_do_with_content_that_is_nearly_right(
    content: Callable[[], Any], cure: str
) -> None:
    with pytest.raises(TypeError, match=cure):
        EventSourceResponse(content())


async def test_says_in_fastapi_what_to_return_instead() -> None:
    api = FastAPI()

    @api.get("/", response_model=None)
    async def stream() -> Any:
        return EventSourceResponse(Content("a"))

    with pytest.raises(ValueError, match=r"return ASGIResponse\(…\) from asgi_events"):
        await call(api, "GET", "/")
