"""The recorder, as viewers see it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from asgi_events import Executions, agent, current_state
from asgi_events.actors import Actor
from asgi_events.executions import Execution
from tests import TIMEOUT
from tests.executions.faulty_store import FaultyStore, viewer
from tests.payloads import data, kinds

Make = Callable[..., Executions]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    """Makes ``Executions`` and drains them when the test is over."""
    made: list[Executions] = []

    def make(*actors: Actor[..., Any], **options: Any) -> Executions:
        made.append(Executions(*actors, **options))
        return made[-1]

    yield make
    for executions in made:
        await executions.drain(0)


class Steps:
    """An actor that publishes a step each time it is told to."""

    def __init__(self) -> None:
        self.told: asyncio.Queue[int | None] = asyncio.Queue()
        self.published: list[int] = []
        self.ended = ""

        @agent
        async def step() -> None:
            try:
                while (number := await self.told.get()) is not None:
                    await current_state().progress(number)
                    self.published.append(number)
            except asyncio.CancelledError:
                self.ended = "cancelled"
                raise
            self.ended = "returned"

        self.actor: Actor[..., Any] = step

    def tell(self, *numbers: int | None) -> None:
        for number in numbers:
            self.told.put_nowait(number)


def steps_in(told: list[Any]) -> list[float]:
    return [event["current"] for event in told if event["event_type"] == "progress"]


async def end_of(execution: Execution) -> str:
    return str(await asyncio.wait_for(execution.wait(), TIMEOUT))


async def test_stores_an_execution_that_returns_at_once_in_one_call(make: Make) -> None:
    @agent
    async def quick() -> None:
        await current_state().log("done")

    store = FaultyStore()
    execution = await make(quick, store=store).start("quick")
    assert await end_of(execution) == "completed"
    assert store.appended == [4]


async def test_stores_the_end_of_the_actor_and_of_the_execution_in_one_call(
    make: Make,
) -> None:
    store, steps = FaultyStore(), Steps()
    execution = await make(steps.actor, store=store).start("step")
    await store.calls("append", 1)
    steps.tell(None)
    assert await end_of(execution) == "completed"
    assert store.appended == [1, 2]


async def test_shows_nothing_while_the_store_is_away_and_then_everything_once(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    store, steps = FaultyStore(), Steps()
    executions = make(steps.actor, store=store, heartbeat_interval=0.03)
    execution = await executions.start("step")
    async with viewer(executions, execution) as connection:
        steps.tell(1)
        await connection.until(b'"current":1.0')
        store.up.clear()
        steps.tell(2, 3)
        before = len(connection.body)
        await connection.until(b": keep-alive\n: keep-alive\n")
        hidden = connection.body[before:].replace(b": keep-alive\n", b"")
        store.up.set()
        steps.tell(None)
        events = await connection.events()
    assert hidden == b""
    assert [e.id for e in events[:-1]] == [f"{execution.id}:{n}" for n in range(1, 7)]
    assert steps_in(data(events)) == [1, 2, 3]
    assert kinds(events)[-1] == "complete"
    assert "The store is down. Trying again." in caplog.text


async def test_lets_a_viewer_come_while_the_store_is_away(make: Make) -> None:
    store, steps = FaultyStore(), Steps()
    executions = make(steps.actor, store=store, heartbeat_interval=0.03)
    execution = await executions.start("step")
    async with viewer(executions, execution) as first:
        await first.until(b"started")
    store.up.clear()
    steps.tell(1, None)
    async with viewer(executions, execution) as second:
        await second.until(b": keep-alive\n")
        before = second.body
        store.up.set()
        events = await second.events()
    assert b"started" in before and b"progress" not in before
    assert steps_in(data(events)) == [1]


async def test_reads_old_frames_again_and_again_while_the_store_is_away(
    make: Make,
) -> None:
    store, steps = FaultyStore(), Steps()
    executions = make(steps.actor, store=store, heartbeat_interval=0.03, max_events=4)
    execution = await executions.start("step")
    steps.tell(*range(20), None)
    assert await end_of(execution) == "completed"
    store.up.clear()
    async with viewer(executions, execution) as connection:
        await connection.until(b": keep-alive\n")
        before = b"data:" in connection.body
        store.up.set()
        events = await connection.events()
    assert not before
    assert steps_in(data(events)) == [*range(20)]


async def test_does_not_spin_when_a_read_fails_for_good(make: Make) -> None:
    store, steps = FaultyStore(), Steps()
    executions = make(steps.actor, store=store, max_events=4)
    execution = await executions.start("step")
    steps.tell(*range(20), None)
    await end_of(execution)
    store.before["read"] += [OSError("disk on fire") for _ in range(1000)]
    async with viewer(executions, execution) as connection:
        await connection.until(b": stream-start\n")
        for _ in range(100):
            await asyncio.sleep(0)
        reads = store.called["read"]
        store.before["read"].clear()
    assert reads < 20


async def test_cancels_the_actor_and_tells_viewers_that_it_is_lost(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    store, steps = FaultyStore(), Steps()
    executions = make(steps.actor, store=store)
    execution = await executions.start("step")
    async with viewer(executions, execution) as connection:
        await connection.until(b"started")
        await store.take_over(execution.id)
        steps.tell(1)
        events = await connection.events()
    *_, last, end = events
    assert data(events)[-1] == {
        "event_type": "lost",
        "message": "The process that ran this execution died",
    }
    assert last.event is None and (end.event, end.data) == ("end", '{"status":"lost"}')
    assert await end_of(execution) == "lost"
    assert steps.ended == "cancelled"
    assert "is not ours any more, and stops" in caplog.text


async def test_shows_after_a_take_over_what_is_stored_and_nothing_else(
    make: Make,
) -> None:
    store, steps = FaultyStore(), Steps()
    executions = make(steps.actor, store=store)
    execution = await executions.start("step")
    async with viewer(executions, execution) as connection:
        await connection.until(b"started")
        store.fast.clear()
        steps.tell(1, 2, 3)
        await store.calls("append", 1)
        await store.take_over(execution.id)
        store.fast.set()
        await connection.end()
    stored = b"".join(store.frames(execution.id))
    assert connection.body == (
        b": stream-start\nretry: 3000\n%bevent: end\ndata: "
        b'{"status":"lost"}\n\n' % stored
    )
    assert stored.count(b"id: ") == 2


async def test_does_not_claim_a_success_that_was_not_stored(make: Make) -> None:
    store, steps = FaultyStore(), Steps()
    executions = make(steps.actor, store=store)
    execution = await executions.start("step")
    async with viewer(executions, execution) as connection:
        await connection.until(b"started")
        store.fast.clear()
        steps.tell(None)
        await store.calls("append", 1)  # the actor's end; the terminal frame waits
        for _ in range(100):
            await asyncio.sleep(0)
        assert execution.log.end == "completed"
        await store.take_over(execution.id)
        store.fast.set()
        events = await connection.events()
    assert kinds(events)[-1] == "lost"
    assert "complete" not in kinds(events)
    assert await end_of(execution) == "lost"


async def test_is_lost_when_the_store_breaks_its_promises(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    store, steps = FaultyStore(), Steps()
    executions = make(steps.actor, store=store, lease=0.1)
    execution = await executions.start("step")
    async with viewer(executions, execution) as connection:
        await connection.until(b"started")
        store.before["append"] += [ZeroDivisionError("a bug")] * 1000
        store.before["renew"] += [ZeroDivisionError("a bug")] * 1000
        steps.tell(1)
        events = await connection.events()
    assert kinds(events)[-1] == "lost"
    assert b"a bug" not in connection.body
    assert steps.ended == "cancelled"
    assert "ZeroDivisionError: a bug" in caplog.text


async def test_holds_the_actor_back_while_the_store_is_slow(make: Make) -> None:
    store, steps = FaultyStore(), Steps()
    executions = make(steps.actor, store=store, max_events=4)
    execution = await executions.start("step")
    async with viewer(executions, execution) as connection:
        await connection.until(b"started")
        store.fast.clear()
        steps.tell(*range(50), None)
        await store.calls("append", 1)
        for _ in range(100):
            await asyncio.sleep(0)
        published = len(steps.published)
        waiting = len(execution.log.uncommitted())
        store.fast.set()
        events = await connection.events()
    assert published < 10
    assert waiting <= 5  # max_events, and the one its publisher waits for
    assert steps_in(data(events)) == [*range(50)]
    assert kinds(events)[-1] == "complete"


async def test_holds_the_actor_back_by_bytes_as_well(make: Make) -> None:
    store = FaultyStore()
    published: list[int] = []

    @agent
    async def talk() -> None:
        for number in range(20):
            await current_state().text("x" * 1000)
            published.append(number)

    executions = make(talk, store=store, max_bytes=3000)
    store.fast.clear()
    execution = await executions.start(talk)
    await store.calls("append", 1)
    for _ in range(100):
        await asyncio.sleep(0)
    held = len(published)
    store.fast.set()
    assert await end_of(execution) == "completed"
    assert held < 4
    assert len(published) == 20


async def test_cancels_an_actor_that_the_store_wants_held_back(make: Make) -> None:
    store, steps = FaultyStore(), Steps()
    executions = make(steps.actor, store=store, max_events=4)
    execution = await executions.start("step")
    await store.calls("append", 1)
    store.fast.clear()
    steps.tell(*range(50))
    await store.calls("append", 1)
    for _ in range(100):
        await asyncio.sleep(0)
    await execution.cancel()
    store.fast.set()
    assert await end_of(execution) == "cancelled"
    assert steps.ended == "cancelled"


async def test_heeds_a_cancel_that_somebody_else_left_in_the_store(
    make: Make,
) -> None:
    store, steps = FaultyStore(), Steps()
    executions = make(steps.actor, store=store)
    execution = await executions.start("step")
    async with viewer(executions, execution) as connection:
        await connection.until(b"started")
        assert await store.cancel(execution.id) is True
        steps.tell(1)
        events = await connection.events()
    assert data(events)[-1] == {
        "event_type": "cancelled",
        "message": "Execution cancelled",
    }
    assert steps.ended == "cancelled"


async def test_leaves_nothing_behind_when_it_drains_without_its_store(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    store, steps = FaultyStore(), Steps()
    executions = make(steps.actor, store=store, cancel_timeout=0.03)
    execution = await executions.start("step")
    await store.calls("append", 1)
    store.up.clear()
    await asyncio.wait_for(executions.drain(0), TIMEOUT)
    assert steps.ended == "cancelled"
    running = [task for task in asyncio.all_tasks() if not task.done()]
    store.up.set()
    await asyncio.wait({asyncio.ensure_future(execution.wait())}, timeout=3)
    assert running == [asyncio.current_task()]
