"""A store in memory that fails in every way, when a test says so."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from time import monotonic

from asgi_events import Executions
from asgi_events.exceptions import Unavailable
from asgi_events.executions import Execution
from asgi_events.http.viewing import ExecutionResponse
from asgi_events.stores import Ack, Grant, Page
from asgi_events.stores.memory import MemoryStore
from asgi_events.stores.rules import Suspicion
from asgi_events.testing import Connection
from asgi_events.wire.frames import lost_frame
from tests import TIMEOUT


class FaultyStore(MemoryStore):
    """A ``MemoryStore`` that fails as it is told, and counts how often it is called.

    Attributes:
        before: What the next calls of a method raise, having done nothing.
        after: What they raise, having done it all the same.
        up: While it is cleared every call is ``Unavailable``.
        fast: While it is cleared ``append`` waits.
        called: How often a method was called.
        appended: How many frames each ``append`` was given.
    """

    def __init__(self, **bounds: int) -> None:
        super().__init__(**bounds)
        self.before: dict[str, list[Exception]] = defaultdict(list)
        self.after: dict[str, list[Exception]] = defaultdict(list)
        self.up = asyncio.Event()
        self.up.set()
        self.fast = asyncio.Event()
        self.fast.set()
        self.called: dict[str, int] = defaultdict(int)
        self.appended: list[int] = []
        self._changed = asyncio.Event()

    async def calls(self, method: str, count: int) -> None:
        """Wait until ``method`` was called ``count`` times more than now."""
        wanted = self.called[method] + count
        async with asyncio.timeout(TIMEOUT):
            while self.called[method] < wanted:
                self._changed.clear()
                await self._changed.wait()

    def lose(self, key: str, count: int) -> None:
        """Go back by ``count`` frames, as a replica may that takes over."""
        log = self._logs[key]
        log.cut(log.last - count)

    async def take_over(self, key: str) -> None:
        """Do as another process does that takes the writer for dead."""
        log, now = self._logs[key], monotonic()
        log.sign = now - log.lease
        log.suspicion = Suspicion(now - log.lease, now)
        await self.reap(key, log.last, lost_frame(key, log.last + 1), end="lost")

    def frames(self, key: str) -> list[bytes]:
        return list(self._logs[key].frames)

    async def append(
        self,
        key: str,
        grant: Grant,
        after: int,
        frames: Sequence[bytes],
        *,
        end: str | None = None,
    ) -> Ack:
        self._call("append")
        self.appended.append(len(frames))
        await self.fast.wait()
        ack = await super().append(key, grant, after, frames, end=end)
        return self._answer("append", ack)

    async def renew(self, key: str, grant: Grant) -> Ack:
        self._call("renew")
        return self._answer("renew", await super().renew(key, grant))

    async def read(self, key: str, after: int, limit: int) -> Page | None:
        self._call("read")
        return await super().read(key, after, limit)

    def _call(self, method: str) -> None:
        self.called[method] += 1
        self._changed.set()
        if not self.up.is_set():
            raise Unavailable("The store is down.")
        if self.before[method]:
            raise self.before[method].pop(0)

    def _answer(self, method: str, ack: Ack) -> Ack:
        if self.after[method]:
            raise self.after[method].pop(0)
        return ack


def viewer(executions: Executions, execution: Execution) -> Connection:
    return Connection(ExecutionResponse(execution))
