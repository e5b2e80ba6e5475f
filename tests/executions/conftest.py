"""The fixtures of these tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from asgi_events import Executions
from asgi_events.actors import Actor
from asgi_events.stores import EventStore
from asgi_events.stores.memory import MemoryStore
from asgi_events.stores.redis import RedisStore
from asgi_events.stores.sqlite import SQLiteStore
from tests.executions.scenes import Make
from tests.executions.threads import KINDS, Chat, Process
from tests.valkey import Valkey


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    """Makes ``Executions`` and drains them when the test is over."""
    made: list[Executions] = []

    def make(*actors: Actor[..., Any], **options: Any) -> Executions:
        made.append(Executions(*actors, **options))
        return made[-1]

    yield make
    for executions in made:
        await executions.drain(0)


@pytest.fixture
def chat() -> Chat:
    return Chat()


@pytest.fixture(scope="module")
def valkey() -> Iterator[Valkey]:
    with Valkey() as server:
        yield server


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def share(
    request: pytest.FixtureRequest, kind: str, tmp_path: Path
) -> Callable[[], EventStore | None]:
    """Opens the one store of a test, as each of several processes does."""
    if kind == "sqlite":
        return lambda: SQLiteStore(tmp_path / "events.db")
    if kind == "valkey":
        server: Valkey = request.getfixturevalue("valkey")
        with server.client() as client:
            client.flushall()
        return lambda: RedisStore(server.url)
    memory = MemoryStore() if kind == "memory" else None
    return lambda: memory


@pytest.fixture
async def process(
    share: Callable[[], EventStore | None], chat: Chat
) -> AsyncIterator[Process]:
    """Makes the executions of one more process."""
    async with AsyncExitStack() as stack:

        def make(**options: Any) -> Executions:
            store = share()
            if store is not None:
                stack.push_async_callback(store.aclose)
                options["store"] = store
            made = Executions(*chat.actors, **options)
            stack.push_async_callback(made.drain, 0)
            return made

        yield make
