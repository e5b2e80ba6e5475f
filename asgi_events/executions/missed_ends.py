"""Finds executions that have ended without a word in the feed of an owner.

Their process died, or it did so between the terminal event and the feed. Who serves a
feed compares what runs of the owner according to the list with what ran before, and
reads what has asked the owner and is somebody else's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeAlias

from asgi_events.events import ExecutionStatus
from asgi_events.executions.feed_writer import LATE
from asgi_events.stores.contract import EventStore, Page, Position
from asgi_events.wire.decoding import read_json
from asgi_events.wire.frames import split

_LIST = 1000  # executions in one call
_READS = 50  # of those that ask for somebody else, in one look
_PATIENCE = 2 * LATE  # seconds; who writes later looks first what is said

OnEnd: TypeAlias = Callable[[str, Mapping[str, str], str, datetime], None]
"""Takes the id of an execution, its ``meta``, how it ended, and when."""

OnClosed: TypeAlias = Callable[[str, Sequence[int]], Awaitable[None]]
"""Takes the id of an execution, and the numbers of its questions."""


class MissedEnds:
    """Looks for them, for one feed.

    Args:
        store: Has the executions.
        owner: Whose they are.
        suspect: Is called with the ids of those whose process may be dead.
        on_end: Is called with those that have ended.
        on_closed: Is awaited with what had asked the owner, and has ended. It is
            somebody else's.

    Attributes:
        has_looked: Whether it has looked once.
    """

    def __init__(
        self,
        store: EventStore,
        owner: str | None,
        *,
        suspect: Callable[[str], None],
        on_end: OnEnd,
        on_closed: OnClosed,
    ) -> None:
        self._store = store
        self._owner = owner
        self._suspect = suspect
        self._on_end = on_end
        self._on_closed = on_closed
        self._asking: dict[str, set[int]] = {}  # numbers of open questions
        self._running: dict[str, Mapping[str, str]] = {}  # what they are
        self._over: dict[str, float] = {}  # since when they are known to have ended
        self.has_looked = False

    def hear(self, frames: Sequence[bytes]) -> None:
        """Take note of what the feed says."""
        for frame in frames:
            event = read_json(split(frame)[0])
            id = event["execution"]
            if event["event_type"] == "started":
                meta = {"actor": event["actor"], "created": event["timestamp"]}
                if "thread" in event:
                    meta["thread"] = event["thread"]
                if self._owner is not None:
                    meta["owner"] = self._owner
                self._running.setdefault(id, meta)
            elif event["event_type"] == "ended":
                self._running.pop(id, None)
                self._asking.pop(id, None)
            elif event["event_type"] == "waiting":
                self._asking.setdefault(id, set()).add(event["n"])
            elif id in self._asking:
                self._asking[id].discard(event["n"])
                if not self._asking[id]:
                    del self._asking[id]

    async def look(self) -> None:
        """Look once; processes have a while to say what has ended.

        Raises:
            StoreError: The store does not answer.
        """
        if not self.has_looked:
            for id, page in await self._list("lost", None):
                if page.end is None:
                    self._suspect(id)
            self.has_looked = True
        found = await self._all_running()
        missing = self._running.keys() - found.keys()
        self._running |= found
        asking = [id for id in self._asking if id not in self._running]
        may_be_over = self._over.keys() & {*missing, *asking}
        self._over = {id: self._over[id] for id in may_be_over}
        for id in asking[:_READS]:
            self._asking[id] = self._asking.pop(id)  # it is the last in the next look
            await self._look_at(id)
        for id in missing:
            await self._look_at(id)

    async def _look_at(self, id: str) -> None:
        """Find out what has become of one that may not run."""
        page = await self._store.read(id, 0, 0)
        if page is not None and page.end is None:
            self._over.pop(id, None)
            if not page.alive:
                self._suspect(id)
            return
        now = asyncio.get_running_loop().time()
        if now - self._over.setdefault(id, now) < _PATIENCE:
            return
        if id not in self._running:
            await self._on_closed(id, sorted(self._asking[id]))
            del self._asking[id]
            return
        self._asking.pop(id, None)
        meta = self._running.pop(id)
        if page is None or page.end is None:  # it is not kept any more
            self._on_end(id, meta, ExecutionStatus.LOST, datetime.now(UTC))
        else:
            ended = datetime.fromtimestamp(page.ended or 0.0, UTC)
            self._on_end(id, page.meta, page.end, ended)

    async def _all_running(self) -> dict[str, Mapping[str, str]]:
        found: dict[str, Mapping[str, str]] = {}
        before = None
        while True:
            page = await self._list(ExecutionStatus.STARTED, before)
            found |= {id: state.meta for id, state in page}
            if len(page) < _LIST:
                return found
            id, state = page[-1]
            before = Position(state.meta["created"], id)

    async def _list(
        self, status: str, before: Position | None
    ) -> Sequence[tuple[str, Page]]:
        match = {"owner": self._owner}
        return await self._store.list(match, status=status, before=before, limit=_LIST)
