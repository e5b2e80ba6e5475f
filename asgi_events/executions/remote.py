"""The work of an execution that runs in another process, or ran in one that is gone."""

from __future__ import annotations

import asyncio

from asgi_events.executions.execution import Execution
from asgi_events.executions.follower import Follower
from asgi_events.stores.contract import EventStore


class Remote:
    """Follows an execution as long as somebody here watches it or waits for it."""

    is_local = False

    def __init__(
        self, execution: Execution, store: EventStore, follower: Follower
    ) -> None:
        self._id = execution.id
        self._log = execution.log
        self._store = store
        self._follower = follower
        self._following: asyncio.Task[None] | None = None
        self._waiting = 0
        self._watched = self._counted = False

    async def cancel(self, message: str) -> bool:
        """Ask the process that runs it; False when it is over."""
        return await self._store.cancel(self._id)

    async def wait(self) -> None:
        """Wait until its terminal event is stored."""
        self._waiting += 1
        try:
            self._follow()
            if self._following is not None:
                await asyncio.shield(self._following)
        finally:
            self._waiting -= 1
            self._follow()

    def abandon(self) -> None:
        """There is nothing to let go of: it follows while it is watched."""

    def audience_changed(self, *, watched: bool, counted: bool) -> None:
        """Follow, or stop."""
        self._watched = watched
        self._counted = counted
        self._follow()

    def _follow(self) -> None:
        self._follower.count(self._counted or self._waiting > 0)
        if self._following is not None and self._following.done():
            self._following = None
        wanted = (self._watched or self._waiting > 0) and self._log.end is None
        if wanted and self._following is None:
            self._following = asyncio.ensure_future(self._follower.run())
        elif not wanted and self._following is not None:
            self._following.cancel()
            self._following = None
