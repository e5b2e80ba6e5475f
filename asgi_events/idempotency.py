"""One start for each key, however often it is asked for, and of whichever process.

In this process, who asks while the first is still starting waits for the same start.
Across processes a key has a log of its own in the store, a marker without frames: the
process that opens it starts, and it names the execution to the others. So ids can not
be guessed from keys, nor do they come back with them.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeAlias

from asgi_events.encoding import encode_json
from asgi_events.exceptions import Busy, Ended, UnknownExecution
from asgi_events.execution import Execution
from asgi_events.stores import EventStore

Begin: TypeAlias = Callable[[str], Coroutine[Any, Any, Execution]]
"""Starts an execution of a given id; raises ``Busy`` or ``Ended`` if there is one."""

Find: TypeAlias = Callable[[str], Awaitable[Execution]]
"""Finds the execution of an id, wherever it runs; raises ``UnknownExecution``."""

_TRIES, _PAUSE = 20, 0.05  # to find what another process is starting


def marker_of(owner: str | None, idempotency_key: str) -> str:
    """The store's key for an owner's ``Idempotency-Key``; no id is like it."""
    asked = encode_json([owner, idempotency_key])
    return f"idempotency:{hashlib.sha256(asked).hexdigest()}"


class Starts:
    """The starts of one process that may be asked for again.

    Args:
        store: Where the markers are.
        find: Finds what another process has started.
        lease: Seconds, as for executions.
        ttl: Seconds a marker is kept.
    """

    def __init__(
        self, store: EventStore, find: Find, *, lease: float, ttl: float
    ) -> None:
        self._store = store
        self._find = find
        self._lease = lease
        self._ttl = ttl
        self._starting: dict[str, asyncio.Future[Execution]] = {}
        self._keys: dict[str, str] = {}

    async def by_id(self, id: str, begin: Begin) -> Execution:
        """The execution of an id that another process may have started."""
        return await self._once(id, lambda: self._begin_or_find(id, begin))

    async def by_marker(self, marker: str, begin: Begin) -> Execution:
        """The execution of a marker, under an id that nobody can guess."""
        return await self._once(marker, lambda: self._begin_marked(marker, begin))

    def forget(self, id: str) -> str | None:
        """Forget the start of an execution; the key of its marker, if it has one."""
        key = self._keys.pop(id, None)
        if key is not None:
            self._starting.pop(key, None)
        return None if key == id else key

    def clear(self) -> None:
        """Forget all starts."""
        self._starting.clear()
        self._keys.clear()

    async def _once(
        self, key: str, start: Callable[[], Coroutine[Any, Any, Execution]]
    ) -> Execution:
        if key not in self._starting:
            starting = asyncio.ensure_future(self._remember(key, start()))
            starting.add_done_callback(_look)
            if not starting.done():  # an eager task may be
                self._starting[key] = starting
            else:
                return await starting
        # Whoever asks for the same waits for the same; one that leaves stops neither.
        return await asyncio.shield(self._starting[key])

    async def _remember(
        self, key: str, starting: Coroutine[Any, Any, Execution]
    ) -> Execution:
        try:
            execution = await starting
        except BaseException:
            self._starting.pop(key, None)
            raise
        if execution.runs_here:
            self._keys[execution.id] = key
        else:  # it is found by its id or marker, for as long as the store has them
            self._starting.pop(key, None)
        return execution

    async def _begin_or_find(self, id: str, begin: Begin) -> Execution:
        try:
            return await begin(id)
        except (Busy, Ended):
            return await self._find(id)

    async def _begin_marked(self, marker: str, begin: Begin) -> Execution:
        id = secrets.token_hex(16)
        try:
            await self._store.open(
                marker, writer=id, lease=self._lease, ttl=self._ttl, meta={"id": id}
            )
        except (Busy, Ended):
            return await self._find_marked(marker, begin)
        try:
            return await begin(id)
        except BaseException:
            await self._store.delete(marker)
            raise

    async def _find_marked(self, marker: str, begin: Begin) -> Execution:
        for _ in range(_TRIES):
            page = await self._store.read(marker, 0, 0)
            if page is None:
                break
            try:
                return await self._find(page.meta["id"])
            except UnknownExecution:  # it is being started, or is forgotten
                await asyncio.sleep(_PAUSE)
        await self._store.delete(marker)
        return await self._begin_marked(marker, begin)


def _look(starting: asyncio.Future[Execution]) -> None:
    """Look at the error of a start, though all who asked for it may have left."""
    if not starting.cancelled():
        starting.exception()
