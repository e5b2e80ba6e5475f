"""``EventSourceResponse``: clients that leave and clients that do not read."""

import asyncio
import logging
from typing import Any

import pytest

from asgi_events import EventSourceResponse
from asgi_events.http import response as responses
from asgi_events.testing import Connection
from asgi_events.wire.sse import STREAM_START
from tests import TIMEOUT
from tests.http.response.sources import (
    CLEANED_UP,
    START,
    Clock,
    Content,
    Source,
    Spy,
    chunk,
    settle,
)

pytestmark = pytest.mark.usefixtures("fixed_time")


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
    assert caplog.messages == [
        "receive() failed; the stream ends as if its client left."
    ]


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
