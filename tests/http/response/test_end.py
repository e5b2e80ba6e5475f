"""``EventSourceResponse``: how a stream ends."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from asgi_events import EventSourceResponse
from asgi_events.aio import signals
from asgi_events.http import response as responses
from asgi_events.log.cursor import Cursor
from asgi_events.log.log import Log
from asgi_events.log.source import Last
from asgi_events.log.stored import StoredLog
from asgi_events.testing import Client, Connection
from asgi_events.testing.response import is_last
from asgi_events.wire.sse import MAX_CHUNK, STREAM_START
from tests import TIMEOUT
from tests.http.response.sources import (
    CLEANED_UP,
    END,
    START,
    Clock,
    Content,
    Flood,
    Source,
    Spy,
    chunk,
    idle,
    settle,
)
from tests.payloads import PLACE

pytestmark = pytest.mark.usefixtures("fixed_time")


# The last bytes and the end of the body are one message


def last(body: bytes) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": False}


async def test_sends_the_last_item_with_the_end_of_the_body() -> None:
    async def items() -> AsyncIterator[str]:
        yield "a"
        await settle()
        yield "b"

    c = await Client(EventSourceResponse(items())).get("/")

    assert c.messages[2:] == [chunk(b"data: a\n\n"), last(b"data: b\n\n")]


@pytest.mark.parametrize(
    ("name", "end"),
    [
        pytest.param(None, b"data: 2\n\n", id="bare"),
        pytest.param(
            "x",
            b'data: 2\nid: x:2\n\nevent: end\ndata: {"status":"completed"}\n\n',
            id="retained",
        ),
    ],
)
async def test_sends_the_terminal_frame_with_the_end_of_the_body(
    name: str | None, end: bytes
) -> None:
    log = Log(name)
    async with Connection(EventSourceResponse(Cursor(log))) as c:
        log.append(b"1")
        await c.until(b"data: 1\n")
        sent = len(c.messages)
        log.append(b"2", end="completed")
        await c.end()

    assert c.messages[sent:] == [last(end)]
    assert type(c.messages[-1]["body"]) is bytes  # some servers take nothing else


async def test_sends_a_goodbye_with_the_end_of_the_body() -> None:
    cursor = Cursor(Log("x"))
    async with Connection(EventSourceResponse(cursor)) as c:
        await c.until(STREAM_START)
        cursor.dismiss(b"data: goodbye\n\n")
        await c.end()

    assert c.messages == [START, chunk(STREAM_START), last(b"data: goodbye\n\n")]


async def test_looks_whether_its_client_has_gone_before_the_last_message() -> None:
    frames = [b"data: a\n\n", Last(b"data: b\n\n")]
    response = EventSourceResponse(Source(lambda: frames.pop(0)))
    async with Connection(response, disconnect_after=1) as c:
        await c.end()

    assert c.bodies == [STREAM_START, b"data: a\n\n"]
    assert not c.ended


async def test_says_no_goodbye_for_a_backlog_after_the_last_frame() -> None:
    log = Log("x")
    log.append(b"1", end="completed")
    response = EventSourceResponse(Cursor(log), max_backlog=1)

    async with Connection(response, **_http2()) as c:
        await c.end()

    assert c.messages[2:] == [
        last(b'data: 1\nid: x:1\n\nevent: end\ndata: {"status":"completed"}\n\n')
    ]


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


@pytest.mark.parametrize("is_last", [False, True], ids=["a frame", "the last one"])
async def test_loses_nothing_if_the_server_cancels_between_two_messages(
    is_last: bool,
) -> None:
    log = Log("x", keeps="newest")
    log.append(b"1")
    response = EventSourceResponse(Cursor(log))
    response.source_hears = True

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def cut(message: Any) -> None:
            """As daphne's send, which never suspends."""
            if b"id: x:1\n" in message.get("body", b""):
                log.append(b"2", end="completed" if is_last else None)
                signals.tell()
                asyncio.get_running_loop().call_soon(c.task.cancel)
            await send(message)

        await response(scope, receive, cut)

    with pytest.raises(asyncio.CancelledError):
        async with Connection(app, asgi={"version": "3.0"}) as c:
            await c.until(b"id: x:2\n")
            log.append(b"3", end="completed")
            await c.end()

    ids = re.findall(rb"id: x:(\d)", c.body)
    assert ids == ([b"1", b"2"] if is_last else [b"1", b"2", b"3"])
    assert b"event: end" in c.body
    assert c.ended


async def test_listens_no_longer_once_its_stream_is_over() -> None:
    spy = Spy(EventSourceResponse(Content("a", None)))
    async with Connection(spy) as c:
        await c.end()
        await settle()

        assert c.ended
        assert asyncio.all_tasks() == {asyncio.current_task()}
    assert spy.received == ["http.request"]


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
        "A cancelled stream could not be ended: its client is stuck."
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

    c = await Client(EventSourceResponse(content, error_message=error_message)).get("/")

    assert c.messages[0] == START
    assert is_last(c.messages[-1])
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
    c = await Client(EventSourceResponse(Content("a", 5, "b"))).get("/")

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
    assert is_last(c.messages[3])
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

    c = await Client(response).get("/")

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
    log = StoredLog("x")
    for _ in range(1_000):
        log.append(Flood.data)
    log.commit(1_000)
    response = EventSourceResponse(Cursor(log), max_backlog=MAX_CHUNK)

    async with Connection(response, **scope()) as c:
        await c.end()

    assert _is_goodbye(c.bodies[-1], "backlog")
    assert MAX_CHUNK < len(c.body) < 3 * MAX_CHUNK
    assert is_last(c.messages[-1])


async def test_sends_any_number_of_bytes_where_the_server_holds_it_back() -> None:
    log = StoredLog("x")
    for _ in range(1_000):
        log.append(Flood.data)
    log.commit(1_000)
    response = EventSourceResponse(Cursor(log), max_backlog=1)

    async with Connection(response, **_http1()) as c:
        await c.until(b"id: x:1000\n")
        assert not c.ended
