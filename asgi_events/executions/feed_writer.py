"""Writes to the feeds of owners, beside the path of the executions.

What happens is remembered for a moment. Then one read tells whether the owner has a
feed, and most have none: then it is forgotten. Who opens a feed lists afterwards, so
what happened before that is in the list.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextvars import Context
from dataclasses import replace
from math import inf

from asgi_events.exceptions import Ended, Fenced, Gap, Missing
from asgi_events.executions.feed_log import FeedLog, Part
from asgi_events.executions.outbox import Make, Outbox
from asgi_events.stores.contract import Grant

logger = logging.getLogger(__name__)

_SHORTEST, _LONGEST = 0.1, 2.0  # seconds between two looks for feeds
_SHARE = 20  # the pause between them, in multiples of the time that one took
_LAST_WORD = 1.0  # seconds
_MOST_PENS = 10_000  # feeds whose place is known; of others it is looked up

LATE = 2.5
"""Seconds; of what waits for longer, others may have said meanwhile how it ended."""


class FeedWriter:
    """Writes what happens in this process.

    Args:
        log: Makes the log of an owner's feed.
        on_written: Called with the owner of a feed that has new events.
    """

    def __init__(
        self,
        log: Callable[[str | None], FeedLog],
        on_written: Callable[[str | None], None],
    ) -> None:
        self._log = log
        self._on_written = on_written
        self._outboxes: dict[str | None, Outbox] = {}
        self._pens: dict[str | None, _Pen] = {}
        self._task: asyncio.Task[None] | None = None
        self._woken = asyncio.Event()
        self._is_closed = False

    def say(
        self, owner: str | None, execution: str, make: Make, *, is_late: bool = False
    ) -> None:
        """Write an event into an owner's feed soon, if there is one.

        Args:
            owner: Whose feed it is.
            execution: What it is about.
            make: Makes it.
            is_late: Whether others may have said it already.
        """
        if self._is_closed:
            return
        outbox = self._outboxes.get(owner)
        if outbox is None:
            now = asyncio.get_running_loop().time()
            outbox = self._outboxes[owner] = Outbox(now)
        if is_late:
            outbox.since = -inf
        outbox.add(execution, make)
        if owner in self._pens:
            self._woken.set()
        if self._task is None or self._task.done():  # with a loop that has ended
            loop = asyncio.get_running_loop()
            self._woken = asyncio.Event()
            self._task = loop.create_task(self._run(), context=Context())

    def reopen(self) -> None:
        """Write again, after ``aclose``."""
        self._is_closed = False

    async def aclose(self) -> None:
        """Write what is left, if that does not take long; nothing after that."""
        self._is_closed = True
        self._woken.set()
        task = self._task
        if task is not None and not task.done():  # it may have ended with its loop
            await asyncio.wait({task}, timeout=_LAST_WORD)
            task.cancel()
            await asyncio.wait({task})
        self._task = None
        self._outboxes.clear()
        self._pens.clear()
        self._woken = asyncio.Event()

    async def _run(self) -> None:
        loop, pause = asyncio.get_running_loop(), _SHORTEST
        while self._outboxes:
            if not self._is_closed:
                await self._wait(pause)
            self._woken.clear()
            began = loop.time()
            failed = [
                each for each in list(self._outboxes) if not await self._told(each)
            ]
            if failed and self._is_closed:
                break
            pause = min(max(_SHARE * (loop.time() - began), _SHORTEST), _LONGEST)
            if failed:
                pause = _LONGEST
        self._task = None

    async def _wait(self, pause: float) -> None:
        """Wait; for what has a feed, no longer than until it has something."""
        if any(owner in self._pens for owner in self._outboxes):
            return
        try:
            async with asyncio.timeout(pause):
                await self._woken.wait()
        except TimeoutError:
            pass

    async def _told(self, owner: str | None) -> bool:
        """Write what one feed has to be told; False if that failed."""
        outbox = self._outboxes.pop(owner)
        try:
            await self._write(owner, outbox)
        except Exception as error:  # it may pass
            logger.info("A feed waits: %r", error)
            self._pens.pop(owner, None)
            newer = self._outboxes.get(owner)
            if newer is not None:
                outbox.merge(newer)
            self._outboxes[owner] = outbox
            return False
        return True

    async def _write(self, owner: str | None, outbox: Outbox) -> None:
        log = self._log(owner)
        is_late = asyncio.get_running_loop().time() - outbox.since > LATE
        while outbox:
            pen = self._pens.get(owner)
            if pen is None:
                part = await log.find()
                if part is None:
                    return  # nobody wants it
                pen = await self._begin(owner, log, part)
                if is_late:
                    pen.last = pen.part.after  # so that all of the part is read
            try:
                if is_late:
                    await self._look_back(log, pen, outbox)
                    is_late = False
                    continue
                if not outbox.is_lossy:
                    await self._append(owner, log, pen, outbox)
                    continue
            except (Gap, Fenced, Missing):  # the store has lost some of it
                pass
            self._pens.pop(owner, None)
            if await log.restart(pen.part):
                return  # who opens it again lists what is in the outbox

    async def _begin(self, owner: str | None, log: FeedLog, part: Part) -> _Pen:
        pen = _Pen(*await log.begin(part))
        self._pens.pop(owner, None)
        self._pens[owner] = pen
        if len(self._pens) > _MOST_PENS:  # it is found again
            del self._pens[next(iter(self._pens))]
        return pen

    async def _look_back(self, log: FeedLog, pen: _Pen, outbox: Outbox) -> None:
        """Drop what is stored already, and what others have made pointless."""
        stored = await log.read(pen.part, pen.last)
        outbox.discard(outbox.batch(), stored.data)
        pen.last = stored.last

    async def _append(
        self, owner: str | None, log: FeedLog, pen: _Pen, outbox: Outbox
    ) -> None:
        """Append a batch, and drop what is in the feed then."""
        batch = outbox.batch()
        try:
            await log.append(pen.part, pen.grant, pen.last, list(batch.values()))
        except Ended:  # others have filled it; or this append, which is made again
            pass
        stored = await log.read(pen.part, pen.last)
        # Who has opened another feed meanwhile has to be told there.
        if not await log.is_current(pen.part):
            self._pens.pop(owner, None)
            return
        if stored.is_trimmed:  # nobody can say what was among it
            stored = replace(stored, data=[*stored.data, *batch.values()])
        outbox.discard(batch, stored.data)
        pen.last = stored.last
        if stored.is_full:
            await self._begin(owner, log, pen.part)
        self._on_written(owner)


class _Pen:
    """The place in a feed where this process writes next."""

    __slots__ = ("grant", "last", "part")

    def __init__(self, part: Part, grant: Grant) -> None:
        self.part = part
        self.grant = grant
        self.last = grant.last
