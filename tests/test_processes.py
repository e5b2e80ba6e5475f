"""Executions that several processes share; the larger part kills some of them.

``ASGI_EVENTS_ROUNDS`` says how often the processes are killed.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack, closing, contextmanager
from dataclasses import replace
from importlib.util import find_spec
from itertools import count, cycle
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import httpx
import httpx_sse
import pytest
from asgi_lifespan import LifespanManager

from asgi_events import EventsApp, Executions, current_state, tool
from asgi_events.actors import Actor
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
from asgi_events.stores import EventStore, Page, open_store
from asgi_events.stores.memory import MemoryStore
from asgi_events.stores.redis import RedisStore
from asgi_events.stores.sqlite import SQLiteStore
from asgi_events.wire.sse import Decoder, ServerSentEvent
from tests.apps import Numbered, quiet
from tests.asgi import TIMEOUT, Connection, call, data
from tests.nemesis.link import Link
from tests.servers import ROOT, Server, require
from tests.valkey import Valkey, free_port

Share: TypeAlias = Callable[[], EventStore]

ROUNDS = int(os.environ.get("ASGI_EVENTS_ROUNDS", "3"))
SEED = int(os.environ.get("ASGI_EVENTS_SEED", "1"))

EXAMPLES = ROOT / "examples"

_BOUND = 50  # of tests.process_apps

KINDS = ["memory", "sqlite", pytest.param("valkey", marks=pytest.mark.server)]


@pytest.fixture(scope="module")
def valkey() -> Iterator[Valkey]:
    with Valkey() as server:
        yield server


@pytest.fixture(params=KINDS)
def share(request: pytest.FixtureRequest, tmp_path: Path) -> Share:
    """Opens the one store of a test, as each of several processes does."""
    if request.param == "sqlite":
        return lambda: SQLiteStore(tmp_path / "events.db")
    if request.param == "valkey":
        server: Valkey = request.getfixturevalue("valkey")
        with server.client() as client:
            client.flushall()
        return lambda: RedisStore(server.url)
    memory = MemoryStore()
    return lambda: memory


class Dictation:
    """An actor that publishes a number when the test says so.

    Attributes:
        runs: How often it was started.
    """

    def __init__(self) -> None:
        self.runs = 0
        self._numbers: asyncio.Queue[int | None] = asyncio.Queue()

        @tool
        async def dictated(text: str = "") -> str:
            self.runs += 1
            while (number := await self._numbers.get()) is not None:
                await current_state().publish(Numbered(number=number))
            return text

        self.actor: Actor[..., Any] = dictated

    def say(self, *numbers: int) -> None:
        for number in numbers:
            self._numbers.put_nowait(number)

    def stop(self) -> None:
        self._numbers.put_nowait(None)


@pytest.fixture
def dictation() -> Dictation:
    return Dictation()


Process: TypeAlias = Callable[..., Executions]


@pytest.fixture
async def process(share: Share, dictation: Dictation) -> AsyncIterator[Process]:
    """Makes the executions of one more process."""
    async with AsyncExitStack() as stack:

        def make(store: EventStore | None = None, **options: Any) -> Executions:
            store = store or share()
            stack.push_async_callback(store.aclose)
            made = Executions(
                dictation.actor,
                quiet,
                store=store,
                **{"heartbeat_interval": 0.05, "retry": 20} | options,
            )
            stack.push_async_callback(made.drain, 0)
            return made

        yield make


class Spy:
    """A store that counts what is read of it, and does as it is told.

    Attributes:
        reads: How often it was read.
        passing: Clear it, and pages are held back.
        held: Set when one is.
        trouble: What is raised instead of a page.
        away: Nothing that is said again and again is answered.
        refused: How often it was not.
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

    def __getattr__(self, name: str) -> Any:
        if self.away and name in ("append", "renew", "attend"):
            return self._refuse
        return getattr(self._store, name)

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


async def seen(connection: Connection, count: int) -> list[ServerSentEvent]:
    """The next ``count`` events, without the ``retry`` that the first one has."""
    return [replace(await connection.event(), retry=None) for _ in range(count)]


async def rest(connection: Connection) -> list[ServerSentEvent]:
    """Likewise all further events."""
    async with asyncio.timeout(TIMEOUT):  # heartbeats may go on for ever
        events = await connection.events()
    return [replace(event, retry=None) for event in events]


async def stored(store: EventStore, id: str) -> Page:
    page = await store.read(id, 0, 1 << 30)
    assert page is not None
    return page


async def until(look: Callable[[], bool]) -> None:
    """Wait for what gives no sign of itself."""
    async with asyncio.timeout(TIMEOUT):
        while not look():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


# Executions of two processes on one store


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
        answer = await call(
            EventsApp(executions=there), "DELETE", f"/executions/{execution.id}"
        )
        events = await rest(connection)
    later = await call(
        EventsApp(executions=there), "DELETE", f"/executions/{execution.id}"
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
    process: Process, dictation: Dictation
) -> None:
    here, there = (process(cancel_after=0, lease=0.3) for _ in range(2))
    execution = await here.start(dictation.actor)
    async with viewer(there, execution.id) as second:
        await seen(second, 1)
        await asyncio.sleep(0.2)  # the writer hears of it when it renews its lease
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
    store = MemoryStore()
    options: dict[str, Any] = {"store": store, "cancel_after": 0.1, "lease": 0.3}
    async with (
        Executions(dictation.actor, **options, drain_grace=0) as here,
        Executions(dictation.actor, **options, drain_grace=0) as there,
    ):
        execution = await here.start(dictation.actor)
        async with viewer(there, execution.id) as only:
            await seen(only, 1)
            await asyncio.sleep(0.2)  # the writer hears of it when it renews its lease

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
        later = await call(
            EventsApp(executions=there), "GET", f"/executions/{execution.id}"
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


# Stores that can not be used


def wrong_address(tmp_path: Path) -> str:
    return f"redis://127.0.0.1:{free_port()}"


def corrupt(tmp_path: Path) -> str:
    (tmp_path / "events.db").write_bytes(b"no database" * 500)
    return f"sqlite:///{tmp_path}/events.db"


def newer(tmp_path: Path) -> str:
    path = tmp_path / "events.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA application_id = {0x61736765}")
        db.execute("PRAGMA user_version = 99")
    return f"sqlite:///{path}"


async def refused(url: str, caplog: pytest.LogCaptureFixture) -> tuple[int, int, str]:
    """How a start and a look are answered, and what is logged."""
    app = EventsApp(quiet, store=url, drain_grace=0)
    start = await call(app, "POST", "/quiet", json={})
    look = await call(app, "GET", "/executions/x")
    await app.executions.drain(0)
    return start.status, look.status, caplog.text


@pytest.mark.parametrize(
    "make, text",
    [
        (wrong_address, "The store cannot answer now: .*onnect"),
        (corrupt, "events.db: file is not a database; name another file"),
        (newer, "has schema version 99, and this asgi_events knows version 2: upgrade"),
    ],
)
async def test_answers_503_and_logs_why_the_store_is_of_no_use(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    make: Callable[[Path], str],
    text: str,
) -> None:
    *statuses, logged = await refused(make(tmp_path), caplog)

    assert statuses == [503, 503]
    assert re.search(text, logged), logged


@pytest.mark.server
async def test_answers_503_and_logs_that_the_password_is_wrong(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Valkey(requirepass="right") as valkey:
        url = valkey.url.replace("//", "//:wrong@")
        *statuses, logged = await refused(url, caplog)

    assert statuses == [503, 503]
    assert "The store does not let us in" in logged
    assert "Look at the user and the password in its URL" in logged
    assert "wrong@" not in logged


@pytest.mark.parametrize(
    "url, text",
    [
        ("postgres://127.0.0.1", "There is no store for 'postgres'"),
        ("events.db", "There is no store for ''"),
        ("redis://127.0.0.1/events", "the database is a number"),
        ("sqlite://events.db", "write .sqlite:///events.db. for one in the working"),
        ("sqlite:///events.db?sync=normal", "the options are .* not sync"),
    ],
)
def test_refuses_a_wrong_url_at_once(url: str, text: str) -> None:
    with pytest.raises((ValueError, StoreError), match=text):
        EventsApp(quiet, store=url)


# A worker of a task queue


@contextmanager
def taskiq_worker(url: str) -> Iterator[None]:
    """A worker of ``examples/with_queue.py``."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "taskiq", "worker", "with_queue:broker"]
    process = subprocess.Popen(
        [*command, "--workers=1", "--shutdown-timeout=1"],
        cwd=EXAMPLES,
        env={**os.environ, "PYTHONPATH": path, "REDIS_URL": url},
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(TIMEOUT)


@pytest.fixture
def with_queue(valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A fresh import of ``examples/with_queue.py``."""
    for module in ("taskiq", "taskiq_redis"):
        require(find_spec(module), f"{module} is not installed")
    monkeypatch.setenv("REDIS_URL", valkey.url)
    monkeypatch.syspath_prepend(str(EXAMPLES))
    yield importlib.import_module("with_queue")
    for name in ("with_queue", "hello"):
        sys.modules.pop(name, None)


@pytest.mark.server
async def test_shows_what_a_worker_of_a_task_queue_runs(
    valkey: Valkey, with_queue: ModuleType
) -> None:
    body = b'{"topic": "tea"}'
    headers = {"content-type": "application/json"}
    with taskiq_worker(valkey.url):
        async with LifespanManager(with_queue.app):
            asked = await call(
                with_queue.app, "POST", "/research", headers=headers, body=body
            )
            path = asked.headers["location"]
            async with Connection(with_queue.app, "GET", path) as connection:
                events = await rest(connection)
            last = {"last-event-id": str(events[-2].id)}
            over = await call(with_queue.app, "GET", path, headers=last)
            again = await call(
                with_queue.app, "POST", "/research", headers=headers, body=body
            )
            path = again.headers["location"]
            async with Connection(with_queue.app, "GET", path) as connection:
                await seen(connection, 3)
                await call(with_queue.app, "DELETE", path.removesuffix("/events"))
                cancelled = await rest(connection)
            ran = [execution.id for execution in with_queue.executions]

    assert (asked.status, over.status) == (303, 204)
    assert data(events)[-1]["event_type"] == "complete"
    assert data(events)[-1]["result"].startswith("There is tea in China")
    assert data(cancelled)[-1]["event_type"] == "cancelled"
    assert ran == []  # in the web tier


# Processes that are killed and stopped


@pytest.fixture(params=["sqlite", "valkey"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of a store that processes share."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/events.db"
    server: Valkey = request.getfixturevalue("valkey")
    with server.client() as client:
        client.flushall()
    return server.url


Workers: TypeAlias = Callable[..., list[Server]]


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Workers]:
    """Starts so many server processes at once."""
    with ExitStack() as stack:

        def start(url: str, count: int, app: str = "app") -> list[Server]:
            monkeypatch.setenv("ASGI_EVENTS_STORE", url)
            servers = [Server(f"tests.process_apps:{app}") for _ in range(count)]
            with ThreadPoolExecutor(count) as pool:
                return list(pool.map(stack.enter_context, servers))

        yield start


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(
        timeout=TIMEOUT, trust_env=False, limits=limits
    ) as client:
        yield client


class Watcher:
    """Somebody who reconnects, each time to the next server, up to the end.

    Attributes:
        events: What was seen: ids and data.
        ended: When the end was.
        connections: How often it connected.
    """

    def __init__(self, http: httpx.AsyncClient, id: str, *servers: Server) -> None:
        self.events: list[tuple[str, Any]] = []
        self.ended = 0.0
        self.connections = 0
        self._http = http
        self._id = id
        self._servers = servers
        self._started = asyncio.Event()
        self._task = asyncio.ensure_future(self._run())

    async def until_seen(self) -> None:
        """Wait for the first event."""
        await asyncio.wait_for(self._started.wait(), TIMEOUT)

    async def until_end(self) -> list[tuple[str, Any]]:
        """Wait for the end; what was seen."""
        await asyncio.wait_for(self._task, 3 * TIMEOUT)
        return self.events

    async def _run(self) -> None:
        for server in cycle(self._servers):
            url = f"{server.url}/executions/{self._id}/events"
            try:
                if await self._watch(url):
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.02)

    async def _watch(self, url: str) -> bool:
        """Whether that was the end."""
        self.connections += 1
        headers = {"last-event-id": self.events[-1][0]} if self.events else {}
        async with httpx_sse.aconnect_sse(
            self._http, "GET", url, headers=headers
        ) as source:
            if source.response.status_code in (204, 503):
                return source.response.status_code == 204
            source.response.raise_for_status()
            async for event in source.aiter_sse():
                if event.event == "end":
                    self.ended = time.monotonic()
                    continue
                assert not self.ended and event.event == "message", event
                self.events.append((event.id, event.json()))
                self._started.set()
        return self.ended > 0


async def begin(http: httpx.AsyncClient, server: Server, actor: str, **of: Any) -> str:
    """The id of a new execution."""
    answer = await http.post(f"{server.url}/{actor}", json=of)
    assert answer.status_code == 202, answer.text
    id: str = answer.json()["id"]
    return id


async def kept(url: str, id: str) -> list[tuple[str, Any]]:
    """What the store has: ids and data."""
    store = open_store(url)
    try:
        page = await stored(store, id)
    finally:
        await store.aclose()
    events = Decoder().feed(b"".join(page.frames))
    return [(str(event.id), json.loads(event.data)) for event in events]


def is_whole(id: str, events: Sequence[tuple[str, Any]]) -> bool:
    """Whether they are numbered without holes, as ids and as they were published."""
    numbers = [data["number"] for _, data in events if "number" in data]
    ids = [
        f"{id}:{number}:lost" if data.get("event_type") == "lost" else f"{id}:{number}"
        for number, (_, data) in enumerate(events, 1)
    ]
    return [name for name, _ in events] == ids and numbers == list(
        range(1, len(numbers) + 1)
    )


def kinds_of(events: Sequence[tuple[str, Any]]) -> list[str]:
    """The ``event_type`` of those that are not the actor's own."""
    return [data["event_type"] for _, data in events if "event_type" in data]


async def kill_at(
    http: httpx.AsyncClient, victim: Server, survivor: Server, url: str, moment: float
) -> float:
    """Kill ``victim`` under viewers; how long until they had the end, in seconds."""
    id = await begin(http, victim, "endless", pace=0.003)
    viewers = [
        *(Watcher(http, id, victim, survivor) for _ in range(4)),
        *(Watcher(http, id, survivor) for _ in range(2)),
    ]
    for each in viewers:
        await each.until_seen()
    await asyncio.sleep(moment)
    os.kill(victim.pid, signal.SIGKILL)
    killed = time.monotonic()
    saw = [await each.until_end() for each in viewers]

    held = await kept(url, id)
    assert saw == [held] * len(viewers)
    assert is_whole(id, held)
    assert kinds_of(held) == ["tool_call", "lost"]
    return max(each.ended for each in viewers) - killed


@pytest.mark.server
async def test_starts_once_for_each_key_when_the_starter_is_killed(
    url: str, workers: Workers, http: httpx.AsyncClient, tmp_path: Path
) -> None:
    file = tmp_path / "runs"
    keys = [f"key-{number}" for number in range(10)]
    [victim] = workers(url, 1, "dying")
    survivors = workers(url, 2)

    async def post(server: Server, key: str) -> str:
        answer = await http.post(
            f"{server.url}/mark",
            json={"path": str(file), "text": key},
            headers={"idempotency-key": key},
        )
        assert answer.status_code == 202, answer.text
        id: str = answer.json()["id"]
        return id

    async def insist(server: Server, key: str) -> str:
        while True:
            try:
                return await post(server, key)
            except httpx.TransportError:  # a connection that was idle for too long
                pass

    stalled = [asyncio.create_task(post(victim, key)) for key in keys]
    await until(lambda: victim.output().count("marked") == len(keys))
    os.kill(victim.pid, signal.SIGKILL)
    failures = await asyncio.gather(*stalled, return_exceptions=True)
    asked = [(server, key) for key in keys for server in survivors * 3]
    async with asyncio.timeout(TIMEOUT):
        ids = await asyncio.gather(*(insist(*each) for each in asked))
    store = open_store(url)
    async with asyncio.timeout(TIMEOUT):
        for id in ids:
            while (await stored(store, id)).end is None:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
    await store.aclose()

    assert all(isinstance(each, httpx.TransportError) for each in failures)
    assert len(set(ids)) == len(keys)
    assert sorted(file.read_text().split()) == keys


def test_starts_once_in_processes_that_were_forked_off(tmp_path: Path) -> None:
    file = tmp_path / "runs"
    url = f"sqlite:///{tmp_path}/events.db"
    command = [sys.executable, "-W", "error", "-m", "tests.forking", url, str(file)]

    subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "ASGI_EVENTS_STORE": url},
        check=True,
    )

    assert file.read_text().split() == ["key", "id"]


@pytest.mark.server
async def test_loses_nothing_that_was_seen_when_a_worker_is_killed(
    url: str, workers: Workers, http: httpx.AsyncClient
) -> None:
    dice = random.Random(SEED)
    [survivor] = workers(url, 1)
    took = []
    for begun in range(0, ROUNDS, 3):
        victims = workers(url, min(3, ROUNDS - begun))
        took += await asyncio.gather(
            *(
                kill_at(http, victim, survivor, url, dice.uniform(0, 0.8))
                for victim in victims
            )
        )

    print(f"{len(took)} kills, seconds until all had the end: {sorted(took)}")
    assert len(took) == ROUNDS


@pytest.mark.server
async def test_fences_a_worker_that_was_paused_beyond_its_lease(
    url: str, workers: Workers, http: httpx.AsyncClient
) -> None:
    paused, other = workers(url, 2)
    id = await begin(http, paused, "noted", pace=1.0)
    here, there = Watcher(http, id, paused), Watcher(http, id, other)
    # It has written, and not yet again: one stopped inside a transaction of SQLite
    # keeps the file locked.
    await until(lambda: len(here.events) == 2)
    paused.signal(signal.SIGSTOP)
    try:
        saw = await there.until_end()
        assert "stopped" not in paused.output()
    finally:
        paused.signal(signal.SIGCONT)
    await until(lambda: "stopped" in paused.output())
    held = await kept(url, id)

    assert await here.until_end() == held
    assert saw == held
    assert is_whole(id, held)
    assert kinds_of(held) == ["tool_call", "lost"]
    assert "is not ours any more, and stops" in paused.output()


async def watch_while(
    http: httpx.AsyncClient,
    url: str,
    servers: Sequence[Server],
    trouble: Callable[[], Any],
    *,
    events: int,
) -> None:
    """Three executions and thirty viewers on two workers, and ``trouble`` meanwhile."""
    writer = servers[0]
    started = [
        await begin(http, writer, "count", to=events, pace=0.002) for _ in range(3)
    ]
    viewers = [Watcher(http, id, *servers) for id in started * 5]
    viewers += [Watcher(http, id, *reversed(servers)) for id in started * 5]
    for each in viewers:
        await each.until_seen()
    await trouble()
    saw = [await each.until_end() for each in viewers]

    for number, id in enumerate(started):
        held = await kept(url, id)
        assert saw[number::3] == [held] * 10
        assert is_whole(id, held)
        assert kinds_of(held) == ["tool_call", "tool_call", "complete"]
        assert len(held) == events + 3


@pytest.mark.server
@pytest.mark.parametrize("appendfsync", ["everysec", "always"])
async def test_shows_all_once_when_the_server_of_the_store_is_killed(
    workers: Workers, http: httpx.AsyncClient, appendfsync: str
) -> None:
    dice = random.Random(SEED)

    async def trouble() -> None:
        for _ in range(ROUNDS):
            await asyncio.sleep(dice.uniform(0.05, 0.3))
            await asyncio.to_thread(valkey.kill)
            await asyncio.sleep(dice.uniform(0, 0.2))
            await asyncio.to_thread(valkey.start)

    with Valkey(appendfsync=appendfsync) as valkey:
        servers = workers(valkey.url, 2, "patient")
        await watch_while(http, valkey.url, servers, trouble, events=200 + 100 * ROUNDS)


@pytest.mark.server
async def test_shows_all_once_when_the_server_of_the_store_is_paused(
    valkey: Valkey, workers: Workers, http: httpx.AsyncClient
) -> None:
    async def trouble() -> None:
        for _ in range(max(1, ROUNDS // 10)):
            valkey.pause()
            try:
                await asyncio.sleep(2.5)  # longer than the store waits for an answer
            finally:
                valkey.resume()

    servers = workers(valkey.url, 2, "patient")
    await watch_while(http, valkey.url, servers, trouble, events=300)


@pytest.mark.server
async def test_runs_up_to_its_bound_while_the_store_is_away(
    workers: Workers, http: httpx.AsyncClient
) -> None:
    with Valkey(appendfsync="always") as valkey:
        writer, other = workers(valkey.url, 2, "bounded")
        id = await begin(http, writer, "noted")
        viewers = [Watcher(http, id, each) for each in (writer, other)]
        for each in viewers:
            await each.until_seen()
        valkey.kill()

        def published() -> int:
            return int(re.findall(r"published (\d+)", writer.output())[-1])

        async def bound() -> int:
            """What it has published when it publishes no more."""
            for _ in count():
                before = published()
                await asyncio.sleep(0.3)
                if published() == before:
                    return before
            raise AssertionError

        at = await bound()
        seen = [len(each.events) - 1 for each in viewers]  # but for the call
        valkey.start()
        held = len(await kept(valkey.url, id)) - 1
        await until(lambda: published() > at + 2 * _BOUND)
        await http.delete(f"{other.url}/executions/{id}")
        saw = [await each.until_end() for each in viewers]

        assert max(seen) <= held
        assert at - held <= _BOUND + 5
        assert at - min(seen) >= _BOUND - 5
        assert [each.connections for each in viewers] == [1, 1]
        whole = await kept(valkey.url, id)
    assert saw == [whole] * 2
    assert is_whole(id, whole)
    assert kinds_of(whole)[-1] == "cancelled"
