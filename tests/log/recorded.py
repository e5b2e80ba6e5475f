"""Logs whose old frames are in a store, and cursors that read them."""

import asyncio

from asgi_events.aio.waiter import Waiter
from asgi_events.log.cursor import Cursor
from asgi_events.log.log import Log
from asgi_events.log.stored import StoredLog
from asgi_events.stores import Grant, Page
from asgi_events.stores.memory import MemoryStore
from tests import TIMEOUT

END = b'event: end\ndata: {"status":"completed"}\n\n'


def frame(number: int, size: int = 0) -> bytes:
    return b"data: %d%b\nid: x:%d\n\n" % (number, b"." * size, number)


def frames(first: int, last: int, size: int = 0) -> bytes:
    return b"".join(frame(number, size) for number in range(first, last + 1))


def data(number: int, size: int = 0) -> bytes:
    return b"%d%b" % (number, b"." * size)


def filled(log: Log, count: int) -> Log:
    for number in range(log.last + 1, log.last + count + 1):
        log.append(data(number))
    return log


def ended(log: Log, status: str = "completed") -> Log:
    log.append(data(log.last + 1), end=status)
    return log


def reset(reason: str, first: int = 1) -> bytes:
    return b'event: reset\ndata: {"reason":"%b","first":%d}\n\n' % (
        reason.encode(),
        first,
    )


def drain(cursor: Cursor) -> bytes:
    """All that can be taken without waiting."""
    chunks = []
    while chunk := cursor.take():
        chunks.append(chunk)
    return b"".join(chunks)


async def read(cursor: Cursor, *, until: bytes | None = None) -> bytes:
    """What a response would send, to the end or to ``until``."""
    sleeper = Waiter(cursor.on_ready)
    body = b""
    async with asyncio.timeout(TIMEOUT):
        while until is None or until not in body:
            chunk = cursor.take()
            if chunk is None:
                break
            body += chunk
            if not chunk:
                await sleeper.sleep()
    return body


class Recorded:
    """A log with a store behind it."""

    def __init__(self, *, held: int = 4, store: MemoryStore | None = None) -> None:
        self.log = StoredLog("x", max_events=held)
        self.store = store or MemoryStore()
        self.grant: Grant | None = None
        self.reads: list[int] = []

    async def write(self, count: int = 1, *, end: str | None = None) -> None:
        if self.grant is None:
            self.grant = await self.store.open(
                "x", writer="w", lease=60, ttl=60, meta={}
            )
        for left in range(count, 0, -1):
            last = end if left == 1 else None
            self.log.append(data(self.log.last + 1), end=last)
            after, new = self.log.committed, self.log.uncommitted()
            await self.store.append("x", self.grant, after, new, end=last)
            self.log.commit(after + len(new))

    async def read_page(self, after: int, limit: int) -> Page | None:
        self.reads.append(after)
        return await self.store.read("x", after, limit)

    def cursor(
        self, last_event_id: str | None = None, *, patience: float = 15.0
    ) -> Cursor:
        return Cursor(
            self.log,
            last_event_id=last_event_id,
            read_page=self.read_page,
            patience=patience,
        )
