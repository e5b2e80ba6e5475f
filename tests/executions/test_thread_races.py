"""Many clients of one thread, in processes whose calls take any time, fail or stop.

Time is virtual, so that a seed gives the same run again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from random import Random
from typing import Any

import pytest

from asgi_events import Executions, agent, current_state
from asgi_events.actors.when_busy import WhenBusy
from asgi_events.exceptions import Gone, Refused, Unavailable
from asgi_events.executions.thread_log import thread_of
from asgi_events.stores.memory import MemoryStore
from asgi_events.testing import virtual_time

LEASE = 10.0  # seconds; longer than a busy machine stands still
SEEDS = 8  # thousands were run once
KINDS: dict[str, Sequence[WhenBusy]] = {
    "reject": ["reject"],
    "queue": ["queue"],
    "replace": ["replace"],
    "all": ["reject", "queue", "queue", "replace"],
}
CLIENTS, ASKS = 5, 12  # of each
LOG = thread_of(None, "t")


class Link:
    """The way of one process to the store: a call takes up to ``slow`` seconds.

    Attributes:
        failing: How probable it is that a call is ``Unavailable``, with or without an
            effect.
        dead: Whether no call has an effect, or returns.
    """

    def __init__(
        self, store: MemoryStore, random: Random, slow: float, failing: float
    ) -> None:
        self._store = store
        self._random = random
        self._slow = slow
        self.failing = failing
        self.dead = False

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name not in ("open", "append", "renew", "read", "delete", "reap", "cancel"):
            return found

        async def call(*args: Any, **options: Any) -> Any:
            await self._pass()
            result = await found(*args, **options)
            await self._pass()
            return result

        return call

    async def _pass(self) -> None:
        # Most calls take no time, so that the others come between them.
        for _ in range(self._random.randrange(4)):
            await asyncio.sleep(0)
        if self._random.random() < 0.2:
            await asyncio.sleep(self._random.random() * self._slow)
        if self.dead or self._random.random() < self.failing:
            raise Unavailable("The store does not answer.")


class Race:
    """Processes on one store, and what their clients have seen.

    Args:
        seed: Decides all that is random.
        kinds: What the actors do in a busy thread; one of them is chosen each time.
        slow: Seconds that a call may take.
        failing: How probable it is that half a call fails.
        dying: How probable it is that a process dies, at each ask.
        draining: Likewise, that it is told to stop.
        leaving: How probable it is that a client leaves before it is answered.
        options: Of the executions.

    Attributes:
        runs: How often the actor of each id was run, in the order of the first times.
        cancelling: How probable it is that what is running or waiting is cancelled, at
            each ask.
        together: Ids that ran at the same time.
        looks: Pairs of what was started when somebody asked for the newest execution,
            and what that was.
    """

    def __init__(
        self,
        seed: int,
        *,
        kinds: Sequence[WhenBusy] = ("reject",),
        slow: float,
        failing: float = 0.0,
        dying: float = 0.0,
        cancelling: float = 0.0,
        draining: float = 0.0,
        leaving: float = 0.0,
        **options: Any,
    ) -> None:
        self.random = Random(seed)
        self.store = MemoryStore()
        self.slow, self.failing = slow, failing
        self.dying, self.draining, self.leaving = dying, draining, leaving
        self.cancelling = cancelling
        self.options = {"lease": LEASE, "cancel_timeout": 0.1} | options
        self.runs: Counter[str] = Counter()
        self.running: set[str] = set()
        self.together: list[set[str]] = []
        self.returned: list[str] = []
        self.looks: list[tuple[list[str], str]] = []
        self.answers: Counter[str] = Counter()
        self.asked: dict[str, set[str]] = {}  # by id or key, what was found

        async def work() -> None:
            id = current_state().execution_id or ""
            self.runs[id] += 1
            self.running.add(id)
            if len(self.running) > 1:
                self.together.append(set(self.running))
            try:
                await asyncio.sleep(self.random.random())
            finally:
                self.running.discard(id)

        self.actors = [
            agent(name=f"{kind}{number}", when_busy=kind)(work)
            for number, kind in enumerate(kinds)
        ]
        self.made: list[tuple[Executions, Link]] = []
        self.alive = [self._make() for _ in range(3)]
        self.stopping: list[asyncio.Task[None]] = []

    def _make(self) -> tuple[Executions, Link]:
        link = Link(self.store, self.random, self.slow, self.failing)
        made = Executions(*self.actors, store=link, **self.options)
        self.made.append((made, link))
        return made, link

    async def run(self) -> None:
        await asyncio.gather(*(self._client(number) for number in range(CLIENTS)))
        for _, link in self.alive:
            link.failing = 0.0

    async def _client(self, number: int) -> None:
        for count in range(ASKS):
            await asyncio.sleep(self.random.random() * 0.6)
            if self.random.random() < self.dying:
                await self._kill(self.random.randrange(len(self.alive)))
            if self.random.random() < self.draining:
                number = self.random.randrange(len(self.alive))
                stopping, _ = self.alive[number]
                self.alive[number] = self._make()
                self.stopping.append(asyncio.create_task(stopping.drain(0.3)))
            executions, _ = self.random.choice(self.alive)
            if self.random.random() < 0.3:
                await self._look(executions)
                continue
            how: dict[str, str] = {}
            name = f"{self.random.randrange(CLIENTS)}-{count // 2}"
            kind = self.random.random()
            if kind < 0.3:
                how["id"] = name
            elif kind < 0.6:
                how["idempotency_key"] = name
            await self._start(executions, how)
            await self._look(self.random.choice(self.alive)[0])

    async def _start(self, executions: Executions, how: dict[str, str]) -> None:
        leaves = self.random.random() < self.leaving
        try:
            async with asyncio.timeout(self.random.random() if leaves else 60.0):
                # The same id or key is always of the same actor.
                of = Random(str(how)) if how else self.random
                actor = of.choice(self.actors)
                found = await executions.start(actor, thread="t", **how)
        except TimeoutError:
            assert leaves
            self.answers["none"] += 1
            return
        except (Refused, Unavailable, Gone) as error:
            self.answers[type(error).__name__] += 1
            return
        self.answers["Execution"] += 1
        self.returned.append(found.id)
        if self.random.random() < self.cancelling:
            with suppress(Unavailable):
                await found.cancel()
        if how:
            self.asked.setdefault(str(how), set()).add(found.id)

    async def _look(self, executions: Executions) -> None:
        before = list(self.returned)
        try:
            newest = await executions.newest("t")
        except Unavailable:
            return
        self.looks.append((before, "" if newest is None else newest.id))

    async def _kill(self, number: int) -> None:
        executions, link = self.alive[number]
        link.dead = True
        self.running.difference_update(each.id for each in executions)
        for each in executions:
            await each.cancel()
        self.alive[number] = self._make()

    async def turns(self) -> list[str]:
        page = await self.store.read(LOG, 0, 1_000_000)
        frames = [] if page is None else page.frames
        return [frame.decode().split(" ")[0] for frame in frames]

    async def drain(self) -> None:
        await asyncio.gather(*self.stopping)
        for executions, link in self.made:
            link.failing = 0.0
            await executions.drain(0)


async def check(race: Race) -> None:
    turns = await race.turns()
    place = {id: number for number, id in enumerate(turns)}

    assert race.together == []
    assert set(race.runs.values()) <= {1}
    assert set(race.runs) <= set(turns)
    assert [id for id in turns if id in race.runs] == list(race.runs)
    assert all(len(found) == 1 for found in race.asked.values())
    for before, newest in race.looks:
        started = [place[id] for id in before if id in place]
        assert place.get(newest, -1) >= max(started, default=-1)


seeds = pytest.mark.parametrize("seed", range(SEEDS))
few_seeds = pytest.mark.parametrize("seed", range(SEEDS // 2))
ways = pytest.mark.parametrize("kinds", list(KINDS.values()), ids=list(KINDS))


@ways
@few_seeds
async def test_runs_one_at_a_time_in_any_order_of_calls(
    seed: int, kinds: Sequence[WhenBusy]
) -> None:
    with virtual_time():
        # No start takes half a lease.
        race = Race(seed, kinds=kinds, slow=LEASE / 25, cancelling=0.1)
        await race.run()
        turns = await race.turns()
        logs = {key async for key in race.store.keys() if ":" not in key}
        ended = [await race.store.read(id, 0, 0) for id in turns]
        await race.drain()

    await check(race)
    assert race.answers["Unavailable"] == 0
    assert race.answers["Gone"] == 0
    assert len(turns) == len(set(turns)) > 3
    assert logs == set(turns)
    assert all(page is not None for page in ended)


@ways
@few_seeds
async def test_runs_one_at_a_time_while_calls_fail(
    seed: int, kinds: Sequence[WhenBusy]
) -> None:
    with virtual_time():
        race = Race(seed, kinds=kinds, slow=0.2, failing=0.05, cancelling=0.05)
        await race.run()
        await race.drain()

    await check(race)


@ways
@few_seeds
async def test_runs_one_at_a_time_while_processes_die(
    seed: int, kinds: Sequence[WhenBusy]
) -> None:
    with virtual_time():
        race = Race(seed, kinds=kinds, slow=0.2, failing=0.02, dying=0.1)
        await race.run()
        await race.drain()

    await check(race)


@ways
@few_seeds
async def test_runs_one_at_a_time_while_starts_are_refused_and_clients_leave(
    seed: int, kinds: Sequence[WhenBusy]
) -> None:
    most = 1 if list(kinds) == ["reject"] else 4
    with virtual_time():
        race = Race(
            seed,
            kinds=kinds,
            slow=0.3,
            draining=0.1,
            leaving=0.3,
            max_executions=most,
            max_queued=3,
        )
        await race.run()
        await race.drain()

    await check(race)


@seeds
async def test_runs_all_that_wait_in_the_order_of_their_turns(seed: int) -> None:
    with virtual_time():
        race = Race(seed, kinds=["queue"], slow=LEASE / 25, max_queued=256)
        await race.run()
        turns = await race.turns()
        executions, _ = race.alive[0]
        ends = {(await (await executions.get(id)).wait()) for id in turns}
        await race.drain()

    assert list(race.runs) == turns
    assert ends == {"completed"}
    assert race.together == []
