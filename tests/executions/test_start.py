"""``Executions``: start, find, idempotency, limits, owners."""

import asyncio
import re
from datetime import datetime
from typing import Any

import pytest
from pydantic import BaseModel

from asgi_events import agent, tool
from asgi_events.actors import Actor
from asgi_events.exceptions import (
    Draining,
    EventTooLarge,
    IdempotencyConflict,
    InvalidInput,
    LimitReached,
    UnknownActor,
    UnknownExecution,
)
from asgi_events.executions.names import new_id
from asgi_events.http.viewing import ExecutionResponse
from asgi_events.stores import Grant
from asgi_events.stores.memory import MemoryStore
from tests.executions.scenes import (
    SECRET,
    Gate,
    Make,
    SpyStore,
    count,
    end_of,
    idle,
    kinds_of,
    seen,
    soon,
    viewer,
)

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


def test_makes_ids_of_letters_and_digits() -> None:
    ids = {new_id() for _ in range(500)}
    assert len(ids) == 500
    assert all(re.fullmatch("[A-Za-z0-9]{22}", id) for id in ids)


async def test_knows_what_it_is_from_start_to_end(make: Make) -> None:
    gate = Gate()
    executions = make(gate.actor)
    execution = await executions.start("work", owner="ada")
    await soon(gate.begun.wait())
    running = (execution.status, execution.ended, execution.viewers)
    gate.open.set()
    await end_of(execution)
    assert running == ("started", None, 0)
    assert re.fullmatch("[A-Za-z0-9]{22}", execution.id)
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
    assert store.calls == ["open", "open"]
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


@pytest.mark.parametrize("name", ["owner", "thread"])
@pytest.mark.parametrize("given", [5, b"ann", ["ann"]])
async def test_names_the_argument_that_is_no_str(
    make: Make, name: str, given: Any
) -> None:
    executions = make(idle)

    with pytest.raises(TypeError, match=f"{name} must be a str, got .*"):
        await executions.start(idle, **{name: given})

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


# What precedes the events of the actor


@pytest.mark.parametrize("options", [{}, {"store": "memory://"}], ids=["log", "store"])
async def test_shows_the_preface_before_the_events_of_the_actor(
    make: Make, options: Any
) -> None:
    heard: list[BaseModel] = []
    executions = make(count, **options, handlers=[heard.append])
    execution = await executions.start(
        count, {"to": 1}, preface=[Topic(topic="a"), Topic(topic="b")]
    )
    assert await end_of(execution) == "completed"
    events = await seen(executions, execution)
    assert events[:2] == [{"topic": "a"}, {"topic": "b"}]
    assert events[2]["event_type"] == "tool_call"
    assert heard[:2] == [Topic(topic="a"), Topic(topic="b")]


async def test_starts_nothing_if_the_preface_is_too_large(make: Make) -> None:
    store = SpyStore()
    executions = make(count, store=store, max_event_bytes=100)
    with pytest.raises(EventTooLarge, match="110 bytes"):
        await executions.start(count, {"to": 1}, preface=[Topic(topic="a" * 98)])
    assert list(executions) == []
    assert [key async for key in store.keys()] == []
