"""The cursor: where a viewer stands, and what it is told if it can not go on."""

import asyncio
import logging
import re
from collections.abc import Callable

import pytest

from asgi_events.aio.waiter import Waiter
from asgi_events.exceptions import Unavailable
from asgi_events.log.cursor import Cursor
from asgi_events.log.log import Log
from asgi_events.log.source import FrameSource
from asgi_events.stores import Grant, Page
from asgi_events.stores.memory import MemoryStore
from asgi_events.wire.frames import EventId, goodbye, lost_frame, parse_event_id
from asgi_events.wire.sse import MAX_CHUNK, Decoder, ServerSentEvent
from tests.asgi import TIMEOUT

END = b'event: end\ndata: {"status":"completed"}\n\n'


def frame(number: int, size: int = 0) -> bytes:
    return b"data: %d%b\nid: x:%d\n\n" % (number, b"." * size, number)


def frames(first: int, last: int, size: int = 0) -> bytes:
    return b"".join(frame(number, size) for number in range(first, last + 1))


def data(number: int, size: int = 0) -> bytes:
    return b"%d%b" % (number, b"." * size)


def block(number: int, size: int = 0) -> bytes:
    return b"data: %b\n\n" % data(number, size)


def filled(log: Log, count: int) -> Log:
    for number in range(log.last + 1, log.last + count + 1):
        log.append(data(number))
    return log


def ended(log: Log, status: str = "completed") -> Log:
    log.append(data(log.last + 1), end=status)
    return log


def reset(reason: str, first: int = 1) -> bytes:
    return b'event: reset\ndata: {"reason":"%b","first":%d}\n\n' % (
        reason.encode(),
        first,
    )


def drain(cursor: Cursor) -> bytes:
    """All that can be taken without waiting."""
    chunks = []
    while chunk := cursor.take():
        chunks.append(chunk)
    return b"".join(chunks)


async def read(cursor: Cursor, *, until: bytes | None = None) -> bytes:
    """What a response would send, to the end or to ``until``."""
    sleeper = Waiter(cursor.on_ready)
    body = b""
    async with asyncio.timeout(TIMEOUT):
        while until is None or until not in body:
            chunk = cursor.take()
            if chunk is None:
                break
            body += chunk
            if not chunk:
                await sleeper.sleep()
    return body


class Recorded:
    """A log with a store behind it."""

    def __init__(self, *, held: int = 4, store: MemoryStore | None = None) -> None:
        self.log = Log("x", keeps="unstored", max_events=held)
        self.store = store or MemoryStore()
        self.grant: Grant | None = None
        self.reads: list[int] = []

    async def write(self, count: int = 1, *, end: str | None = None) -> None:
        if self.grant is None:
            self.grant = await self.store.open(
                "x", writer="w", lease=60, ttl=60, meta={}
            )
        for left in range(count, 0, -1):
            last = end if left == 1 else None
            self.log.append(data(self.log.last + 1), end=last)
            after, new = self.log.committed, self.log.uncommitted()
            await self.store.append("x", self.grant, after, new, end=last)
            self.log.commit(after + len(new))

    async def read_page(self, after: int, limit: int) -> Page | None:
        self.reads.append(after)
        return await self.store.read("x", after, limit)

    def cursor(
        self, last_event_id: str | None = None, *, patience: float = 15.0
    ) -> Cursor:
        return Cursor(
            self.log,
            last_event_id=last_event_id,
            read_page=self.read_page,
            patience=patience,
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


def test_is_a_source_of_frames() -> None:
    assert isinstance(Cursor(Log()), FrameSource)


# Where it stands


@pytest.mark.parametrize(
    ("event_id", "parsed"),
    [
        ("x:1", EventId("x", 1)),
        ("x:1:lost", EventId("x", 1, lost=True)),
        ("x:1:lost:lost", None),
        ("x:1:LOST", None),
        ("x:1:", None),
        ("0af3:12", EventId("0af3", 12)),
        ("x:0", EventId("x", 0)),
        ("x:007", EventId("x", 7)),
        ("x:" + "9" * 20, EventId("x", 10**20 - 1)),
        ("x:" + "9" * 21, None),
        ("x", None),
        (":1", None),
        ("x:", None),
        ("x:y", None),
        ("x:-1", None),
        ("x:+1", None),
        ("x:1.0", None),
        ("x:1:2", None),
        ("x:1\n", None),
        ("x: 1", None),
        ("x:\u0661", None),
        ("x:\u00b2", None),
        ("", None),
    ],
)
def test_parses_only_the_ids_that_were_sent(
    event_id: str, parsed: EventId | None
) -> None:
    assert parse_event_id(event_id) == parsed


@pytest.mark.parametrize("last_event_id", [None, ""], ids=["no id", "empty id"])
def test_begins_at_the_beginning(last_event_id: str | None) -> None:
    log = ended(filled(Log("x"), 3))

    cursor = Cursor(log, last_event_id=last_event_id)

    assert drain(cursor) == frames(1, 4) + END
    assert cursor.take() is None


@pytest.mark.parametrize("position", range(11))
def test_continues_after_the_id_it_is_given(position: int) -> None:
    log = ended(filled(Log("x"), 9))

    cursor = Cursor(log, last_event_id=f"x:{position}")

    assert drain(cursor) == frames(position + 1, 10) + END
    assert cursor.take() is None


def test_takes_leading_zeros_for_the_same_number() -> None:
    log = filled(Log("x"), 9)

    assert drain(Cursor(log, last_event_id="x:007")) == frames(8, 9)


@pytest.mark.parametrize(
    ("last_event_id", "reason"),
    [
        pytest.param("x" * 10_000, "malformed", id="10 kB of letters"),
        pytest.param("x:" + "1" * 10_000, "malformed", id="10 kB of digits"),
        pytest.param("\0", "malformed", id="NUL"),
        pytest.param("x:\0", "malformed", id="NUL for a number"),
        pytest.param("x", "malformed", id="letters"),
        pytest.param("x:y", "malformed", id="letters for a number"),
        pytest.param("3", "malformed", id="a number alone"),
        pytest.param("x:-1", "malformed", id="negative"),
        pytest.param("x:1.5", "malformed", id="fraction"),
        pytest.param("x:", "malformed", id="no number"),
        pytest.param(":3", "malformed", id="no name"),
        pytest.param("x:1:2", "malformed", id="two numbers"),
        pytest.param(" ", "malformed", id="blank"),
        pytest.param("x:1 ", "malformed", id="trailing blank"),
        pytest.param("x:1\n", "malformed", id="trailing LF"),
        pytest.param("x:\u0663", "malformed", id="Arabic digit"),
        pytest.param("x:\udcff", "malformed", id="lone surrogate"),
        pytest.param("y:3", "foreign", id="another execution"),
        pytest.param("X:3", "foreign", id="other case"),
        pytest.param("\0:3", "foreign", id="NUL for a name"),
        pytest.param("x:6", "future", id="next number"),
        pytest.param("x:" + "9" * 20, "future", id="20 digits"),
    ],
)
def test_resets_a_client_with_an_absurd_id_and_gives_it_everything(
    last_event_id: str, reason: str
) -> None:
    log = filled(Log("x"), 5)

    cursor = Cursor(log, last_event_id=last_event_id)

    assert drain(cursor) == reset(reason) + frames(1, 5)
    filled(log, 1)
    assert drain(cursor) == frame(6)


def test_goes_on_after_a_frame_that_was_shown_elsewhere_first() -> None:
    log = filled(Log("x", keeps="unstored"), 4)
    log.commit(2)  # the store has more: its answer is on its way, or was lost

    cursor = Cursor(log, last_event_id="x:3")
    assert drain(cursor) == b""
    log.commit(4)

    assert drain(cursor) == frame(4)


def test_resets_when_the_first_frame_comes_and_not_before() -> None:
    log = Log("x")
    cursor = Cursor(log, last_event_id="nonsense")
    assert cursor.take() == b""

    filled(log, 1)

    assert drain(cursor) == reset("malformed") + frame(1)


def test_knows_no_ids_of_a_log_without_a_name() -> None:
    log = filled(Log(), 2)

    cursor = Cursor(log, last_event_id="None:1")

    assert drain(cursor) == reset("foreign") + block(1) + block(2)


def trimmed_log() -> Log:
    log = Log("x", keeps="unstored", max_events=4)
    for _ in range(10):
        filled(log, 1)
        log.commit(log.last)
    assert log.first > 1
    return log


@pytest.mark.parametrize("last_event_id", [None, "x:0", "x:2"])
def test_says_from_where_it_goes_on_when_frames_are_gone(
    last_event_id: str | None,
) -> None:
    log = trimmed_log()

    cursor = Cursor(log, last_event_id=last_event_id)

    assert drain(cursor) == reset("trimmed", log.first) + frames(log.first, 10)


def test_does_not_reset_a_client_that_needs_the_oldest_frame_held() -> None:
    log = trimmed_log()

    cursor = Cursor(log, last_event_id=f"x:{log.first - 1}")

    assert drain(cursor) == frames(log.first, 10)


def test_resets_a_viewer_that_has_fallen_behind_the_frames_held() -> None:
    log = Log("x", keeps="unstored", max_events=4)
    cursor = Cursor(log)
    filled(log, 1)
    log.commit(1)
    assert drain(cursor) == frame(1)

    for _ in range(9):
        filled(log, 1)
        log.commit(log.last)

    assert drain(cursor) == reset("trimmed", log.first) + frames(log.first, 10)


def test_takes_no_more_than_the_limit() -> None:
    log = filled(Log("x"), 3)
    cursor = Cursor(log)

    chunks = [cursor.take(limit=1) for _ in range(4)]

    assert chunks == [frame(1), frame(2), frame(3), b""]


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
    log = Log("x", keeps="unstored", max_events=4)
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
    log = Log("x", keeps="unstored", start=11)
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


# The end


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled", "lost"])
def test_names_the_end_of_a_retained_log(status: str) -> None:
    cursor = Cursor(ended(Log("x"), status))

    assert cursor.take() == frame(1)
    assert cursor.finished
    assert cursor.take() == (b'event: end\ndata: {"status":"%b"}\n\n' % status.encode())
    assert cursor.take() is None
    assert cursor.take() is None


def test_is_over_right_after_the_terminal_frame_of_a_log_without_a_name() -> None:
    cursor = Cursor(ended(Log()))

    assert cursor.take() == block(1)
    assert cursor.take() is None


def test_gives_the_end_event_no_id() -> None:
    cursor = Cursor(ended(Log("x")))
    decoder = Decoder()

    events = decoder.feed(drain(cursor))

    assert events == [
        ServerSentEvent(data="1", id="x:1"),
        ServerSentEvent(data='{"status":"completed"}', event="end"),
    ]
    assert decoder.last_event_id == "x:1"


def test_has_not_finished_before_it_has_given_the_terminal_frame() -> None:
    log = filled(Log("x"), 1)
    cursor = Cursor(log)
    drain(cursor)
    assert not cursor.finished

    ended(log)
    assert not cursor.finished

    cursor.take()
    assert cursor.finished


# retry


def _data(log: Log) -> tuple[Cursor, bytes]:
    return Cursor(filled(log, 1), retry=3000), frame(1)


def _reset(log: Log) -> tuple[Cursor, bytes]:
    cursor = Cursor(filled(log, 1), last_event_id="y:1", retry=3000)
    return cursor, reset("foreign") + frame(1)


def _goodbye(log: Log) -> tuple[Cursor, bytes]:
    cursor = Cursor(log, retry=3000)
    farewell = goodbye("draining")
    cursor.dismiss(farewell)
    return cursor, farewell


def _end(log: Log) -> tuple[Cursor, bytes]:
    return Cursor(ended(log), last_event_id="x:1", retry=3000), END


@pytest.mark.parametrize("first", [_data, _reset, _goodbye, _end])
def test_says_retry_inside_the_first_block(
    first: Callable[[Log], tuple[Cursor, bytes]],
) -> None:
    log = Log("x")
    cursor, chunk = first(log)

    body = drain(cursor)

    assert body == b"retry: 3000\n" + chunk
    assert all(b"data: " in part for part in body.split(b"\n\n")[:-1])


async def test_says_retry_inside_the_first_block_of_a_page() -> None:
    recorded = Recorded(held=4)
    await recorded.write(20, end="completed")

    cursor = Cursor(recorded.log, read_page=recorded.read_page, retry=3000)

    assert await read(cursor) == b"retry: 3000\n" + frames(1, 20) + END


def test_never_says_retry_alone() -> None:
    log = Log("x")
    cursor = Cursor(log, retry=3000)

    assert [cursor.take(), cursor.take()] == [b"", b""]

    filled(log, 1)
    assert cursor.take() == b"retry: 3000\n" + frame(1)


async def test_waits_while_a_page_is_empty() -> None:
    recorded = Recorded(held=4)
    await recorded.write(20)
    pages = iter([True, False])

    async def read_page(after: int, limit: int) -> Page | None:
        return await recorded.store.read("x", after, 0 if next(pages) else limit)

    cursor = Cursor(recorded.log, read_page=read_page, retry=3000)

    assert await read(cursor, until=frame(20)) == b"retry: 3000\n" + frames(1, 20)


def test_says_retry_once() -> None:
    log = filled(Log("x"), 1)
    cursor = Cursor(log, retry=3000)
    cursor.take()

    filled(log, 1)

    assert cursor.take() == frame(2)


# Farewell


def test_says_goodbye_without_an_id_and_is_over() -> None:
    log = filled(Log("x"), 3)
    cursor = Cursor(log)
    drain(cursor)

    cursor.dismiss(goodbye("draining"))
    body = cursor.take()

    assert body is not None
    assert re.fullmatch(
        rb'event: goodbye\nretry: [1-4]\d{3}\ndata: {"reason":"draining"}\n\n', body
    )
    filled(log, 1)
    assert cursor.take() is None
    assert not cursor.finished


def test_says_goodbye_only_once() -> None:
    cursor = Cursor(Log("x"))

    cursor.dismiss(b"data: first\n\n")
    cursor.dismiss(b"data: second\n\n")

    assert cursor.take() == b"data: first\n\n"
    assert cursor.take() is None


async def test_wakes_whoever_waits_to_say_goodbye() -> None:
    cursor = Cursor(Log("x"))
    reading = asyncio.create_task(read(cursor))
    await asyncio.sleep(0)

    cursor.dismiss(b"data: bye\n\n")

    assert await reading == b"data: bye\n\n"


async def test_wakes_whoever_waits_for_a_page_to_say_goodbye() -> None:
    recorded = Recorded(held=4)
    await recorded.write(20)

    async def read_page(after: int, limit: int) -> Page | None:
        await asyncio.Event().wait()
        return None

    cursor = Cursor(recorded.log, read_page=read_page)
    reading = asyncio.create_task(read(cursor))
    await asyncio.sleep(0)
    cursor.dismiss(b"data: bye\n\n")

    assert await reading == b"data: bye\n\n"
    await cursor.aclose()


# Leaving


async def test_leaves_once() -> None:
    left: list[Cursor] = []
    cursor = Cursor(Log("x"), on_close=left.append)

    cursor.close()
    await cursor.aclose()

    assert left == [cursor]
    assert cursor.take() is None


def _closes(cursor: Cursor) -> None:
    cursor.close()


def _catches_up(cursor: Cursor) -> None:
    drain(cursor)


@pytest.mark.parametrize("frees", [_closes, _catches_up])
def test_holds_the_log_back_until(frees: Callable[[Cursor], None]) -> None:
    log = Log("x", max_events=2)
    slow, fast = Cursor(log), Cursor(log)
    filled(log, 3)
    drain(fast)
    assert log.full

    frees(slow)

    assert not log.full
