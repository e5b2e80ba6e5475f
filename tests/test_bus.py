"""Who hears an event, in which order, and what a bad handler does: nothing."""

import asyncio
import logging
import threading
from collections.abc import Awaitable
from concurrent.futures import Future
from functools import singledispatchmethod
from typing import Any

import pytest
from pydantic import BaseModel

from asgi_events import EventBus
from asgi_events.exceptions import EventTooLarge
from tests import TIMEOUT


class Note(BaseModel):
    n: int = 0


@pytest.fixture
def bus() -> EventBus:
    return EventBus()


async def test_hands_every_event_to_every_handler_in_order(bus: EventBus) -> None:
    heard: list[tuple[str, int]] = []
    for name in "abc":
        bus.subscribe(lambda note, name=name: heard.append((name, note.n)))
    for n in range(2):
        await bus.publish(Note(n=n))
    assert heard == [("a", 0), ("b", 0), ("c", 0), ("a", 1), ("b", 1), ("c", 1)]


async def test_hands_over_the_very_object(bus: EventBus) -> None:
    heard: list[Any] = []
    bus.subscribe(heard.append)
    note = Note()
    await bus.publish(note)
    assert heard[0] is note


async def test_calls_every_handler_before_it_suspends(bus: EventBus) -> None:
    gate = asyncio.Event()
    heard: list[str] = []

    def slow(note: Note) -> Awaitable[Any]:
        heard.append("slow")
        return gate.wait()

    bus.subscribe(slow)
    bus.subscribe(lambda note: heard.append("next"))
    publishing = asyncio.ensure_future(bus.publish(Note()))
    await asyncio.sleep(0)
    assert (heard, publishing.done()) == (["slow", "next"], False)
    gate.set()
    await publishing


async def test_hands_an_event_over_before_anybody_waits(bus: EventBus) -> None:
    heard: list[int] = []
    bus.subscribe(lambda note: heard.append(note.n))
    first = bus.publish(Note(n=1))
    second = bus.publish(Note(n=2))
    assert heard == [1, 2]
    await second
    await first
    assert heard == [1, 2]


async def test_keeps_the_order_of_publishes_that_wait(bus: EventBus) -> None:
    gate = asyncio.Event()
    heard: list[int] = []

    def slow(note: Note) -> Awaitable[Any]:
        heard.append(note.n)
        return gate.wait()

    bus.subscribe(slow)
    publishing = [asyncio.ensure_future(bus.publish(Note(n=n))) for n in range(5)]
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(*publishing)
    assert heard == [0, 1, 2, 3, 4]


async def test_stops_handing_over_after_an_unsubscribe(bus: EventBus) -> None:
    heard: list[str] = []
    unsubscribe = bus.subscribe(lambda note: heard.append("gone"))
    bus.subscribe(lambda note: heard.append("kept"))
    await bus.publish(Note())
    unsubscribe()
    unsubscribe()  # idempotent
    await bus.publish(Note())
    assert heard == ["gone", "kept", "kept"]


async def test_ends_each_subscription_of_one_handler_alone(bus: EventBus) -> None:
    heard: list[int] = []

    def handler(note: Note) -> None:
        heard.append(note.n)

    subscriptions = [bus.subscribe(handler) for _ in range(3)]
    await bus.publish(Note(n=3))
    subscriptions[1]()
    subscriptions[1]()
    await bus.publish(Note(n=2))
    subscriptions[0]()
    await bus.publish(Note(n=1))
    subscriptions[2]()
    await bus.publish(Note(n=0))
    assert heard == [3, 3, 3, 2, 2, 1]


async def test_ends_a_subscription_of_a_bound_method(bus: EventBus) -> None:
    heard: list[Any] = []
    unsubscribe = bus.subscribe(heard.append)
    unsubscribe()
    await bus.publish(Note())
    assert heard == []


async def test_lets_a_handler_unsubscribe_itself(bus: EventBus) -> None:
    heard: list[str] = []

    def once(note: Note) -> None:
        heard.append("once")
        unsubscribe()

    unsubscribe = bus.subscribe(once)
    bus.subscribe(lambda note: heard.append("always"))
    await bus.publish(Note())
    await bus.publish(Note())
    assert heard == ["once", "always", "always"]


async def test_takes_sync_and_async_handlers_of_every_kind(bus: EventBus) -> None:
    heard: list[str] = []

    async def function(note: Note) -> None:
        await asyncio.sleep(0)
        heard.append("coroutine function")

    class Handler:
        async def __call__(self, note: Note) -> None:
            heard.append("async __call__")

        async def method(self, note: Note) -> None:
            heard.append("async method")

    bus.subscribe(function)
    bus.subscribe(Handler())
    bus.subscribe(Handler().method)
    bus.subscribe(lambda note: function(note))
    bus.subscribe(lambda note: "some other value")
    await bus.publish(Note())
    assert heard == [
        "coroutine function",
        "async __call__",
        "async method",
        "coroutine function",
    ]


async def test_takes_objects_that_bind_their_call_in_another_way(bus: EventBus) -> None:
    heard: list[str] = []

    class Static:
        @staticmethod
        def __call__(note: BaseModel) -> None:
            heard.append("static")

    class Class:
        @classmethod
        def __call__(cls, note: BaseModel) -> None:
            heard.append(cls.__name__)

    class Single:
        @singledispatchmethod
        def __call__(self, event: object) -> None:
            raise AssertionError(event)

        @__call__.register
        def _(self, note: Note) -> None:
            heard.append("single")

    for handler in (Static(), Class(), Single()):
        bus.subscribe(handler)
    await bus.publish(Note())

    assert heard == ["static", "Class", "single"]


def _raise(note: Note) -> None:
    raise ValueError("bad handler")


async def _raise_later(note: Note) -> None:
    await asyncio.sleep(0)
    raise ValueError("bad handler")


@pytest.mark.parametrize(
    "handler",
    [_raise, _raise_later],
    ids=["sync", "async"],
)
@pytest.mark.parametrize("nowait", [False, True], ids=["publish", "publish_nowait"])
async def test_logs_a_failing_handler_and_goes_on(
    handler: Any, nowait: bool, bus: EventBus, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[int] = []
    bus.subscribe(handler)
    bus.subscribe(lambda note: heard.append(note.n))
    for n in range(2):
        if nowait:
            bus.publish_nowait(Note(n=n))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        else:
            await bus.publish(Note(n=n))
    logged = [r for r in caplog.records if r.name == "asgi_events.bus"]
    assert heard == [0, 1]
    assert [(r.levelno, "failed; the others go on" in r.message) for r in logged] == [
        (logging.ERROR, True)
    ] * 2
    assert [str(r.exc_info[1]) for r in logged if r.exc_info] == ["bad handler"] * 2


async def test_raises_at_the_publisher_that_its_event_is_too_large(
    bus: EventBus,
) -> None:
    gate = asyncio.Event()
    waited: list[int] = []
    heard: list[int] = []

    async def slow(note: Note) -> None:
        await gate.wait()
        waited.append(note.n)

    def refuse(note: Note) -> None:
        raise EventTooLarge("event note", 2, 1)

    bus.subscribe(slow)
    bus.subscribe(refuse)
    bus.subscribe(lambda note: heard.append(note.n))
    with pytest.raises(EventTooLarge, match="The event note has 2 bytes"):
        await bus.publish(Note(n=1))
    with pytest.raises(EventTooLarge):
        await asyncio.to_thread(bus.publish, Note(n=2))
    gate.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert (waited, heard) == ([1, 2], [])


async def test_raises_nothing_of_a_large_event_while_its_publisher_is_cancelled(
    bus: EventBus, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(note: Note) -> None:
        raise EventTooLarge("event note", 2, 1)

    bus.subscribe(refuse)
    bus.publish_nowait(Note())
    assert "The event note has 2 bytes" in caplog.text


@pytest.mark.parametrize(
    "event",
    [{"event_type": "log"}, "text", None, Note, b"data: x\n\n"],
    ids=["dict", "str", "None", "class", "bytes"],
)
async def test_refuses_what_is_not_a_model(event: Any, bus: EventBus) -> None:
    with pytest.raises(TypeError, match="An event is an instance of a pydantic model"):
        await bus.publish(event)


@pytest.mark.parametrize("handler", [None, "print", 3], ids=repr)
def test_refuses_a_handler_that_is_not_callable(handler: Any, bus: EventBus) -> None:
    with pytest.raises(TypeError, match="^An event handler is a callable, got"):
        bus.subscribe(handler)


async def test_holds_the_publisher_back_until_the_handlers_have_it(
    bus: EventBus,
) -> None:
    room: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    bus.subscribe(lambda note: room)
    publishing = asyncio.ensure_future(bus.publish(Note()))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not publishing.done()
    room.set_result(None)
    await publishing


async def test_drops_nothing_when_a_publisher_that_waits_is_cancelled(
    bus: EventBus,
) -> None:
    full: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    heard: list[int] = []

    async def later(note: Note) -> None:
        heard.append(note.n)

    bus.subscribe(lambda note: full)
    bus.subscribe(later)
    publishing = asyncio.ensure_future(bus.publish(Note(n=1)))
    await asyncio.sleep(0)
    publishing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await publishing
    await asyncio.sleep(0)
    assert heard == [1]


async def test_cancels_a_publisher_that_waits(bus: EventBus) -> None:
    bus.subscribe(lambda note: asyncio.Event().wait())
    publishing = asyncio.ensure_future(bus.publish(Note()))
    await asyncio.sleep(0)
    publishing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await publishing


async def test_takes_a_handler_that_was_cancelled_for_one_that_failed(
    bus: EventBus, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(note: Note) -> None:
        gone = asyncio.get_running_loop().create_future()
        gone.cancel()
        await gone

    heard: list[int] = []
    bus.subscribe(broken)
    bus.subscribe(lambda note: heard.append(note.n))
    await bus.publish(Note(n=1))
    assert heard == [1]
    assert "An event handler failed; the others go on." in caplog.messages


async def test_lets_others_run_although_it_never_waits(bus: EventBus) -> None:
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(count_turns())
    bus.subscribe(lambda note: None)
    for n in range(1000):
        await bus.publish(Note(n=n))
    other.cancel()
    assert turns >= 10


async def test_publishes_without_waiting(bus: EventBus) -> None:
    gate = asyncio.Event()
    heard: list[str] = []

    async def slow(note: Note) -> None:
        await gate.wait()
        heard.append("slow")

    bus.subscribe(slow)
    bus.subscribe(lambda note: heard.append("quick"))
    bus.publish_nowait(Note())
    assert heard == ["quick"]
    gate.set()
    await asyncio.sleep(0)  # lets the handler start
    await asyncio.sleep(0)
    assert heard == ["quick", "slow"]


async def test_takes_a_publish_from_a_thread_to_its_loop(bus: EventBus) -> None:
    heard: list[tuple[int, int]] = []
    bus.subscribe(lambda note: heard.append((note.n, threading.get_ident())))
    await bus.publish(Note(n=0))

    def publish() -> None:
        for n in range(1, 4):
            bus.publish(Note(n=n))  # no await

    await asyncio.to_thread(publish)
    here = threading.get_ident()
    assert heard == [(0, here), (1, here), (2, here), (3, here)]


async def test_blocks_a_thread_until_the_handlers_have_it(bus: EventBus) -> None:
    gate = asyncio.Event()
    came = asyncio.Event()
    done = threading.Event()

    async def slow(note: Note) -> None:
        if note.n:
            came.set()
            await gate.wait()

    bus.subscribe(slow)
    await bus.publish(Note(n=0))

    def publish() -> None:
        bus.publish(Note(n=1))
        done.set()

    thread = asyncio.create_task(asyncio.to_thread(publish))
    await asyncio.wait_for(came.wait(), TIMEOUT)
    assert not await asyncio.to_thread(done.wait, 0.05)
    gate.set()
    await asyncio.wait_for(thread, TIMEOUT)
    assert done.is_set()


async def test_may_be_awaited_in_a_thread_with_a_loop_of_its_own(bus: EventBus) -> None:
    heard: list[tuple[int, int]] = []
    bus.subscribe(lambda note: heard.append((note.n, threading.get_ident())))
    await bus.publish(Note(n=0))

    async def publish() -> None:
        await bus.publish(Note(n=1))
        await bus.publish(Note(n=2))

    await asyncio.to_thread(asyncio.run, publish())
    here = threading.get_ident()
    assert heard == [(0, here), (1, here), (2, here)]


async def test_refuses_a_thread_before_it_has_seen_its_loop(bus: EventBus) -> None:
    with pytest.raises(RuntimeError, match="has not seen its event loop yet"):
        await asyncio.to_thread(bus.publish, Note())


async def test_has_nothing_left_to_await_in_a_thread(bus: EventBus) -> None:
    await bus.publish(Note())
    published = await asyncio.to_thread(bus.publish, Note())
    assert await published is None  # type: ignore[func-returns-value]  # the point


async def test_says_in_a_thread_that_its_loop_has_stopped(
    bus: EventBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asgi_events.bus._PATIENCE", 0.01)
    other = asyncio.new_event_loop()

    async def see_the_loop() -> None:
        await bus.publish(Note())

    await asyncio.to_thread(other.run_until_complete, see_the_loop())

    with pytest.raises(RuntimeError, match="event loop has stopped"):
        await asyncio.to_thread(bus.publish, Note())
    await asyncio.to_thread(other.run_until_complete, asyncio.sleep(0))
    other.close()


class Racing(Future[int]):
    """It is done just after somebody has waited in vain."""

    def result(self, timeout: float | None = None) -> int:
        if self.done():
            return super().result(timeout)
        self.set_result(7)
        raise TimeoutError


async def test_gives_what_comes_just_after_a_wait(
    bus: EventBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer() -> int:
        return 7

    def carry(coroutine: Any, loop: asyncio.AbstractEventLoop) -> Future[int]:
        coroutine.close()
        return Racing()

    await bus.publish(Note())
    monkeypatch.setattr(asyncio, "run_coroutine_threadsafe", carry)
    assert await asyncio.to_thread(lambda: bus.call(answer())) == 7
