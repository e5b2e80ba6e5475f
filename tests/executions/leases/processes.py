"""Processes that share a store, whose connections fail and whose logs go back."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from asgi_events import EventsApp, Executions, current_state, tool
from asgi_events.actors import Actor
from asgi_events.exceptions import Unavailable
from asgi_events.stores import Ack, Grant, Page
from asgi_events.stores.memory import MemoryStore
from asgi_events.testing import Connection
from asgi_events.wire.sse import ServerSentEvent
from tests import TIMEOUT
from tests.apps import Numbered
from tests.payloads import data

LEASE = 0.4  # seconds


class Lossy(MemoryStore):
    """A ``MemoryStore`` that loses what it has acknowledged, when it is told to."""

    def __init__(self, settle_time: float = 0.0) -> None:
        super().__init__()
        self.settle_time = settle_time
        self.generation = 0

    def empty(self) -> None:
        self._logs.clear()

    def roll_back(self, key: str, last: int) -> None:
        log = self._logs[key]
        log.cut(last)
        log.end = log.ended = None
        self._logs._ended.pop(key, None)

    def has(self, key: str, last: int) -> bool:
        return key in self._logs and self._logs[key].last >= last


class Link:
    """One process's way to the store.

    Attributes:
        cut: Whether no call gets through, as if the process were dead or paused.
        faults: By method and key, what is raised instead.
        called: The methods that were called, in order.
    """

    def __init__(self, store: MemoryStore) -> None:
        self.store = store
        self.cut = False
        self.faults: dict[tuple[str, str | None], Exception] = {}
        self.called: list[str] = []

    @property
    def durable(self) -> bool:
        return self.store.durable

    @property
    def settle_time(self) -> float:
        return self.store.settle_time

    @property
    def generation(self) -> int:
        return self.store.generation

    async def open(self, key: str, **how: Any) -> Grant:
        self._pass("open", key)
        return await self.store.open(key, **how)

    async def append(
        self,
        key: str,
        grant: Grant,
        after: int,
        frames: Sequence[bytes],
        *,
        end: str | None = None,
    ) -> Ack:
        self._pass("append", key)
        return await self.store.append(key, grant, after, frames, end=end)

    async def renew(self, key: str, grant: Grant) -> Ack:
        self._pass("renew", key)
        return await self.store.renew(key, grant)

    async def cancel(self, key: str) -> bool:
        self._pass("cancel", key)
        return await self.store.cancel(key)

    async def mark_watched(self, key: str, seconds: float) -> None:
        self._pass("mark_watched", key)
        await self.store.mark_watched(key, seconds)

    async def reap(self, key: str, after: int, frame: bytes, *, end: str) -> bool:
        self._pass("reap", key)
        return await self.store.reap(key, after, frame, end=end)

    async def read(self, key: str, after: int, limit: int) -> Page | None:
        self._pass("read", key)
        return await self.store.read(key, after, limit)

    async def delete(self, key: str) -> None:
        self._pass("delete", key)
        await self.store.delete(key)

    def keys(self) -> AsyncIterator[str]:
        return self.store.keys()

    async def list(self, match: Any, **rest: Any) -> Any:
        self._pass("list", "")
        return await self.store.list(match, **rest)

    async def watch(self) -> Any:
        return await self.store.watch()

    async def aclose(self) -> None:
        """The store is the test's."""

    def _pass(self, method: str, key: str) -> None:
        self.called.append(method)
        if self.cut:
            raise Unavailable("The store does not answer.")
        for fault in (self.faults.get((method, key)), self.faults.get((method, None))):
            if fault is not None:
                raise fault


class Dictation:
    """An actor that publishes the numbers it is told."""

    def __init__(self) -> None:
        self.ended = ""
        self._numbers: asyncio.Queue[int | None] = asyncio.Queue()

        @tool
        async def dictated() -> None:
            try:
                while (number := await self._numbers.get()) is not None:
                    await current_state().publish(Numbered(number=number))
            except asyncio.CancelledError:
                self.ended = "cancelled"
                raise
            self.ended = "returned"

        self.actor: Actor[..., Any] = dictated

    def say(self, *numbers: int | None) -> None:
        for number in numbers:
            self._numbers.put_nowait(number)


Process: TypeAlias = Callable[..., tuple[Executions, Link]]


def viewer(
    executions: Executions, id: str, last_event_id: str | int | None = None
) -> Connection:
    headers = {}
    if last_event_id is not None:
        headers["last-event-id"] = f"{id}:{last_event_id}"
    app = EventsApp(executions=executions)
    return Connection(app, "GET", f"/executions/{id}/events", headers=headers)


def plain(event: ServerSentEvent) -> ServerSentEvent:
    """Without what the first event of a stream has, and without when it was lost."""
    text = event.data
    if text is not None and '"event_type":"lost"' in text:
        text = re.sub(r'"timestamp":"[^"]*"', '"timestamp":"…"', text)
    return replace(event, retry=None, data=text)


async def seen(connection: Connection, count: int) -> list[ServerSentEvent]:
    return [plain(await connection.event()) for _ in range(count)]


async def rest(connection: Connection) -> list[ServerSentEvent]:
    async with asyncio.timeout(TIMEOUT):
        events = await connection.events()
    return [plain(event) for event in events]


async def watched(executions: Executions, id: str, *at: str | int) -> list[Any]:
    async with viewer(executions, id, *at) as connection:
        return await rest(connection)


async def until(look: Callable[[], bool]) -> None:
    async with asyncio.timeout(TIMEOUT):
        while not look():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def last_of(events: list[ServerSentEvent]) -> str:
    """The type of the terminal event."""
    return str(data(events)[-1]["event_type"])


DIED = "The process that ran this execution died"


def lost(id: str, number: int) -> list[ServerSentEvent]:
    """The terminal event that another one than the writer writes, and ``end``."""
    return unstored(DIED, id=f"{id}:{number}:lost")


def unstored(message: str, *, id: str | None = None) -> list[ServerSentEvent]:
    """The terminal event of a log that nobody can read, and ``end``."""
    text = f'{{"event_type":"lost","message":"{message}","address":"","timestamp":"…"}}'
    return [
        ServerSentEvent(data=text, id=id),
        ServerSentEvent(event="end", data='{"status":"lost"}'),
    ]
