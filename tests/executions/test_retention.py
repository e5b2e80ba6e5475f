"""``Executions``: what is kept of an execution that has ended, and how long."""

import asyncio
import gc
import re
import tracemalloc
from math import inf
from pathlib import Path
from typing import Any
from weakref import ref

import pytest
from pydantic import BaseModel

from asgi_events import Executions, agent, current_state
from asgi_events.actors import Actor
from asgi_events.aio.leftovers import SHARE
from asgi_events.aio.waiter import Waiter
from asgi_events.exceptions import (
    Gone,
    UnknownExecution,
)
from asgi_events.executions import Execution
from asgi_events.log.cursor import Cursor
from asgi_events.log.writer import LogWriter
from asgi_events.stores.memory import MemoryStore
from asgi_events.testing import virtual_time
from tests import TIMEOUT
from tests.executions.scenes import (
    Cleaner,
    Gate,
    Make,
    count,
    end_of,
    idle,
    kinds_of,
    say,
    seen,
    soon,
    viewer,
)
from tests.payloads import kinds

# Retention


async def test_forgets_an_execution_after_its_retention(make: Make) -> None:
    executions = make(idle, retention=5.0)
    with virtual_time():
        execution = await executions.start(idle)
        await end_of(execution)
        found = await executions.get(execution.id)
        await forgotten(executions, execution)
    assert (found, list(executions)) == (execution, [])


async def forgotten(executions: Executions, execution: Execution) -> None:
    """Return when it is not kept any more."""
    async with asyncio.timeout(TIMEOUT):
        while execution in list(executions):  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    with pytest.raises(UnknownExecution):
        await executions.get(execution.id)


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
    gate = Gate()
    executions = make(idle, gate.actor, retention=0.05)
    execution = await executions.start("work")
    await soon(gate.begun.wait())
    other = await executions.start(idle)  # that is as old when it is forgotten
    await forgotten(executions, other)
    gate.open.set()
    assert await end_of(execution) == "completed"
    assert kinds_of(await seen(executions, execution))[-1] == "complete"


async def test_ends_a_viewer_that_is_slower_than_the_retention(make: Make) -> None:
    executions = make(count, retention=0.05)
    execution = await executions.start(count, {"to": 3})
    cursor = execution.watchers.attach()
    await end_of(execution)
    await forgotten(executions, execution)
    chunks = [await next_of(cursor)]
    while chunks[-1]:
        chunks.append(await next_of(cursor))
    cursor.close()
    told = re.findall(rb"event: (\w+)|event_type\":\"(\w+)", b"".join(chunks))
    assert told == [(b"reset", b""), (b"", b"complete"), (b"end", b"")]


# What is held


class Report(BaseModel):
    text: str


@pytest.mark.parametrize("end", ["completed", "failed", "cancelled"])
@pytest.mark.parametrize("url", ["", "memory://", "sqlite:///{}/events.db"])
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

    store = {"store": url.format(tmp_path)} if url else {}
    executions = make(report, max_duration=60, error_message=str, **store)
    execution = await executions.start(report, idempotency_key="k")
    await soon(gate.begun.wait())
    run: Any = execution._run
    refs |= {
        "run": ref(run),
        "bus": ref(run._state.event_bus),
    }
    if url:
        refs["recorder"] = ref(run._recorder)
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
        # It has no weak references where it is compiled.
        held += [each for each in gc.get_objects() if type(each) is LogWriter]
    finally:
        gc.enable()
    assert held == []
    assert bool(execution.log.count) is not bool(url)
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
    cursor = execution.watchers.attach()
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
    executions = make(gate.actor, say(100_000), max_retained_bytes=450_000)
    running = await executions.start("work")
    ended = []
    for number in range(6):
        ended.append(await executions.start("say", idempotency_key=f"{number}"))
        await end_of(ended[-1])
    assert await found(executions, ended) == [False, False, True, True, True, True]
    assert await found(executions, [running]) == [True]
    assert list(executions) == [running, *ended[2:]]
    assert held_bytes(executions) < 450_000
    with pytest.raises(Gone):
        await executions.start("say", idempotency_key="0")


def held_bytes(executions: Executions) -> int:
    return executions._held.held_bytes  # type: ignore[attr-defined, no-any-return]


async def test_bounds_what_many_small_executions_leave(make: Make) -> None:
    executions = make(idle, max_retained_bytes=100_000)
    for _ in range(100):
        await end_of(await executions.start(idle))
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for _ in range(200):
        await end_of(await executions.start(idle))
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 25 < len(list(executions)) < 40
    assert held_bytes(executions) <= 100_000
    assert after - before < 100_000


async def test_forgets_the_oldest_keys_beyond_a_quarter_of_max_retained_bytes(
    make: Make,
) -> None:
    executions = make(idle, max_retained_bytes=8 * 1024)
    first = await executions.start(idle, idempotency_key="0")
    for number in range(1, 5):
        await executions.start(idle, idempotency_key=f"{number}")
    again = [await executions.start(idle, idempotency_key=key) for key in "14"]
    anew = await executions.start(idle, idempotency_key="0")
    assert [each.id == first.id for each in (*again, anew)] == [False, False, False]
    assert len({each.id for each in (first, *again, anew)}) == 4


class Forgetful(MemoryStore):
    """A store elsewhere, which may lose what it has acknowledged just now."""

    durable = True
    settle_time = 60.0


async def test_bounds_what_it_keeps_for_a_store_that_may_lose_it(make: Make) -> None:
    executions = make(say(100_000), store=Forgetful(), max_retained_bytes=450_000)
    for _ in range(10):
        await end_of(await executions.start("say"))
    assert 3 <= len(executions._held._keeper) <= 4
    assert executions._held._keeper.held_bytes <= 450_000


async def test_counts_what_it_forgets_after_the_retention(make: Make) -> None:
    executions = make(say(1000), retention=0.05)
    execution = await executions.start("say")
    await end_of(execution)
    held = held_bytes(executions)
    await forgotten(executions, execution)
    assert held > 2048 + 1000
    assert held_bytes(executions) == 0


async def test_frees_the_events_of_what_it_forgets_a_few_in_each_turn(
    make: Make,
) -> None:
    @agent
    async def talk() -> None:
        for number in range(20_000):
            await current_state().progress(number, 20_000)

    executions = make(talk)
    execution = await executions.start(talk)
    await end_of(execution)
    leftovers = executions._held._leftovers  # type: ignore[attr-defined]

    executions._held._forget(execution.id)  # type: ignore[attr-defined]

    assert execution.log.count == 1
    assert leftovers.count == 20_002
    while count := leftovers.count:
        await asyncio.sleep(0)
        assert 0 < count - leftovers.count <= SHARE


async def test_forgets_a_hundred_in_one_turn_whose_retention_is_over(
    make: Make,
) -> None:
    executions = make(idle)
    for _ in range(250):
        await end_of(await executions.start(idle))

    goes = []
    for _ in range(3):
        at = executions._held._forget_old(inf)  # type: ignore[attr-defined]
        goes.append((at, len(list(executions))))

    assert goes == [(inf, 150), (inf, 50), (None, 0)]


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
    executions = make(flood.actor, quiet.actor, idle, max_retained_bytes=400_000)
    small = await executions.start("work")
    ended = await executions.start(idle)
    await end_of(ended)
    floods = await flood.start(executions, 10)
    assert held_bytes(executions) <= 400_000
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
    cursors = [execution.watchers.attach() for execution in followed]
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
