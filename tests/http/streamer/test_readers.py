"""``EventStreamer``: readers come and leave."""

import asyncio
import gc
import random
import weakref
from typing import Any

import pytest
from starlette.responses import StreamingResponse

from asgi_events import (
    EventStreamer,
)
from asgi_events.aio.timers import Tick, Timer, TimerWheel
from asgi_events.events import CompleteEvent
from asgi_events.http import streamer as streamer_module
from asgi_events.http.streamer import EventStream
from asgi_events.log.cursor import Cursor
from asgi_events.log.log import Log
from asgi_events.testing import Connection
from asgi_events.types import ASGIApp, Receive, Scope, Send
from asgi_events.wire.sse import STREAM_START
from tests import TIMEOUT
from tests.http.streamer.jobs import (
    COMPLETE,
    CUT_SHORT,
    IN_FULL,
    Job,
    Leaves,
    _by_aclose,
    _by_its_response,
    finish,
    numbers,
    read,
    settle,
)

pytestmark = pytest.mark.usefixtures("fixed_time")


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
            timer = Watched()
            running.add(timer)
            return timer

    monkeypatch.setattr(streamer_module, "timers", Watch)
    streamer = EventStreamer(on_disconnect="continue", heartbeat_interval=60.0)
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
        things.append(weakref.ref(streamer))  # alive() counts its log
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
