"""Sources of frames: the sleeper, the goodbye, and any iterable as a stream."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from asgi_events.aio.waiter import Waiter
from asgi_events.http import iterator as frames
from asgi_events.http.iterator import IteratorSource, encode_item
from asgi_events.log.source import FrameSource
from asgi_events.wire.frames import goodbye
from asgi_events.wire.sse import MAX_CHUNK, Decoder, ServerSentEvent
from tests import TIMEOUT
from tests.payloads import PLACE, without_place

pytestmark = pytest.mark.usefixtures("fixed_time")


class Point(BaseModel):
    x: int
    y: int | None = None


async def read(source: FrameSource) -> list[bytes]:
    """All chunks, as a response would send them."""
    sleeper = Waiter(source.on_ready)
    chunks = []
    async with asyncio.timeout(TIMEOUT):
        while (chunk := source.take()) is not None:
            if chunk:
                chunks.append(chunk)
            else:
                await sleeper.sleep()
    return chunks


async def settle() -> None:
    """Some turns of the loop, in which everything that can go on has gone on."""
    for _ in range(10):
        await asyncio.sleep(0)


async def items(*values: Any) -> AsyncIterator[Any]:
    for value in values:
        yield value


class Producer:
    """An async generator's life, told."""

    def __init__(self, *values: Any, then: BaseException | None = None) -> None:
        self.produced = 0
        self.life: list[str] = []
        self._values = values
        self._then = then

    async def __call__(self) -> AsyncIterator[Any]:
        self.life.append("started")
        try:
            for value in self._values:
                yield value
                self.produced += 1
            if self._then is not None:
                raise self._then
            await asyncio.Event().wait()
        finally:
            self.life.append("finally")
            await asyncio.sleep(0)
            self.life.append("cleaned up")


# Waiter


class Silent:
    """A source that never has anything and keeps what it is to call."""

    def __init__(self) -> None:
        self.wake: Callable[[], None] = lambda: None

    def take(self, limit: int = MAX_CHUNK) -> bytes | None:
        return b""

    def on_ready(self, wake: Callable[[], None]) -> None:
        self.wake = wake

    def dismiss(self, farewell: bytes) -> None:
        pass

    async def aclose(self) -> None:
        pass


@pytest.mark.parametrize(
    "wakes",
    [lambda source, sleeper: source.wake(), lambda source, sleeper: sleeper.wake()],
    ids=["by its source", "by anybody"],
)
async def test_sleeps_until_it_is_woken(
    wakes: Callable[[Silent, Waiter], None],
) -> None:
    source = Silent()
    sleeper = Waiter(source.on_ready)
    sleeping = sleeper.sleep()
    await settle()
    assert not sleeping.done()

    wakes(source, sleeper)
    wakes(source, sleeper)

    await asyncio.wait_for(sleeping, TIMEOUT)


async def test_keeps_no_wake_up_for_the_next_sleep() -> None:
    sleeper = Waiter(Silent().on_ready)
    sleeper.wake()

    sleeping = sleeper.sleep()
    await settle()

    assert not sleeping.done()
    sleeper.wake()
    await asyncio.wait_for(sleeping, TIMEOUT)


async def test_may_be_woken_after_its_sleep_was_cancelled() -> None:
    source = Silent()
    sleeper = Waiter(source.on_ready)
    sleeping = sleeper.sleep()
    await settle()
    sleeping.cancel()
    await asyncio.wait({sleeping})

    source.wake()

    assert sleeping.cancelled()


# goodbye


def test_says_goodbye_with_a_delay_and_without_an_id() -> None:
    said = goodbye("max_duration")

    assert re.fullmatch(
        rb'event: goodbye\nretry: \d{4}\ndata: {"reason":"max_duration"}\n\n', said
    )


@pytest.mark.parametrize(
    ("reason", "shortest", "longest"),
    [("draining", 1000, 4000), ("max_duration", 1000, 4000), ("backlog", 50, 250)],
)
def test_spreads_those_who_are_sent_away_together(
    reason: Literal["backlog", "draining", "max_duration"], shortest: int, longest: int
) -> None:
    delays = set()
    for _ in range(200):
        (event,) = Decoder().feed(goodbye(reason))
        delays.add(event.retry or 0)

    middle = (shortest + longest) // 2
    assert len(delays) > 50
    assert shortest <= min(delays) < middle < max(delays) <= longest


# Items


@pytest.mark.parametrize(
    ("item", "block"),
    [
        pytest.param(b"data: raw\n\n", b"data: raw\n\n", id="bytes"),
        pytest.param("two\nlines", b"data: two\ndata: lines\n\n", id="str"),
        pytest.param("", b"data: \n\n", id="empty str"),
        pytest.param("\ud800", b"data: \xef\xbf\xbd\n\n", id="lone surrogate"),
        pytest.param({"a": [1, None]}, b'data: {"a":[1,null]}\n\n', id="dict"),
        pytest.param({}, b"data: {}\n\n", id="empty dict"),
        pytest.param(
            {"a": "\u2028\x85"}, b'data: {"a":"\\u2028\\u0085"}\n\n', id="separators"
        ),
        pytest.param(Point(x=1), b'data: {"x":1,"y":null}\n\n', id="model"),
        pytest.param(
            ServerSentEvent(data="1", event="tick", id="7", retry=5),
            b"event: tick\nretry: 5\ndata: 1\nid: 7\n\n",
            id="ServerSentEvent",
        ),
        pytest.param(ServerSentEvent(comment="hi"), b": hi\n", id="comment"),
    ],
)
def test_encodes_an_item(item: Any, block: bytes) -> None:
    assert encode_item(item) == block


@pytest.mark.parametrize("item", [1, 1.5, None, ["a"], bytearray(b"a"), object])
def test_takes_no_other_item(item: Any) -> None:
    with pytest.raises(
        TypeError,
        match="An event stream takes ServerSentEvent, pydantic models, dict, str or "
        f"bytes, got {type(item).__name__}",
    ):
        encode_item(item)


# IteratorSource


def test_is_a_source_of_frames() -> None:
    assert isinstance(IteratorSource(items()), FrameSource)


async def test_gives_all_items_in_order_and_is_over() -> None:
    source = IteratorSource(items("a", b"data: b\n\n", {"c": 1}))

    assert b"".join(await read(source)) == (b'data: a\n\ndata: b\n\ndata: {"c":1}\n\n')
    assert source.take() is None


async def test_iterates_nothing_before_somebody_waits() -> None:
    producer = Producer("a")
    source = IteratorSource(producer())

    assert source.take() == b""
    await settle()
    assert producer.life == []

    source.on_ready(lambda: None)
    await settle()
    assert source.take() == b"data: a\n\n"
    await source.aclose()


class Rows:
    """An iterator with something to close, which is no generator."""

    def __init__(self) -> None:
        self.is_closed = False

    def __aiter__(self) -> "Rows":
        return self

    async def __anext__(self) -> str:
        await asyncio.Event().wait()
        return ""

    async def aclose(self) -> None:
        self.is_closed = True


@pytest.mark.parametrize("turns", range(3))
async def test_closes_the_iterator_though_the_end_comes_at_once(turns: int) -> None:
    rows = Rows()
    source = IteratorSource(rows)
    source.on_ready(lambda: None)
    for _ in range(turns):
        await asyncio.sleep(0)
    source.dismiss(None)
    await source.aclose()
    assert rows.is_closed


async def test_joins_what_is_ready_up_to_the_limit() -> None:
    source = IteratorSource(items("a", "b", "c"))
    source.on_ready(lambda: None)
    await settle()

    two = len(b"data: a\n\n") * 2
    assert source.take(limit=two) == b"data: a\n\ndata: b\n\n"
    assert source.take(limit=1) == b"data: c\n\n"
    assert source.take() is None


async def test_joins_no_more_than_a_chunk() -> None:
    blocks = [b"data: %d%b\n\n" % (n, b"." * 1_000) for n in range(500)]

    chunks = await read(IteratorSource(items(*blocks)))

    assert b"".join(chunks) == b"".join(blocks)
    assert max(map(len, chunks)) <= MAX_CHUNK


async def test_gives_an_item_larger_than_a_chunk_whole() -> None:
    blocks = [
        b"data: a\n\n",
        b"data: " + b"b" * MAX_CHUNK * 2 + b"\n\n",
        b"data: c\n\n",
    ]

    assert await read(IteratorSource(items(*blocks))) == blocks


async def test_is_at_most_a_chunk_ahead_of_its_client() -> None:
    block = b"data: " + b"." * 1_000 + b"\n\n"
    producer = Producer(*[block] * 1_000)
    source = IteratorSource(producer())
    source.on_ready(lambda: None)

    await settle()
    ahead = producer.produced
    source.take()
    await settle()

    assert ahead == MAX_CHUNK // len(block)
    assert ahead < producer.produced <= 2 * ahead + 1
    await source.aclose()


async def test_gives_items_as_they_come() -> None:
    queue: asyncio.Queue[str] = asyncio.Queue()

    async def produce() -> AsyncIterator[str]:
        while True:
            yield await queue.get()

    source = IteratorSource(produce())
    sleeper = Waiter(source.on_ready)
    for number in range(3):
        assert source.take() == b""
        queue.put_nowait(str(number))
        async with asyncio.timeout(TIMEOUT):
            await sleeper.sleep()
        assert source.take() == b"data: %d\n\n" % number

    await source.aclose()


@pytest.mark.parametrize("empty", [b"", ServerSentEvent()], ids=["bytes", "event"])
async def test_is_over_although_its_last_item_is_empty(empty: Any) -> None:
    async def produce() -> AsyncIterator[Any]:
        yield "a"
        await settle()
        yield empty

    assert await read(IteratorSource(produce())) == [b"data: a\n\n"]


@pytest.mark.parametrize("empty", [b"", ServerSentEvent()], ids=["bytes", "event"])
async def test_goes_on_after_an_empty_item(empty: Any) -> None:
    block = b"data: " + b"." * MAX_CHUNK + b"\n\n"

    assert await read(IteratorSource(items(empty, block, empty))) == [block]


@pytest.mark.parametrize(
    "error_message", [None, lambda error: f"Sorry: {error}"], ids=["neutral", "hook"]
)
async def test_gives_what_came_before_an_error_then_the_error(
    error_message: Callable[[BaseException], str] | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    error = RuntimeError("secret")
    producer = Producer("a", then=error)
    source = IteratorSource(producer(), error_message=error_message)

    body = b"".join(await read(source))

    said = "The stream failed." if error_message is None else "Sorry: secret"
    assert body == b'data: a\n\ndata: {"event_type":"error","message":"%b",%b}\n\n' % (
        said.encode(),
        PLACE,
    )
    (record,) = caplog.records
    assert record.getMessage() == "The iterable of an event stream failed."
    assert record.exc_info is not None and record.exc_info[1] is error
    assert producer.life == ["started", "finally", "cleaned up"]


def _raises(error: BaseException) -> str:
    raise ValueError("the hook is broken")


def _no_text(error: BaseException) -> Any:
    return error


@pytest.mark.parametrize("hook", [_raises, _no_text])
async def test_ends_in_a_neutral_error_when_the_hook_fails(
    hook: Callable[[BaseException], str], caplog: pytest.LogCaptureFixture
) -> None:
    source = IteratorSource(Producer(then=RuntimeError("x"))(), error_message=hook)

    (block,) = await read(source)

    assert without_place(json.loads(block.removeprefix(b"data: "))) == {
        "event_type": "error",
        "message": "The stream failed.",
    }
    assert "The iterable of an event stream failed." in caplog.messages


async def test_ends_in_an_error_at_an_item_of_the_wrong_type(
    caplog: pytest.LogCaptureFixture,
) -> None:
    producer = Producer("a", 5, "b")
    source = IteratorSource(producer(), error_message=str)

    body = b"".join(await read(source))

    assert body == (
        b'data: a\n\ndata: {"event_type":"error","message":"An event stream takes '
        b'ServerSentEvent, pydantic models, dict, str or bytes, got int.",%b}\n\n'
        % PLACE
    )
    await settle()
    assert producer.life == ["started", "finally", "cleaned up"]


# Farewell


async def test_gives_what_is_ready_then_the_farewell() -> None:
    producer = Producer("a", "b")
    source = IteratorSource(producer())
    source.on_ready(lambda: None)
    await settle()

    source.dismiss(b"data: bye\n\n")
    source.dismiss(b"data: again\n\n")

    assert await read(source) == [b"data: a\n\ndata: b\n\ndata: bye\n\n"]
    await settle()
    assert producer.life == ["started", "finally", "cleaned up"]


async def test_gives_the_farewell_when_nobody_has_waited_yet() -> None:
    producer = Producer("a")
    source = IteratorSource(producer())

    source.dismiss(b"data: bye\n\n")

    assert source.take() == b"data: bye\n\n"
    assert source.take() is None
    await source.aclose()
    assert producer.life == []


async def test_gives_no_farewell_after_its_end() -> None:
    source = IteratorSource(items("a"))
    await read(source)

    source.dismiss(b"data: bye\n\n")

    assert source.take() is None


# Leaving


async def test_has_stopped_its_iterable_when_it_is_closed() -> None:
    producer = Producer("a")
    source = IteratorSource(producer())
    source.on_ready(lambda: None)
    await settle()

    await source.aclose()

    assert producer.life == ["started", "finally", "cleaned up"]


async def test_has_stopped_an_iterable_that_waits_for_its_client() -> None:
    producer = Producer(*[b"." * 1_000] * 1_000)
    source = IteratorSource(producer())
    source.on_ready(lambda: None)
    await settle()
    assert 0 < producer.produced < 1_000

    await source.aclose()

    assert producer.life == ["started", "finally", "cleaned up"]


class Closable:
    """An async iterator that is no generator."""

    def __init__(self) -> None:
        self.closed = 0

    def __aiter__(self) -> "Closable":
        return self

    async def __anext__(self) -> str:
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self.closed += 1


async def test_closes_an_iterable_that_was_never_started() -> None:
    content = Closable()

    await IteratorSource(content).aclose()

    assert content.closed == 1


async def test_closes_an_iterable_at_its_end() -> None:
    content = Closable()

    assert await read(IteratorSource(content)) == []
    await settle()

    assert content.closed == 1


async def test_needs_nothing_to_close() -> None:
    class Plain:
        def __aiter__(self) -> "Plain":
            return self

        async def __anext__(self) -> str:
            raise StopAsyncIteration

    source = IteratorSource(Plain())

    assert await read(source) == []
    await source.aclose()


async def test_waits_a_while_for_the_cleanup_and_then_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(frames, "_CLOSE_TIMEOUT", 0.01)
    go_on = asyncio.Event()
    life: list[str] = []

    async def produce() -> AsyncIterator[str]:
        try:
            yield "a"
            await asyncio.Event().wait()
        finally:
            await go_on.wait()
            life.append("cleaned up")

    source = IteratorSource(produce())
    source.on_ready(lambda: None)
    await settle()

    await source.aclose()

    assert life == []
    assert caplog.messages == [
        "The iterable of an event stream is still cleaning up 0.01 s after its client "
        "has gone."
    ]
    go_on.set()
    await settle()
    assert life == ["cleaned up"]


@pytest.mark.parametrize("given", ["farewell", "wrong type"])
async def test_lets_an_iterable_clean_up_that_has_been_stopped(given: str) -> None:
    """No second cancellation comes into its cleanup."""
    go_on = asyncio.Event()
    life: list[str] = []

    async def produce() -> AsyncIterator[Any]:
        try:
            yield "a" if given == "farewell" else object()
            await asyncio.Event().wait()
        finally:
            life.append("finally")
            await go_on.wait()
            life.append("cleaned up")

    source = IteratorSource(produce())
    source.on_ready(lambda: None)
    await settle()
    source.dismiss(b"data: bye\n\n")
    await settle()
    assert life == ["finally"]

    closing = asyncio.ensure_future(source.aclose())
    await settle()
    go_on.set()
    await closing

    assert life == ["finally", "cleaned up"]


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """What is logged once is logged anew."""
    frames._warn_of.cache_clear()
    yield caplog
    frames._warn_of.cache_clear()


@pytest.mark.parametrize(
    ("item", "warns"),
    [
        ({"event": "tick", "data": 1}, True),
        ({"data": "x", "id": "1", "retry": 5, "comment": "c"}, True),
        ({"data": 1}, False),
        ({"event": "tick"}, False),
        ({"event": "tick", "data": 1, "more": 2}, False),
        ({1: 2, "data": 1}, False),
    ],
)
def test_warns_once_of_a_dict_that_looks_like_an_event_and_sends_it_as_json(
    item: dict[Any, Any], warns: bool, said: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        block = encode_item(item)
    sent = json.loads(block.removeprefix(b"data: "))
    assert sent == {str(key): value for key, value in item.items()}
    assert len(said.messages) == (1 if warns else 0)
    assert all("ServerSentEvent" in message for message in said.messages)
