"""One user for both clients: what a test does once, it does with either."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from asgi_events.client import Client, SyncClient
from tests.servers import TIMEOUT

T = TypeVar("T")


class User:
    """Uses the client of its kind; the one for threads runs in a thread.

    Args:
        kind: ``async`` or ``sync``.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def make(self, url: str, **options: Any) -> Any:
        return (Client if self.kind == "async" else SyncClient)(url, **options)

    async def call(self, call: Callable[..., T], *args: Any, **options: Any) -> Any:
        """Call a method, and wait for it."""
        if self.kind == "sync":
            return await _soon(asyncio.to_thread(call, *args, **options))
        result: Any = call(*args, **options)
        return await _soon(result)

    async def close(self, thing: Any) -> None:
        await self.call(thing.aclose if self.kind == "async" else thing.close)

    async def next(self, events: Any) -> Any:
        """The next event; None after the last one."""
        if self.kind == "async":
            return await _soon(_next(events))
        return await _soon(asyncio.to_thread(next, events, None))

    async def read(self, events: Any) -> list[Any]:
        """All events."""
        if self.kind == "async":
            return await _soon(_read(events))
        return await _soon(asyncio.to_thread(list, events))

    async def leave_early(self, events: Any) -> None:
        """Break after the first event, and forget the stream."""
        if self.kind == "async":
            async for _ in events:
                break
            return

        def leave(events: Any) -> None:
            for _ in events:
                break

        await asyncio.to_thread(leave, events)


async def _soon(awaitable: Awaitable[T]) -> T:
    return await asyncio.wait_for(awaitable, TIMEOUT)


async def _next(events: Any) -> Any:
    return await anext(events, None)


async def _read(events: Any) -> list[Any]:
    return [event async for event in events]
