"""The executions that a process has at hand, and for how long."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from weakref import WeakValueDictionary

from asgi_events.aio.timers import Timer, timers
from asgi_events.exceptions import StoreError
from asgi_events.executions.execution import Execution
from asgi_events.executions.keeper import Keeper
from asgi_events.executions.options import ExecutionsOptions
from asgi_events.executions.run import EndedRun
from asgi_events.log.log import Bounds
from asgi_events.stores.contract import EventStore, InMemory

logger = logging.getLogger(__name__)


class Held:
    """What runs here, what has ended and is retained, and what is followed.

    Args:
        store: Where the logs are.
        keeper: Keeps what the store may still lose.
        options: How long, and how many bytes.

    Attributes:
        here: By id, what runs here and what has ended and is retained in memory, the
            oldest first.
        elsewhere: By id, what another process runs or has run, and what has ended here
            and is in a store that lasts, for as long as somebody refers to it.
        bounds: How much each log may hold.
    """

    def __init__(
        self, store: EventStore, keeper: Keeper, options: ExecutionsOptions
    ) -> None:
        self.here: dict[str, Execution] = {}
        self.elsewhere: WeakValueDictionary[str, Execution] = WeakValueDictionary()
        self.bounds = Bounds(options["max_events"], options["max_bytes"])
        self._store = store
        self._keeper = keeper
        self._options = options
        self._durable = getattr(store, "durable", True)
        self._in_memory = store if isinstance(store, InMemory) else None
        if self._in_memory is not None:
            self._in_memory.limit(options["max_retained_bytes"], self._make_room)
        self._retained: dict[str, float] = {}  # until when, the oldest first
        self._retaining: Timer | None = None
        self._deleting: set[asyncio.Task[None]] = set()

    def __iter__(self) -> Iterator[Execution]:
        """All of them."""
        return iter([*self.here.values(), *self.elsewhere.values()])

    def retain(self, execution: Execution, run: EndedRun) -> None:
        """Keep what has ended until its retention is over; a store that lasts does.

        Args:
            execution: What has ended.
            run: What is behind it from now on.
        """
        execution.end(run)
        self._keeper.discard_mark(execution.id)
        if execution.id not in self.here:  # a drain has cleared it
            return
        if self._durable or execution.ended is None:
            del self.here[execution.id]
        if execution.ended is None:  # its loop has gone; the lease tells the rest
            return
        while self._keeper.held_bytes > self._options["max_retained_bytes"]:
            self._keeper.drop_oldest()
        if self._durable:
            self.elsewhere[execution.id] = execution
        else:
            until = asyncio.get_running_loop().time() + self._options["retention"]
            self._retained[execution.id] = until
            if self._retaining is None:
                self._retaining = timers().start(self._forget_old, until)
        self.share()

    def share(self) -> None:
        """Let all logs together hold no more than ``max_retained_bytes``.

        Each of what runs, here or elsewhere, may hold the same. The number of shares is
        a power of two, so it changes seldom, and with it what every log may hold.
        """
        running = len(self.here) - len(self._retained)
        count = max(running + len(self.elsewhere), 1)
        share = self._options["max_retained_bytes"] >> (count - 1).bit_length()
        share = max(min(share, self._options["max_bytes"]), 1)
        narrower = share < self.bounds.max_bytes
        self.bounds.max_bytes = share
        if narrower:
            for execution in self:
                execution.log.fit()

    async def delete(self, id: str) -> None:
        """Delete a log from the store."""
        try:
            await self._store.delete(id)
        except StoreError:  # it has a time to live as well
            logger.warning("The log %s could not be deleted.", id, exc_info=True)

    async def clear(self) -> None:
        """Forget all, since the process stops; what is being deleted may end."""
        if self._retaining is not None:
            self._retaining.stop()
            self._retaining = None
        self.here.clear()
        self._retained.clear()
        if self._deleting:
            await asyncio.wait(self._deleting, timeout=1.0)

    def _forget_old(self, now: float) -> float | None:
        """Forget what has been retained for long enough; say when to look again."""
        while self._retained:
            id, until = next(iter(self._retained.items()))
            if until > now:
                return until
            self._forget(id)
            deleting = asyncio.ensure_future(self.delete(id))
            self._deleting.add(deleting)
            deleting.add_done_callback(self._deleting.discard)
        self._retaining = None
        return None

    def _make_room(self) -> bool:
        """Forget the oldest that is retained in memory; False when there is none."""
        if not self._retained or self._in_memory is None:
            return False
        id = next(iter(self._retained))
        self._forget(id)
        self._in_memory.discard(id)
        return True

    def _forget(self, id: str) -> None:
        self.here.pop(id, None)
        self._retained.pop(id, None)
        self._keeper.discard(id)
