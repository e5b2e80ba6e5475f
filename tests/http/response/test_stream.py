"""``EventSourceResponse``: what is sent, and when."""

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel

from asgi_events import EventSourceResponse, ServerSentEvent
from asgi_events.log.cursor import Cursor
from asgi_events.log.log import Log
from asgi_events.testing import Client, Connection
from asgi_events.wire.sse import KEEP_ALIVE, MAX_CHUNK, STREAM_START
from tests.http.response.sources import (
    CLEANED_UP,
    END,
    START,
    Clock,
    Content,
    Flood,
    Source,
    Spy,
    Turns,
    chunk,
    idle,
    settle,
)

pytestmark = pytest.mark.usefixtures("fixed_time")


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
    c = await Client(EventSourceResponse(Content(None))).get("/")

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

    c = await Client(EventSourceResponse(content)).get("/")

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

    c = await Client(response).get("/")

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

    c = await Client(spy).head("/")

    assert c.messages == [START, END]
    assert content.life == []
    assert spy.receiving == 0


@pytest.mark.parametrize("method", ["HEAD", "GET"])
async def test_closes_its_source(method: str) -> None:
    source = Source(lambda: None)

    await Client(EventSourceResponse(source)).request(method, "/")

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

    await Client(EventSourceResponse(content)).head("/")

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


# Fairness


async def test_leaves_others_their_turns_while_a_producer_never_awaits() -> None:
    async with Turns() as turns:
        content = Flood(turns)
        c = await Client(EventSourceResponse(content)).get("/")

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
    log = Log("x", max_events=20_000, max_bytes=1 << 30)
    for _ in range(10_000):
        log.append(b"." * 1_000)
    log.append(b"end", end="completed")
    turns_at: list[int] = []
    gone = asyncio.Event()

    async def receive() -> dict[str, str]:
        await gone.wait()
        return {"type": "http.disconnect"}

    async with Turns() as turns:

        async def send(message: Any) -> None:
            turns_at.append(turns.count)
            if leaves and len(turns_at) == 3:  # the first frames have come
                gone.set()

        response = EventSourceResponse(Cursor(log))
        await response(Connection(response).scope, receive, send)

    chunks = turns_at[2:-1]  # after the start and its comment, before the end
    assert len(set(chunks)) == len(chunks)
    assert (len(chunks) > 100) is not leaves
