"""Watchers of feeds, and what they have to see."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any

from asgi_events import Executions
from asgi_events.feed_events import ExecutionEnded, FeedEvent
from asgi_events.wire.decoding import AnyEvent, ResetEvent
from tests import TIMEOUT


class Watcher:
    """Somebody who watches a feed.

    Attributes:
        events: What it has seen, without resets.
        resets: The reasons of those.
    """

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.resets: list[str] = []
        self._news = asyncio.Event()

    def see(self, event: AnyEvent) -> None:
        if isinstance(event, ResetEvent):
            self.resets.append(event.reason)
        else:
            self.events.append(event)
        self._news.set()

    async def until(self, look: Callable[[Watcher], Any]) -> None:
        async with asyncio.timeout(TIMEOUT):
            while not look(self):
                self._news.clear()
                await self._news.wait()

    async def until_ended(self, *ids: str) -> None:
        await self.until(lambda w: set(ids) <= {e.execution for e in w.ends})

    @property
    def ends(self) -> list[ExecutionEnded]:
        return [each for each in self.events if isinstance(each, ExecutionEnded)]

    @property
    def told(self) -> list[tuple[str, str]]:
        """What it was told of which execution, in order."""
        return [(each.event_type, each.execution) for each in self.events]

    def of(self, id: str) -> list[str]:
        return [kind for kind, execution in self.told if execution == id]


@asynccontextmanager
async def watching(
    executions: Executions, owner: str | None = "ann"
) -> AsyncIterator[Watcher]:
    """In this block somebody watches, from before its first line."""
    watcher = Watcher()

    async def watch() -> None:
        async for event in executions.feed(owner=owner):
            watcher.see(event)

    task = asyncio.ensure_future(watch())
    try:
        await watcher.until(lambda w: w.resets or task.done())
        yield watcher
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def by_execution(events: Iterable[FeedEvent]) -> dict[str, list[str]]:
    """What was said of each execution, in order."""
    said = defaultdict(list)
    for event in events:
        said[event.execution].append(event.event_type)
    return dict(said)
