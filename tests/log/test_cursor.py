"""The cursor: where a viewer stands, and how its stream ends."""

import asyncio
import re
from collections.abc import Callable

import pytest

from asgi_events.log.cursor import Cursor
from asgi_events.log.log import Log
from asgi_events.log.source import FrameSource, Last
from asgi_events.log.stored import StoredLog
from asgi_events.stores import Page
from asgi_events.wire.frames import EventId, goodbye, parse_event_id
from asgi_events.wire.sse import Decoder, ServerSentEvent
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


def block(number: int, size: int = 0) -> bytes:
    return b"data: %b\n\n" % data(number, size)


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
        ("x:1.05", None),
        ("x:1.", None),
        ("x:.1", None),
        ("x:1.1.1", None),
        ("x:0.1", EventId("x", 0, blocks=1)),
        ("x:11.20", EventId("x", 11, blocks=20)),
        ("x:11.2:lost", EventId("x", 11, lost=True, blocks=2)),
        ("x:1." + "9" * 10, None),
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


@pytest.mark.parametrize("position", range(10))
def test_continues_after_whole_frames_when_it_is_given_the_id_of_a_block(
    position: int,
) -> None:
    log = ended(filled(Log("x"), 9))

    cursor = Cursor(log, last_event_id=f"x:{position}.2")

    assert drain(cursor) == frames(position + 1, 10) + END


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
        pytest.param("x:1.0", "malformed", id="no block"),
        pytest.param("x:1.05", "malformed", id="a leading zero"),
        pytest.param("x:1." + "1" * 10_000, "malformed", id="10 kB of blocks"),
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
    log = filled(StoredLog("x"), 4)
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
    log = StoredLog("x", max_events=4)
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
    log = StoredLog("x", max_events=4)
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


# The end


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled", "lost"])
def test_names_the_end_of_a_retained_log(status: str) -> None:
    cursor = Cursor(ended(Log("x"), status))

    chunk = cursor.take()

    end = b'event: end\ndata: {"status":"%b"}\n\n' % status.encode()
    assert chunk == frame(1) + end
    assert isinstance(chunk, Last)
    assert cursor.finished
    assert cursor.take() is None
    assert cursor.take() is None


def test_is_over_with_the_terminal_frame_of_a_log_without_a_name() -> None:
    cursor = Cursor(ended(Log()))

    chunk = cursor.take()

    assert chunk == block(1)
    assert isinstance(chunk, Last)
    assert cursor.take() is None


def test_gives_the_end_only_after_the_last_frame() -> None:
    cursor = Cursor(ended(filled(Log("x"), 2)))

    chunks = [cursor.take(limit=1) for _ in range(3)]

    assert chunks == [frame(1), frame(2), frame(3) + END]
    assert [isinstance(chunk, Last) for chunk in chunks] == [False, False, True]


def test_gives_the_end_alone_to_a_client_that_has_all_frames() -> None:
    cursor = Cursor(ended(Log("x")), last_event_id="x:1")

    chunk = cursor.take()

    assert chunk == END
    assert isinstance(chunk, Last)


def test_ends_with_its_farewell() -> None:
    cursor = Cursor(filled(Log("x"), 1))

    cursor.dismiss(b"bye")
    chunk = cursor.take()

    assert chunk == b"bye"
    assert isinstance(chunk, Last)


def test_keeps_its_end_when_it_is_sent_away_after_that() -> None:
    cursor = Cursor(ended(Log("x")))
    cursor.take()

    cursor.dismiss(None)

    assert cursor.take() is None
    assert not cursor.dismissed


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
