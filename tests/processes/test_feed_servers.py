"""The feed of real servers, which are killed and stopped."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from asgi_events.wire.decoding import read_json
from asgi_events.wire.sse import Decoder
from tests import TIMEOUT
from tests.servers import Server

USER = {"user": "ann"}
APP = "tests.process_apps:fed"


class Watcher:
    """Somebody who watches the feed, at the next server after each cut.

    Attributes:
        told: Of each execution, what was said, in order.
        resets: How often it had to list again.
    """

    def __init__(self, http: httpx.AsyncClient, *servers: Server) -> None:
        self.told: dict[str, list[str]] = {}
        self.resets = 0
        self.last_id = ""
        self._http = http
        self._servers = servers
        self._task: asyncio.Task[None] | None = None
        self._news = asyncio.Event()

    async def __aenter__(self) -> Watcher:
        self._task = asyncio.ensure_future(self._watch())
        await self.until(lambda: self.resets > 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait({self._task})

    async def until(self, look: Any) -> None:
        async with asyncio.timeout(TIMEOUT):
            while not look():
                self._news.clear()
                await self._news.wait()

    async def until_said(self, id: str, *what: str) -> None:
        # What a process says that is late may be said twice.
        await self.until(lambda: list(dict.fromkeys(self.told.get(id, ()))) == [*what])

    async def _watch(self) -> None:
        turn = 0
        while True:
            url = self._servers[turn % len(self._servers)].url
            turn += 1
            try:
                await self._read(url)
            except httpx.TransportError:  # killed, or not there yet
                await asyncio.sleep(0.02)

    async def _read(self, url: str) -> None:
        headers = USER | ({"last-event-id": self.last_id} if self.last_id else {})
        async with self._http.stream("GET", f"{url}/feed", headers=headers) as stream:
            decoder = Decoder(last_event_id=self.last_id)
            async for chunk in stream.aiter_bytes():
                for block in decoder.feed(chunk):
                    self.resets += block.event == "reset"
                    if block.event is None:
                        event = read_json(block.data or "null")
                        said = self.told.setdefault(event["execution"], [])
                        said.append(event.get("status", event["event_type"]))
                self.last_id = decoder.last_event_id
                self._news.set()


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=TIMEOUT, trust_env=False) as client:
        yield client


@pytest.fixture
def start(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Starts one more server process."""
    monkeypatch.setenv("ASGI_EVENTS_STORE", url)
    with ExitStack() as stack:
        yield lambda kind: stack.enter_context(Server(APP, kind))


@pytest.mark.server
async def test_says_all_while_servers_are_killed_and_stopped(
    start: Any, http: httpx.AsyncClient
) -> None:
    worker, web, other = start("uvicorn"), start("hypercorn"), start("uvicorn")

    async def begin(server: Server, actor: str, **input: Any) -> str:
        answer = await http.post(f"{server.url}/{actor}", headers=USER, json=input)
        return str(answer.json()["id"])

    async with Watcher(http, web, other) as ann:
        asks = await begin(worker, "confirm")
        await ann.until_said(asks, "started", "waiting")
        answer = await http.post(
            f"{web.url}/executions/{asks}/inputs/1",
            headers=USER,
            json={"action": "accept", "content": True},
        )
        assert answer.status_code == 201
        await ann.until(lambda: "answered" in ann.told[asks])
        web.signal(signal.SIGTERM)  # the watcher goes on at the other one
        web.wait()
        noted = await begin(worker, "noted")
        await ann.until_said(noted, "started")
        worker.signal(signal.SIGKILL)
        await ann.until_said(noted, "started", "lost")
    assert ann.resets == 1
