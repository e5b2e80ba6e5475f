"""Starts one execution for each key, however many processes are asked to start it.

A key has a log of its own in the store, its marker. The marker's ``meta`` has the id of
the execution. It has no frames, and its ``end`` names the process that may run it.

| marker | log of the execution | then |
|---|---|---|
| none | none | the key is new: make a marker, and go on below |
| no end, fresh | none | nothing ran yet: open the log, then end the marker |
| no end, old | none | end it as superseded, and make the next marker |
| no end | open | its writer is about to end the marker: end it in that writer's name |
| ended | open, or ended | this is the key's execution |
| ended | none | the execution is over and no longer kept: nothing starts again |
| superseded | – | the next marker counts; its key in the store has this one's id |

An old marker without a log is left when its process died between the two calls, or when
the store went back to that moment. In the second case viewers may have seen events of
that id, so the id is not used again.

Two steps are a compare-and-set, so the result is the same whichever process is slow,
dies or asks at the same time. The process that opens the log of an id is its writer.
Only the writer whose name ends the marker runs the actor. Markers are never deleted.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, TypeAlias, TypeVar

from asgi_events.aio.backoff import Backoff
from asgi_events.exceptions import (
    Busy,
    Ended,
    Fenced,
    Refused,
    StoreError,
    Unavailable,
    UnknownExecution,
)
from asgi_events.executions.execution import Execution
from asgi_events.executions.held import Begin, OpenLog
from asgi_events.executions.names import new_id
from asgi_events.executions.recorder import Opening
from asgi_events.stores.contract import EventStore, Grant, Page
from asgi_events.wire.encoding import encode_json

logger = logging.getLogger(__name__)

T = TypeVar("T")

Find: TypeAlias = Callable[[str], Awaitable[Execution]]
"""Finds the execution of an id, wherever it runs; raises ``UnknownExecution``."""

HasStarted: TypeAlias = Callable[[str, Page], Awaitable[bool]]
"""Whether the execution of an id has started, of which there is a log."""

_ROUNDS = 10  # each one sees a change that another process has made meanwhile

SUPERSEDED = "superseded"
"""The ``end`` of a marker whose id was never run, or is lost; the next one counts."""


def marker_of(owner: str | None, idempotency_key: str) -> str:
    """The store's key for an owner's ``Idempotency-Key``; no id has that form."""
    asked = encode_json([owner, idempotency_key])
    return f"idempotency:{hashlib.sha256(asked).hexdigest()}"


class IdempotentStarts:
    """Starts executions that may be asked for more than once.

    Args:
        store: Has the markers and the logs.
        find: Finds an execution that another process has started.
        has_started: Says which of them have: one that is refused its turn in a thread
            had a log, too.
        writer: Returns the name under which this process opens logs; it is the
            ``writer`` in their ``meta``.
        lease: Seconds, as for executions.
        ttl: Seconds a marker is kept.
        on_claimed: Called with the id of an execution that is about to run, how its
            marker is opened, and the marker's end.
    """

    def __init__(
        self,
        store: EventStore,
        find: Find,
        has_started: HasStarted,
        *,
        writer: Callable[[], str],
        lease: float,
        ttl: float,
        on_claimed: Callable[[str, Opening, str], None],
    ) -> None:
        self._store = store
        self._find = find
        self._has_started = has_started
        self._writer = writer
        self._lease = lease
        self._ttl = ttl
        self._on_claimed = on_claimed
        self._starting: dict[str, asyncio.Future[Execution]] = {}

    async def by_id(self, id: str, begin: Begin) -> Execution:
        """Start an execution of a given id, or find the one that was started."""
        return await self._once(id, partial(self._by_id, id, begin))

    async def by_marker(self, marker: str, begin: Begin) -> Execution:
        """Start the execution of a marker, under a random id, or find it.

        Raises:
            UnknownExecution: It was started, is over, and no longer kept.
        """
        return await self._once(marker, partial(self._by_marker, marker, begin))

    async def wait(self) -> None:
        """Wait until nothing is being started."""
        if self._starting:
            await asyncio.wait(self._starting.values())

    def clear(self) -> None:
        """Forget what is being started, for another event loop."""
        self._starting.clear()

    async def _once(
        self, key: str, start: Callable[[], Coroutine[Any, Any, Execution]]
    ) -> Execution:
        if key not in self._starting:
            starting = self._starting[key] = asyncio.ensure_future(start())
            starting.add_done_callback(partial(self._done, key))
        # All who ask for one key wait for one start; it goes on when one leaves.
        return await asyncio.shield(self._starting[key])

    def _done(self, key: str, starting: asyncio.Future[Execution]) -> None:
        if self._starting.get(key) is starting:
            del self._starting[key]
        if not starting.cancelled():
            starting.exception()  # retrieve it: all who asked may have left

    async def _by_id(self, id: str, begin: Begin) -> Execution:
        try:
            return await begin(id, open_only)
        except (Busy, Ended):
            return await self._find(id)
        except Refused as refusal:
            if await self._starter(id) is None:
                raise
            try:
                return await self._find(id)
            except UnknownExecution:
                raise refusal from None

    async def _by_marker(self, first: str, begin: Begin) -> Execution:
        for _ in range(_ROUNDS):
            marker, page = await self._newest(first)
            if page is not None and page.end is not None:
                return await self._find(page.meta["id"])
            old = page is not None and await self._is_old(page)
            id = new_id() if page is None or old else page.meta["id"]
            claim = self._claim
            if page is not None and old:
                claim = partial(self._claim_instead, marker, page.meta["id"])
                marker = _next_marker(first, page)
            try:
                return await begin(id, partial(claim, marker, id))
            except (Busy, Ended, Fenced):
                await self._settle(marker, id)
            except Refused:
                if page is None or not await self._settle(marker, id):
                    raise
        raise Unavailable(f"What {first} stands for changes all the time; ask again.")

    async def _newest(self, first: str) -> tuple[str, Page | None]:
        """A key's newest marker, and what the store has of it."""
        marker = first
        while True:
            page = await self._store.read(marker, 0, 0)
            if page is None or page.end != SUPERSEDED:
                return marker, page
            marker = _next_marker(first, page)

    async def _is_old(self, marker: Page) -> bool:
        """Whether nobody is about to open the log that an open marker names."""
        return not marker.alive and (
            await self._store.read(marker.meta["id"], 0, 0) is None
        )

    async def _claim_instead(
        self, old: str, old_id: str, marker: str, id: str, open_log: OpenLog
    ) -> Grant:
        """Claim under the next marker; fence a process that is slow to end ``old``."""
        await self._end(old, await self._open_marker(old, old_id), SUPERSEDED)
        return await self._claim(marker, id, open_log)

    async def _claim(self, marker: str, id: str, open_log: OpenLog) -> Grant:
        """Open the log under a marker, and end the marker in this process's name."""
        mark = await self._open_marker(marker, id)
        # No process can take this one for dead before half of its lease is over.
        until = asyncio.get_running_loop().time() + self._lease / 2
        grant = await retry(open_log, until)
        try:
            await retry(partial(self._end, marker, mark, self._writer()), until)
        except (Ended, Fenced):
            # Another process has started it, so long ago that its log is gone, or the
            # marker is superseded or gone. Only this process has opened the log.
            await self._delete(id)
            raise
        self._on_claimed(id, self._opening(marker, id), self._writer())
        return grant

    async def _settle(self, marker: str, id: str) -> bool:
        """End a marker in the name of the log's writer; False if there is no log."""
        starter = await self._starter(id)
        if starter is None:
            return False
        try:
            await self._end(marker, await self._open_marker(marker, id), starter)
        except (Busy, Ended, Fenced):  # it has ended, or is gone
            pass
        return True

    async def _starter(self, id: str) -> str | None:
        """The process that starts or has started it; None if this one may."""
        page = await self._store.read(id, 0, 0)
        if page is None or not await self._has_started(id, page):
            return None
        starter = page.meta["writer"]
        return starter if page.end is not None or starter != self._writer() else None

    async def _open_marker(self, marker: str, id: str) -> Grant:
        return await self._opening(marker, id).open()

    def _opening(self, marker: str, id: str) -> Opening:
        # The marker's writer is the id, so that any process can go on with it.
        return Opening(
            store=self._store,
            key=marker,
            writer=id,
            lease=self._lease,
            ttl=self._ttl,
            meta={"id": id},
        )

    async def _end(self, marker: str, mark: Grant, starter: str) -> None:
        # One of two starters gets ``Ended``, however often the other one repeats this.
        await self._store.append(marker, mark, 0, [], end=starter)

    async def _delete(self, id: str) -> None:
        try:
            await self._store.delete(id)
        except StoreError:  # it expires anyway
            logger.warning("The log %s could not be deleted.", id, exc_info=True)


def _next_marker(first: str, superseded: Page) -> str:
    return f"{first}:{superseded.meta['id']}"


async def open_only(open_log: OpenLog) -> Grant:
    """A ``Claim`` that writes nothing but the log itself."""
    return await open_log()


async def retry(call: Callable[[], Awaitable[T]], until: float) -> T:
    """Repeat a call whose outcome is unknown, until the loop's time ``until``."""
    backoff = Backoff()
    while True:
        try:
            return await call()
        except Unavailable:
            if asyncio.get_running_loop().time() >= until:
                raise
        await backoff.wait()
