"""Processes that are killed and stopped."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import count, cycle
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import httpx_sse
import pytest

from asgi_events.stores import EventStore, Page, open_store
from asgi_events.wire.sse import Decoder
from tests import TIMEOUT
from tests.processes.sharing import until
from tests.servers import ROOT, Server
from tests.valkey import Valkey

ROUNDS = int(os.environ.get("ASGI_EVENTS_ROUNDS", "3"))

SEED = int(os.environ.get("ASGI_EVENTS_SEED", "1"))

_BOUND = 50  # of tests.process_apps


async def stored(store: EventStore, id: str) -> Page:
    page = await store.read(id, 0, 1 << 30)
    assert page is not None
    return page


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

    async def post_answered(server: Server, key: str) -> str:
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
        ids = await asyncio.gather(*(post_answered(*each) for each in asked))
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
    await until(lambda: len(here.events) >= 2)
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

            def ahead() -> int:
                return published() - min(len(each.events) - 1 for each in viewers)

            await until(lambda: ahead() >= _BOUND - 5)
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
