"""Stores on one file, and what tests do to it."""

import asyncio
import sqlite3
import stat
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from asgi_events.exceptions import StoreError
from asgi_events.stores import Ack, EventStore, Grant, Page
from asgi_events.stores.sqlite import SQLiteStore
from tests import TIMEOUT

META = {"actor": "research"}

Make = Callable[..., SQLiteStore]


def frames(first: int, last: int) -> list[bytes]:
    return [b"data: %d\nid: k:%d\n\n" % (n, n) for n in range(first, last + 1)]


async def opened(
    store: EventStore,
    key: str = "k",
    *,
    writer: str = "w",
    lease: float = 10.0,
    ttl: float = 60.0,
) -> Grant:
    return await store.open(key, writer=writer, lease=lease, ttl=ttl, meta=META)


async def whole(store: EventStore, key: str = "k") -> Page:
    page = await store.read(key, 0, 1 << 30)
    assert page is not None
    return page


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(TIMEOUT):
        while True:
            if await condition():
                return
            await asyncio.sleep(0.01)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """As another process that is in the middle of writing."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("BEGIN EXCLUSIVE")
        yield


def content(path: Path) -> bytes:
    return path.read_bytes()


def put(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def change(path: Path, *sql: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        for statement in sql:
            db.execute(statement)
        db.commit()


def write_until_killed(path: str, key: str) -> None:
    """What the writer processes do: append, and print what was acknowledged."""

    async def write() -> None:
        store = SQLiteStore(path)
        grant = await opened(store, key, writer=key, lease=0.3)
        ack = Ack(0)
        while True:
            batch = frames(ack.last + 1, ack.last + 1 + ack.last % 7)
            ack = await store.append(key, grant, ack.last, batch)
            print(ack.last, flush=True)

    asyncio.run(write())


async def hinted(watch: Any) -> set[str]:
    async with asyncio.timeout(TIMEOUT):
        keys: set[str] = await watch.get()
        return keys


async def fails(store: EventStore) -> list[str]:
    """The error of a write and of a read, which are to be the same."""
    errors = []
    for call in (opened(store), store.read("k", 0, 100)):
        with pytest.raises(StoreError) as caught:
            await call
        assert type(caught.value) is StoreError
        errors.append(str(caught.value))
    return errors


def modes(path: Path) -> dict[str, str]:
    return {
        file.name: oct(stat.S_IMODE(file.stat().st_mode))
        for file in sorted(path.parent.iterdir())
    }
