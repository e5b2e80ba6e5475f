"""The cursor: pages from the store, and another end than was shown."""

import asyncio
import logging
import re

import pytest

from asgi_events.aio.waiter import Waiter
from asgi_events.exceptions import Unavailable
from asgi_events.log.cursor import Cursor
from asgi_events.log.log import Log
from asgi_events.log.source import BrokenOff
from asgi_events.log.stored import StoredLog
from asgi_events.stores import Page
from asgi_events.stores.memory import MemoryStore
from asgi_events.wire.formats import NativeFormat
from asgi_events.wire.frames import lost_frame
from asgi_events.wire.sse import MAX_CHUNK
from tests import TIMEOUT
from tests.log.recorded import (
    END,
    Recorded,
    data,
    drain,
    ended,
    filled,
    frame,
    frames,
    read,
    reset,
)


async def reaped(store: MemoryStore, last: int = 10) -> None:
    """Put frames up to ``last`` in the store, and the ``lost`` of a dead writer."""
    await store.delete("x")
    grant = await store.open("x", writer="w", lease=60, ttl=60, meta={})
    stored = [frame(number) for number in range(1, last + 1)]
    await store.append("x", grant, 0, [*stored, LOST_FRAME], end="lost")


LOST_END = b'event: end\ndata: {"status":"lost"}\n\n'

LOST_FRAME = lost_frame("x", 11)

LOST = LOST_FRAME + LOST_END


# Pages from the store


@pytest.mark.parametrize("position", [None, *range(21)])
async def test_goes_from_the_store_to_the_log_without_a_seam(
    position: int | None,
) -> None:
    recorded = Recorded(held=4)
    await recorded.write(20, end="completed")
    assert recorded.log.first > 10

    cursor = recorded.cursor(None if position is None else f"x:{position}")
    body = await read(cursor)

    assert body == frames((position or 0) + 1, 20) + END
    needed = (position or 0) < recorded.log.first - 1
    assert recorded.reads == ([position or 0] if needed else [])


async def test_reads_pages_that_are_no_larger_than_a_chunk() -> None:
    log = StoredLog("x", max_events=4)
    store = MemoryStore()
    grant = await store.open("x", writer="w", lease=60, ttl=60, meta={})
    for number in range(1, 31):
        log.append(data(number, size=10_000))
        await store.append("x", grant, number - 1, log.uncommitted())
        log.commit(number)

    async def read_page(after: int, limit: int) -> Page | None:
        return await store.read("x", after, limit)

    cursor = Cursor(log, read_page=read_page)
    sleeper = Waiter(cursor.on_ready)
    chunks: list[bytes] = []
    while cursor.position < 30:
        chunk = cursor.take()
        assert chunk is not None
        if chunk:
            chunks.append(chunk)
        else:
            await sleeper.sleep()

    assert b"".join(chunks) == frames(1, 30, size=10_000)
    assert max(map(len, chunks)) <= MAX_CHUNK
    assert len(chunks) >= 5


async def test_loses_nothing_that_is_appended_while_it_loads_a_page() -> None:
    recorded = Recorded(held=4)
    await recorded.write(10)
    loading, go_on = asyncio.Event(), asyncio.Event()

    async def read_page(after: int, limit: int) -> Page | None:
        page = await recorded.read_page(after, limit)
        loading.set()
        await go_on.wait()
        return page

    cursor = Cursor(recorded.log, read_page=read_page)
    reading = asyncio.create_task(read(cursor))
    await loading.wait()
    await recorded.write(10)  # the log has moved past the page's end meanwhile
    go_on.set()
    await recorded.write(10, end="completed")

    assert await reading == frames(1, 30) + END


async def test_gives_each_frame_once_however_far_it_falls_behind() -> None:
    recorded = Recorded(held=4)
    cursor = recorded.cursor()
    reading = asyncio.create_task(read(cursor))

    for burst in (1, 2, 3, 5, 8, 13, 21, 1, 1):
        await recorded.write(burst)
        await asyncio.sleep(0)
    await recorded.write(1, end="completed")

    assert await reading == frames(1, 56) + END


async def test_loads_one_page_at_a_time() -> None:
    recorded = Recorded(held=4)
    await recorded.write(10)
    cursor = recorded.cursor()
    woken: list[int] = []

    assert cursor.take() == b""
    for number in range(3):
        cursor.on_ready(lambda number=number: woken.append(number))  # type: ignore[misc]
    body = await read(cursor, until=frame(10))

    assert body == frames(1, 10)
    assert recorded.reads == [0]


async def test_tells_a_client_what_not_even_the_store_has() -> None:
    recorded = Recorded(held=4, store=MemoryStore(max_events=8))
    await recorded.write(29)
    await recorded.write(1, end="completed")
    page = await recorded.store.read("x", 0, 1)
    assert page is not None and 1 < page.first < recorded.log.first

    body = await read(recorded.cursor("x:1"))

    assert body == reset("trimmed", page.first) + frames(page.first, 30) + END


async def test_resets_before_the_pages_of_the_store() -> None:
    recorded = Recorded(held=4)
    await recorded.write(20, end="completed")

    assert await read(recorded.cursor("y:3")) == reset("foreign") + frames(1, 20) + END


def lost(message: str) -> bytes:
    when = '"address":"","timestamp":"…"'
    text = f'{{"event_type":"lost","message":"{message}",{when}}}'
    end = 'event: end\ndata: {"status":"lost"}\n\n'
    return f"data: {text}\n\n{end}".encode()


def untimed(body: bytes) -> bytes:
    return re.sub(rb'"timestamp":"[^"]*"', '"timestamp":"…"'.encode(), body)


NOT_KEPT = lost("The events of this execution are not kept any more")

NOT_READ = lost("The events of this execution cannot be read any more")


@pytest.mark.parametrize("end", [None, "completed"])
async def test_says_lost_when_the_store_has_no_log_any_more(end: str | None) -> None:
    recorded = Recorded(held=4)
    await recorded.write(20, end=end)
    await recorded.store.delete("x")

    assert untimed(await read(recorded.cursor(patience=0.1))) == NOT_KEPT


async def test_says_reset_and_lost_to_who_has_seen_what_is_gone() -> None:
    recorded = Recorded(held=4)
    await recorded.write(20)
    cursor = recorded.cursor("x:5", patience=0.1)
    await recorded.store.delete("x")

    assert untimed(await read(cursor)) == reset("future") + NOT_KEPT


async def test_waits_for_a_log_that_is_written_again() -> None:
    recorded = Recorded(held=4)
    await recorded.write(20)
    answers = iter([False, False, True])

    async def read_page(after: int, limit: int) -> Page | None:
        return await recorded.read_page(after, limit) if next(answers) else None

    cursor = Cursor(recorded.log, read_page=read_page)

    assert await read(cursor, until=frame(20)) == frames(1, 20)


async def test_asks_a_store_again_that_does_not_answer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    recorded = Recorded(held=4)
    await recorded.write(20, end="completed")
    failures = iter([True, False])

    async def read_page(after: int, limit: int) -> Page | None:
        if next(failures):
            raise Unavailable("The store is away.")
        return await recorded.read_page(after, limit)

    body = await read(Cursor(recorded.log, read_page=read_page))

    assert body == frames(1, 20) + END
    assert [record.getMessage() for record in caplog.records] == [
        "A viewer of x waits: The store is away."
    ]


async def test_says_lost_when_the_store_fails_for_good(
    caplog: pytest.LogCaptureFixture,
) -> None:
    recorded = Recorded(held=4)
    await recorded.write(20)

    async def read_page(after: int, limit: int) -> Page | None:
        raise RuntimeError("The disk is gone.")

    body = await read(Cursor(recorded.log, read_page=read_page, patience=0.1))

    assert untimed(body) == NOT_READ
    levels = [record.levelno for record in caplog.records]
    assert levels == [logging.WARNING] * (len(levels) - 1) + [logging.ERROR]


async def test_says_lost_when_its_pages_cannot_be_taken() -> None:
    class Broken(Cursor):
        def take_page(self, page: Page | None) -> bool:
            raise TypeError("int object expected; got decimal.Decimal")

    recorded = Recorded(held=4)
    await recorded.write(20)

    cursor = Broken(recorded.log, read_page=recorded.read_page, patience=0.1)

    assert untimed(await read(cursor)) == NOT_READ
    assert len(recorded.reads) < 10  # it waits between them


async def test_breaks_off_if_its_format_cannot_say_lost() -> None:
    class Broken(NativeFormat):
        def end(self, status: str) -> bytes:
            raise ValueError("It has no word for this.")

    recorded = Recorded(held=4)
    await recorded.write(20)
    await recorded.store.delete("x")
    cursor = recorded.cursor(patience=0.1)
    cursor.format = Broken()

    with pytest.raises(BrokenOff):
        await read(cursor)

    assert len(recorded.reads) < 10


async def test_waits_for_ever_for_a_store_that_is_away() -> None:
    recorded = Recorded(held=4)
    await recorded.write(20, end="completed")
    failures = iter([True] * 4 + [False])

    async def read_page(after: int, limit: int) -> Page | None:
        if next(failures):
            raise Unavailable("The store is away.")
        return await recorded.read_page(after, limit)

    body = await read(Cursor(recorded.log, read_page=read_page, patience=0.01))

    assert body == frames(1, 20) + END


# Another end than the one that was seen


async def test_begins_again_when_the_store_has_another_end() -> None:
    recorded = Recorded(held=4)
    await recorded.write(20, end="completed")
    cursor = recorded.cursor("x:12")
    await reaped(recorded.store, 10)

    body = await read(cursor)

    assert body == reset("future") + frames(1, 10) + LOST


async def test_goes_on_to_another_end_that_is_not_reached_yet() -> None:
    recorded = Recorded(held=4)
    await recorded.write(20, end="completed")
    cursor = recorded.cursor("x:10")
    await reaped(recorded.store, 10)

    assert await read(cursor) == LOST


@pytest.mark.parametrize(
    ("last_event_id", "given"),
    [
        pytest.param("x:11:lost", b"", id="who has seen it"),
        pytest.param("x:10", b"LOST", id="who has not"),
        pytest.param("x:11", b"ALL", id="who has seen another frame of its number"),
        pytest.param("x:12", b"ALL", id="who has seen more"),
        pytest.param("x:10:lost", b"ALL", id="who was told so in another place"),
    ],
)
async def test_resumes_a_log_that_was_lost(last_event_id: str, given: bytes) -> None:
    store = MemoryStore()
    await reaped(store, 10)
    log = StoredLog("x", start=11)
    log.extend([], end="lost")

    async def read_page(after: int, limit: int) -> Page | None:
        return await store.read("x", after, limit)

    body = await read(Cursor(log, last_event_id=last_event_id, read_page=read_page))

    expected = {
        b"": LOST_END,
        b"LOST": LOST,
        b"ALL": reset("future") + frames(1, 10) + LOST,
    }
    assert body == expected[given]


async def test_does_not_resume_after_a_lost_that_is_not_the_end() -> None:
    log = ended(filled(Log("x"), 11))

    cursor = Cursor(log, last_event_id="x:11:lost")

    assert drain(cursor)[: len(reset("future"))] == reset("future")


async def test_wakes_who_begins_to_load_when_the_end_becomes_another_one() -> None:
    store = MemoryStore()
    await reaped(store, 10)
    log = StoredLog("x", start=20)

    async def read_page(after: int, limit: int) -> Page | None:
        return await store.read("x", after, limit)

    cursor = Cursor(log, last_event_id="x:15", read_page=read_page)
    assert cursor.take() == b""
    woken = Waiter(cursor.on_ready).sleep()
    log.fork(11, end="lost")  # in the same turn: nothing has been read

    async with asyncio.timeout(TIMEOUT):
        await woken
    assert (await read(cursor)).endswith(LOST)


async def test_stops_loading_when_it_is_closed() -> None:
    recorded = Recorded(held=4)
    await recorded.write(20)
    loading = asyncio.Event()
    outcome: list[str] = []

    async def read_page(after: int, limit: int) -> Page | None:
        loading.set()
        try:
            await asyncio.Event().wait()
        finally:
            outcome.append("stopped")
        return None

    cursor = Cursor(recorded.log, read_page=read_page)
    cursor.on_ready(lambda: None)
    await loading.wait()

    cursor.close()
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert outcome == ["stopped"]
    assert cursor.take() is None
