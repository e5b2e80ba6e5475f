"""A model of the list of executions, which random calls compare with a store's list."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from asgi_events.stores import EventStore, Grant, Position
from asgi_events.testing.stores.case import frames

# Time passes in steps of 30 seconds, so that the real time of a test decides nothing:
# a writer is silent after 60 seconds, and a log expires 630 after its sign of life.
LEASE, TTL, STEP = 100.0, 515.0, 30.0
KEPT = LEASE + TTL

OWNERS = ("ann", "bob", None)
ACTORS = ("research", "chat")
THREADS = ("t1", "t2", None)
STATUSES = ("started", "completed", "failed", "cancelled", "lost")


@dataclass
class Made:
    """An execution, as the model knows it."""

    place: Position
    facts: Mapping[str, str | None]
    grant: Grant
    sign: float
    end: str | None = None

    def status(self, now: float) -> str:
        if self.end is not None:
            return self.end
        return "started" if now < self.sign + LEASE / 2 else "lost"


@dataclass
class Walk:
    """A list that is read page by page while the store changes."""

    match: Mapping[str, str | None]
    limit: int
    expected: set[str]
    before: Position | None = None
    found: list[Position] = field(default_factory=list)


class Model:
    """Calls a store at random, and knows what it has to list."""

    def __init__(
        self,
        store: EventStore,
        pass_time: Callable[[float], Awaitable[None]],
        dice: random.Random,
    ) -> None:
        self._store = store
        self._pass_time = pass_time
        self._dice = dice
        self._now = 0.0
        self._made: dict[str, Made] = {}
        self._count = 0
        self._walks: list[Walk] = []

    async def run(self, steps: int) -> None:
        """Make so many random calls, and compare."""
        calls = [self.start] * 6 + [self.end] * 4 + [self.delete] + [self.walk] * 6
        for step in range(steps):
            await self._dice.choice(calls)()
            if step % 8 == 0:
                await self.compare()
            if step % 25 == 24:
                await self.wait()
        while self._walks:
            await self.walk(again=True)

    async def start(self) -> None:
        self._count += 1
        key = f"k{self._dice.randrange(1000)}-{self._count}"
        # Clocks of processes differ, and several may start at one moment.
        moment = max(self._count + self._dice.randint(-3, 3), 0)
        created = f"2026-11-30T12:{moment // 60:02}:{moment % 60:02}+00:00"
        facts = {
            "owner": self._dice.choice(OWNERS),
            "actor": self._dice.choice(ACTORS),
            "thread": self._dice.choice(THREADS),
        }
        meta = {name: value for name, value in facts.items() if value is not None}
        grant = await self._store.open(
            key, writer="w", lease=LEASE, ttl=TTL, meta=meta | {"created": created}
        )
        place = Position(created, key)
        self._made[key] = Made(place, facts, grant, self._now)

    async def end(self) -> None:
        running = [key for key, made in self._made.items() if made.end is None]
        if running:
            await self._end(self._dice.choice(running))

    async def _end(self, key: str) -> None:
        made, end = self._made[key], self._dice.choice(STATUSES[1:])
        await self._store.append(key, made.grant, 0, frames(1, 1), end=end)
        made.end, made.sign = end, self._now

    async def delete(self) -> None:
        if self._made:
            self._forget(key := self._dice.choice(list(self._made)))
            await self._store.delete(key)

    async def wait(self) -> None:
        """Let time pass; some writers give signs of life, and some logs expire."""
        steps = self._dice.choice([1, 2, 8, 21])
        for key, made in self._made.items():
            if made.end is not None:
                continue
            if self._dice.random() < 0.5:
                await self._store.renew(key, made.grant)
                made.sign = self._now
            if self._now + steps * STEP >= made.sign + KEPT:
                await self._end(key)  # only what has ended expires to the second
        await self._pass_time(steps * STEP)
        self._now += steps * STEP
        for key, made in list(self._made.items()):
            if self._now >= made.sign + KEPT:
                self._forget(key)

    async def walk(self, *, again: bool = False) -> None:
        """Begin to read a list, or read one page more."""
        if not self._walks or not (again or self._dice.random() < 0.7):
            match = self._match()
            listed = {key for key, made in self._made.items() if _fits(made, match)}
            self._walks.append(Walk(match, self._dice.choice([1, 2, 5, 20]), listed))
        walk = self._dice.choice(self._walks)
        page = await self._store.list(walk.match, before=walk.before, limit=walk.limit)
        assert len(page) <= walk.limit
        for key, _ in page:
            assert _fits(self._made[key], walk.match)
            walk.found.append(self._made[key].place)
        if len(page) == walk.limit:
            walk.before = walk.found[-1]
            return
        self._walks.remove(walk)
        assert walk.found == sorted(set(walk.found), reverse=True)
        assert walk.expected <= {place.key for place in walk.found}

    async def compare(self) -> None:
        """Compare the whole list, and one of a status, with what they have to be."""
        match = self._match()
        for status in (None, self._dice.choice(STATUSES)):
            listed = await self._store.list(match, status=status, limit=1000)
            expected = [
                (made.place.key, made.end)
                for made in sorted(
                    self._made.values(), key=lambda made: made.place, reverse=True
                )
                if _fits(made, match) and status in (None, made.status(self._now))
            ]
            assert [(key, page.end) for key, page in listed] == expected

    def _match(self) -> dict[str, str | None]:
        asked = {"owner": OWNERS, "actor": ACTORS, "thread": THREADS[:2]}
        return {
            name: self._dice.choice(values)
            for name, values in asked.items()
            if self._dice.random() < 0.4
        }

    def _forget(self, key: str) -> None:
        del self._made[key]
        for walk in self._walks:  # it was not there the whole time
            walk.expected.discard(key)


def _fits(made: Made, match: Mapping[str, str | None]) -> bool:
    return all(made.facts[name] == value for name, value in match.items())
