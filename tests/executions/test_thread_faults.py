"""A thread runs one execution at a time, even if processes are slow or die.

Each table breaks one call to the store after another, in the process that starts.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from asgi_events import Executions, agent
from asgi_events.actors import Actor
from asgi_events.exceptions import ThreadBusy, Unavailable
from asgi_events.executions import Execution
from asgi_events.executions.thread_log import thread_of
from asgi_events.stores.memory import MemoryStore
from asgi_events.testing import virtual_time
from tests import TIMEOUT

LEASE = 0.2  # seconds
CALLS = range(13)  # of a start to the store; those without a key are 7

HOW = {"by itself": {}, "by id": {"id": "one"}, "by key": {"idempotency_key": "k"}}


class Link:
    """The way of one process to the store that it shares with others.

    Attributes:
        broken: The number of the call that is broken.
        fault: How it is. "refused" and "unanswered" are ``Unavailable``, "held" and
            "late" last until ``free`` is set; in the first of each two the call has no
            effect yet, in the second it has.
        dead: Nothing that comes after the fault has an effect, or is answered.
        reached: Set when it has happened.
        calls: What was called while ``counting``.
    """

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.broken, self.fault, self.dead = -1, "", False
        self.reached = asyncio.Event()
        self.free = asyncio.Event()
        self.counting = False
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name not in ("open", "append", "renew", "read", "delete", "reap"):
            return found

        async def call(key: str, *args: Any, **options: Any) -> Any:
            return await self._call(f"{name} {key}", found, key, *args, **options)

        return call

    async def _call(self, what: str, method: Any, *args: Any, **options: Any) -> Any:
        if self.dead and self.reached.is_set():
            await self.free.wait()
            raise Unavailable("The process is dead.")
        if not self.counting:
            return await method(*args, **options)
        self.calls.append(what)
        if len(self.calls) - 1 != self.broken:
            return await method(*args, **options)
        self.reached.set()
        if self.dead:
            if self.fault == "late":
                await method(*args, **options)
            await self.free.wait()
            raise Unavailable("The process is dead.")
        if self.fault == "held":
            await self.free.wait()
        if self.fault == "refused":
            raise Unavailable("The store does not answer.")
        result = await method(*args, **options)
        if self.fault == "late":
            await self.free.wait()
        if self.fault == "unanswered":
            raise Unavailable("The store does not answer.")
        return result


class Processes:
    """Processes on one store, of one actor.

    Attributes:
        runs: How often the actor was run.
        most: How many runs there were at once.
    """

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.runs = self.running = self.most = 0
        self.open = asyncio.Event()
        self.made: list[tuple[Executions, Link]] = []

        @agent
        async def work() -> None:
            self.runs += 1
            self.running += 1
            self.most = max(self.most, self.running)
            try:
                await self.open.wait()
            finally:
                self.running -= 1

        self.actor: Actor[..., Any] = work

    def process(self) -> tuple[Executions, Link]:
        link = Link(self.store)
        made = Executions(self.actor, store=link, lease=LEASE, cancel_timeout=0.1)
        self.made.append((made, link))
        return made, link

    async def start(self, executions: Executions, **how: Any) -> Execution:
        starting = executions.start(self.actor, thread="t", **how)
        return await asyncio.wait_for(starting, TIMEOUT)

    async def started(self, executions: Executions, **how: Any) -> Execution:
        """Start, and repeat that as a client does that is told to try again."""
        async with asyncio.timeout(TIMEOUT):
            while True:
                try:
                    return await self.start(executions, **how)
                except (Unavailable, ThreadBusy):
                    await asyncio.sleep(0.005)

    async def end(self, execution: Execution) -> str:
        """How it ends, in the process that runs it, if there is one."""
        self.open.set()
        held = (each for executions, _ in self.made for each in executions)
        ends = [each for each in held if each.id == execution.id] or [execution]
        ended = str(await asyncio.wait_for(ends[0].wait(), TIMEOUT))
        self.open.clear()
        return ended

    async def find_newest(self) -> str:
        newest = await self.process()[0].newest("t")
        return "" if newest is None else newest.id


@pytest.fixture
async def processes() -> AsyncIterator[Processes]:
    with virtual_time():
        made = Processes()
        yield made
        for _, link in made.made:
            link.free.set()
        for executions, _ in made.made:
            await executions.drain(0)


calls = pytest.mark.parametrize("call", CALLS)
ways = pytest.mark.parametrize("how", list(HOW.values()), ids=list(HOW))


async def is_broken(start: asyncio.Task[Execution], link: Link) -> bool:
    """Whether a call that a start waits for was broken; it may have fewer calls."""
    reached = asyncio.create_task(link.reached.wait())
    await asyncio.wait([start, reached], return_when="FIRST_COMPLETED")
    reached.cancel()
    for _ in range(10):  # the call may be one of the execution that has started
        await asyncio.sleep(0)
    return not start.done()


@ways
@calls
@pytest.mark.parametrize("fault", ["refused", "unanswered"])
@pytest.mark.parametrize("again", ["here", "there"])
async def test_starts_once_when_one_call_fails(
    processes: Processes, how: dict[str, str], call: int, fault: str, again: str
) -> None:
    here, link = processes.process()
    there, _ = processes.process()
    await processes.end(await processes.start(there))  # an earlier turn
    link.broken, link.fault, link.counting = call, fault, True

    first = await asyncio.gather(processes.start(here, **how), return_exceptions=True)
    link.counting = False
    assert isinstance(first[0], Execution | Unavailable)
    if isinstance(first[0], Execution):
        assert await processes.find_newest() == first[0].id
        with pytest.raises(ThreadBusy) as busy:
            await processes.start(there)
        assert busy.value.execution_id == first[0].id
        if not how:
            await processes.end(first[0])
    found = await processes.started(here if again == "here" else there, **how)
    newest = await processes.find_newest()
    await processes.end(found)
    last = await processes.started(there)

    assert newest == found.id
    if how and isinstance(first[0], Execution):
        assert found.id == first[0].id
    assert await processes.find_newest() == last.id
    assert processes.most == 1
    by_key = "idempotency_key" in how
    assert link.reached.is_set() or (call > 6 and not by_key)


@ways
@calls
@pytest.mark.parametrize("fault", ["held", "late"])
async def test_runs_one_at_a_time_when_a_starter_is_slow(
    processes: Processes, how: dict[str, str], call: int, fault: str
) -> None:
    (here, link), (there, _) = processes.process(), processes.process()
    await processes.end(await processes.start(there))
    link.broken, link.fault, link.counting = call, fault, True

    first = asyncio.create_task(processes.start(here, **how))
    reached = asyncio.create_task(link.reached.wait())
    await asyncio.wait([first, reached], return_when="FIRST_COMPLETED")
    reached.cancel()
    others = [processes.start(there, **each) for each in (how, {})]
    results = await asyncio.gather(*others, return_exceptions=True)
    link.free.set()
    results += await asyncio.gather(first, return_exceptions=True)
    link.counting = False
    started = {each.id for each in results if isinstance(each, Execution)}
    refused = [each for each in results if not isinstance(each, Execution)]
    newest = await processes.find_newest()
    found = await processes.process()[0].get(newest)
    await processes.end(found)
    last = await processes.started(there)

    assert len(started) == 1
    assert started == {newest}
    assert all(isinstance(each, ThreadBusy | Unavailable) for each in refused)
    assert processes.most == 1
    assert await processes.find_newest() == last.id


@ways
@calls
@pytest.mark.parametrize("fault", ["held", "late"])
async def test_frees_the_thread_when_a_starter_dies(
    processes: Processes, how: dict[str, str], call: int, fault: str
) -> None:
    (here, link), (there, _) = processes.process(), processes.process()
    earlier = await processes.start(there)
    await processes.end(earlier)
    link.broken, link.fault, link.counting, link.dead = call, fault, True, True

    first = asyncio.create_task(processes.start(here, **how))
    if not await is_broken(first, link):
        return
    found = await processes.started(there, **how)
    again = await processes.started(processes.process()[0], **how) if how else found
    newest = await processes.find_newest()
    ended = await processes.end(found)
    last = await processes.started(there)

    assert found.id == again.id
    if ended == "completed":
        assert newest == found.id
    else:  # it may have died before its turn
        assert ended == "lost"
        assert newest in (earlier.id, found.id)
    assert processes.runs == 2 + (ended == "completed")
    assert processes.most == 1
    assert await processes.find_newest() == last.id
    first.cancel()


@ways
@calls
@pytest.mark.parametrize("fault", ["held", "late"])
async def test_does_not_run_what_was_taken_for_dead_before_it_began(
    processes: Processes, how: dict[str, str], call: int, fault: str
) -> None:
    (here, link), (there, _) = processes.process(), processes.process()
    await processes.end(await processes.start(there))
    link.broken, link.fault, link.counting = call, fault, True

    first = asyncio.create_task(processes.start(here, **how))
    if not await is_broken(first, link):
        return
    second = await processes.started(there)  # once the first one is lost, if it must be
    link.free.set()
    (result,) = await asyncio.gather(first, return_exceptions=True)
    link.counting = False
    newest = await processes.find_newest()
    await processes.end(second)

    assert isinstance(result, Execution | ThreadBusy | Unavailable)
    assert not isinstance(result, Execution) or str(result.status) == "lost"
    assert newest == second.id
    assert processes.runs == 2


async def test_is_busy_until_the_execution_of_a_dead_process_is_lost(
    processes: Processes,
) -> None:
    (here, link), (there, _) = processes.process(), processes.process()
    first = await processes.start(here)
    link.dead = True
    link.reached.set()
    with pytest.raises(ThreadBusy) as busy:
        await processes.start(there)
    found = await there.newest("t")
    assert found is not None
    status = await asyncio.wait_for(found.wait(), TIMEOUT)
    newest = await processes.find_newest()
    await first.cancel()
    second = await processes.start(there)

    assert (busy.value.execution_id, found.id, newest) == (first.id,) * 3
    assert status == "lost"
    assert await processes.find_newest() == second.id


async def test_leaves_no_log_of_a_start_that_lost_a_race(processes: Processes) -> None:
    all = [processes.process()[0] for _ in range(5)]
    starts = [processes.start(each) for each in all]
    results = await asyncio.gather(*starts, return_exceptions=True)
    (started,) = [each for each in results if isinstance(each, Execution)]

    logs = {key async for key in processes.store.keys()}

    assert logs == {started.id, thread_of(None, "t")}
    assert {key for each in all for key in each._held.here} == {started.id}
