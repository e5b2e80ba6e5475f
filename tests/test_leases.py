"""Leases that fail safe, and stores that go back, as viewers see it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any, TypeAlias

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
)

from asgi_events import EventsApp, Executions, current_state, tool
from asgi_events.actors import Actor
from asgi_events.exceptions import Draining, StoreError, Unavailable
from asgi_events.executions import Execution
from asgi_events.executions.idempotency import marker_of
from asgi_events.stores import Ack, Grant, Page, memory
from asgi_events.stores.memory import MemoryStore
from asgi_events.stores.rules import Suspicion, is_alive, suspect
from asgi_events.wire.sse import ServerSentEvent
from tests.apps import Numbered
from tests.asgi import TIMEOUT, Connection, call, data

LEASE = 0.4  # seconds


class Lossy(MemoryStore):
    """A ``MemoryStore`` that loses what it has acknowledged, when it is told to."""

    def __init__(self, settle_time: float = 0.0) -> None:
        super().__init__()
        self.settle_time = settle_time
        self.generation = 0

    def empty(self) -> None:
        self._logs.clear()

    def roll_back(self, key: str, last: int) -> None:
        log = self._logs[key]
        del log.frames[last + 1 - log.first :], log.ends[last + 1 - log.first :]
        log.size = log.ends[-1] if log.ends else 0
        log.end = log.ended = None

    def has(self, key: str, last: int) -> bool:
        return key in self._logs and self._logs[key].last >= last


class Link:
    """One process's way to the store.

    Attributes:
        cut: Whether no call gets through, as if the process were dead or paused.
        faults: By method and key, what is raised instead.
        called: The methods that were called, in order.
    """

    def __init__(self, store: MemoryStore) -> None:
        self.store = store
        self.cut = False
        self.faults: dict[tuple[str, str | None], Exception] = {}
        self.called: list[str] = []

    @property
    def durable(self) -> bool:
        return self.store.durable

    @property
    def settle_time(self) -> float:
        return self.store.settle_time

    @property
    def generation(self) -> int:
        return self.store.generation

    async def open(self, key: str, **how: Any) -> Grant:
        self._pass("open", key)
        return await self.store.open(key, **how)

    async def append(
        self,
        key: str,
        grant: Grant,
        after: int,
        frames: Sequence[bytes],
        *,
        end: str | None = None,
    ) -> Ack:
        self._pass("append", key)
        return await self.store.append(key, grant, after, frames, end=end)

    async def renew(self, key: str, grant: Grant) -> Ack:
        self._pass("renew", key)
        return await self.store.renew(key, grant)

    async def cancel(self, key: str) -> bool:
        self._pass("cancel", key)
        return await self.store.cancel(key)

    async def attend(self, key: str, seconds: float) -> None:
        self._pass("attend", key)
        await self.store.attend(key, seconds)

    async def reap(self, key: str, after: int, frame: bytes, *, end: str) -> bool:
        self._pass("reap", key)
        return await self.store.reap(key, after, frame, end=end)

    async def read(self, key: str, after: int, limit: int) -> Page | None:
        self._pass("read", key)
        return await self.store.read(key, after, limit)

    async def delete(self, key: str) -> None:
        self._pass("delete", key)
        await self.store.delete(key)

    def keys(self) -> AsyncIterator[str]:
        return self.store.keys()

    async def watch(self) -> Any:
        return await self.store.watch()

    async def aclose(self) -> None:
        """The store is the test's."""

    def _pass(self, method: str, key: str) -> None:
        self.called.append(method)
        if self.cut:
            raise Unavailable("The store does not answer.")
        for fault in (self.faults.get((method, key)), self.faults.get((method, None))):
            if fault is not None:
                raise fault


class Dictation:
    """An actor that publishes the numbers it is told."""

    def __init__(self) -> None:
        self.ended = ""
        self._numbers: asyncio.Queue[int | None] = asyncio.Queue()

        @tool
        async def dictated() -> None:
            try:
                while (number := await self._numbers.get()) is not None:
                    await current_state().publish(Numbered(number=number))
            except asyncio.CancelledError:
                self.ended = "cancelled"
                raise
            self.ended = "returned"

        self.actor: Actor[..., Any] = dictated

    def say(self, *numbers: int | None) -> None:
        for number in numbers:
            self._numbers.put_nowait(number)


@pytest.fixture
def dictation() -> Dictation:
    return Dictation()


@pytest.fixture
def store() -> Lossy:
    return Lossy()


Process: TypeAlias = Callable[..., tuple[Executions, Link]]


@pytest.fixture
async def process(dictation: Dictation) -> AsyncIterator[Process]:
    """Makes one more process on a store; at the end its link is whole again."""
    async with AsyncExitStack() as stack:

        def make(store: MemoryStore, **options: Any) -> tuple[Executions, Link]:
            link = Link(store)
            made = Executions(
                dictation.actor,
                store=link,
                **{"lease": LEASE, "heartbeat_interval": 0.05, "retry": 20} | options,
            )

            async def close() -> None:
                link.cut = False
                link.faults.clear()
                await made.drain(0)

            stack.push_async_callback(close)
            return made, link

        yield make


def viewer(
    executions: Executions, id: str, last_event_id: str | int | None = None
) -> Connection:
    headers = {}
    if last_event_id is not None:
        headers["last-event-id"] = f"{id}:{last_event_id}"
    app = EventsApp(executions=executions)
    return Connection(app, "GET", f"/executions/{id}/events", headers=headers)


def plain(event: ServerSentEvent) -> ServerSentEvent:
    """Without what the first event of a stream has, and without when it was lost."""
    text = event.data
    if text is not None and '"event_type":"lost"' in text:
        text = re.sub(r'"timestamp":"[^"]*"', '"timestamp":"…"', text)
    return replace(event, retry=None, data=text)


async def seen(connection: Connection, count: int) -> list[ServerSentEvent]:
    return [plain(await connection.event()) for _ in range(count)]


async def rest(connection: Connection) -> list[ServerSentEvent]:
    async with asyncio.timeout(TIMEOUT):
        events = await connection.events()
    return [plain(event) for event in events]


async def watched(executions: Executions, id: str, *at: str | int) -> list[Any]:
    async with viewer(executions, id, *at) as connection:
        return await rest(connection)


async def until(look: Callable[[], bool]) -> None:
    async with asyncio.timeout(TIMEOUT):
        while not look():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def last_of(events: list[ServerSentEvent]) -> str:
    """The type of the terminal event."""
    return str(data(events)[-1]["event_type"])


def reset(first: int = 1) -> ServerSentEvent:
    reason = f'{{"reason":"future","first":{first}}}'
    return ServerSentEvent(event="reset", data=reason)


DIED = "The process that ran this execution died"
NOT_KEPT = "The events of this execution are not kept any more"
NOT_READ = "The events of this execution cannot be read any more"


def lost(id: str, number: int) -> list[ServerSentEvent]:
    """The terminal event that another one than the writer writes, and ``end``."""
    return unstored(DIED, id=f"{id}:{number}:lost")


def unstored(message: str, *, id: str | None = None) -> list[ServerSentEvent]:
    """The terminal event of a log that nobody can read, and ``end``."""
    text = f'{{"event_type":"lost","message":"{message}","address":"","timestamp":"…"}}'
    return [
        ServerSentEvent(data=text, id=id),
        ServerSentEvent(event="end", data='{"status":"lost"}'),
    ]


# Writers that live


async def test_shows_the_same_when_the_store_is_emptied_under_a_living_writer(
    process: Process, dictation: Dictation, store: Lossy
) -> None:
    (here, _), (there, _) = process(store), process(store)
    execution = await here.start(dictation.actor)
    async with viewer(here, execution.id) as near, viewer(there, execution.id) as far:
        dictation.say(1, 2, 3)
        early = await seen(near, 4)
        assert await seen(far, 4) == early
        store.empty()
        await until(lambda: store.has(execution.id, 4))
        dictation.say(4, None)
        late = await rest(near)
        assert await rest(far) == late
    assert last_of(late) == "complete"
    assert [e.id for e in early + late[:-1]] == [
        f"{execution.id}:{n}" for n in range(1, len(early + late))
    ]
    assert await watched(there, execution.id) == early + late


async def test_shows_the_same_when_the_store_goes_back_under_a_living_writer(
    process: Process, dictation: Dictation, store: Lossy
) -> None:
    (here, _), (there, _) = process(store), process(store)
    execution = await here.start(dictation.actor)
    async with viewer(there, execution.id) as far:
        dictation.say(1, 2, 3)
        early = await seen(far, 4)
        store.roll_back(execution.id, 2)
        await until(lambda: store.has(execution.id, 4))
        dictation.say(4, None)
        late = await rest(far)
    assert last_of(late) == "complete"
    assert await watched(there, execution.id) == early + late


async def test_loses_nobody_who_lives_though_appends_are_refused_beyond_the_lease(
    process: Process, dictation: Dictation, store: Lossy
) -> None:
    (here, link), (there, _) = process(store), process(store)
    execution = await here.start(dictation.actor)
    async with viewer(there, execution.id) as far:
        await seen(far, 1)
        link.faults["append", None] = Unavailable("The store is full.")
        dictation.say(1)
        begun = link.called.count("renew")
        await until(lambda: link.called.count("renew") > begun + 8)  # 2 leases and more
        del link.faults["append", None]
        dictation.say(None)
        events = await rest(far)
    assert last_of(events) == "complete"


@pytest.mark.parametrize("step", [-3600.0, 3600.0])
async def test_loses_nobody_who_lives_when_the_clock_of_the_store_steps(
    process: Process,
    dictation: Dictation,
    store: Lossy,
    monkeypatch: pytest.MonkeyPatch,
    step: float,
) -> None:
    (here, link), (there, _) = process(store), process(store, retention=7200)
    execution = await here.start(dictation.actor)
    async with viewer(there, execution.id) as far:
        await seen(far, 1)
        real = memory.monotonic
        monkeypatch.setattr(memory, "monotonic", lambda: real() + step)
        begun = link.called.count("renew")
        await until(lambda: link.called.count("renew") > begun + 4)
        dictation.say(1, None)
        events = await rest(far)
    assert last_of(events) == "complete"


async def test_answers_a_suspicion_before_it_is_confirmed(
    process: Process, dictation: Dictation, store: Lossy
) -> None:
    # This writer says so rarely that it lives that only the hint can save it.
    (here, link), (there, spy) = process(store), process(store)
    execution = await here.start(dictation.actor)
    log = store._logs[execution.id]
    async with viewer(there, execution.id) as far:
        await seen(far, 1)
        execution._run._recorder._interval = 3600  # type: ignore[attr-defined]
        await until(lambda: link.called.count("renew") >= 1)
        begun = link.called.count("renew")
        await until(lambda: link.called.count("renew") > begun + 2)
        assert spy.called.count("reap") >= 3
        assert log.end is None
        dictation.say(None)
        assert last_of(await rest(far)) == "complete"


async def test_survives_a_password_that_is_wrong_for_a_while(
    process: Process, dictation: Dictation, store: Lossy
) -> None:
    here, link = process(store)
    execution = await here.start(dictation.actor)
    async with viewer(here, execution.id) as near:
        await seen(near, 1)
        link.faults["append", None] = StoreError("The store does not let us in.")
        dictation.say(1, None)
        begun = len(link.called)
        await until(lambda: len(link.called) > begun + 1)
        link.faults.clear()
        events = await rest(near)
    assert last_of(events) == "complete"
    assert dictation.ended == "returned"


async def test_tells_viewers_when_the_store_refuses_its_writer_for_good(
    process: Process, dictation: Dictation, store: Lossy
) -> None:
    here, link = process(store)
    execution = await here.start(dictation.actor)
    async with viewer(here, execution.id) as near:
        await seen(near, 1)
        for method in ("append", "renew"):
            link.faults[method, None] = StoreError("The store does not let us in.")
        dictation.say(1)
        events = await rest(near)
    assert events == lost(execution.id, 2)
    assert dictation.ended == "cancelled"


# Writers that are dead


async def test_ends_the_log_of_a_dead_writer_whom_somebody_watches(
    process: Process, dictation: Dictation, store: Lossy
) -> None:
    (here, link), (there, _) = process(store), process(store)
    execution = await here.start(dictation.actor)
    async with viewer(there, execution.id) as far:
        dictation.say(1)
        await seen(far, 2)
        link.cut = True
        assert await rest(far) == lost(execution.id, 3)


async def test_ends_the_log_of_a_dead_writer_whose_lease_was_another(
    process: Process, dictation: Dictation, store: Lossy
) -> None:
    (here, link), (there, _) = process(store), process(store, lease=60)
    execution = await here.start(dictation.actor)
    async with viewer(there, execution.id) as far:
        await seen(far, 1)
        link.cut = True
        assert await rest(far) == lost(execution.id, 2)


async def test_ends_the_log_of_a_dead_writer_when_somebody_asks_how_it_stands(
    process: Process, dictation: Dictation, store: Lossy
) -> None:
    (here, link), (there, _) = process(store), process(store)
    execution = await here.start(dictation.actor)
    link.cut = True

    async def status() -> str:
        return str((await there.get(execution.id)).status)

    async with asyncio.timeout(TIMEOUT):
        while await status() == "started":  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert await status() == "lost"


async def test_tells_viewers_of_a_dead_writer_though_the_clock_was_set_back(
    process: Process,
    dictation: Dictation,
    store: Lossy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (here, link), (there, _) = process(store), process(store)
    execution = await here.start(dictation.actor)
    async with viewer(there, execution.id) as far:
        await seen(far, 1)
        link.cut = True
        real = memory.monotonic
        monkeypatch.setattr(memory, "monotonic", lambda: real() - 3600)
        assert await rest(far) == lost(execution.id, 2)


async def test_says_reset_and_lost_when_the_store_is_emptied_and_the_writer_dead(
    process: Process, dictation: Dictation, store: Lossy
) -> None:
    (here, link), (there, _) = process(store), process(store)
    execution = await here.start(dictation.actor)
    async with viewer(there, execution.id) as far:
        dictation.say(1, 2)
        await seen(far, 3)
        link.cut = True
        store.empty()
        assert await rest(far) == [reset(), *unstored(NOT_KEPT)]
    answer = await call(
        EventsApp(executions=there), "GET", f"/executions/{execution.id}/events"
    )
    assert answer.status == 404


async def test_says_lost_alone_to_who_has_seen_nothing(
    process: Process, dictation: Dictation, store: Lossy
) -> None:
    (here, link), (there, _) = process(store), process(store)
    link.faults["append", None] = Unavailable("The store is full.")
    execution = await here.start(dictation.actor)
    async with viewer(there, execution.id) as far:
        await far.until(b": stream-start")
        link.cut = True
        store.empty()
        assert await rest(far) == unstored(NOT_KEPT)


async def gone_back(
    process: Process, dictation: Dictation, store: Lossy
) -> tuple[Executions, Execution, Link, list[ServerSentEvent]]:
    """Another process, and what it showed of an execution before both came true.

    The store has lost all frames after the second, and the writer is dead.
    """
    (here, link), (there, _) = process(store), process(store)
    execution = await here.start(dictation.actor)
    async with viewer(there, execution.id) as far:
        dictation.say(1, 2, 3)
        events = await seen(far, 4)
    link.cut = True
    store.roll_back(execution.id, 2)
    return there, execution, link, events


async def test_begins_again_for_viewers_when_the_store_goes_back_and_the_writer_dies(
    process: Process, dictation: Dictation, store: Lossy
) -> None:
    (here, link), (there, _) = process(store), process(store)
    execution = await here.start(dictation.actor)
    async with viewer(there, execution.id) as far:
        dictation.say(1, 2, 3)
        early = await seen(far, 4)
        link.cut = True
        store.roll_back(execution.id, 2)
        assert await rest(far) == [reset(), *early[:2], *lost(execution.id, 3)]


@pytest.mark.parametrize("ended", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("position", [1, 2, 3, 4, 5])
async def test_resumes_after_the_store_went_back_and_the_writer_died(
    process: Process, dictation: Dictation, store: Lossy, position: int, ended: bool
) -> None:
    there, execution, _, early = await gone_back(process, dictation, store)
    terminal = lost(execution.id, 3)
    if ended:
        assert await watched(there, execution.id) == [*early[:2], *terminal]

    events = await watched(there, execution.id, position)

    if position <= 2:
        assert events == [*early[position:2], *terminal]
    else:
        assert events == [reset(), *early[:2], *terminal]


async def test_answers_204_only_to_who_has_seen_the_stored_end(
    process: Process, dictation: Dictation, store: Lossy
) -> None:
    there, execution, _, _ = await gone_back(process, dictation, store)
    await watched(there, execution.id)
    app, path = EventsApp(executions=there), f"/executions/{execution.id}/events"

    statuses = {
        last: (await call(app, "GET", path, headers={"last-event-id": last})).status
        for last in (f"{execution.id}:3", f"{execution.id}:3:lost")
    }

    assert statuses == {f"{execution.id}:3": 200, f"{execution.id}:3:lost": 204}


async def test_tells_viewers_of_the_writer_itself_that_it_was_taken_for_dead(
    process: Process, dictation: Dictation, store: Lossy
) -> None:
    (here, link), (there, _) = process(store), process(store)
    execution = await here.start(dictation.actor)
    async with viewer(here, execution.id) as near, viewer(there, execution.id) as far:
        dictation.say(1, 2, 3)
        early = await seen(near, 4)
        await seen(far, 4)
        link.cut = True
        store.roll_back(execution.id, 2)
        ends = [reset(), *early[:2], *lost(execution.id, 3)]
        assert await rest(far) == ends
        link.cut = False
        assert await rest(near) == ends
    assert dictation.ended == "cancelled"


async def test_gives_way_after_a_pause_that_was_longer_than_its_log_was_kept(
    process: Process, dictation: Dictation, store: Lossy
) -> None:
    here, link = process(store, retention=0.1)
    execution = await here.start(dictation.actor)
    async with viewer(here, execution.id) as near:
        dictation.say(1)
        await seen(near, 2)
        link.cut = True
        await asyncio.sleep(LEASE + 0.1 + 0.05)
        link.cut = False
        assert await rest(near) == [reset(), *unstored(NOT_KEPT)]
    assert dictation.ended == "cancelled"
    assert [key async for key in store.keys()] == []


# Faults stay with their log


async def test_tells_others_of_a_dead_writer_while_one_log_cannot_be_read(
    process: Process, dictation: Dictation, store: Lossy
) -> None:
    (here, link), (there, spy) = process(store), process(store)
    good, bad = [await here.start(dictation.actor) for _ in range(2)]
    async with viewer(there, good.id) as one, viewer(there, bad.id) as other:
        await seen(one, 1)
        early = await seen(other, 1)
        spy.faults["read", bad.id] = ValueError("this page is corrupt")
        link.cut = True
        assert await rest(one) == lost(good.id, 2)
        assert await rest(other) == [reset(), *unstored(NOT_READ)]
        del spy.faults["read", bad.id]
    # What can be read again is shown again; nobody was told more than is true.
    assert await watched(there, bad.id) == [*early, *lost(bad.id, 2)]


async def test_waits_for_a_log_while_the_store_does_not_answer(
    process: Process, dictation: Dictation, store: Lossy
) -> None:
    (here, _), (there, spy) = process(store), process(store)
    execution = await here.start(dictation.actor)
    async with viewer(there, execution.id) as far:
        await seen(far, 1)
        spy.faults["read", execution.id] = Unavailable("Too slow.")
        await asyncio.sleep(LEASE * 2)
        spy.faults.clear()
        dictation.say(None)
        assert last_of(await rest(far)) == "complete"


# What has ended, and is lost by the store


@pytest.fixture
def settling() -> Lossy:
    return Lossy(settle_time=60.0)


async def completed(
    executions: Executions, dictation: Dictation
) -> tuple[str, list[ServerSentEvent]]:
    execution = await executions.start(dictation.actor)
    dictation.say(1, 2, None)
    events = await watched(executions, execution.id)
    assert last_of(events) == "complete"
    return execution.id, events


@pytest.mark.parametrize("last", [None, 2], ids=["all", "its end"])
async def test_writes_an_execution_that_completed_again_when_the_store_lost(
    process: Process, dictation: Dictation, settling: Lossy, last: int | None
) -> None:
    (here, _), (there, _) = process(settling), process(settling)
    id, events = await completed(here, dictation)
    if last is None:
        settling.empty()
    else:
        settling.roll_back(id, last)
    settling.generation += 1
    await until(lambda: settling.has(id, len(events) - 1))

    assert await watched(there, id) == events
    assert await watched(there, id, 2) == events[2:]


async def test_writes_again_what_ended_though_another_log_cannot_be_read(
    process: Process, dictation: Dictation, settling: Lossy
) -> None:
    here, link = process(settling)
    first, _ = await completed(here, dictation)
    second, events = await completed(here, dictation)
    link.faults["read", first] = RuntimeError("This log cannot be read.")
    settling.empty()
    settling.generation += 1
    await until(lambda: settling.has(second, len(events) - 1))
    assert not settling.has(first, 0)

    del link.faults["read", first]
    await until(lambda: settling.has(first, len(events) - 1))


async def test_remembers_a_key_when_the_store_lost_it_under_a_living_writer(
    process: Process, dictation: Dictation, settling: Lossy
) -> None:
    settling.durable = True
    (here, _), (there, _) = process(settling), process(settling)
    execution = await here.start(dictation.actor, idempotency_key="key")
    names = (execution.id, marker_of(None, "key"))
    for _ in range(2):  # while it runs, and when it has ended
        settling.empty()
        settling.generation += 1
        await until(lambda: all(settling.has(name, 0) for name in names))
        found = await there.start(dictation.actor, idempotency_key="key")
        assert found.id == execution.id
        dictation.say(None)
        assert await execution.wait() == "completed"


async def test_writes_what_ended_again_when_somebody_takes_its_writer_for_dead(
    process: Process, dictation: Dictation, settling: Lossy
) -> None:
    (here, _), (there, _) = process(settling, lease=3.0), process(settling, lease=3.0)
    id, events = await completed(here, dictation)
    settling.roll_back(id, 2)
    settling._logs[id].sign -= 1.6

    assert await watched(there, id) == events


async def test_does_not_write_again_what_has_another_end_now(
    process: Process,
    dictation: Dictation,
    settling: Lossy,
    caplog: pytest.LogCaptureFixture,
) -> None:
    here, _ = process(settling)
    id, _ = await completed(here, dictation)
    log = settling._logs[id]
    settling.roll_back(id, 2)
    log.hold([b"data: x\n\n"])
    log.finish("lost")
    settling.generation += 1
    await until(lambda: "but in the store as: lost" in caplog.text)

    assert log.last == 3
    assert here._keeper.held_bytes == 0


async def test_keeps_nothing_for_a_store_that_loses_nothing(
    process: Process, dictation: Dictation, store: Lossy
) -> None:
    here, _ = process(store)
    await completed(here, dictation)

    assert (len(here._keeper), here._keeper.held_bytes) == (0, 0)


async def test_keeps_what_has_ended_until_the_store_has_settled(
    process: Process, dictation: Dictation
) -> None:
    here, link = process(Lossy(settle_time=0.3))
    _, events = await completed(here, dictation)
    held = here._keeper.held_bytes
    size = sum(len(e.encode()) for e in events[:-1])

    assert 0.9 * size < held <= 1.1 * size
    await until(lambda: len(here._keeper) == 0)
    assert here._keeper.held_bytes == 0
    assert "read" in link.called  # the probe


async def test_drops_what_it_has_kept_longest(
    process: Process, dictation: Dictation, settling: Lossy
) -> None:
    here, _ = process(settling)
    first, _ = await completed(here, dictation)
    held = here._keeper.held_bytes
    second, _ = await completed(here, dictation)

    here._keeper.drop_oldest()

    assert held * 0.9 < here._keeper.held_bytes < held * 1.1
    settling.empty()
    settling.generation += 1
    await until(lambda: settling.has(second, 1))
    assert not settling.has(first, 1)


async def test_tries_again_to_write_what_the_store_has_lost(
    process: Process, dictation: Dictation, settling: Lossy
) -> None:
    here, link = process(settling)
    id, events = await completed(here, dictation)
    settling.empty()
    settling.generation += 1
    link.faults["open", None] = Unavailable("Not yet.")
    await until(lambda: link.called.count("open") >= 3)
    link.faults.clear()
    await until(lambda: settling.has(id, len(events) - 1))


# Cancel elsewhere


async def test_cancels_elsewhere_without_waiting_for_the_lease_to_be_renewed(
    process: Process, dictation: Dictation, store: Lossy
) -> None:
    (here, _), (there, _) = process(store, lease=3600), process(store, lease=3600)
    execution = await here.start(dictation.actor)
    async with viewer(there, execution.id) as far:
        await seen(far, 1)
        found = await there.get(execution.id)
        assert await found.cancel() is True
        assert last_of(await rest(far)) == "cancelled"
    assert dictation.ended == "cancelled"


async def test_hears_of_cancels_whatever_else_it_runs_and_watches(
    process: Process, dictation: Dictation, store: Lossy
) -> None:
    (here, _), (there, _) = process(store, lease=3600), process(store, lease=3600)
    first = await there.start(dictation.actor)
    async with viewer(here, first.id) as watching:  # so it had a watch before
        await seen(watching, 1)
        executions = [await here.start(dictation.actor) for _ in range(3)]
        for execution in executions:
            found = await there.get(execution.id)
            assert await found.cancel() is True
            assert await asyncio.wait_for(execution.wait(), TIMEOUT) == "cancelled"


# The rule


class Writers(RuleBasedStateMachine):
    """Leases on a clock that steps, in a store that pauses, with writers that do too.

    One writer answers each hint within a quarter of a lease of the time that the store
    answers in; another is dead. Time passes as ``run``; ``step`` is no time at all.
    """

    LEASE = 16.0

    def __init__(self) -> None:
        super().__init__()
        self.now = 1e6  # the store's clock
        self.sign = self.now
        self.suspicion: Suspicion | None = None
        self.hinted: float | None = None  # seconds that the store has answered since
        self.dead = False
        self.reaped = False

    def ask(self) -> None:
        if is_alive(self.now, self.sign, self.LEASE):
            return
        self.suspicion, confirmed = suspect(self.now, self.LEASE, self.suspicion)
        if self.suspicion.since == self.now and self.hinted is None:
            self.hinted = 0.0
        self.reaped = self.reaped or confirmed

    def live(self) -> None:
        self.sign, self.suspicion, self.hinted = self.now, None, None

    @precondition(lambda self: not self.reaped)
    @rule(count=st.integers(1, 40), pause=st.floats(0.1, 4.0))
    def run(self, count: int, pause: float) -> None:
        """Somebody asks, ``count`` times, while the store answers."""
        for _ in range(count):
            self.now += pause
            if self.hinted is not None:
                self.hinted += pause
                if self.hinted + pause > self.LEASE / 4 and not self.dead:
                    self.live()
            self.ask()

    @precondition(lambda self: not self.reaped)
    @rule(seconds=st.floats(-100, 100))
    def step(self, seconds: float) -> None:
        self.now += seconds

    @rule(seconds=st.floats(0, 100))
    def pause(self, seconds: float) -> None:
        """The store, or all that ask, or the machine: nobody's time passes."""
        self.now += seconds

    @precondition(lambda self: not self.dead and not self.reaped)
    @rule()
    def renew(self) -> None:
        self.live()

    @rule()
    def die(self) -> None:
        self.dead = True

    @precondition(lambda self: self.dead)
    @rule(pause=st.floats(0.1, 4.0))
    def keep_asking(self, pause: float) -> None:
        """A dead writer is reaped by whoever asks for a lease, and a little."""
        asked = 0.0
        while asked < self.LEASE + 3 * pause and not self.reaped:
            self.now += pause
            asked += pause
            self.ask()
        assert self.reaped

    @invariant()
    def lives(self) -> None:
        assert self.dead or not self.reaped


Writers.TestCase.settings = settings(
    max_examples=100, stateful_step_count=30, deadline=None, derandomize=True
)
TestWriters = Writers.TestCase


# Where starts, ends and drains meet


@pytest.mark.parametrize("durable", [False, True])
@pytest.mark.parametrize("how", [{"id": "one"}, {"idempotency_key": "k"}, {}])
async def test_cancels_what_a_drain_without_grace_finds_half_started(
    process: Process, dictation: Dictation, store: Lossy, how: Any, durable: bool
) -> None:
    store.durable = durable
    here, link = process(store, cancel_timeout=0.5)
    opening, may_open = asyncio.Event(), asyncio.Event()
    open_ = link.open

    async def slow(key: str, **kw: Any) -> Any:
        if not key.startswith("idempotency:"):
            opening.set()
            await may_open.wait()
        return await open_(key, **kw)

    link.open = slow  # type: ignore[method-assign]
    starting = asyncio.create_task(here.start(dictation.actor, **how))
    await opening.wait()
    draining = asyncio.create_task(here.drain(0))
    for _ in range(10):
        await asyncio.sleep(0)
    may_open.set()
    async with asyncio.timeout(5):
        await draining
    finished = asyncio.gather(starting, return_exceptions=True)
    (outcome,) = await asyncio.wait_for(finished, 2)
    if isinstance(outcome, Execution):
        page = await store.read(outcome.id, 0, 10_000)
        assert page is not None and page.end == "cancelled", (page.end, outcome.status)
    else:
        assert isinstance(outcome, Draining)


@pytest.mark.parametrize("settle", [0.0, 60.0])
async def test_forgets_the_mark_of_what_another_process_has_ended(
    process: Process, dictation: Dictation, settle: float
) -> None:
    store = Lossy(settle_time=settle)
    store.durable = True
    here, _ = process(store)
    execution = await here.start(dictation.actor, idempotency_key="k")
    assert len(here._keeper._marks) == 1
    log = store._logs[execution.id]
    log.hold([b"data: x\n\n"])
    log.finish("lost")
    await asyncio.wait_for(execution.wait(), 5)
    await until(lambda: not list(here))
    assert here._keeper._marks == {}
    await until(lambda: here._keeper._task is None or here._keeper._task.done())


async def test_forgets_the_mark_when_done(
    process: Process, dictation: Dictation, store: Lossy
) -> None:
    store.durable = True
    here, _ = process(store)
    execution = await here.start(dictation.actor, idempotency_key="k")
    dictation.say(None)
    await asyncio.wait_for(execution.wait(), 5)
    await asyncio.sleep(0)
    assert here._keeper._marks == {}
    await until(lambda: here._keeper._task.done())


async def test_looks_after_what_has_ended_whatever_the_store_raises(
    process: Process, dictation: Dictation
) -> None:
    store = Lossy(settle_time=60.0)
    here, link = process(store)
    execution = await here.start(dictation.actor)
    dictation.say(1, None)
    await asyncio.wait_for(execution.wait(), 5)
    last = execution.log.last
    link.faults["read", None] = OSError("A driver's own error.")
    begun = link.called.count("read")
    await until(lambda: link.called.count("read") > begun)
    link.faults.clear()
    store.empty()
    store.generation += 1
    await until(lambda: store.has(execution.id, last))


async def test_hears_of_cancels_after_the_store_could_not_be_watched(
    process: Process, dictation: Dictation, store: Lossy
) -> None:
    (here, link), (there, _) = process(store, lease=3600), process(store, lease=3600)
    watch = link.watch
    calls = 0

    async def fails_once() -> Any:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise OSError("A driver's own error.")
        return await watch()

    link.watch = fails_once  # type: ignore[method-assign]
    execution = await here.start(dictation.actor)
    await until(lambda: here._hints._watch is not None)
    assert await (await there.get(execution.id)).cancel() is True
    assert await asyncio.wait_for(execution.wait(), 5) == "cancelled"
