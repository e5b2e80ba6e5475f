"""The log: numbers, commits, joins, bounds, and who is woken when."""

import asyncio
import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from asgi_events.log.cursor import Cursor
from asgi_events.log.log import Keeps, Log
from asgi_events.wire.sse import MAX_CHUNK, Decoder, ServerSentEvent


def data(number: int, size: int = 0) -> bytes:
    return b"%d%b" % (number, b"." * size)


def block(number: int, size: int = 0) -> bytes:
    return b"data: %b\n\n" % data(number, size)


def filled(log: Log, count: int, size: int = 0) -> Log:
    for number in range(log.last + 1, log.last + count + 1):
        log.append(data(number, size))
    return log


async def turn() -> None:
    """One turn of the loop: what was called soon has been called."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)


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


def test_goes_on_numbering_after_old_frames_are_gone() -> None:
    log = Log("x", keeps="unstored", max_events=2)
    for number in range(1, 8):
        log.append(data(number))
        log.commit(number)

    assert log.since(log.first - 1) == [
        b"data: %d\nid: x:%d\n\n" % (n, n) for n in range(log.first, 8)
    ]
    assert log.first > 1


@pytest.mark.parametrize("stored", [False, True], ids=["alone", "stored"])
def test_appends_nothing_after_the_terminal_frame(stored: bool) -> None:
    log = Log("x", keeps="unstored" if stored else "unread")
    log.append(b"end", end="completed")

    log.append(b"late")
    log.append(b"again", end="failed")

    assert log.since(0) == [b"data: end\nid: x:1\n\n"]
    assert (log.last, log.end) == (1, "completed")


def test_tells_its_recorder_of_each_frame() -> None:
    log = Log("x", keeps="unstored")
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
    log = filled(Log("x", keeps="unstored"), 3)
    cursor = Cursor(log)

    assert cursor.take() == b""
    assert log.uncommitted() == log.since(0)

    log.commit(2)

    assert cursor.take() == b"data: 1\nid: x:1\n\ndata: 2\nid: x:2\n\n"
    assert cursor.take() == b""
    assert log.uncommitted() == [b"data: 3\nid: x:3\n\n"]


def test_does_not_give_the_terminal_frame_before_it_is_stored() -> None:
    log = Log("x", keeps="unstored")
    log.append(b"end", end="completed")
    cursor = Cursor(log)

    assert cursor.take() == b""
    assert not cursor.finished

    log.commit(1)

    assert cursor.take() == b"data: end\nid: x:1\n\n"
    assert cursor.finished


def test_commits_at_once_without_a_store() -> None:
    assert Cursor(filled(Log(), 1)).take() == b"data: 1\n\n"


def test_wakes_a_sleeper_once_and_at_the_commit() -> None:
    log = Log("x", keeps="unstored")
    woken: list[str] = []
    log.sleep(Cursor(log), lambda: woken.append("woken"))

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
    log.sleep(cursor, lambda: woken.append("woken"))

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
            log.sleep(cursor, wake)

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
        log.sleep(cursor, lambda number=number: woken.append(number))  # type: ignore[misc]
        log.append(data(number))

    assert woken == list(range(1, 101))


# The log of another process


def test_holds_the_frames_that_another_process_has_numbered() -> None:
    log = Log("x", keeps="unstored", start=5)
    cursor = Cursor(log, last_event_id="x:5")
    ours = [b"data: 6\nid: x:6\n\n", b"data: 7\nid: x:7\n\n"]

    log.extend(ours, end="completed")

    assert cursor.take() == b"".join(ours)
    assert cursor.finished
    assert (log.first, log.last, log.committed, log.end) == (6, 7, 7, "completed")


def test_goes_on_further_ahead_when_it_skips() -> None:
    log = Log("x", keeps="unstored")
    log.extend([b"data: 1\nid: x:1\n\n"], end=None)

    log.skip_to(100)
    log.extend([b"data: 100\nid: x:100\n\n"], end=None)

    assert (log.first, log.last, log.committed) == (100, 100, 100)
    assert Cursor(log, last_event_id="x:99").take() == b"data: 100\nid: x:100\n\n"


def test_takes_back_what_is_not_stored() -> None:
    log = filled(Log("x", keeps="unstored"), 2)
    log.commit(2)
    filled(log, 2)
    log.append(b"end", end="completed")

    log.drop_uncommitted()

    assert log.since(0) == [b"data: 1\nid: x:1\n\n", b"data: 2\nid: x:2\n\n"]
    assert (log.last, log.committed, log.end) == (2, 2, None)
    log.extend([b"data: lost\nid: x:3\n\n"], end="lost")
    assert Cursor(log, last_event_id="x:2").take() == b"data: lost\nid: x:3\n\n"


async def test_has_room_again_when_it_is_rewound() -> None:
    log = filled(Log(keeps="unstored", max_bytes=100), 3)
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
    log = Log("x", keeps="unstored", max_events=8)
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


# Bounds


def held(log: Log) -> list[bytes]:
    return log.since(log.first - 1)


def test_holds_at_most_max_events_of_stored_frames() -> None:
    log = Log(keeps="unstored", max_events=10)
    for number in range(1, 101):
        log.append(data(number))
        log.commit(number)
        assert len(held(log)) <= 10

    assert not log.full


def test_holds_at_most_max_bytes_of_stored_frames() -> None:
    log = Log(keeps="unstored", max_bytes=1_000)
    for number in range(1, 101):
        log.append(data(number, size=90))
        log.commit(number)
        assert len(b"".join(held(log))) <= 1_000

    assert not log.full


@pytest.mark.parametrize("bounds", [{"max_events": 10}, {"max_bytes": 100}])
def test_holds_what_is_not_stored_yet(bounds: dict[str, Any]) -> None:
    log = filled(Log(keeps="unstored", **bounds), 11, size=10)

    assert log.full
    assert log.first == 1

    log.commit(11)

    assert not log.full
    assert log.first > 1


@pytest.mark.parametrize("bounds", [{"max_events": 10}, {"max_bytes": 100}])
def test_says_to_its_publisher_that_it_is_full(bounds: dict[str, Any]) -> None:
    log = Log(**bounds)
    full = []
    for number in range(1, 13):
        told = log.append(data(number))
        full.append(log.full)
        assert told == log.full

    assert full[0] is False and full[-1] is True
    assert log.append(b"end", end="completed") is False


@pytest.mark.parametrize("bounds", [{"max_events": 10}, {"max_bytes": 100}])
def test_holds_what_a_cursor_has_not_taken_yet(bounds: dict[str, Any]) -> None:
    log = Log(**bounds)
    fast, slow = Cursor(log), Cursor(log)
    filled(log, 11, size=10)

    fast.take()
    assert log.full
    assert log.first == 1

    slow.take()
    assert not log.full
    assert log.first > 1


def test_holds_everything_for_the_first_reader() -> None:
    log = filled(Log(max_events=10), 11)

    assert log.full
    assert Cursor(log).take() == b"".join(block(n) for n in range(1, 12))


def test_is_not_full_at_its_bounds() -> None:
    assert not filled(Log(max_events=10), 10).full
    assert not filled(Log(max_bytes=len(block(1)) * 9), 9).full


def _slowest_moves(log: Log, cursor: Cursor) -> None:
    cursor.take()


def _slowest_leaves(log: Log, cursor: Cursor) -> None:
    cursor.close()


def _released(log: Log, cursor: Cursor) -> None:
    log.release()


@pytest.mark.parametrize("happens", [_slowest_moves, _slowest_leaves, _released])
async def test_has_room_again_when(happens: Callable[[Log, Cursor], None]) -> None:
    log = Log(max_events=4)
    fast, slow = Cursor(log), Cursor(log)
    filled(log, 5)
    assert log.full
    room = log.room()

    fast.take()
    await turn()
    assert not room.done()

    happens(log, slow)
    await turn()
    assert room.done()
    assert not log.full


async def test_has_room_again_when_the_store_has_the_frames() -> None:
    log = filled(Log(keeps="unstored", max_events=4), 5)
    Cursor(log)
    assert log.full
    room = log.room()

    log.commit(5)
    await turn()

    assert room.done()


async def test_has_room_for_all_publishers_at_once() -> None:
    log = Log(max_events=4)
    cursor = Cursor(log)
    filled(log, 5)
    rooms = [log.room() for _ in range(3)]

    cursor.take()
    await turn()

    assert [room.done() for room in rooms] == [True, True, True]


async def test_keeps_room_for_others_when_a_publisher_is_cancelled() -> None:
    log = Log(max_events=4)
    cursor = Cursor(log)
    filled(log, 5)

    async def publish() -> str:
        await log.room()
        return "published"

    first, second = (asyncio.create_task(publish()) for _ in range(2))
    await turn()
    first.cancel()
    await asyncio.wait({first})
    third = asyncio.create_task(publish())
    await turn()
    assert not second.done()
    assert not third.done()

    cursor.take()

    assert await asyncio.gather(second, third) == ["published", "published"]
    assert first.cancelled()


async def test_becomes_full_again_after_it_had_room() -> None:
    log = Log(max_events=4)
    cursor = Cursor(log)
    filled(log, 5)
    cursor.take()
    assert not log.full

    filled(log, 5)

    assert log.full
    room = log.room()
    cursor.take()
    await turn()
    assert room.done()


# What is released


@pytest.mark.parametrize("bounds", [{"max_events": 10}, {"max_bytes": 200}])
def test_is_never_full_again_once_released(bounds: dict[str, Any]) -> None:
    log = Log(**bounds)
    cursor = Cursor(log)
    filled(log, 5)
    cursor.close()

    log.release()
    for _ in range(100):
        filled(log, 1, size=10)
        assert not log.full
        assert len(held(log)) <= bounds.get("max_events", 100)
        assert len(b"".join(held(log))) <= bounds.get("max_bytes", 10_000)

    assert log.last == 105


def test_begins_again_for_who_saw_elsewhere_what_is_let_go_of_here() -> None:
    log = filled(Log("x", keeps="unstored"), 3)
    log.commit(1)
    cursor = Cursor(log, last_event_id="x:2")

    log.drop_uncommitted()
    log.extend([b"data: lost\nid: x:2:lost\n\n"], end="lost")

    body = cursor.take() or b""
    assert body.startswith(b"event: reset\n")
    assert body.endswith(b"id: x:2:lost\n\n")


def test_shows_frames_to_later_cursors_once_released() -> None:
    log = filled(Log(max_events=10), 2)
    log.release()

    log.append(data(3))
    log.append(b"end", end="completed")

    assert Cursor(log).take() == block(1) + block(2) + block(3) + b"data: end\n\n"


# All at once


class Viewer:
    """A cursor, and what a client that reads it has made of the stream."""

    def __init__(self, log: Log, at: int | None) -> None:
        self.cursor = Cursor(log, last_event_id=None if at is None else f"x:{at}")
        self.decoder = Decoder()
        self.lost = at is not None and not 0 <= at <= log.last
        self.next = 1 if at is None or self.lost else at + 1
        self.shown = self.next - 1  # elsewhere, maybe before the writer heard of it
        self.ends = 0

    def read(self) -> bool:
        chunk = self.cursor.take()
        for event in self.decoder.feed(chunk or b""):
            self.see(event)
        return bool(chunk)

    def see(self, event: ServerSentEvent) -> None:
        if event.event == "reset":
            told = json.loads(event.data or "")
            if told["reason"] == "trimmed":
                assert told["first"] > self.next
                self.next = told["first"]
            else:
                assert self.lost
                assert told["first"] == 1
            self.lost = False
        elif event.event == "end":
            assert not self.lost
            self.ends += 1
        else:
            assert not self.lost
            assert event.id == f"x:{self.next}"
            assert (event.data or "").startswith(f"{self.next} ")
            self.next += 1


class LogMachine(RuleBasedStateMachine):
    """Whatever happens: 1 … n in order, once, or a reset that says where from."""

    viewers = Bundle("viewers")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.room: asyncio.Future[None] | None = None
        self.largest = 0
        self.open: list[Viewer] = []

    @initialize(
        stored=st.booleans(),
        max_events=st.integers(1, 12),
        max_bytes=st.integers(200, 1_500),
    )
    def make(self, stored: bool, max_events: int, max_bytes: int) -> None:
        self.stored = stored
        self.max_events = max_events
        self.max_bytes = max_bytes
        keeps: Keeps = "unstored" if stored else "unread"
        self.log = Log("x", keeps=keeps, max_events=max_events, max_bytes=max_bytes)

    def run(self, call: Callable[[], Any]) -> Any:
        async def main() -> Any:
            result = call()
            await turn()
            return result

        return self.loop.run_until_complete(main())

    @precondition(lambda self: self.room is None or self.room.done())
    @rule(size=st.integers(0, 120), last=st.sampled_from([False] * 9 + [True]))
    def publish(self, size: int, last: bool) -> None:
        def append() -> asyncio.Future[None] | None:
            number = self.log.last + 1
            line = b"%d %b" % (number, b"." * size)
            frame = b"data: %b\nid: x:%d\n\n" % (line, number)
            self.largest = max(self.largest, len(frame))
            self.log.append(line, end="completed" if last else None)
            return self.log.room() if self.log.full else None

        self.room = self.run(append)

    @precondition(lambda self: self.stored)
    @rule(share=st.floats(0, 1))
    def commit(self, share: float) -> None:
        waiting = self.log.last - self.log.committed
        self.run(lambda: self.log.commit(self.log.committed + round(waiting * share)))

    @rule(target=viewers, at=st.one_of(st.none(), st.integers(-1, 40)))
    def attach(self, at: int | None) -> Viewer:
        # What is not stored has no ids, so nobody comes back to it.
        viewer: Viewer = self.run(lambda: Viewer(self.log, at if self.stored else None))
        self.open.append(viewer)
        return viewer

    @rule(viewer=viewers)
    def take(self, viewer: Viewer) -> None:
        self.run(viewer.read)

    @rule(viewer=viewers)
    def detach(self, viewer: Viewer) -> None:
        self.run(viewer.cursor.close)
        if viewer in self.open:
            self.open.remove(viewer)

    @invariant()
    def stays_within_its_bounds(self) -> None:
        if not hasattr(self, "log"):
            return
        frames = held(self.log)
        assert len(frames) == self.log.last - self.log.first + 1
        assert len(frames) <= self.max_events + 1
        assert len(b"".join(frames)) <= self.max_bytes + self.largest

    @invariant()
    def gives_nothing_that_is_not_committed(self) -> None:
        for viewer in self.open:
            shown = max(self.log.committed, self.log.first - 1, viewer.shown)
            assert viewer.next - 1 <= shown

    @invariant()
    def lets_publishers_go_on_when_there_is_room(self) -> None:
        if self.room is not None and not self.room.done():
            assert self.log.full

    def teardown(self) -> None:
        with contextlib.closing(self.loop):
            if not hasattr(self, "log"):
                return
            if self.stored:
                self.run(lambda: self.log.commit(self.log.last))
            for viewer in self.open:
                while self.run(viewer.read):
                    pass
                assert viewer.next == self.log.last + 1
                assert viewer.ends == (self.log.end is not None)
            if self.open or self.stored:
                assert not self.log.full


def test_gives_every_cursor_every_frame_once_and_in_order_or_a_reset() -> None:
    run_state_machine_as_test(
        LogMachine,
        settings=settings(
            max_examples=100,
            stateful_step_count=50,
            deadline=None,
            derandomize=True,
        ),
    )
