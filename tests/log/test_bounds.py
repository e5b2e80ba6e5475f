"""The log: bounds, and what is released."""

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
from asgi_events.log.log import Log
from asgi_events.log.stored import StoredLog
from asgi_events.wire.sse import Decoder, ServerSentEvent
from tests.log.filled import block, data, filled, held, turn

# Bounds


def test_holds_at_most_max_events_of_stored_frames() -> None:
    log = StoredLog(max_events=10)
    for number in range(1, 101):
        log.append(data(number))
        log.commit(number)
        assert len(held(log)) <= 10

    assert not log.full


def test_holds_at_most_max_bytes_of_stored_frames() -> None:
    log = StoredLog(max_bytes=1_000)
    for number in range(1, 101):
        log.append(data(number, size=90))
        log.commit(number)
        assert len(b"".join(held(log))) <= 1_000

    assert not log.full


@pytest.mark.parametrize("bounds", [{"max_events": 10}, {"max_bytes": 100}])
def test_holds_what_is_not_stored_yet(bounds: dict[str, Any]) -> None:
    log = filled(StoredLog(**bounds), 11, size=10)

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
    log = filled(StoredLog(max_events=4), 5)
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
    log = filled(StoredLog("x"), 3)
    log.commit(1)
    cursor = Cursor(log, last_event_id="x:2")

    log.drop_uncommitted()
    log.extend([b"data: lost\nid: x:2:lost\n\n"], end="lost")

    body = cursor.take() or b""
    assert body.startswith(b"event: reset\n")
    assert b"id: x:2:lost\n\n" in body


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
        kind = StoredLog if stored else Log
        self.log = kind("x", max_events=max_events, max_bytes=max_bytes)

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
