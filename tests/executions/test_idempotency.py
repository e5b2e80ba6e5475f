"""One key starts one execution, even if processes are slow, die or ask together.

A start calls the store four times. Each table below breaks each of these steps in one
process, and lets others ask for the same key.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias

import pytest

from asgi_events import Executions, tool
from asgi_events.actors import Actor
from asgi_events.exceptions import (
    Draining,
    Gone,
    InvalidInput,
    LimitReached,
    StoreError,
    Unavailable,
)
from asgi_events.executions import Execution
from asgi_events.executions.idempotency import marker_of
from asgi_events.stores.memory import MemoryStore
from tests import TIMEOUT

LEASE = 0.2  # seconds

STEPS = ["read marker", "open marker", "open log", "end marker"]


class Link:
    """The way of one process to the store that it shares with others.

    Attributes:
        step: Which of ``STEPS`` is broken.
        fault: How it is. "refused" and "unanswered" are ``Unavailable``, "held" and
            "late" last until ``free`` is set; in the first of each two the call has no
            effect yet, in the second it has.
        times: How often it happens.
        dead: Nothing that comes after the fault has an effect, or is answered.
        reached: Set when it has happened.
        wrote: What was written to the store, beside the frames of executions.
    """

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.step = self.fault = ""
        self.times = 1
        self.dead = False
        self.reached = asyncio.Event()
        self.free = asyncio.Event()
        self.wrote: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def read(self, key: str, *args: Any) -> Any:
        return await self._call("read", key, self._store.read(key, *args))

    async def open(self, key: str, **options: Any) -> Any:
        return await self._call("open", key, self._store.open(key, **options))

    async def append(self, key: str, *args: Any, **options: Any) -> Any:
        call = self._store.append(key, *args, **options)
        return await self._call("end" if ":" in key else "append", key, call)

    async def delete(self, key: str) -> None:
        await self._call("delete", key, self._store.delete(key))

    async def _call(self, verb: str, key: str, call: Awaitable[Any]) -> Any:
        step = f"{verb} {'marker' if ':' in key else 'log'}"
        over = self.dead and self.reached.is_set()
        broken = over or (step == self.step and self.times > 0)
        if broken and (over or self.fault in ("refused", "held")):
            call = await self._before(call)
        if verb not in ("read", "append"):
            self.wrote.append(step)
        result = await call
        if broken and self.fault in ("unanswered", "late"):
            await self._trouble("late")
        return result

    async def _before(self, call: Any) -> Any:
        try:
            await self._trouble("held")
        except BaseException:
            call.close()
            raise
        return call

    async def _trouble(self, waits: str) -> None:
        self.times -= 1
        self.reached.set()
        if self.dead or self.fault == waits:
            await self.free.wait()
        if self.dead or self.fault != waits:
            raise Unavailable("The store does not answer.")


class Processes:
    """Processes on one store, of one actor.

    Attributes:
        runs: How often the actor was run.
    """

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.runs = 0
        self.open = asyncio.Event()
        self.made: list[tuple[Executions, Link]] = []

        @tool
        async def work(amount: int = 1) -> None:
            self.runs += 1
            await self.open.wait()

        self.actor: Actor[..., Any] = work

    def process(self, **options: Any) -> tuple[Executions, Link]:
        link = Link(self.store)
        options = {"lease": LEASE, "cancel_timeout": 0.1} | options
        executions = Executions(self.actor, store=link, **options)
        self.made.append((executions, link))
        return executions, link

    async def start(self, executions: Executions) -> Execution:
        return await asyncio.wait_for(
            executions.start(self.actor, idempotency_key="k"), TIMEOUT
        )

    async def started(self, executions: Executions) -> Execution:
        """Start, and repeat that as a client does that is answered 503."""
        async with asyncio.timeout(TIMEOUT):
            while True:
                try:
                    return await self.start(executions)
                except Unavailable:
                    await asyncio.sleep(0)

    async def end(self, execution: Execution) -> str:
        """How it ends, in the process that runs it, if there is one."""
        self.open.set()
        held = (each for executions, _ in self.made for each in executions)
        ends = [each for each in held if each.id == execution.id] or [execution]
        return str(await asyncio.wait_for(ends[0].wait(), TIMEOUT))

    async def outcome(self, execution: Execution, *, runs: bool) -> tuple[str, int]:
        """How an execution ended or, if nobody runs it, stands; and all runs."""
        if not runs:
            for _ in range(10):
                await asyncio.sleep(0)  # what was started would run by now
        status = await self.end(execution) if runs else str(execution.status)
        return status, self.runs

    async def until_forgotten(self, execution: Execution) -> None:
        async with asyncio.timeout(TIMEOUT):
            while await self.store.read(execution.id, 0, 0) is not None:  # noqa: ASYNC110
                await asyncio.sleep(0.005)


@pytest.fixture
async def processes() -> AsyncIterator[Processes]:
    made = Processes()
    yield made
    for _, link in made.made:
        link.free.set()
    for executions, _ in made.made:
        await executions.drain(0)


Ask: TypeAlias = Callable[[Processes, Executions], Awaitable[list[Execution]]]


async def the_same_process(all: Processes, here: Executions) -> list[Execution]:
    return [await all.started(here)]


async def another_process(all: Processes, here: Executions) -> list[Execution]:
    return [await all.started(all.process()[0])]


async def two_others_at_once(all: Processes, here: Executions) -> list[Execution]:
    others = [all.process()[0] for _ in range(2)]
    return await asyncio.gather(*(all.started(other) for other in others * 3))


others = pytest.mark.parametrize("ask", [another_process, two_others_at_once])
anybody = pytest.mark.parametrize(
    "ask", [the_same_process, another_process, two_others_at_once]
)
every_step = pytest.mark.parametrize("step", STEPS)


# The store does not answer


@anybody
@pytest.mark.parametrize("fault", ["refused", "unanswered"])
@every_step
async def test_runs_once_when_one_call_fails(
    processes: Processes, step: str, fault: str, ask: Ask
) -> None:
    here, link = processes.process()
    link.step, link.fault = step, fault

    first = await asyncio.gather(processes.start(here), return_exceptions=True)
    found = await ask(processes, here)
    found.append(await processes.start(here))
    status = await processes.end(found[0])

    assert link.reached.is_set()
    assert isinstance(first[0], Execution | Unavailable)
    assert len({each.id for each in found}) == 1
    assert (status, processes.runs) == ("completed", 1)


@anybody
@pytest.mark.parametrize("fault", ["refused", "unanswered"])
@every_step
async def test_runs_at_most_once_when_the_store_is_away_from_a_step_on(
    processes: Processes, step: str, fault: str, ask: Ask
) -> None:
    here, link = processes.process()
    link.step, link.fault, link.times = step, fault, 1_000_000

    with pytest.raises(Unavailable):
        await processes.start(here)
    link.times = 0
    found = await ask(processes, here)
    again = await processes.start(here)

    # Who gave up has opened the log, so it alone goes on, until the marker has an end.
    opened = (step, fault) == ("open log", "unanswered") or step == "end marker"
    ended = (step, fault) == ("end marker", "unanswered")
    runs = not opened or (ask is the_same_process and not ended)
    outcome = await processes.outcome(found[0], runs=runs)
    assert {each.id for each in found} == {again.id}
    assert outcome == (("completed", 1) if runs else ("started", 0))


# The starter is slow


@anybody
@pytest.mark.parametrize("fault", ["held", "late"])
@every_step
async def test_runs_once_when_the_starter_is_slow(
    processes: Processes, step: str, fault: str, ask: Ask
) -> None:
    here, link = processes.process()
    link.step, link.fault = step, fault

    first = asyncio.create_task(processes.start(here))
    await asyncio.wait_for(link.reached.wait(), TIMEOUT)
    asking = asyncio.create_task(ask(processes, here))
    if ask is not the_same_process:  # which waits for the first
        await asking
    link.free.set()
    found = [await first, *await asking]
    status = await processes.end(found[0])

    assert len({each.id for each in found}) == 1
    assert (status, processes.runs) == ("completed", 1)


@pytest.mark.parametrize(
    ("step", "fault"),
    [
        ("read marker", "held"),
        ("read marker", "late"),
        ("open marker", "held"),
        ("open marker", "late"),
        ("open log", "held"),
    ],
)
async def test_runs_once_when_the_starter_is_slower_than_the_retention(
    processes: Processes, step: str, fault: str
) -> None:
    here, link = processes.process()
    there, _ = processes.process(retention=0.02)
    link.step, link.fault = step, fault

    first = asyncio.create_task(processes.start(here))
    await asyncio.wait_for(link.reached.wait(), TIMEOUT)
    execution = await processes.start(there)
    await processes.end(execution)
    await processes.until_forgotten(execution)
    link.free.set()
    with pytest.raises(Gone) as raised:
        await first

    assert (raised.value.key, raised.value.id) == ("k", execution.id)
    assert processes.runs == 1
    assert await processes.store.read(execution.id, 0, 0) is None


# The starter dies


@others
@pytest.mark.parametrize("fault", ["held", "late"])
@every_step
async def test_runs_at_most_once_when_the_starter_dies(
    processes: Processes, step: str, fault: str, ask: Ask
) -> None:
    here, link = processes.process()
    link.step, link.fault, link.dead = step, fault, True

    first = asyncio.create_task(processes.start(here))
    await asyncio.wait_for(link.reached.wait(), TIMEOUT)
    found = await ask(processes, here)
    again = await ask(processes, here)
    runs = (step, fault) != ("open log", "late") and step != "end marker"
    outcome = await processes.outcome(found[0], runs=runs)
    link.free.set()
    await asyncio.wait([first])

    assert len({each.id for each in (*found, *again)}) == 1
    assert outcome == (("completed", 1) if runs else ("started", 0))
    assert isinstance(first.exception(), StoreError)


async def test_is_lost_when_the_starter_dies_after_it_has_opened_the_log(
    processes: Processes,
) -> None:
    here, link = processes.process()
    link.step, link.fault, link.dead = "end marker", "held", True
    there, _ = processes.process(retention=0.05)

    first = asyncio.create_task(processes.start(here))
    await asyncio.wait_for(link.reached.wait(), TIMEOUT)
    execution = await processes.start(there)
    status = await processes.end(execution)
    found = await processes.start(there)
    link.free.set()
    await asyncio.wait([first])

    assert (status, found.id, processes.runs) == ("lost", execution.id, 0)


@every_step
async def test_runs_once_when_who_asked_has_gone(
    processes: Processes, step: str
) -> None:
    here, link = processes.process()
    link.step, link.fault = step, "late"

    first = asyncio.create_task(processes.start(here))
    await asyncio.wait_for(link.reached.wait(), TIMEOUT)
    first.cancel()
    await asyncio.wait([first])
    asking = asyncio.create_task(processes.start(here))
    link.free.set()
    execution = await asking
    status = await processes.end(execution)

    assert first.cancelled()
    assert (status, processes.runs) == ("completed", 1)


# The start is refused


async def test_writes_nothing_for_a_start_that_finds_no_seat(
    processes: Processes,
) -> None:
    here, link = processes.process(max_executions=1)
    running = await here.start(processes.actor)
    link.wrote.clear()

    with pytest.raises(LimitReached):
        await processes.start(here)
    wrote = list(link.wrote)
    await processes.end(running)
    execution = await processes.start(here)

    assert wrote == []
    assert (await processes.end(execution), processes.runs) == ("completed", 2)


async def test_writes_nothing_for_a_start_that_a_drain_refuses(
    processes: Processes,
) -> None:
    here, link = processes.process()
    await here.drain(0)

    with pytest.raises(Draining):
        await processes.start(here)

    assert link.wrote == []


async def test_writes_nothing_for_an_input_that_is_not_valid(
    processes: Processes,
) -> None:
    here, link = processes.process()

    with pytest.raises(InvalidInput):
        await here.start(processes.actor, {"amount": "x"}, idempotency_key="k")

    assert link.wrote == []


@pytest.mark.parametrize("refusal", ["no seat", "a drain"])
async def test_finds_what_a_key_names_also_where_nothing_may_start(
    processes: Processes, refusal: str
) -> None:
    here, _ = processes.process()
    there, link = processes.process(max_executions=1)
    execution = await processes.start(here)
    if refusal == "no seat":
        await there.start(processes.actor)
    else:
        there.viewing.draining = True
    link.wrote.clear()

    found = await processes.start(there)

    assert (found.id, link.wrote) == (execution.id, [])


async def test_leaves_to_others_what_it_has_no_seat_to_start(
    processes: Processes,
) -> None:
    dying, link = processes.process()
    link.step, link.fault, link.dead = "open log", "held", True
    first = asyncio.create_task(processes.start(dying))
    await asyncio.wait_for(link.reached.wait(), TIMEOUT)
    full, _ = processes.process(max_executions=1)
    await full.start(processes.actor)

    with pytest.raises(LimitReached):
        await processes.start(full)
    execution = await processes.start(processes.process()[0])
    found = await processes.start(full)
    link.free.set()
    await asyncio.wait([first])

    assert found.id == execution.id
    assert await processes.end(execution) == "completed"


async def test_finds_what_another_process_is_about_to_start_without_a_seat(
    processes: Processes,
) -> None:
    here, link = processes.process()
    link.step, link.fault = "end marker", "held"
    full, _ = processes.process(max_executions=1)
    await full.start(processes.actor)

    first = asyncio.create_task(processes.start(here))
    await asyncio.wait_for(link.reached.wait(), TIMEOUT)
    found = await processes.start(full)
    link.free.set()
    execution = await first

    assert found.id == execution.id
    assert await processes.end(execution) == "completed"


async def test_takes_no_log_that_it_has_opened_itself_for_an_execution(
    processes: Processes,
) -> None:
    here, link = processes.process(max_executions=1)
    link.step, link.fault, link.times = "open log", "unanswered", 1_000_000
    with pytest.raises(Unavailable):
        await processes.start(here)
    link.times = 0
    other = await here.start(processes.actor)

    with pytest.raises(LimitReached):
        await processes.start(here)
    await processes.end(other)
    execution = await processes.start(here)

    assert await processes.end(execution) == "completed"
    assert processes.runs == 2


# The marker is old, and there is no log


async def until_old(processes: Processes, marker: str) -> None:
    async with asyncio.timeout(TIMEOUT):
        while (page := await processes.store.read(marker, 0, 0)) and page.alive:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


@others
async def test_uses_no_id_again_whose_log_is_lost(
    processes: Processes, ask: Ask
) -> None:
    here, _ = processes.process()
    lost = await processes.start(here)
    await processes.end(lost)
    # The store goes back to the moment before the log was opened.
    marker = marker_of(None, "k")
    await processes.store.delete(lost.id)
    await processes.store.delete(marker)
    await processes.store.open(
        marker, writer=lost.id, lease=0.001, ttl=60.0, meta={"id": lost.id}
    )
    await until_old(processes, marker)

    found = await ask(processes, here)
    found += await ask(processes, here)
    status = await processes.end(found[0])

    assert len({each.id for each in found}) == 1
    assert found[0].id != lost.id
    assert (status, processes.runs) == ("completed", 2)
    assert await processes.store.read(lost.id, 0, 0) is None


@others
@pytest.mark.parametrize(
    ("step", "fault"), [("open marker", "late"), ("open log", "held")]
)
async def test_runs_once_when_the_starter_is_slower_than_its_lease(
    processes: Processes, step: str, fault: str, ask: Ask
) -> None:
    here, link = processes.process()
    link.step, link.fault = step, fault

    first = asyncio.create_task(processes.start(here))
    await asyncio.wait_for(link.reached.wait(), TIMEOUT)
    slow = await processes.store.read(marker_of(None, "k"), 0, 0)
    await until_old(processes, marker_of(None, "k"))
    found = await ask(processes, here)
    link.free.set()
    found.append(await first)
    status = await processes.end(found[0])

    assert slow is not None
    assert len({each.id for each in found}) == 1
    assert found[0].id != slow.meta["id"]
    assert (status, processes.runs) == ("completed", 1)
    assert await processes.store.read(slow.meta["id"], 0, 0) is None


# The key is known for longer than its execution


async def test_starts_nothing_again_after_the_retention(processes: Processes) -> None:
    here, _ = processes.process(retention=0.02)
    there, _ = processes.process()
    execution = await processes.start(here)
    await processes.end(execution)
    await processes.until_forgotten(execution)

    for executions in (here, there):
        with pytest.raises(Gone, match="'k' has started execution .* nothing was"):
            await processes.start(executions)

    assert processes.runs == 1


async def test_keeps_a_key_for_max_duration_and_the_retention(
    processes: Processes,
) -> None:
    kept = []

    class Spy(MemoryStore):
        async def open(self, key: str, *, ttl: float, **options: Any) -> Any:
            kept.append((":" in key, ttl))
            return await super().open(key, ttl=ttl, **options)

    processes.store = Spy()
    for options in ({"max_duration": 60.0}, {}):
        here, _ = processes.process(retention=7.0, **options)
        await here.start(processes.actor, idempotency_key=str(options))

    assert kept == [(True, 67.0), (False, 7.0), (True, 86_407.0), (False, 7.0)]


# Ids


async def test_finds_by_its_id_what_was_started_here_without_it(
    processes: Processes,
) -> None:
    here, _ = processes.process()
    by_key = await processes.start(here)
    by_none = await here.start(processes.actor)

    found = [
        await here.start(processes.actor, id=started.id)
        for started in (by_key, by_none)
    ]
    await processes.end(by_none)

    assert found == [by_key, by_none]
    assert processes.runs == 2


@pytest.mark.parametrize("fault", ["refused", "unanswered"])
async def test_runs_an_id_once_when_the_store_does_not_answer(
    processes: Processes, fault: str
) -> None:
    here, link = processes.process()
    link.step, link.fault = "open log", fault

    with pytest.raises(Unavailable):
        await here.start(processes.actor, id="job-1")
    execution = await here.start(processes.actor, id="job-1")

    assert (await processes.end(execution), processes.runs) == ("completed", 1)


async def test_finds_an_id_also_where_nothing_may_start(processes: Processes) -> None:
    here, _ = processes.process()
    there, _ = processes.process(max_executions=1)
    execution = await here.start(processes.actor, id="job-1")
    await there.start(processes.actor)

    found = await there.start(processes.actor, id="job-1")
    with pytest.raises(LimitReached):
        await there.start(processes.actor, id="job-2")

    assert found.id == execution.id
