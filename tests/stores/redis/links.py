"""Servers of Redis and Valkey, and links to them that fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from typing import TypeVar

import pytest

from asgi_events.exceptions import (
    Unavailable,
)
from asgi_events.executions import Execution
from asgi_events.stores import Grant, Page
from asgi_events.stores import redis as module
from asgi_events.stores.redis import RedisStore
from tests.servers import TIMEOUT
from tests.valkey import Valkey

T = TypeVar("T")

ALL = 1 << 30  # bytes: no limit

on_both = pytest.mark.parametrize("server", ["valkey", "redis"], indirect=True)


@asynccontextmanager
async def opened(
    url: str, *, timeout: float | None = None
) -> AsyncIterator[RedisStore]:
    store = RedisStore(url, timeout=timeout)
    try:
        yield store
    finally:
        await store.aclose()


async def begin(
    store: RedisStore, key: str = "log", *, writer: str = "w", lease: float = 15.0
) -> Grant:
    return await store.open(key, writer=writer, lease=lease, ttl=60.0, meta={"a": "ü"})


async def answered(call: Callable[[], Awaitable[T]]) -> T:
    """What a recorder does: ask again until there is an answer."""
    async with asyncio.timeout(TIMEOUT):
        while True:
            try:
                return await call()
            except Unavailable:
                await asyncio.sleep(0.01)


async def in_vain(call: Callable[[], Awaitable[object]]) -> None:
    """Ask until the server has done it, and no replica has."""
    async with asyncio.timeout(TIMEOUT):
        while True:
            with pytest.raises(Unavailable) as caught:
                await call()
            if "in vain for a replica" in str(caught.value):
                return
            assert "in time" in str(caught.value)


def numbered(first: int, last: int) -> list[bytes]:
    return [b"frame %d" % number for number in range(first, last + 1)]


async def held(store: RedisStore, key: str = "log") -> Page:
    page = await store.read(key, 0, ALL)
    assert page is not None
    return page


async def seen(execution: Execution) -> bytes:
    """What a viewer is given, to the end."""
    chunks = []
    with closing(execution.watchers.attach()) as cursor:
        while (chunk := cursor.take()) is not None:
            chunks.append(chunk)
            if not chunk:
                ready = asyncio.Event()
                cursor.on_ready(ready.set)
                await ready.wait()
    return b"".join(chunks)


@asynccontextmanager
async def in_thread(server: Valkey) -> AsyncIterator[None]:
    """A server that starts while this event loop goes on."""
    await asyncio.to_thread(server.__enter__)
    try:
        yield
    finally:
        server.__exit__(None, None, None)


async def until(look: Callable[[], bool]) -> None:
    """Wait until a server says so, which tells nobody by itself."""
    async with asyncio.timeout(TIMEOUT):
        while not look():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def until_subscribed(server: Valkey, count: int) -> None:
    """Wait until the server has so many subscriptions."""
    with server.client() as client:
        await until(lambda: len(client.pubsub_shardchannels()) == count)


async def kept_reaping(
    server: Valkey, store: RedisStore, *keys: str, after: int
) -> list[bool]:
    """Whether silent writers are dead to who asks often enough, and long enough."""

    async def reap() -> list[bool]:
        calls = (store.reap(key, after, b"lost", end="lost") for key in keys)
        return await asyncio.gather(*calls)

    server.pass_time(7.5)  # of a lease of 15 seconds
    for _ in range(3):
        assert not any(await reap())
        server.pass_time(3.0)
    return await reap()


def limited(server: Valkey, *changes: str) -> str:
    """The URL of a user that may do what the module's documentation says."""
    assert module.__doc__ is not None
    words = module.__doc__.partition("ACL SETUSER asgi_events ")[2].partition("\n\n")[0]
    with server.client() as client:
        client.execute_command("ACL SETUSER asgi_events", *words.split(), *changes)
    return server.url.replace("//", "//asgi_events:password@")
