"""The executions of one process, through the door that application code uses."""

import asyncio
import gc
import json
import logging
import re
import threading
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4
from weakref import ref

import pytest
from pydantic import BaseModel, Field

from asgi_events import Executions, agent, current_state, tool
from asgi_events.actors import Actor
from asgi_events.aio import signals
from asgi_events.aio.waiter import Waiter
from asgi_events.exceptions import (
    Draining,
    EventTooLarge,
    Gone,
    IdempotencyConflict,
    InvalidInput,
    LimitReached,
    Unavailable,
    UnknownActor,
    UnknownExecution,
)
from asgi_events.executions import Execution
from asgi_events.executions.follower import Follower
from asgi_events.http.viewing import ExecutionResponse
from asgi_events.log.cursor import Cursor
from asgi_events.stores import EventStore, Grant
from asgi_events.stores.memory import MemoryStore
from tests.asgi import TIMEOUT, Connection, data, kinds

Make = Callable[..., Executions]

SECRET = "the password is hunter2"


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


@tool
async def count(to: int) -> int:
    for number in range(to):
        await current_state().progress(number, to)
    return to


class Gate:
    """An actor that says it has begun, and ends when it is let go."""

    def __init__(self, name: str = "work") -> None:
        self.begun = asyncio.Event()
        self.open = asyncio.Event()
        self.ended: list[str] = []

        @agent(name=name)
        async def work() -> str:
            self.begun.set()
            try:
                await self.open.wait()
            except asyncio.CancelledError:
                self.ended.append("cancelled")
                raise
            self.ended.append("returned")
            return "done"

        self.actor: Actor[..., Any] = work


class Cleaner:
    """An actor whose cleanup takes until it is let go."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.cleaning = asyncio.Event()
        self.open = asyncio.Event()
        self.over = asyncio.Event()

        @agent
        async def clean() -> None:
            self.begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.cleaning.set()
                await self.open.wait()
                self.over.set()

        self.actor: Actor[..., Any] = clean


class SpyStore(MemoryStore):
    """Says which methods were called, and can hold ``open`` up."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []
        self.opening = asyncio.Event()
        self.openable = asyncio.Event()
        self.openable.set()
        self.deleted = asyncio.Event()

    async def open(
        self,
        key: str,
        *,
        writer: str,
        lease: float,
        ttl: float,
        meta: Mapping[str, str],
    ) -> Grant:
        self.calls.append("open")
        self.opening.set()
        await self.openable.wait()
        return await super().open(key, writer=writer, lease=lease, ttl=ttl, meta=meta)

    async def delete(self, key: str) -> None:
        self.calls.append("delete")
        await super().delete(key)
        self.deleted.set()

    async def aclose(self) -> None:
        self.calls.append("aclose")
        await super().aclose()


class LastingStore(SpyStore):
    """Says that its logs outlive this process."""

    durable = True


async def soon(waiting: Awaitable[Any]) -> Any:
    return await asyncio.wait_for(waiting, TIMEOUT)


async def frames_of(store: EventStore, execution: Execution) -> list[bytes]:
    page = await store.read(execution.id, 0, 1 << 30)
    assert page is not None
    return list(page.frames)


async def end_of(execution: Execution) -> str:
    return str(await soon(execution.wait()))


def viewer(
    executions: Executions, execution: Execution, last_event_id: str | None = None
) -> Connection:
    headers = {} if last_event_id is None else {"last-event-id": last_event_id}
    return Connection(ExecutionResponse(execution), headers=headers)


async def seen(executions: Executions, execution: Execution) -> list[Any]:
    """What a viewer of it is told, from the first event to the last."""
    async with viewer(executions, execution) as connection:
        return data(await connection.events())


# Starting and finding


@pytest.mark.parametrize("given", ["count", count], ids=["name", "actor"])
async def test_starts_an_actor_by_its_name_or_itself(make: Make, given: Any) -> None:
    executions = make(count)
    execution = await executions.start(given, {"to": 2})
    assert await end_of(execution) == "completed"
    assert (await seen(executions, execution))[-1] == {
        "event_type": "complete",
        "message": "Execution completed successfully",
        "result": 2,
    }


class Topic(BaseModel):
    topic: str


@agent
async def research(topic: Topic) -> str:
    return topic.topic


@agent
async def idle() -> None:
    pass


@pytest.mark.parametrize(
    ("actor", "given", "result"),
    [
        (research, Topic(topic="ants"), "ants"),
        (research, {"topic": "bees"}, "bees"),
        (research, b'{"topic":"wasps"}', "wasps"),
        (idle, None, None),
    ],
    ids=["model", "dict", "bytes of JSON", "nothing"],
)
async def test_takes_the_input_as(
    make: Make, actor: Actor[..., Any], given: Any, result: str | None
) -> None:
    executions = make(research, idle)
    execution = await executions.start(actor, given)
    assert await end_of(execution) == "completed"
    told = (await seen(executions, execution))[-1]
    assert told.get("result") == result


async def test_refuses_an_unknown_actor_and_names_the_known(make: Make) -> None:
    executions = make(count, idle)
    with pytest.raises(UnknownActor) as raised:
        await executions.start("nope")
    assert str(raised.value) == "No actor is called 'nope'; there are: count, idle."
    assert list(executions) == []


async def test_refuses_an_invalid_input_without_repeating_it(make: Make) -> None:
    executions = make(count)
    with pytest.raises(InvalidInput) as raised:
        await executions.start(count, {"to": SECRET})
    assert raised.value.errors[0]["loc"] == ("to",)
    assert SECRET not in str(raised.value)
    assert list(executions) == []


async def test_knows_what_it_is_from_start_to_end(make: Make) -> None:
    gate = Gate()
    executions = make(gate.actor)
    execution = await executions.start("work", owner="ada")
    await soon(gate.begun.wait())
    running = (execution.status, execution.ended, execution.viewers)
    gate.open.set()
    await end_of(execution)
    assert running == ("started", None, 0)
    assert re.fullmatch("[0-9a-f]{32}", execution.id)
    assert (execution.actor, execution.owner) == ("work", "ada")
    assert execution.status == "completed"
    assert isinstance(execution.ended, datetime)
    assert execution.created <= execution.ended
    assert execution.ended.tzinfo is not None


async def test_gives_each_execution_an_id_of_its_own(make: Make) -> None:
    executions = make(idle)
    started = [await executions.start(idle) for _ in range(20)]
    assert len({execution.id for execution in started}) == 20
    assert list(executions) == started


async def test_finds_an_execution_by_its_id_running_or_over(make: Make) -> None:
    gate = Gate()
    executions = make(gate.actor)
    execution = await executions.start("work")
    running = await executions.get(execution.id)
    gate.open.set()
    await end_of(execution)
    assert (running, await executions.get(execution.id)) == (execution, execution)


async def test_says_why_an_execution_may_be_unknown(make: Make) -> None:
    with pytest.raises(UnknownExecution, match="No execution 'nope': it never was"):
        await make(idle).get("nope")


async def test_hands_the_events_to_further_handlers(make: Make) -> None:
    heard: list[Any] = []
    executions = make(count, handlers=[heard.append])
    await end_of(await executions.start(count, {"to": 2}))
    assert [event.event_type for event in heard] == [
        "tool_call",
        "progress",
        "progress",
        "tool_call",
        "complete",
    ]


class Cache:
    """A cache backend that is a dict."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    def get(self, key: str) -> Any:
        return self.kept.get(key)

    def set(self, key: str, value: Any) -> None:
        self.kept[key] = value

    async def get_stats(self) -> dict[str, int]:
        return {"kept": len(self.kept)}


@tool(cacheable=True)
async def square(of: int) -> int:
    return of * of


async def test_lends_its_cache_to_cacheable_actors(make: Make) -> None:
    executions = make(square, cache_backend=Cache())
    first = await executions.start(square, {"of": 3})
    await end_of(first)
    second = await executions.start(square, {"of": 3})
    await end_of(second)
    told = await seen(executions, second)
    assert [event.get("execution_status") for event in told] == [
        "started",
        "recovered",
        None,
    ]
    assert told[-1] == {
        "event_type": "complete",
        "message": "Execution completed successfully",
        "cache_stats": {"kept": 1},
        "result": 9,
    }


# Watching


async def test_shows_every_viewer_every_event_once_and_one_end(make: Make) -> None:
    go = asyncio.Event()

    @agent
    async def talk() -> None:
        for number in range(50):
            await current_state().progress(number, 50)
            await asyncio.sleep(0)
            if number == 25:
                await go.wait()

    executions = make(talk)
    execution = await executions.start(talk)
    async with viewer(executions, execution) as early:
        await early.until(b'"current":25.0')
        async with viewer(executions, execution) as late:
            await late.start()
            watched = execution.viewers
            go.set()
            events = [await early.events(), await late.events()]
    assert watched == 2
    assert execution.viewers == 0
    for told in events:
        numbers = [e.id.split(":")[1] for e in told if e.id is not None]
        assert numbers == [str(n) for n in range(1, 54)]
        assert kinds(told).count("complete") == 1
        assert kinds(told)[-1] == "complete"
        assert [e.event for e in told if e.event is not None] == ["end"]
    assert early.body == late.body


async def test_replays_the_very_bytes_that_were_sent_live(make: Make) -> None:
    executions = make(count)
    execution = await executions.start(count, {"to": 20})
    async with viewer(executions, execution) as live:
        await live.end()
    async with viewer(executions, execution) as replay:
        await replay.end()
    assert live.body == replay.body
    assert live.body.count(b"id: ") == 23


async def test_replays_from_the_store_what_it_has_let_go_of(make: Make) -> None:
    executions = make(count, max_events=4)
    execution = await executions.start(count, {"to": 40})
    await end_of(execution)
    async with viewer(executions, execution, f"{execution.id}:7") as connection:
        events = await connection.events()
    assert execution.log.first > 8
    assert [e.id for e in events[:-1]] == [f"{execution.id}:{n}" for n in range(8, 44)]
    assert events[-1].event == "end"


async def test_announces_what_not_even_the_store_holds(make: Make) -> None:
    executions = make(count, max_events=4, store=MemoryStore(max_events=8))
    execution = await executions.start(count, {"to": 40})
    await end_of(execution)
    async with viewer(executions, execution, f"{execution.id}:1") as connection:
        reset, *events, end = await connection.events()
    first = int((events[0].id or "").split(":")[1])
    assert (reset.event, reset.id) == ("reset", None)
    assert reset.data == f'{{"reason":"trimmed","first":{first}}}'
    assert first > 2
    assert [e.id for e in events] == [f"{execution.id}:{n}" for n in range(first, 44)]
    assert end.event == "end"


async def test_sends_viewers_away_after_max_stream_duration(make: Make) -> None:
    gate = Gate()
    executions = make(gate.actor, max_stream_duration=0.05)
    execution = await executions.start("work")
    async with viewer(executions, execution) as connection:
        *before, goodbye = await connection.events()
    gate.open.set()
    async with viewer(executions, execution, before[-1].id) as connection:
        *after, end = await connection.events()
    assert (goodbye.event, goodbye.data) == ("goodbye", '{"reason":"max_duration"}')
    assert goodbye.id is None
    assert goodbye.retry is not None and 1000 <= goodbye.retry <= 4000
    assert [e.id for e in before + after] == [f"{execution.id}:{n}" for n in (1, 2, 3)]
    assert end.event == "end"


async def test_sends_heartbeats_while_nothing_happens(make: Make) -> None:
    gate = Gate()
    executions = make(gate.actor, heartbeat_interval=0.03)
    execution = await executions.start("work")
    async with viewer(executions, execution) as connection:
        await connection.until(b": keep-alive\n: keep-alive\n")
        gate.open.set()
        events = await connection.events()
    assert kinds(events)[-1] == "complete"


async def test_drops_a_viewer_that_takes_nothing(make: Make) -> None:
    gate = Gate()
    executions = make(gate.actor, send_timeout=0.05, cancel_after=None)
    execution = await executions.start("work")
    async with viewer(executions, execution) as connection:
        connection.stall()
        await connection.end()
    gate.open.set()
    assert (execution.viewers, connection.messages) == (0, [])
    assert await end_of(execution) == "completed"


async def test_tells_clients_how_long_to_wait_before_they_reconnect(
    make: Make,
) -> None:
    executions = make(idle, retry=1234)
    execution = await executions.start(idle)
    async with viewer(executions, execution) as connection:
        events = await connection.events()
    assert [e.retry for e in events] == [1234, None, None, None]


# Idempotency


async def test_finds_the_same_execution_by_its_idempotency_key(make: Make) -> None:
    executions = make(count)
    first = await executions.start(count, {"to": 1}, idempotency_key="k")
    again = await executions.start(count, b'{ "to": 1 }', idempotency_key="k")
    await end_of(first)
    over = await executions.start(count, {"to": 1}, idempotency_key="k")
    assert (again, over) == (first, first)
    assert list(executions) == [first]


async def test_starts_once_for_two_of_one_key_at_the_same_time(make: Make) -> None:
    store = SpyStore()
    store.openable.clear()
    executions = make(idle, store=store)
    both = [
        asyncio.create_task(executions.start(idle, idempotency_key="k"))
        for _ in range(2)
    ]
    await soon(store.opening.wait())
    store.openable.set()
    first, second = await soon(asyncio.gather(*both))
    assert first is second
    assert list(executions) == [first]
    assert store.calls == ["open", "open"]  # for the key, and for the execution


async def test_goes_on_starting_when_the_first_of_two_leaves(make: Make) -> None:
    store = SpyStore()
    store.openable.clear()
    executions = make(idle, store=store)
    first = asyncio.create_task(executions.start(idle, idempotency_key="k"))
    second = asyncio.create_task(executions.start(idle, idempotency_key="k"))
    await soon(store.opening.wait())
    first.cancel()
    await asyncio.wait({first})
    store.openable.set()
    execution = await soon(second)
    assert first.cancelled()
    assert list(executions) == [execution]
    assert await end_of(execution) == "completed"


@pytest.mark.parametrize(
    ("actor", "given"), [("count", {"to": 2}), ("idle", None)], ids=["input", "actor"]
)
async def test_refuses_a_key_that_was_used_with_another(
    make: Make, actor: str, given: Any
) -> None:
    executions = make(count, idle)
    first = await executions.start(count, {"to": 1}, idempotency_key="k")
    with pytest.raises(IdempotencyConflict, match="'k' was used for another request"):
        await executions.start(actor, given, idempotency_key="k")
    assert list(executions) == [first]


async def test_gives_no_id_that_can_be_guessed_from_the_key(make: Make) -> None:
    ids = set()
    for _ in range(2):  # two services, each with a store of its own
        executions = make(idle)
        execution = await executions.start(idle, idempotency_key="order-1")
        await end_of(execution)
        ids.add(execution.id)
    assert len(ids) == 2


@pytest.mark.parametrize("owner", ["", " ", "\n"])
async def test_starts_nothing_for_a_blank_owner(make: Make, owner: str) -> None:
    executions = make(idle)

    with pytest.raises(ValueError, match="owner must be None or a str"):
        await executions.start(idle, owner=owner)

    assert list(executions) == []


async def test_keeps_the_keys_of_owners_apart(make: Make) -> None:
    executions = make(idle)
    owners = ["ada", "bob", None]
    started = [
        await executions.start(idle, owner=owner, idempotency_key="k")
        for owner in owners
    ]
    assert len(set(started)) == 3
    assert [execution.owner for execution in started] == owners


async def test_frees_the_key_of_a_start_that_found_no_seat(make: Make) -> None:
    gate = Gate()
    executions = make(gate.actor, idle, max_executions=1)
    running = await executions.start("work")
    with pytest.raises(LimitReached):
        await executions.start(idle, idempotency_key="k")
    gate.open.set()
    await end_of(running)
    assert await end_of(await executions.start(idle, idempotency_key="k")) == (
        "completed"
    )


async def test_frees_the_key_of_a_start_that_a_drain_refused(make: Make) -> None:
    executions = make(idle)
    await executions.drain(0)
    with pytest.raises(Draining):
        await executions.start(idle, idempotency_key="k")
    executions.open()
    assert await end_of(await executions.start(idle, idempotency_key="k")) == (
        "completed"
    )


async def test_frees_key_and_seat_of_a_start_that_the_store_failed(make: Make) -> None:
    class BrokenStore(MemoryStore):
        broken = True

        async def open(self, key: str, **options: Any) -> Grant:
            if self.broken:
                raise OSError("disk full")
            return await super().open(key, **options)

    store = BrokenStore()
    executions = make(idle, store=store, max_executions=1)
    with pytest.raises(OSError, match="disk full"):
        await executions.start(idle, idempotency_key="k")
    store.broken = False
    assert await end_of(await executions.start(idle, idempotency_key="k")) == (
        "completed"
    )


# Limits


async def test_refuses_more_than_max_executions_until_one_ends(make: Make) -> None:
    gate = Gate()
    executions = make(gate.actor, max_executions=2)
    running = [await executions.start("work") for _ in range(2)]
    with pytest.raises(LimitReached) as raised:
        await executions.start("work")
    gate.open.set()
    await end_of(running[0])
    third = await executions.start("work")
    assert (raised.value.status, raised.value.option) == (429, "max_executions")
    assert list(executions) == [*running, third]


async def test_refuses_more_than_max_viewers_until_one_leaves(make: Make) -> None:
    gate = Gate()
    executions = make(gate.actor, max_viewers=1)
    execution = await executions.start("work")

    async def refused() -> LimitReached:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> Any:
            return {"type": "http.disconnect"}

        scope = {"type": "http", "method": "GET"}
        with pytest.raises(LimitReached) as raised:
            await ExecutionResponse(execution)(scope, receive, send)
        assert sent == []
        return raised.value

    async with viewer(executions, execution) as first:
        await first.until(b"started")
        error = await refused()
        watching = execution.viewers
    async with viewer(executions, execution) as second:
        await second.until(b"started")
        await refused()
    assert (error.status, error.option, error.limit) == (429, "max_viewers", 1)
    assert (watching, execution.viewers) == (1, 0)


async def test_has_no_limits_when_they_are_none(make: Make) -> None:
    executions = make(idle, max_executions=None, max_viewers=None)
    for _ in range(5):
        told = await seen(executions, await executions.start(idle))
        assert kinds_of(told)[-1] == "complete"


# The policy: disconnect is a policy, stop is a request


class Twin:
    """Two alike executions. The second loses its only viewer after whatever happened to
    the first, so when it is cancelled for that, the first one's time was up as well."""

    def __init__(self, make: Make, cancel_after: float) -> None:
        self.gate = Gate()
        self.executions = make(self.gate.actor, cancel_after=cancel_after)

    async def start(self) -> Execution:
        return await self.executions.start("work")

    async def watch_and_leave(self, execution: Execution) -> None:
        async with viewer(self.executions, execution) as connection:
            await connection.until(b"started")

    async def outlast(self) -> None:
        """Wait until an execution that was left now is cancelled for it."""
        other = await self.start()
        await self.watch_and_leave(other)
        assert await end_of(other) == "cancelled"


@pytest.mark.parametrize(
    ("cancel_after", "message"),
    [
        (0.05, "Execution cancelled: nobody watched it for 0.05 s"),
        (0, "Execution cancelled: nobody watched it for 0 s"),
    ],
    ids=["after a while", "at once"],
)
async def test_cancels_an_execution_that_its_last_viewer_has_left(
    make: Make, cancel_after: float, message: str
) -> None:
    twin = Twin(make, cancel_after)
    execution = await twin.start()
    async with viewer(twin.executions, execution) as first:
        await first.until(b"started")
        async with viewer(twin.executions, execution) as second:
            await second.until(b"started")
    assert await end_of(execution) == "cancelled"
    assert (await seen(twin.executions, execution))[-1] == {
        "event_type": "cancelled",
        "message": message,
    }
    assert twin.gate.ended == ["cancelled"]


async def test_runs_on_without_viewers_when_cancel_after_is_none(make: Make) -> None:
    gate = Gate()
    executions = make(gate.actor, cancel_after=None)
    execution = await executions.start("work")
    async with viewer(executions, execution) as connection:
        await connection.until(b"started")
    await asyncio.sleep(0.06)  # two slots of the wheel, had it a timer
    gate.open.set()
    assert await end_of(execution) == "completed"


@pytest.mark.parametrize("cancel_after", [0, 0.05], ids=["at once", "after a while"])
async def test_runs_on_when_it_never_had_a_viewer(
    make: Make, cancel_after: float
) -> None:
    twin = Twin(make, cancel_after)
    execution = await twin.start()
    await twin.outlast()
    assert execution.status == "started"
    twin.gate.open.set()
    assert await end_of(execution) == "completed"


async def test_counts_a_head_request_as_no_viewer(make: Make) -> None:
    gate = Gate()
    executions = make(gate.actor, cancel_after=0)
    execution = await executions.start("work")
    async with Connection(ExecutionResponse(execution), "HEAD") as connection:
        await connection.end()
    gate.open.set()
    assert await end_of(execution) == "completed"


async def test_forgets_that_it_was_left_when_a_viewer_comes_back(make: Make) -> None:
    twin = Twin(make, 0.05)
    execution = await twin.start()
    await twin.watch_and_leave(execution)
    async with viewer(twin.executions, execution) as back:
        await back.until(b"started")
        await twin.outlast()
        assert execution.status == "started"
        twin.gate.open.set()
        assert kinds(await back.events())[-1] == "complete"


async def test_waits_anew_when_the_viewer_who_came_back_leaves(make: Make) -> None:
    twin = Twin(make, 0.05)
    execution = await twin.start()
    await twin.watch_and_leave(execution)
    await twin.watch_and_leave(execution)
    assert await end_of(execution) == "cancelled"


@pytest.mark.parametrize("cancel_after", [0, 0.05], ids=["at once", "after a while"])
async def test_lets_a_joiner_leave_while_another_watches(
    make: Make, cancel_after: float
) -> None:
    twin = Twin(make, cancel_after)
    execution = await twin.start()
    async with viewer(twin.executions, execution) as stays:
        await stays.until(b"started")
        await twin.watch_and_leave(execution)
        await twin.outlast()
        assert execution.status == "started"
        twin.gate.open.set()
        assert kinds(await stays.events())[-1] == "complete"


async def test_lets_the_first_viewer_leave_while_a_joiner_watches(make: Make) -> None:
    twin = Twin(make, 0)
    execution = await twin.start()
    first = viewer(twin.executions, execution)
    async with viewer(twin.executions, execution) as joiner:
        async with first:
            await first.until(b"started")
            await joiner.until(b"started")
        twin.gate.open.set()
        assert kinds(await joiner.events())[-1] == "complete"


async def test_is_bounded_by_max_duration_watched_or_not(make: Make) -> None:
    gate = Gate()
    executions = make(gate.actor, max_duration=0.05)
    unwatched = await executions.start("work")
    watched = await executions.start("work")
    told = await seen(executions, watched)
    assert await end_of(unwatched) == "cancelled"
    assert told[-1] == {
        "event_type": "cancelled",
        "message": "Execution cancelled: it ran longer than 0.05 s",
    }
    assert (await seen(executions, unwatched))[-1] == told[-1]
    assert gate.ended == ["cancelled", "cancelled"]


async def test_has_no_say_after_the_end_of_an_execution(make: Make) -> None:
    executions = make(idle, max_duration=0.03, cancel_after=0.03)
    execution = await executions.start(idle)
    told = await seen(executions, execution)
    twin = await executions.start(idle)
    await asyncio.sleep(0.06)
    assert execution.status == twin.status == "completed"
    assert await seen(executions, execution) == told


async def test_tells_every_viewer_of_the_cancel_and_runs_finally(make: Make) -> None:
    gate = Gate()
    executions = make(gate.actor)
    execution = await executions.start("work")
    async with (
        viewer(executions, execution) as first,
        viewer(executions, execution) as second,
    ):
        await first.until(b"started")
        cancelling = await execution.cancel("Execution cancelled: enough")
        told = [data(await first.events()), data(await second.events())]
    assert cancelling is True
    assert told[0] == told[1]
    assert [event.get("execution_status") for event in told[0]] == [
        "started",
        "cancelled",
        None,
    ]
    assert told[0][-1] == {
        "event_type": "cancelled",
        "message": "Execution cancelled: enough",
    }
    assert (execution.status, gate.ended) == ("cancelled", ["cancelled"])


async def test_is_cancelled_before_its_actor_has_begun(make: Make) -> None:
    gate = Gate()
    executions = make(gate.actor)
    execution = await executions.start("work")
    await execution.cancel()
    assert await end_of(execution) == "cancelled"
    assert await seen(executions, execution) == [
        {"event_type": "cancelled", "message": "Execution cancelled"}
    ]
    assert not gate.begun.is_set()


async def test_does_not_disturb_the_cleanup_when_cancelled_again(make: Make) -> None:
    cleaner = Cleaner()
    executions = make(cleaner.actor)
    execution = await executions.start("clean")
    await soon(cleaner.begun.wait())
    first = await execution.cancel("first")
    await soon(cleaner.cleaning.wait())
    second = await execution.cancel("second")
    await asyncio.sleep(0)
    cleaner.open.set()
    status = await end_of(execution)
    assert (first, second, await execution.cancel("third")) == (True, True, False)
    assert (status, cleaner.over.is_set()) == ("cancelled", True)
    assert (await seen(executions, execution))[-1]["message"] == "first"


async def test_reports_a_cleanup_that_takes_too_long(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    cleaner = Cleaner()
    executions = make(cleaner.actor, cancel_timeout=0.05)
    execution = await executions.start("clean")
    await soon(cleaner.begun.wait())
    await execution.cancel()
    status = await end_of(execution)
    cleaning = not cleaner.over.is_set()
    cleaner.open.set()
    await soon(cleaner.over.wait())
    told = await seen(executions, execution)
    assert (status, cleaning) == ("cancelled", True)
    assert told[-1] == {
        "event_type": "cancelled",
        "message": "Execution cancelled; its cleanup was not done after 0.05 s",
    }
    assert [event["event_type"] for event in told].count("cancelled") == 1
    assert "cleans up for more than 0.05 s" in caplog.text


async def test_shows_a_sync_actor_in_its_thread_that_it_is_cancelled(
    make: Make,
) -> None:
    begun, saw, give_up = threading.Event(), threading.Event(), threading.Event()

    @tool
    def grind() -> None:
        state = current_state()
        begun.set()
        while not state.cancelled:
            if give_up.wait(0.001):
                return
        saw.set()

    executions = make(grind)
    execution = await executions.start(grind)
    try:
        assert await asyncio.to_thread(begun.wait, TIMEOUT)
        await execution.cancel()
        assert await asyncio.to_thread(saw.wait, TIMEOUT)
    finally:
        give_up.set()
    assert await end_of(execution) == "cancelled"


async def test_stops_a_sync_generator_in_its_thread(make: Make) -> None:
    begun, give_up = threading.Event(), threading.Event()
    yielded: list[str] = []

    @tool
    def drip() -> Any:
        while not give_up.is_set():
            yielded.append("x")
            yield "x"
            begun.set()
            time.sleep(0.001)

    executions = make(drip)
    execution = await executions.start(drip)
    try:
        assert await asyncio.to_thread(begun.wait, TIMEOUT)
        await execution.cancel()
        assert await end_of(execution) == "cancelled"
    finally:
        give_up.set()


# Errors


@tool
async def inner() -> None:
    raise RuntimeError(SECRET)


@agent
async def outer() -> None:
    await inner()


async def test_tells_viewers_a_neutral_sentence_and_logs_the_rest_once(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    executions = make(outer)
    execution = await executions.start(outer)
    async with viewer(executions, execution) as connection:
        told = data(await connection.events())
    message = told[-1]["message"]
    match = re.fullmatch(r"The execution failed\. Error id: ([0-9a-f]{8})", message)
    assert match is not None
    assert told[-1] == {"event_type": "error", "message": message}
    failed = [event for event in told if event.get("execution_status") == "failed"]
    assert [(event["address"], event["message"]) for event in failed] == [
        ("outer/inner", message),
        ("outer", message),
    ]
    assert execution.status == "failed"
    assert b"Traceback" not in connection.body
    assert SECRET.encode() not in connection.body
    records = [r for r in caplog.records if match[1] in r.getMessage()]
    assert [(r.levelno, str((r.exc_info or ("", ""))[1])) for r in records] == [
        (logging.ERROR, SECRET)
    ]
    assert caplog.text.count("Traceback (most recent call last)") == 1


async def test_gives_two_errors_two_ids(make: Make) -> None:
    executions = make(outer)
    told = []
    for _ in range(2):
        execution = await executions.start(outer)
        told.append((await seen(executions, execution))[-1]["message"])
    assert told[0] != told[1]


async def test_tells_the_traceback_with_debug(make: Make) -> None:
    executions = make(outer, debug=True)
    execution = await executions.start(outer)
    told = (await seen(executions, execution))[-1]
    assert told["event_type"] == "error"
    assert told["message"].startswith("Traceback (most recent call last):\n")
    assert told["message"].endswith(f"RuntimeError: {SECRET}")


@pytest.mark.parametrize("debug", [False, True], ids=["plain", "debug"])
async def test_tells_what_the_error_message_hook_says(make: Make, debug: bool) -> None:
    executions = make(
        outer, debug=debug, error_message=lambda error: f"Sorry: {type(error).__name__}"
    )
    execution = await executions.start(outer)
    told = await seen(executions, execution)
    assert told[-1] == {"event_type": "error", "message": "Sorry: RuntimeError"}
    assert [e["message"] for e in told if e.get("execution_status") == "failed"] == [
        "Sorry: RuntimeError",
        "Sorry: RuntimeError",
    ]


async def test_leaks_nothing_when_the_error_message_hook_fails(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    def hook(error: BaseException) -> str:
        raise LookupError(f"no words for: {error}")

    executions = make(outer, error_message=hook)
    execution = await executions.start(outer)
    async with viewer(executions, execution) as connection:
        told = data(await connection.events())
    assert told[-1]["event_type"] == "error"
    assert SECRET.encode() not in connection.body
    assert b"Traceback" not in connection.body
    assert SECRET in caplog.text


class Stop(BaseException):
    """What some libraries raise to get past ``except Exception``."""


async def test_leaks_nothing_of_an_error_that_is_no_exception(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    @agent
    async def stop() -> None:
        raise Stop(SECRET)

    executions = make(stop)
    execution = await executions.start(stop)
    async with viewer(executions, execution) as connection:
        told = data(await connection.events())
    assert execution.status == "failed"
    assert SECRET.encode() not in connection.body
    assert re.fullmatch(
        r"The execution failed\. Error id: [0-9a-f]{8}", told[-1]["message"]
    )
    assert SECRET in caplog.text


# Retention


async def test_forgets_an_execution_after_its_retention(make: Make) -> None:
    store = SpyStore()
    executions = make(idle, store=store, retention=0.05)
    execution = await executions.start(idle)
    await end_of(execution)
    found = await executions.get(execution.id)
    await soon(store.deleted.wait())
    with pytest.raises(UnknownExecution):
        await executions.get(execution.id)
    assert await store.read(execution.id, 0, 1000) is None
    assert (found, list(executions)) == (execution, [])


async def test_does_not_take_the_cursor_of_another_execution_for_one_of_its_own(
    make: Make,
) -> None:
    executions = make(idle)
    old = await executions.start(idle)
    new = await executions.start(idle)
    async with viewer(executions, new, f"{old.id}:2") as connection:
        events = await connection.events()
    assert events[0].event == "reset"
    assert kinds(events) == ["agent_call", "agent_call", "complete"]


async def test_keeps_an_execution_that_runs_longer_than_its_retention(
    make: Make,
) -> None:
    store = SpyStore()
    gate = Gate()
    executions = make(idle, gate.actor, store=store, retention=0.05)
    execution = await executions.start("work")
    await soon(gate.begun.wait())
    await executions.start(idle)
    await soon(store.deleted.wait())  # as old as the other that was idle meanwhile
    gate.open.set()
    assert await end_of(execution) == "completed"
    assert kinds_of(await seen(executions, execution))[-1] == "complete"


def kinds_of(told: list[Any]) -> list[str]:
    return [event["event_type"] for event in told]


async def test_survives_a_store_that_can_not_forget(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    class Elephant(MemoryStore):
        asked = asyncio.Event()

        async def delete(self, key: str) -> None:
            self.asked.set()
            raise Unavailable("never")

    store = Elephant()
    executions = make(idle, store=store, retention=0.03)
    execution = await executions.start(idle)
    await soon(store.asked.wait())
    await asyncio.sleep(0)
    assert list(executions) == []
    assert f"The log {execution.id} could not be deleted." in caplog.text


# What is held


class Report(BaseModel):
    text: str


@pytest.mark.parametrize("end", ["completed", "failed", "cancelled"])
@pytest.mark.parametrize("url", ["memory://", "sqlite:///{}/events.db"])
async def test_holds_nothing_of_what_has_ended_but_its_frames(
    make: Make, tmp_path: Path, url: str, end: str
) -> None:
    refs: dict[str, ref[Any]] = {}
    gate = Gate()

    @agent
    async def report() -> Report:
        result = Report(text="x" * 1000)
        refs["result"] = ref(result)
        refs["state"] = ref(current_state())
        refs["task"] = ref(asyncio.current_task())
        gate.begun.set()
        await gate.open.wait()
        if end == "failed":
            raise ValueError("bad")
        return result

    executions = make(
        report, store=url.format(tmp_path), max_duration=60, error_message=str
    )
    execution = await executions.start(report, idempotency_key="k")
    await soon(gate.begun.wait())
    run: Any = execution._run
    refs |= {
        "run": ref(run),
        "writer": ref(run._writer),
        "recorder": ref(run._recorder),
        "bus": ref(run._state.event_bus),
    }
    del run
    gc.disable()  # what is large is not to wait for it
    try:
        if end == "cancelled":
            await execution.cancel()
        gate.open.set()
        assert await end_of(execution) == end
        for _ in range(5):
            await asyncio.sleep(0)
        held = [name for name, found in refs.items() if found() is not None]
    finally:
        gc.enable()
    assert held == []
    assert execution.log.since(execution.log.first - 1) == []
    told = (await seen(executions, execution))[-1]
    assert told.get("result") == ({"text": "x" * 1000} if end == "completed" else None)


async def test_holds_nothing_at_all_of_what_has_ended_in_a_store_that_lasts(
    make: Make, tmp_path: Path
) -> None:
    executions = make(count, store=f"sqlite:///{tmp_path}/events.db")
    execution = await executions.start(count, {"to": 3}, idempotency_key="k")
    await end_of(execution)
    told = await seen(executions, execution)
    id, forgotten = execution.id, ref(execution)
    del execution
    gc.collect()
    assert forgotten() is None
    assert list(executions) == []
    found = await executions.get(id)
    assert (found.status, found.runs_here) == ("completed", False)
    assert await found.wait() == "completed"
    assert await found.cancel() is False
    assert await seen(executions, found) == told
    again = await executions.start(count, {"to": 3}, idempotency_key="k")
    assert again.id == id


async def test_does_not_disturb_the_viewers_of_what_it_forgets(
    make: Make, tmp_path: Path
) -> None:
    gate = Gate()

    @agent
    async def talk() -> None:
        for number in range(200):
            await current_state().progress(number, 200)
        await gate.open.wait()

    executions = make(talk, store=f"sqlite:///{tmp_path}/events.db", max_events=10)
    execution = await executions.start(talk)
    cursor = execution.attach()
    chunks = [await next_of(cursor)]
    gate.open.set()
    await end_of(execution)
    assert await executions.get(execution.id) is execution
    assert list(executions) == []
    while chunks[-1]:
        chunks.append(await next_of(cursor))
    numbers = re.findall(rb"id: \w+:(\d+)\n", b"".join(chunks))
    cursor.close()
    assert [int(number) for number in numbers] == list(range(1, 204))
    assert execution.log.since(execution.log.first - 1) == []
    assert len(await events_of(executions, execution)) == 204


async def next_of(cursor: Cursor) -> bytes:
    """What a viewer that takes its time is given next; nothing at the end."""
    sleeper = Waiter(cursor.on_ready)
    while (chunk := cursor.take(limit=100)) == b"":
        await soon(sleeper.sleep())
    return chunk or b""


async def events_of(executions: Executions, execution: Execution) -> list[Any]:
    async with viewer(executions, execution) as connection:
        return await connection.events()


async def test_holds_a_task_that_cleans_up_when_its_execution_has_ended(
    make: Make,
) -> None:
    cleaner = Cleaner()
    executions = make(cleaner.actor, cancel_timeout=0.01)
    execution = await executions.start("clean")
    await soon(cleaner.begun.wait())
    await execution.cancel()
    assert await end_of(execution) == "cancelled"
    gc.collect()
    cleaner.open.set()
    await soon(cleaner.over.wait())


def say(size: int) -> Actor[..., Any]:
    @agent(name="say")
    async def say() -> str:
        return "x" * size

    return say


async def found(executions: Executions, started: list[Execution]) -> list[bool]:
    """Which of them can be found."""
    answers = []
    for execution in started:
        try:
            answers.append(await executions.get(execution.id) is execution)
        except UnknownExecution:
            answers.append(False)
    return answers


async def test_forgets_the_oldest_that_have_ended_beyond_max_retained_bytes(
    make: Make,
) -> None:
    gate = Gate()
    store = MemoryStore()
    executions = make(gate.actor, say(100_000), store=store, max_retained_bytes=450_000)
    running = await executions.start("work")
    ended = []
    for number in range(6):
        ended.append(await executions.start("say", idempotency_key=f"{number}"))
        await end_of(ended[-1])
    assert await found(executions, ended) == [False, False, True, True, True, True]
    assert await found(executions, [running]) == [True]
    assert list(executions) == [running, *ended[2:]]
    keys = [key async for key in store.keys() if key.startswith("idempotency")]
    assert len(keys) == 6
    assert store.held_bytes < 450_000
    with pytest.raises(Gone):
        await executions.start("say", idempotency_key="0")


async def test_bounds_what_many_small_executions_leave(make: Make) -> None:
    store = MemoryStore()
    executions = make(idle, store=store, max_retained_bytes=100_000)
    for _ in range(100):
        await end_of(await executions.start(idle))
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for _ in range(200):
        await end_of(await executions.start(idle))
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 10 < len(list(executions)) < 30
    assert store.held_bytes <= 100_000
    assert after - before < 100_000


class Forgetful(MemoryStore):
    """A store elsewhere, which may lose what it has acknowledged just now."""

    durable = True
    settle_time = 60.0


async def test_bounds_what_it_keeps_for_a_store_that_may_lose_it(make: Make) -> None:
    executions = make(say(100_000), store=Forgetful(), max_retained_bytes=450_000)
    for _ in range(10):
        await end_of(await executions.start("say"))
    assert 3 <= len(executions._keeper) <= 4
    assert executions._keeper.held_bytes <= 450_000


async def test_counts_what_it_forgets_after_the_retention(make: Make) -> None:
    store = SpyStore()
    executions = make(say(1000), store=store, retention=0.05)
    await end_of(await executions.start("say"))
    await soon(store.deleted.wait())
    await asyncio.sleep(0)
    assert (store.held_bytes, list(executions)) == (0, [])


class Flood:
    """An actor that publishes ``events`` of 1,000 bytes, and then waits."""

    def __init__(self, events: int) -> None:
        self.begin = asyncio.Event()
        self.begin.set()
        self.open = asyncio.Event()
        self.said = asyncio.Semaphore(0)

        @agent(name="flood")
        async def flood() -> None:
            await self.begin.wait()
            for _ in range(events):
                await current_state().text("x" * 1000)
            self.said.release()
            await self.open.wait()

        self.actor: Actor[..., Any] = flood

    async def start(self, executions: Executions, number: int) -> list[Execution]:
        started = [await executions.start("flood") for _ in range(number)]
        for _ in started:
            await soon(self.said.acquire())
        await asyncio.sleep(0)  # what was said last is stored in the next turn
        return started


async def test_keeps_the_newest_events_of_those_that_run_within_the_same_bound(
    make: Make,
) -> None:
    flood, quiet = Flood(300), Gate()
    store = MemoryStore()
    executions = make(
        flood.actor, quiet.actor, idle, store=store, max_retained_bytes=400_000
    )
    small = await executions.start("work")
    ended = await executions.start(idle)
    await end_of(ended)
    floods = await flood.start(executions, 10)
    assert store.held_bytes <= 400_000
    assert await found(executions, [ended, small]) == [False, True]
    flood.open.set()
    quiet.open.set()
    for execution in (*floods, small):
        assert await end_of(execution) == "completed"
    # The last to end is there still, from where it was cut; the small one whole.
    told = [event.event for event in await events_of(executions, floods[-1])]
    assert told[0] == "reset"
    assert kinds_of(await seen(executions, small))[0] == "agent_call"


async def test_holds_less_at_hand_of_each_the_more_of_them_run(make: Make) -> None:
    flood = Flood(100)
    store = MemoryStore(max_bytes=1 << 30)
    executions = make(flood.actor, store=store, max_bytes=50_000)
    executions._options["max_retained_bytes"] = 100_000  # at hand
    (alone,) = await flood.start(executions, 1)
    at_first = held_at_hand([alone])
    others = await flood.start(executions, 15)
    assert 35_000 < at_first <= 50_000
    assert held_at_hand([alone, *others]) <= 100_000
    flood.open.set()
    for execution in (alone, *others):
        assert await end_of(execution) == "completed"
        assert len(await seen(executions, execution)) == 103


async def test_holds_less_at_hand_of_each_the_more_of_them_it_follows(
    make: Make,
) -> None:
    flood = Flood(100)
    store = MemoryStore()
    there = make(flood.actor, store=store, max_bytes=1 << 20)
    here = make(flood.actor, store=store, max_bytes=50_000)
    here._options["max_retained_bytes"] = 100_000  # at hand
    flood.begin.clear()
    started = [await there.start("flood") for _ in range(8)]
    followed = [await here.get(execution.id) for execution in started]
    cursors = [execution.attach() for execution in followed]
    flood.begin.set()
    flood.open.set()
    for execution in followed:
        assert await end_of(execution) == "completed"
    assert held_at_hand(followed) <= 100_000
    for cursor in cursors:
        cursor.close()


def held_at_hand(started: list[Execution]) -> int:
    logs = [execution.log for execution in started]
    return sum(len(frame) for log in logs for frame in log.since(log.first - 1))


# Large events


async def test_refuses_an_event_that_is_too_large_and_tells_its_publisher(
    make: Make,
) -> None:
    told: list[EventTooLarge] = []
    heard: list[Any] = []

    @agent
    async def shout() -> str:
        state = current_state()
        try:
            await state.text("x" * 5000)
        except EventTooLarge as error:
            told.append(error)
        await state.text("y")
        return "done"

    executions = make(shout, max_event_bytes=1000, handlers=[heard.append])
    execution = await executions.start(shout)
    assert await end_of(execution) == "completed"
    assert kinds_of(await seen(executions, execution)) == [
        "agent_call",
        "text_delta",
        "agent_call",
        "complete",
    ]
    assert [getattr(event, "delta", None) for event in heard] == [
        None,
        "y",
        None,
        None,
    ]
    (error,) = told
    assert isinstance(error, ValueError)
    assert (error.size, error.limit) == (5098, 1000)
    assert str(error) == (
        "The event text_delta has 5098 bytes as JSON, and max_event_bytes=1000: "
        "publish it in parts, or where it is to be found; or raise the option."
    )


async def test_refuses_a_large_event_of_a_thread(make: Make) -> None:
    @tool
    def shout() -> str:
        try:
            current_state().text("x" * 5000)
        except EventTooLarge as error:
            return str(error.size)
        return "published"

    executions = make(shout, max_event_bytes=1000)
    execution = await executions.start(shout)
    assert await end_of(execution) == "completed"
    assert int((await seen(executions, execution))[-1]["result"]) > 5000


async def test_ends_with_an_error_that_names_the_bound_of_a_large_result(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    executions = make(say(5000), max_event_bytes=1000)
    execution = await executions.start("say")
    assert await end_of(execution) == "failed"
    last = (await seen(executions, execution))[-1]
    assert last["event_type"] == "error"
    assert re.fullmatch(
        "The result has 5[0-9]{3} bytes as JSON, and max_event_bytes=1000: publish it "
        "in parts, or where it is to be found; or raise the option.",
        last["message"],
    )
    assert "An execution cannot say how it ended" in caplog.text


@pytest.mark.parametrize("end", ["failed", "cancelled"])
async def test_ends_as_it_does_where_too_much_is_said_of_it(
    make: Make, end: str
) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    @agent(name="fail")
    async def fail() -> None:
        begun.set()
        await go.wait()
        raise RuntimeError("x" * 5000)

    executions = make(fail, max_event_bytes=1000, error_message=str)
    execution = await executions.start("fail")
    await soon(begun.wait())
    if end == "failed":
        go.set()
    else:
        await execution.cancel("x" * 5000)
    assert await end_of(execution) == end
    told = await seen(executions, execution)
    assert kinds_of(told)[:2] == ["agent_call", "agent_call"]
    assert told[1]["execution_status"] == end
    assert [("max_event_bytes=1000" in event["message"]) for event in told[2:]] == [
        True
    ]


async def test_takes_events_of_any_size_when_max_event_bytes_is_none(
    make: Make,
) -> None:
    executions = make(say(3_000_000), max_event_bytes=None)
    execution = await executions.start("say")
    assert await end_of(execution) == "completed"
    assert len((await seen(executions, execution))[-1]["result"]) == 3_000_000


# Owners


async def test_refuses_an_owner_more_than_their_own_share_of_executions(
    make: Make,
) -> None:
    gate = Gate()
    executions = make(gate.actor, max_executions=5, max_executions_per_owner=3)
    eve = [await executions.start("work", owner="eve") for _ in range(3)]
    with pytest.raises(LimitReached) as raised:
        await executions.start("work", owner="eve")
    alice = await executions.start("work", owner="alice")
    nobody = await executions.start("work")
    assert str(raised.value) == (
        "max_executions_per_owner=3 is reached; try again when one has ended."
    )
    assert raised.value.status == 429
    for execution in (*eve, alice, nobody):
        await execution.cancel()
        await end_of(execution)
    again = [await executions.start("work", owner="eve") for _ in range(3)]
    assert len(again) == 3


async def test_refuses_an_owner_more_than_their_own_share_of_viewers(
    make: Make,
) -> None:
    gate = Gate()
    executions = make(gate.actor, max_viewers_per_owner=1)
    eve = await executions.start("work", owner="eve")
    nobody = await executions.start("work")
    async with viewer(executions, eve) as watching:
        await watching.event()
        with pytest.raises(LimitReached, match="max_viewers_per_owner=1 is reached"):
            async with viewer(executions, eve) as refused:
                await refused.event()
        with pytest.raises(LimitReached, match="max_viewers_per_owner=1 is reached"):
            executions.viewing.capacity.take("eve")
        async with viewer(executions, nobody) as a, viewer(executions, nobody) as b:
            await a.event()
            await b.event()
    async with viewer(executions, eve) as watching:
        await watching.event()


# Servers that buffer


class Buffering(Connection):
    """A server that waits in the last send alone, as hypercorn does over HTTP/2."""

    def __init__(self, app: Any) -> None:
        super().__init__(app, http_version="2")
        self.stall()

    async def _send(self, message: Any) -> None:
        if message.get("more_body", True):
            self.messages.append(message)
            self._arrived.set()
        else:
            await super()._send(message)


async def test_holds_the_seat_of_who_has_not_read_what_the_server_buffers(
    make: Make,
) -> None:
    executions = make(count, max_viewers=2, send_timeout=0.05)
    execution = await executions.start(count, {"to": 3})
    app = ExecutionResponse(execution)
    async with Buffering(app) as unread:
        await unread.until(b"event: end")
        assert execution.viewers == 0
        async with Connection(app) as stuck:  # a server that holds back
            stuck.stall()
            await soon(stuck.task)
            assert not stuck.ended
        assert not unread.task.done()
        with pytest.raises(LimitReached, match="max_viewers=2"):
            for _ in range(2):
                executions.viewing.capacity.take()
        unread.resume()
        await unread.end()
        assert unread.ended
    await seen(executions, execution)


@pytest.mark.parametrize("how", ["client goes", "process stops", "cancelled"])
async def test_frees_the_seat_of_an_unread_stream_when(make: Make, how: str) -> None:
    executions = make(count, max_viewers=1)
    execution = await executions.start(count, {"to": 3})
    async with Buffering(ExecutionResponse(execution)) as unread:
        await unread.until(b"event: end")
        if how == "client goes":
            unread.disconnect()
        elif how == "process stops":
            await executions.drain(0)
        else:
            unread.task.cancel()
            unread.resume()
        await asyncio.wait({unread.task}, timeout=TIMEOUT)
        assert unread.task.cancelled() is (how == "cancelled")
        unread.task = asyncio.ensure_future(asyncio.sleep(0))
    executions.viewing.capacity.take()


async def test_waits_for_no_unread_stream_that_ends_after_the_drain(
    make: Make,
) -> None:
    gate = Gate()
    executions = make(gate.actor)
    execution = await executions.start("work")
    async with Buffering(ExecutionResponse(execution)) as unread:
        await unread.until(b"agent_call")
        await executions.drain(0)
        await unread.end()
    executions.open()
    again = await executions.start("work")
    gate.open.set()
    async with Buffering(ExecutionResponse(again)) as unread:
        await unread.until(b"event: end")
        assert not unread.task.done()


# Shutdown


async def test_refuses_starts_and_sends_viewers_away_while_it_drains(
    make: Make,
) -> None:
    gate = Gate()
    store = LastingStore()
    executions = make(gate.actor, idle, store=store)
    execution = await executions.start("work")
    over = await executions.start(idle)
    await end_of(over)
    async with viewer(executions, execution) as watching:
        await watching.until(b"started")
        draining = asyncio.create_task(executions.drain(TIMEOUT))
        *_, goodbye = await watching.events()
        with pytest.raises(Draining) as raised:
            await executions.start(idle)
        async with viewer(executions, execution) as late:
            late_events = await late.events()
        status = execution.status
        gate.open.set()
        await soon(draining)
    assert raised.value.status == 503
    assert store.calls == ["open", "open"]  # the refused start asked for nothing
    assert (goodbye.event, goodbye.data) == ("goodbye", '{"reason":"draining"}')
    assert goodbye.id is None
    assert goodbye.retry is not None and 1000 <= goodbye.retry <= 4000
    assert [(e.event, e.data) for e in late_events] == [
        ("goodbye", '{"reason":"draining"}')
    ]
    assert watching.ended and late.ended
    assert status == "started"
    assert (execution.status, gate.ended) == ("completed", ["returned"])


async def test_stores_what_ends_within_the_grace_and_what_does_not(make: Make) -> None:
    class KeepingStore(MemoryStore):
        """Still has, after it was closed, what it was given before."""

        ends: dict[str, str | None] = {}

        async def append(self, key: str, *args: Any, end: str | None = None) -> Any:
            ack = await super().append(key, *args, end=end)
            self.ends[key] = end
            return ack

    store = KeepingStore()
    quick, slow = Gate("quick"), Gate("slow")
    executions = make(quick.actor, slow.actor, store=store)
    both = [await executions.start(name) for name in ("quick", "slow")]
    await soon(slow.begun.wait())
    draining = asyncio.create_task(executions.drain(0.1))
    quick.open.set()
    await soon(draining)
    assert [execution.status for execution in both] == ["completed", "cancelled"]
    assert [store.ends[execution.id] for execution in both] == [
        "completed",
        "cancelled",
    ]
    assert (quick.ended, slow.ended) == (["returned"], ["cancelled"])


async def test_says_in_the_terminal_event_that_the_server_shuts_down(
    make: Make,
) -> None:
    gate = Gate()
    store = MemoryStore()
    executions = make(gate.actor, store=store)
    execution = await executions.start("work")
    await soon(gate.begun.wait())
    await executions.drain(0)
    assert (
        b'"message":"Execution cancelled: the server is shutting down"'
        in (await frames_of(store, execution))[-1]
    )


@pytest.mark.parametrize("cancel_after", [0, 0.03], ids=["at once", "after a while"])
async def test_does_not_hold_it_against_an_execution_that_a_drain_took_its_viewers(
    make: Make, cancel_after: float
) -> None:
    gate = Gate()
    executions = make(gate.actor, store=LastingStore(), cancel_after=cancel_after)
    execution = await executions.start("work")
    async with viewer(executions, execution) as watching:
        await watching.until(b"started")
        draining = asyncio.create_task(executions.drain(TIMEOUT))
        await watching.events()
    await asyncio.sleep(0.06)
    gate.open.set()
    await soon(draining)
    assert execution.status == "completed"


async def test_keeps_viewers_to_the_end_where_there_is_nothing_to_come_back_to(
    make: Make,
) -> None:
    quick, slow = Gate("quick"), Gate("slow")
    executions = make(quick.actor, slow.actor, cancel_after=None)
    both = [await executions.start(name) for name in ("quick", "slow")]
    async with viewer(executions, both[0]) as first, viewer(executions, both[1]) as c:
        for watching in (first, c):
            await watching.until(b"started")
        draining = asyncio.create_task(executions.drain(0.1))
        await asyncio.sleep(0)
        async with viewer(executions, both[0]) as late:
            quick.open.set()
            *_, complete, end = await first.events()
            *_, cancelled, last = await c.events()
            late_events = await late.events()
        await soon(draining)

    assert json.loads(complete.data)["event_type"] == "complete"
    assert (
        json.loads(cancelled.data)["message"]
        == "Execution cancelled: the server is shutting down"
    )
    assert (end.data, last.data) == ('{"status":"completed"}', '{"status":"cancelled"}')
    assert late_events[-1].data == '{"status":"completed"}'


async def test_drains_in_the_seconds_that_a_signal_leaves_it(make: Make) -> None:
    gate = Gate()
    executions = make(gate.actor, drain_grace=3600)
    executions.open()
    execution = await executions.start("work")
    await soon(gate.begun.wait())
    first = signals.tell()
    await asyncio.sleep(0)
    status = execution.status
    second = signals.tell(0.0)
    await soon(asyncio.wait({*first, *second}))

    assert (status, execution.status) == ("started", "cancelled")
    assert len(first) == len(second) == 1


@pytest.mark.parametrize(
    "headers",
    [{"x-title": "日本"}, {"x": "a\r\nb: c"}, {"connection": "x"}, {"a b": "c"}],
    ids=str,
)
async def test_refuses_a_header_before_anybody_has_a_seat(
    make: Make, headers: dict[str, str]
) -> None:
    gate = Gate()
    executions = make(gate.actor, max_viewers=1)
    execution = await executions.start("work")
    for _ in range(2):
        with pytest.raises(ValueError, match="header"):
            ExecutionResponse(execution, headers=headers)
    viewers = execution.viewers
    async with viewer(executions, execution) as watching:
        await watching.until(b"started")

    assert viewers == 0


async def test_lets_a_second_drain_wait_for_the_first(make: Make) -> None:
    gate = Gate()
    executions = make(gate.actor)
    await executions.start("work")
    first = asyncio.create_task(executions.drain(TIMEOUT))
    second = asyncio.create_task(executions.drain(0))
    for _ in range(5):
        await asyncio.sleep(0)
    waiting = (first.done(), second.done(), list(gate.ended))
    gate.open.set()
    await soon(asyncio.gather(first, second))
    assert waiting == (False, False, [])
    assert gate.ended == ["returned"]


async def test_drains_to_the_end_when_who_asked_for_it_is_cancelled(
    make: Make,
) -> None:
    gate = Gate()
    executions = make(gate.actor)
    execution = await executions.start("work")
    first = asyncio.create_task(executions.drain(TIMEOUT))
    await soon(gate.begun.wait())
    first.cancel()
    await asyncio.wait({first})
    gate.open.set()
    await soon(executions.drain(0))
    assert execution.status == "completed"


async def test_drains_what_is_being_started(make: Make) -> None:
    store = SpyStore()
    store.openable.clear()
    gate = Gate()
    executions = make(gate.actor, store=store)
    starting = asyncio.create_task(executions.start("work"))
    await soon(store.opening.wait())
    draining = asyncio.create_task(executions.drain(0))
    await asyncio.sleep(0)
    store.openable.set()
    (outcome,) = await soon(asyncio.gather(starting, return_exceptions=True))
    await soon(draining)
    if isinstance(outcome, Execution):
        left = outcome.status
        await outcome.cancel()
        await end_of(outcome)
        assert left == "cancelled"
    else:
        assert isinstance(outcome, Draining)


async def test_leaves_a_store_that_it_was_given_to_who_made_it(make: Make) -> None:
    store = SpyStore()
    executions = make(idle, store=store)
    execution = await executions.start(idle)
    await end_of(execution)
    await executions.drain(0)
    page = await store.read(execution.id, 0, 10_000)
    assert store.calls == ["open"]
    assert page is not None
    assert (page.end, len(page.frames)) == ("completed", 3)


async def test_closes_the_store_that_it_has_made(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SpyStore()
    monkeypatch.setattr(
        "asgi_events.executions.executions.open_store", lambda url: store
    )
    executions = make(idle, store="memory://")
    for _ in range(2):
        await end_of(await executions.start(idle))
    await executions.drain(0)
    for _ in range(3):
        await asyncio.sleep(0)
    assert store.calls[-1] == "aclose"
    assert store.calls.count("aclose") == 1


async def test_is_done_with_a_drain_that_the_cleanup_of_an_actor_outlives(
    make: Make,
) -> None:
    cleaner = Cleaner()
    executions = make(cleaner.actor, cancel_timeout=0.03)
    execution = await executions.start("clean")
    await soon(cleaner.begun.wait())
    await soon(executions.drain(0))
    status = execution.status
    cleaner.open.set()
    await soon(cleaner.over.wait())
    assert status == "cancelled"


async def test_serves_again_after_it_is_opened_again(make: Make) -> None:
    executions = make(idle)
    first = await executions.start(idle)
    await end_of(first)
    await executions.drain(0)
    executions.open()
    second = await executions.start(idle)
    assert await end_of(second) == "completed"
    assert list(executions) == [second]
    assert kinds_of(await seen(executions, second))[-1] == "complete"


async def test_stays_shut_when_it_is_opened_during_a_drain(make: Make) -> None:
    gate = Gate()
    executions = make(gate.actor)
    await executions.start("work")
    draining = asyncio.create_task(executions.drain(TIMEOUT))
    await soon(gate.begun.wait())
    executions.open()
    with pytest.raises(Draining):
        await executions.start("work")
    gate.open.set()
    await soon(draining)


async def test_drains_at_the_end_of_its_context() -> None:
    gate = Gate()
    async with Executions(gate.actor) as executions:
        execution = await executions.start("work")
        gate.open.set()
    with pytest.raises(Draining):
        await executions.start("work")
    assert execution.status == "completed"
    async with executions:
        again = await executions.start("work")
    assert again.status == "completed"


async def test_serves_on_another_event_loop_after_a_drain() -> None:
    executions = Executions(count)

    async def life() -> list[str]:
        async with executions:
            execution = await executions.start(
                count, {"to": 3}, idempotency_key="the same in both lives"
            )
            async with viewer(executions, execution) as connection:
                return kinds(await connection.events())

    def run() -> list[str]:
        return asyncio.run(life())

    lives = [await asyncio.to_thread(run) for _ in range(2)]
    assert lives[0] == lives[1]
    assert lives[0] == ["tool_call"] + ["progress"] * 3 + ["tool_call", "complete"]


# What nothing may hold up, share or lose


@agent
async def endless() -> None:
    await current_state().log("begun")
    await asyncio.Event().wait()


async def test_keeps_an_execution_whose_last_viewer_it_sent_away_itself(
    make: Make,
) -> None:
    executions = make(endless, cancel_after=0, max_stream_duration=0.05)
    execution = await executions.start("endless")
    app = ExecutionResponse(execution)

    async with Connection(app) as connection:
        events = await connection.events()
    status = execution.status
    await execution.cancel()
    await execution.wait()

    assert events[-1].event == "goodbye"
    assert status == "started"


async def test_takes_a_request_for_the_same_whatever_its_defaults_are(
    make: Make,
) -> None:
    class Wanted(BaseModel):
        topic: str
        request: UUID = Field(default_factory=uuid4)

    @tool
    async def look(wanted: Wanted) -> None: ...

    executions = make(look)
    same = [
        await executions.start("look", b'{"topic": "tea"}', idempotency_key="k")
        for _ in range(2)
    ]

    assert same[0] is same[1]


async def test_resumes_where_the_store_is_further_than_its_follower(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def look_later(_: Follower) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Follower, "_catch_up", look_later)
    store = MemoryStore()
    here, there = make(endless, store=store), make(endless, store=store)
    execution = await here.start("endless")
    watching = (await there.get(execution.id)).attach()
    async with Connection(ExecutionResponse(execution)) as connection:
        await connection.event()
        await connection.event()

    cursor = (await there.get(execution.id)).attach(f"{execution.id}:2")

    assert cursor.position == 2
    cursor.close()
    watching.close()


class SharedStore(MemoryStore):
    """A store that lasts, as seen by two processes."""

    durable = True


@pytest.mark.parametrize("how", ["completed", "lost"])
async def test_tells_the_same_end_from_every_process(make: Make, how: str) -> None:
    store = SharedStore()
    one, two = make(count, store=store, lease=0.2), make(count, store=store, lease=0.2)
    if how == "lost":
        id = "a-dead-one"
        meta = {"actor": "count", "created": "2026-01-02T12:00:00+00:00"}
        meta["fingerprint"] = ""
        await store.open(id, writer="dead", lease=0.2, ttl=60, meta=meta)
    else:
        execution = await one.start("count", {"to": 2})
        id = execution.id
    first = await one.get(id)
    assert await end_of(first) == how

    page = await store.read(id, 0, 1 << 30)
    assert page is not None and page.ended is not None
    ended = datetime.fromtimestamp(page.ended, UTC)
    assert [(await each.get(id)).ended for each in (one, two)] == [ended, ended]
    assert [str((await each.get(id)).status) for each in (one, two)] == [how, how]


@pytest.mark.parametrize("owner", [None, "ada\n"])
async def test_logs_which_call_of_whom_failed(
    make: Make, owner: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    executions = make(outer)
    execution = await executions.start(outer, owner=owner)
    await end_of(execution)
    (said,) = [m for m in caplog.messages if m.startswith("Error ")]
    assert re.sub("[0-9a-f]{8}", "ID", said, count=1) == (
        f"Error ID in actor 'outer/inner', execution '{execution.id}', owner {owner!r}."
    )
