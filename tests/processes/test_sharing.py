"""Executions that several processes share."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

from asgi_events import EventsApp, Executions
from asgi_events.events import ExecutionStatus
from asgi_events.exceptions import (
    Gone,
    IdempotencyConflict,
    StoreError,
    Unavailable,
    UnknownExecution,
)
from asgi_events.executions import Execution
from asgi_events.executions.idempotency import marker_of
from asgi_events.stores import Ack, EventStore, Grant, Page
from asgi_events.stores.memory import MemoryStore
from asgi_events.stores.redis import RedisStore
from asgi_events.testing import Client, Connection
from tests import TIMEOUT
from tests.nemesis.link import Link
from tests.payloads import data
from tests.processes.sharing import Dictation, Process, Share, rest, seen, until
from tests.valkey import Valkey


class Spy:
    """A store that counts what is read of it, and does as it is told.

    Attributes:
        reads: How often it was read.
        passing: Clear it, and pages are held back.
        held: Set when one is.
        trouble: What is raised instead of a page.
        away: Nothing that is said again and again is answered.
        refused: How often it was not.
        heard: Whether its writer has been told that somebody watches elsewhere.
    """

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self.reads = 0
        self.passing = asyncio.Event()
        self.passing.set()
        self.held = asyncio.Event()
        self.trouble: StoreError | None = None
        self.away = False
        self.refused = 0
        self.heard = False

    def __getattr__(self, name: str) -> Any:
        if self.away and name in ("append", "mark_watched"):
            return self._refuse
        return getattr(self._store, name)

    async def renew(self, key: str, grant: Grant) -> Ack:
        if self.away:
            await self._refuse()
        ack = await self._store.renew(key, grant)
        self.heard = self.heard or ack.watched
        return ack

    async def _refuse(self, *_: Any, **__: Any) -> None:
        self.refused += 1
        raise Unavailable("The store does not answer.")

    async def read(self, key: str, after: int, limit: int) -> Page | None:
        """A page; one of no bytes, which says how a log stands, is not held back."""
        if self.away:
            await self._refuse()
        self.reads += 1
        if self.trouble is not None and limit > 0:
            raise self.trouble
        page = await self._store.read(key, after, limit)
        if limit > 0 and not self.passing.is_set():
            self.held.set()
            await self.passing.wait()
        return page


def viewer(executions: Executions, id: str, position: int | None = None) -> Connection:
    """Somebody who watches there, from the event after ``position``."""
    headers = {} if position is None else {"last-event-id": f"{id}:{position}"}
    app = EventsApp(executions=executions)
    return Connection(app, "GET", f"/executions/{id}/events", headers=headers)


async def test_shows_an_execution_elsewhere_from_every_position(
    process: Process, dictation: Dictation
) -> None:
    here, there = process(), process()
    execution = await here.start(dictation.actor)
    dictation.say(1, 2, 3)
    async with viewer(here, execution.id) as first, AsyncExitStack() as others:
        early = await seen(first, 4)  # the call, and what was said
        live = [
            await others.enter_async_context(viewer(there, execution.id, position))
            for position in range(5)
        ]
        for position, late in enumerate(live[:4]):
            assert await seen(late, 4 - position) == early[position:]
        dictation.say(4, 5)
        dictation.stop()
        whole = early + await rest(first)
        later = [await rest(connection) for connection in live]
    again = []
    for position in range(len(whole) - 1):
        async with viewer(there, execution.id, position) as connection:
            again.append(await rest(connection))

    last = len(whole) - 1
    assert [e.id for e in whole] == [
        *(f"{execution.id}:{number}" for number in range(1, last + 1)),
        None,
    ]
    assert data(whole)[-1]["event_type"] == "complete"
    assert later == [whole[4:]] * 5
    assert again == [whole[position:] for position in range(last)]


async def test_answers_204_elsewhere_to_who_has_seen_all(
    process: Process, dictation: Dictation
) -> None:
    here, there = process(), process()
    execution = await here.start(dictation.actor)
    dictation.stop()
    await execution.wait()

    async with viewer(there, execution.id, execution.log.last) as connection:
        await connection.end()

    assert (connection.status, connection.body) == (204, b"")


async def test_resumes_elsewhere_ahead_of_what_was_read_there(
    process: Process, dictation: Dictation, share: Share
) -> None:
    slow = Spy(share())
    here, there = process(), process(slow)
    execution = await here.start(dictation.actor)
    dictation.say(1)
    async with viewer(here, execution.id) as ahead, viewer(there, execution.id) as one:
        await seen(one, 2)
        slow.passing.clear()
        dictation.say(2, 3)
        await seen(ahead, 4)
        async with viewer(there, execution.id, 4) as moved:
            await moved.start()
            slow.passing.set()
            dictation.stop()
            events = await rest(moved)
            whole = await rest(ahead)

    assert events == whole


async def test_numbers_events_elsewhere_as_they_are_while_somebody_waits(
    process: Process, dictation: Dictation, share: Share
) -> None:
    slow = Spy(share())
    here, there = process(), process(slow)
    execution = await here.start(dictation.actor)
    remote = await there.get(execution.id)
    slow.passing.clear()
    waiting = asyncio.ensure_future(remote.wait())
    async with viewer(here, execution.id) as first:
        dictation.say(1, 2)
        early = await seen(first, 3)
        await asyncio.wait_for(slow.held.wait(), TIMEOUT)
        assert await there.get(execution.id) is remote
        slow.passing.set()
        dictation.say(3)
        dictation.stop()
        whole = early + await rest(first)
        status = await asyncio.wait_for(waiting, TIMEOUT)
    async with viewer(there, execution.id) as again:
        events = await rest(again)

    assert status == ExecutionStatus.COMPLETED
    assert remote.log.last == execution.log.last
    assert events == whole


async def test_cancels_an_execution_elsewhere(
    process: Process, dictation: Dictation
) -> None:
    here, there, third = process(lease=0.3), process(), process()
    execution = await here.start(dictation.actor)
    async with viewer(third, execution.id) as connection:
        answer = await Client(EventsApp(executions=there)).delete(
            f"/executions/{execution.id}"
        )
        events = await rest(connection)
    later = await Client(EventsApp(executions=there)).delete(
        f"/executions/{execution.id}"
    )

    assert (answer.status, later.status) == (202, 200)
    assert [e["event_type"] for e in data(events)][-1] == "cancelled"
    assert events[-1].data == '{"status":"cancelled"}'
    assert execution.status == ExecutionStatus.CANCELLED


async def test_starts_once_for_one_key_in_all_processes(
    process: Process, dictation: Dictation
) -> None:
    here, there = process(), process()

    async def start(executions: Executions) -> Execution:
        return await executions.start(dictation.actor, idempotency_key="k")

    started = await asyncio.gather(*(start(e) for e in [here, there] * 10))
    dictation.stop()
    [status] = {await e.wait() for e in started}
    after = [await start(here), await start(there)]
    with pytest.raises(IdempotencyConflict):
        await there.start(dictation.actor, {"text": "x"}, idempotency_key="k")

    assert len({e.id for e in (*started, *after)}) == 1
    assert (status, dictation.runs) == (ExecutionStatus.COMPLETED, 1)


async def test_starts_nothing_again_when_the_execution_of_a_key_is_forgotten(
    process: Process, dictation: Dictation
) -> None:
    here, there = (process(lease=0.3, retention=0.1) for _ in range(2))
    execution = await here.start(dictation.actor, idempotency_key="k")
    dictation.stop()
    await execution.wait()
    async with asyncio.timeout(TIMEOUT):
        while await there.store.read(execution.id, 0, 0) is not None:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    marker = await there.store.read(marker_of(None, "k"), 0, 0)

    for executions in (here, there):
        with pytest.raises(Gone, match=execution.id):
            await executions.start(dictation.actor, idempotency_key="k")

    assert marker is not None and marker.end is not None
    assert dictation.runs == 1


@pytest.mark.server
async def test_starts_once_for_one_key_when_the_replies_of_the_store_are_late(
    valkey: Valkey, dictation: Dictation
) -> None:
    with valkey.client() as client:
        client.flushall()
        async with Link(valkey.port) as link, AsyncExitStack() as stack:
            late = RedisStore(f"redis://127.0.0.1:{link.port}", timeout=TIMEOUT)
            stack.push_async_callback(late.aclose)
            here, *others = [
                await stack.enter_async_context(
                    Executions(dictation.actor, store=store)
                )
                for store in (late, valkey.url, valkey.url)
            ]
            with pytest.raises(UnknownExecution):
                await here.get("none")  # connects

            async def start(executions: Executions) -> Execution:
                return await executions.start(dictation.actor, idempotency_key="k")

            link.delay = 1.6  # seconds
            first = asyncio.create_task(start(here))
            await until(lambda: bool(client.keys("*idempotency*")))
            link.delay = 0.0
            started = await asyncio.gather(*(start(other) for other in others))
            started.append(await first)
            for _ in started:  # should there be several
                dictation.stop()
            statuses = {await each.wait() for each in started}

    assert len({each.id for each in started}) == 1
    assert (statuses, dictation.runs) == ({ExecutionStatus.COMPLETED}, 1)


async def test_starts_once_for_one_id_in_all_processes(
    process: Process, dictation: Dictation
) -> None:
    here, there = process(), process()

    started = await asyncio.gather(
        *(e.start(dictation.actor, id="job-1") for e in [here, there] * 5)
    )
    dictation.stop()
    [status] = {await e.wait() for e in started}

    assert {e.id for e in started} == {"job-1"}
    assert (status, dictation.runs) == (ExecutionStatus.COMPLETED, 1)


async def test_runs_on_while_somebody_watches_elsewhere(
    process: Process, dictation: Dictation, share: Share
) -> None:
    mine = Spy(share())
    here, there = (process(s, cancel_after=0, lease=0.3) for s in (mine, share()))
    execution = await here.start(dictation.actor)
    async with viewer(there, execution.id) as second:
        await seen(second, 1)
        await until(lambda: mine.heard)
        async with viewer(here, execution.id) as first:
            dictation.say(1)
            await seen(first, 2)
        await asyncio.sleep(1.1)  # much longer than it may be without a viewer
        dictation.say(2)
        await seen(second, 2)

        assert execution.status == ExecutionStatus.STARTED


async def test_ends_when_the_last_viewer_elsewhere_has_left(
    dictation: Dictation,
) -> None:
    mine = Spy(MemoryStore())
    options: dict[str, Any] = {"store": mine, "cancel_after": 0.1, "lease": 0.3}
    async with (
        Executions(dictation.actor, **options, drain_grace=0) as here,
        Executions(dictation.actor, **options, drain_grace=0) as there,
    ):
        execution = await here.start(dictation.actor)
        async with viewer(there, execution.id) as only:
            await seen(only, 1)
            await until(lambda: mine.heard)

        status = await asyncio.wait_for(execution.wait(), TIMEOUT)

    assert status == ExecutionStatus.CANCELLED


async def test_cancels_elsewhere_without_waiting_for_a_sign_of_life(
    process: Process, dictation: Dictation
) -> None:
    here, there = process(lease=3600), process(lease=3600)
    execution = await here.start(dictation.actor)
    async with viewer(there, execution.id) as far:
        await seen(far, 1)
        found = await there.get(execution.id)
        assert await found.cancel() is True
        events = await rest(far)

    assert data(events)[-1]["event_type"] == "cancelled"


async def test_reads_once_for_all_viewers_elsewhere(
    process: Process, dictation: Dictation, share: Share
) -> None:
    here, reads = process(), []
    for viewers in (1, 200):
        spy = Spy(share())
        there = process(spy)
        execution = await here.start(dictation.actor)
        async with AsyncExitStack() as stack:
            watching = [
                await stack.enter_async_context(viewer(there, execution.id))
                for _ in range(viewers)
            ]
            for connection in watching:
                await seen(connection, 1)
            before = spy.reads
            for number in range(1, 21):
                dictation.say(number)
                for connection in watching:
                    [event] = await seen(connection, 1)
                    assert data([event])[0]["number"] == number
            reads.append(spy.reads - before)
            dictation.stop()
            for connection in watching:
                await rest(connection)

    # A read for each event, and one that found nothing more.
    assert reads[1] <= max(reads[0], 2 * 20) + 10


@pytest.mark.parametrize("error", [StoreError, Unavailable])
async def test_waits_elsewhere_for_a_store_that_may_be_mended(
    process: Process, dictation: Dictation, share: Share, error: type[StoreError]
) -> None:
    spy = Spy(share())
    here, there = process(), process(spy)
    execution = await here.start(dictation.actor)
    dictation.say(1)
    async with viewer(there, execution.id) as connection:
        await seen(connection, 2)
        spy.trouble = error("The store does not answer.")
        dictation.say(2)
        await connection.until(b": keep-alive\n")
        spy.trouble = None
        dictation.stop()
        events = await rest(connection)

    assert data(events)[0]["number"] == 2
    assert data(events)[-1]["event_type"] == "complete"


async def test_ends_nothing_that_lives_when_the_store_was_away_beyond_the_lease(
    process: Process, dictation: Dictation, share: Share
) -> None:
    mine, theirs = Spy(share()), Spy(share())
    here, there = process(mine, lease=0.3), process(theirs, lease=0.3)
    execution = await here.start(dictation.actor)
    async with viewer(there, execution.id) as connection:
        await seen(connection, 1)
        mine.away = theirs.away = True
        await asyncio.sleep(0.6)
        await until(lambda: theirs.refused > 0)
        theirs.away = False
        before = theirs.reads
        await until(lambda: theirs.reads > before)
        later = await Client(EventsApp(executions=there)).get(
            f"/executions/{execution.id}"
        )
        mine.away = False
        dictation.say(1)
        dictation.stop()
        events = await rest(connection)

    assert (await later.json())["status"] == "started"
    assert data(events)[0]["number"] == 1
    assert data(events)[-1]["event_type"] == "complete"


@pytest.mark.server
async def test_has_two_connections_to_the_server_for_all_viewers(
    valkey: Valkey, dictation: Dictation
) -> None:
    with valkey.client() as client:
        client.flushall()

        def addresses() -> set[str]:
            own = str(client.client_id())
            return {c["addr"] for c in client.client_list() if c["id"] != own}

        others = addresses()
        async with AsyncExitStack() as stack:
            here, there = [
                await stack.enter_async_context(
                    Executions(dictation.actor, store=valkey.url)
                )
                for _ in range(2)
            ]
            started = [await here.start(dictation.actor) for _ in range(10)]
            watching = [
                await stack.enter_async_context(viewer(there, execution.id))
                for execution in started * 100
            ]
            for connection in watching:
                await seen(connection, 1)
            connections = len(addresses() - others)
            for _ in started:
                dictation.stop()
            for connection in watching:
                await rest(connection)

    # Each has one for commands and one for hints: who writes has to hear of cancels.
    assert connections == 4


@pytest.mark.server
async def test_shows_the_same_when_a_server_comes_back_with_nothing(
    dictation: Dictation,
) -> None:
    with Valkey() as server:  # without appendonly, so a restart loses everything
        options: dict[str, Any] = {"store": server.url, "lease": 3.0, "drain_grace": 0}
        async with (
            Executions(dictation.actor, **options) as here,
            Executions(dictation.actor, **options) as there,
        ):
            over = await here.start(dictation.actor)
            dictation.say(1, 2)
            dictation.stop()
            async with viewer(here, over.id) as near:
                ended = await rest(near)
            running = await here.start(dictation.actor)
            async with viewer(there, running.id) as far:
                dictation.say(1, 2)
                early = await seen(far, 3)
                await asyncio.to_thread(server.restart)
                dictation.say(3)
                dictation.stop()
                late = await rest(far)
            await until(lambda: len(server_keys(server)) >= 2)
            async with viewer(there, over.id) as far:
                again = await rest(far)
            async with viewer(there, running.id) as far:
                whole = await rest(far)

    assert again == ended
    assert whole == early + late
    assert data(ended)[-1]["event_type"] == data(late)[-1]["event_type"] == "complete"


def server_keys(server: Valkey) -> list[bytes]:
    with server.client() as client:
        found: list[bytes] = client.keys("*:log")
        return found
