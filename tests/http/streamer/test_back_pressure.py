"""``EventStreamer``: back-pressure, fairness, wrong arguments."""

import asyncio
from typing import Any

import pytest

from asgi_events import (
    EventBus,
    EventStreamer,
)
from asgi_events.http import streamer as streamer_module
from asgi_events.testing import Connection
from asgi_events.wire.sse import STREAM_START
from tests import TIMEOUT
from tests.http.streamer.jobs import (
    COMPLETE,
    Job,
    Leaves,
    Number,
    _by_aclose,
    _by_its_response,
    _returns,
    finish,
    numbers,
    read,
    settle,
)

pytestmark = pytest.mark.usefixtures("fixed_time")


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
        ({"include_cache_stats": 1}, TypeError, "include_cache_stats must be True or"),
        ({"include_result": "x"}, TypeError, "include_result must be True or False"),
        ({"handle_signals": None}, TypeError, "handle_signals must be True or False"),
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
