"""The fixtures of these tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from asgi_events import Executions
from asgi_events.stores import EventStore
from asgi_events.stores.memory import MemoryStore
from asgi_events.stores.redis import RedisStore
from asgi_events.stores.sqlite import SQLiteStore
from tests.apps import quiet
from tests.processes.sharing import KINDS, Dictation, Process, Share
from tests.valkey import Valkey


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


@pytest.fixture
def dictation() -> Dictation:
    return Dictation()


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


@pytest.fixture(params=["sqlite", "valkey"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of a store that processes share."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/events.db"
    server: Valkey = request.getfixturevalue("valkey")
    with server.client() as client:
        client.flushall()
    return server.url
