"""Waits until executions that have an earlier turn in a thread are over."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

from asgi_events.aio.backoff import Backoff, Patience
from asgi_events.events import ExecutionStatus
from asgi_events.exceptions import StoreError
from asgi_events.executions.execution import Execution
from asgi_events.executions.follower import SharedWatch
from asgi_events.stores.contract import EventStore, Page

logger = logging.getLogger(__name__)

_FLOOR = 1.0  # seconds between two looks; hints may be lost
# Each event of the other is hinted. Where many come at once, some looks are left out.
_FIRST_GAP, _GAP = 0.001, 0.02  # seconds


class Predecessors:
    """Waits for executions of any process.

    Args:
        store: Where their logs are.
        here: Those of this process, by id.
        look: Reads the state of a log, which then ends if its writer is dead.
        watch: Says when a log has changed.
        lease: Seconds, as for executions.
    """

    def __init__(
        self,
        store: EventStore,
        here: Mapping[str, Execution],
        look: Callable[[str], Awaitable[Page | None]],
        watch: SharedWatch,
        *,
        lease: float,
    ) -> None:
        self._store = store
        self._here = here
        self._look = look
        self._shared_watch = watch
        self._lease = lease
        self._floor = min(_FLOOR, lease / 6)

    async def wait(self, ids: Sequence[str], *, cancel: str | None) -> None:
        """Wait until executions are over, however long that takes.

        Args:
            ids: Their ids, the oldest first.
            cancel: With what message they are cancelled; None to let them run.
        """
        if cancel is None:
            while ids:
                *ids, id = ids
                # If it has completed it had its turn, so those before it are over.
                if await self._end_of(id, before=ids) == ExecutionStatus.COMPLETED:
                    return
            return
        async with asyncio.TaskGroup() as group:
            for id in ids:
                group.create_task(self._end_of(id, cancel=cancel))

    async def _end_of(
        self, id: str, *, cancel: str | None = None, before: Sequence[str] = ()
    ) -> str:
        """Wait for the end of one; "gone" if it is not kept.

        Args:
            id: Its id.
            cancel: As of ``wait``.
            before: The ids of those that are waited for afterwards.
        """
        local = self._here.get(id)
        if local is not None:
            if cancel is not None:
                await local.cancel(cancel)
            await local.wait()
        changed = asyncio.Event()
        patience, generation = Patience(self._lease), self._store.generation
        look = partial(self._look_for_end, id, cancel, before, patience, generation)
        self._shared_watch.add(id, changed.set)
        try:
            return await self._repeat(look, changed)
        finally:
            self._shared_watch.discard(id, changed.set)

    async def _repeat(
        self, look: Callable[[], Awaitable[str | None]], changed: asyncio.Event
    ) -> str:
        """Look at each hint, or after a while, until there is an end."""
        backoff, gap = Backoff(), 0.0
        while True:
            changed.clear()
            try:
                end = await look()
            except StoreError as error:
                logger.warning("An execution waits for its turn: %s", error)
                await backoff.wait()
                continue
            if end is not None:
                return end
            backoff.reset()
            if await self._is_quiet(changed):
                gap = 0.0
            else:
                await asyncio.sleep(gap)
                gap = min(max(2 * gap, _FIRST_GAP), _GAP)

    async def _is_quiet(self, changed: asyncio.Event) -> bool:
        """Wait for a hint, or for a while; whether that has taken some time."""
        began = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(self._floor):
                await changed.wait()
        except TimeoutError:
            pass
        return asyncio.get_running_loop().time() >= began + _GAP

    async def _look_for_end(
        self,
        id: str,
        cancel: str | None,
        before: Sequence[str],
        patience: Patience,
        generation: int,
    ) -> str | None:
        page = await self._look(id)
        if page is None:
            # If the store has lost it, a writer that lives writes it again.
            is_gone = generation == self._store.generation or patience.is_over()
            return "gone" if is_gone else None
        patience.reset()
        if not page.alive:  # its process may have held others: suspect them now
            for each in before:
                await self._look(each)
        if page.end is None and cancel is not None and not page.cancel:
            await self._store.cancel(id)
        return page.end
