"""How long running work may still take after the process is told to stop."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any


class Grace:
    """A deadline that can be moved closer while a task waits for it.

    Args:
        seconds: From now.
    """

    def __init__(self, seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._ends = float("inf")
        self._timer: asyncio.TimerHandle | None = None
        self.shorten(seconds)

    @property
    def is_over(self) -> bool:
        """Whether the deadline has passed, or the work was done before it."""
        return self._over.done()

    def shorten(self, seconds: float) -> None:
        """Move the deadline to ``seconds`` from now, unless it is earlier already."""
        ends = self._loop.time() + seconds
        if ends >= self._ends or self._over.done():
            return
        self._ends = ends
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(ends, self._end)

    async def wait_for(self, waits: Iterable[Coroutine[Any, Any, object]]) -> None:
        """Return when all ``waits`` have returned, or at the deadline. Call it once."""
        tasks = [self._loop.create_task(wait) for wait in waits]
        if not tasks:
            self._end()
            return
        everything = self._loop.create_task(asyncio.wait(tasks))
        ends: set[asyncio.Future[Any]] = {everything, self._over}
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (everything, *tasks):
                task.cancel()
            self._end()

    def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if not self._over.done():
            self._over.set_result(None)
