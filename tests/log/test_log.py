"""The log: numbers, commits, joins."""

import asyncio
from typing import Any

import pytest

from asgi_events.log.cursor import Cursor
from asgi_events.log.log import Log
from asgi_events.log.stored import StoredLog
from asgi_events.wire.sse import MAX_CHUNK
from tests.log.filled import block, data, filled, held, turn
from tests.log.recorded import END, drain

# Numbers and frames


def test_numbers_frames_from_one_without_holes() -> None:
    log = filled(Log("x"), 3)

    assert log.since(0) == [
        b"data: 1\nid: x:1\n\n",
        b"data: 2\nid: x:2\n\n",
        b"data: 3\nid: x:3\n\n",
    ]
    assert (log.first, log.last, log.committed) == (1, 3, 3)


def test_gives_frames_no_id_without_a_name() -> None:
    log = filled(Log(), 2)

    assert log.since(0) == [b"data: 1\n\n", b"data: 2\n\n"]


def test_takes_a_name_as_it_is() -> None:
    log = filled(Log("100%d%"), 1)

    assert log.since(0) == [b"data: 1\nid: 100%d%:1\n\n"]


def test_goes_on_numbering_after_old_frames_are_gone() -> None:
    log = StoredLog("x", max_events=2)
    for number in range(1, 8):
        log.append(data(number))
        log.commit(number)

    assert log.since(log.first - 1) == [
        b"data: %d\nid: x:%d\n\n" % (n, n) for n in range(log.first, 8)
    ]
    assert log.first > 1


@pytest.mark.parametrize("stored", [False, True], ids=["alone", "stored"])
def test_appends_nothing_after_the_terminal_frame(stored: bool) -> None:
    log = StoredLog("x") if stored else Log("x")
    log.append(b"end", end="completed")

    log.append(b"late")
    log.append(b"again", end="failed")

    assert log.since(0) == [b"data: end\nid: x:1\n\n"]
    assert (log.last, log.end) == (1, "completed")


def test_tells_its_recorder_of_each_frame() -> None:
    log = StoredLog("x")
    seen: list[int] = []
    log.on_append = lambda: seen.append(log.last)

    filled(log, 2)
    log.append(b"end", end="completed")
    log.append(b"late")

    assert seen == [1, 2, 3]


@pytest.mark.parametrize(
    "bounds",
    [{"max_events": 0}, {"max_bytes": 0}, {"max_events": -1}],
    ids=["no events", "no bytes", "negative"],
)
def test_refuses_bounds_that_hold_nothing(bounds: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be at least 1, got"):
        Log(**bounds)


# Commit


def test_gives_only_committed_frames() -> None:
    log = filled(StoredLog("x"), 3)
    cursor = Cursor(log)

    assert cursor.take() == b""
    assert log.uncommitted() == log.since(0)

    log.commit(2)

    assert cursor.take() == b"data: 1\nid: x:1\n\ndata: 2\nid: x:2\n\n"
    assert cursor.take() == b""
    assert log.uncommitted() == [b"data: 3\nid: x:3\n\n"]


def test_does_not_give_the_terminal_frame_before_it_is_stored() -> None:
    log = StoredLog("x")
    log.append(b"end", end="completed")
    cursor = Cursor(log)

    assert cursor.take() == b""
    assert not cursor.finished

    log.commit(1)

    assert cursor.take() == b"data: end\nid: x:1\n\n" + END
    assert cursor.finished


def test_commits_at_once_without_a_store() -> None:
    assert Cursor(filled(Log(), 1)).take() == b"data: 1\n\n"


def test_wakes_a_sleeper_once_and_at_the_commit() -> None:
    log = StoredLog("x")
    woken: list[str] = []
    log.sleepers[Cursor(log)] = lambda: woken.append("woken")

    log.append(data(1))
    assert woken == []

    log.commit(1)
    log.append(data(2))
    log.commit(2)
    assert woken == ["woken"]


def test_does_not_wake_who_has_left() -> None:
    log = Log()
    cursor = Cursor(log)
    woken: list[str] = []
    log.sleepers[cursor] = lambda: woken.append("woken")

    log.detach(cursor)
    log.append(data(1))

    assert woken == []


async def test_wakes_many_in_rounds_that_wait_as_long_as_the_last_one_took(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = asyncio.get_running_loop()
    now, cost = loop.time(), 0.01
    monkeypatch.setattr(loop, "time", lambda: now)
    log = Log()
    cursors = [Cursor(log) for _ in range(100)]
    woken = 0

    def write() -> None:
        nonlocal now
        now += cost / 100

    def wake() -> None:
        nonlocal woken
        woken += 1
        loop.call_soon(write)

    async def fall_asleep() -> None:
        nonlocal woken
        await turn()
        woken = 0
        for cursor in cursors:
            log.sleepers[cursor] = wake

    await fall_asleep()
    log.append(data(1))
    assert woken == 100  # nobody was woken just before

    await fall_asleep()
    log.append(data(2))
    log.append(data(3))
    assert woken == 0
    now += cost
    await turn()
    assert woken == 100  # once for both

    await fall_asleep()
    log.append(data(4), urgent=True)
    assert woken == 100

    await fall_asleep()
    log.append(data(4))
    assert woken == 0
    log.append(data(4), urgent=True)  # all wait for the next round already
    assert woken == 100

    cost = 5.0
    await fall_asleep()
    log.append(data(5), urgent=True)
    await fall_asleep()
    log.append(data(6))
    assert woken == 0
    now += 0.021  # the longest that anybody waits is 20 ms
    await turn()
    assert woken == 100

    await fall_asleep()
    log.append(b"end", end="completed")
    assert woken == 100


async def test_wakes_a_few_at_every_frame() -> None:
    log = Log()
    cursor = Cursor(log)
    woken: list[int] = []

    for number in range(1, 101):
        log.sleepers[cursor] = lambda number=number: woken.append(number)  # type: ignore[misc]
        log.append(data(number))

    assert woken == list(range(1, 101))


# The log of another process


def test_holds_the_frames_that_another_process_has_numbered() -> None:
    log = StoredLog("x", start=5)
    cursor = Cursor(log, last_event_id="x:5")
    ours = [b"data: 6\nid: x:6\n\n", b"data: 7\nid: x:7\n\n"]

    log.extend(ours, end="completed")

    assert cursor.take() == b"".join(ours) + END
    assert cursor.finished
    assert (log.first, log.last, log.committed, log.end) == (6, 7, 7, "completed")


def test_goes_on_further_ahead_when_it_skips() -> None:
    log = StoredLog("x")
    log.extend([b"data: 1\nid: x:1\n\n"], end=None)

    log.skip_to(100)
    log.extend([b"data: 100\nid: x:100\n\n"], end=None)

    assert (log.first, log.last, log.committed) == (100, 100, 100)
    assert Cursor(log, last_event_id="x:99").take() == b"data: 100\nid: x:100\n\n"


def test_takes_back_what_is_not_stored() -> None:
    log = filled(StoredLog("x"), 2)
    log.commit(2)
    filled(log, 2)
    log.append(b"end", end="completed")

    log.drop_uncommitted()

    assert log.since(0) == [b"data: 1\nid: x:1\n\n", b"data: 2\nid: x:2\n\n"]
    assert (log.last, log.committed, log.end) == (2, 2, None)
    log.extend([b"data: lost\nid: x:3\n\n"], end="lost")
    viewer = Cursor(log, last_event_id="x:2")
    assert drain(viewer).startswith(b"data: lost\nid: x:3\n\n")


async def test_has_room_again_when_it_is_rewound() -> None:
    log = filled(StoredLog(max_bytes=100), 3)
    log.commit(3)
    filled(log, 2, size=200)
    assert log.full
    room = log.room()

    log.drop_uncommitted()
    log.extend([block(number) for number in range(4, 8)], end=None)

    await turn()
    assert (room.done(), log.full, log.first) == (True, False, 4)


# Joins


@pytest.mark.parametrize("size", [10, 1_000, 30_000, 65_000])
def test_joins_as_many_frames_as_fit(size: int) -> None:
    log = filled(Log(max_bytes=1 << 30), 200, size)

    position = 0
    chunks = []
    while position < log.committed:
        chunk, position = log.join(position, MAX_CHUNK)
        chunks.append(chunk)
        following = log.since(position)[:1]
        assert len(chunk) <= MAX_CHUNK
        assert not following or len(chunk) + len(following[0]) > MAX_CHUNK

    assert b"".join(chunks) == b"".join(log.since(0))


def test_joins_exactly_up_to_the_limit() -> None:
    log = filled(Log(), 3)
    two = len(block(1)) + len(block(2))

    assert log.join(0, two) == (block(1) + block(2), 2)
    assert log.join(0, two - 1) == (block(1), 1)


def test_gives_a_frame_larger_than_the_limit_whole_and_alone() -> None:
    log = Log()
    log.append(data(1))
    log.append(data(2, size=MAX_CHUNK))
    log.append(data(3))

    assert log.join(0, MAX_CHUNK) == (block(1), 1)
    assert log.join(1, MAX_CHUNK) == (block(2, size=MAX_CHUNK), 2)
    assert log.join(2, MAX_CHUNK) == (block(3), 3)


def test_joins_once_for_cursors_side_by_side() -> None:
    log = filled(Log(), 10)
    cursors = [Cursor(log) for _ in range(3)]

    first, *others = [cursor.take() for cursor in cursors]

    assert first == b"".join(log.since(0))
    assert all(other is first for other in others)


def test_does_not_give_an_old_join_when_there_is_more() -> None:
    log = filled(Log(), 2)
    Cursor(log).take()

    filled(log, 1)

    assert Cursor(log).take() == block(1) + block(2) + block(3)


def test_does_not_give_a_join_that_is_longer_than_asked_for() -> None:
    log = filled(Log(), 2)
    Cursor(log).take()

    assert Cursor(log).take(limit=1) == block(1)


def test_joins_from_the_right_frame_after_old_ones_are_gone() -> None:
    log = StoredLog("x", max_events=8)
    for number in range(1, 30):
        log.append(data(number))
        log.commit(number)
    first, second, third = held(log)[:3]
    before = log.first - 1
    assert before > 1

    limit = len(first + second)
    assert log.join(before, limit) == (first + second, before + 2)
    assert log.join(before, limit - 1) == (first, before + 1)
    assert log.join(before + 1, limit) == (second + third, before + 3)
    assert log.join(before, MAX_CHUNK) == (b"".join(held(log)), 29)
