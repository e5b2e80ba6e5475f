"""``EventStreamer``: the terminal event."""

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest

from asgi_events import (
    EventBus,
    EventStreamer,
    ExecutionEvent,
    ExecutionResult,
    ExecutionState,
    Message,
)
from asgi_events.aio import signals
from asgi_events.bus import NOTHING
from asgi_events.events import TextDelta
from asgi_events.http import streamer as streamer_module
from asgi_events.testing import Connection
from asgi_events.wire.sse import STREAM_START, Decoder
from tests import TIMEOUT
from tests.http.streamer.jobs import (
    COMPLETE,
    CUT_SHORT,
    IN_FULL,
    Cache,
    Job,
    Number,
    _returns,
    finish,
    numbers,
    omni_agent,
    read,
    settle,
    terminal,
)
from tests.payloads import data, without_place

pytestmark = pytest.mark.usefixtures("fixed_time")


CANCELLED = terminal(b"cancelled", b"Execution cancelled")


class AsyncCache(Cache):
    async def get_stats(self) -> Any:
        await asyncio.sleep(0)
        return super().get_stats()


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
    monkeypatch.setattr("asgi_events.log.stats._TIMEOUT", 0.01)

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
