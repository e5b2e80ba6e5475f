"""The feed of an owner as it is watched in this process.

One task reads it from the store while somebody watches, for all who watch it here. It
never ends. If it is lost, its watchers are sent away. They come back to another one,
get a ``reset``, and list.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Literal, NamedTuple, TypeAlias

from asgi_events.aio.backoff import Backoff
from asgi_events.exceptions import StoreError, Unavailable
from asgi_events.executions.feed_log import FeedLog, Part
from asgi_events.executions.follower import SharedWatch
from asgi_events.executions.missed_ends import MissedEnds
from asgi_events.executions.viewers import Viewers, Viewing
from asgi_events.log.cursor import Cursor
from asgi_events.log.log import Bounds
from asgi_events.log.stored import StoredLog
from asgi_events.stores.contract import EventStore, Page
from asgi_events.wire.frames import parse_event_id

logger = logging.getLogger(__name__)

Reason: TypeAlias = Literal["new", "malformed", "foreign", "future"]
"""Why a watcher begins with what happens next, and not after what it has."""

_PAGE = 256 * 1024  # bytes read at once
_BEFORE = 1000  # events that are read again when somebody begins to watch here
_FLOOR = 1.0  # seconds; hints may be lost
_HELD = Bounds(max_events=4096, max_bytes=1024 * 1024)  # in memory, of each feed


class Begin(NamedTuple):
    """Where a watcher begins.

    Attributes:
        cursor: Its place.
        id: The id of the last event before that place.
        first: The number of the event after it.
        reset: Why it does not go on after the event that it has; None if it does.
    """

    cursor: Cursor
    id: str
    first: int
    reset: Reason | None


class Feed:
    """The feed of one owner, in this process.

    Args:
        log: It in the store.
        store: The store.
        part: Its newest part.
        last: The number of its newest event.
        owner: Whose it is.
        viewing: What its watchers share with the viewers of executions.
        watch: Says when there is something new.
        missed: Looks for ends that nobody has written; None where nobody dies.
        look: Seconds between two looks whether it is still there, and for such ends.
        keep: Seconds between two calls that keep it in the store.

    Attributes:
        watchers: Who watches it here.
        is_over: Whether it was lost, or the last watcher has left. It has no more
            watchers then: there is, or will be, another one.
    """

    def __init__(
        self,
        log: FeedLog,
        store: EventStore,
        part: Part,
        last: int,
        *,
        owner: str | None,
        viewing: Viewing,
        watch: SharedWatch,
        missed: MissedEnds | None,
        look: float,
        keep: float,
    ) -> None:
        self._log = log
        self._store = store
        self._part = part
        self._shared_watch = watch
        self._missed = missed
        self._look = look
        self._keep = keep
        self._frames = StoredLog(part.feed, start=last, bounds=_HELD)
        self._made: str | None = None  # tells the part from one of the same key
        self._generation = store.generation
        self._changed = asyncio.Event()
        self._following: asyncio.Task[None] | None = None
        self.is_over = False
        self.watchers = Viewers(
            self._frames, viewing, owner=owner, read_page=self._read_page
        )
        self.watchers.on_change = self._follow

    async def learn(self, last_event_id: str | None) -> None:
        """Ask the store whether it has an event that was not read here yet.

        Who has seen it in another process goes on after it then.

        Raises:
            StoreError: The store does not answer.
        """
        log, parsed = self._frames, parse_event_id(last_event_id or "")
        if parsed is None or parsed.execution != log.name:
            return
        if parsed.number > max(log.last, log.known):
            log.known = max(log.known, await self._log.last(self._part))

    def attach(self, last_event_id: str | None) -> Begin:
        """Add a watcher; it leaves when the cursor is closed.

        Args:
            last_event_id: The id of the last event that it has. Without one, or if the
                feed cannot continue from there, it begins with what happens next.
        """
        log = self._frames
        reset = self._why_not_after(last_event_id)
        id = f"{log.name}:{log.last}"
        after = last_event_id if reset is None else id
        cursor = self.watchers.attach(after, counts=False)
        if self.is_over:
            cursor.dismiss(b"")
        return Begin(cursor, id, log.last + 1, reset)

    def wake(self) -> None:
        """Look for new events now."""
        self._changed.set()

    def close(self) -> None:
        """Stop reading: the process stops."""
        self.is_over = True
        self.watchers.on_change = None
        if self._following is not None:
            self._following.cancel()

    def _why_not_after(self, last_event_id: str | None) -> Reason | None:
        if not last_event_id:
            return "new"
        parsed = parse_event_id(last_event_id)
        if parsed is None:
            return "malformed"
        if parsed.execution != self._frames.name:
            return "foreign"
        is_known = parsed.number <= max(self._frames.last, self._frames.known)
        return None if is_known and not (parsed.lost or parsed.blocks) else "future"

    def _follow(self) -> None:
        if self.watchers and self._following is None and not self.is_over:
            self._following = asyncio.ensure_future(self._run())
        elif not self.watchers and self._following is not None:
            self.close()

    async def _run(self) -> None:
        """Read until the feed is lost, or nobody watches any more."""
        loop, backoff = asyncio.get_running_loop(), Backoff()
        self._look_at, self._keep_at = loop.time(), loop.time() + self._keep
        self._shared_watch.add(self._part.key, self.wake)
        try:
            while not self.is_over:
                self._changed.clear()
                try:
                    await self._look_after(loop.time())
                    await self._read()
                except Exception as error:  # it may pass
                    logger.warning("The watchers of a feed wait: %r", error)
                    await backoff.wait()
                else:
                    backoff.reset()
        finally:
            self._shared_watch.discard(self._part.key, self.wake)
        logger.warning("A feed was lost, and begins anew: %s", self._log.key)
        self.watchers.send_away()

    async def _look_after(self, now: float) -> None:
        """See now and then that others write to this feed, and that it is kept."""
        if now < self._look_at:
            return
        if not await self._log.is_current(self._part):
            self.is_over = True
            return
        if now >= self._keep_at:
            await self._log.keep(self._part)
            self._keep_at = now + self._keep
        if self._missed is not None:
            if not self._missed.has_looked:
                await self._hear_before(self._missed)
            await self._missed.look()
        self._look_at = now + self._look

    async def _hear_before(self, missed: MissedEnds) -> None:
        """Read what was said of late: who is asked in it may not be told the end."""
        last = self._frames.last
        after = max(last - _BEFORE, 0)
        while after < last:
            page = await self._read_page(after, _PAGE)
            if not page.frames:
                break
            missed.hear(page.frames)
            after = page.first + len(page.frames) - 1

    async def _read(self) -> None:
        """Take new events, or wait for some."""
        log, part = self._frames, self._part
        page = await self._store.read(part.key, log.last, _PAGE)
        if page is None or page.last < log.last or self._is_another(page):
            await self._log.restart(part)
            self.is_over = True
        elif page.frames:
            self._take(page)
        elif page.end is not None:
            await self._turn_over()
        else:
            await self._wait_for_change()

    def _is_another(self, page: Page) -> bool:
        """Whether the store has lost what was read, even if there is as much again."""
        made, self._made = self._made, page.meta["made"]
        return made not in (None, self._made) or (
            self._store.generation != self._generation
        )

    def _take(self, page: Page) -> None:
        log = self._frames
        if page.first > log.last + 1:
            log.skip_to(page.first)
        log.extend(page.frames, end=None)
        if self._missed is not None:
            self._missed.hear(page.frames)

    async def _turn_over(self) -> None:
        """Go on with the next part."""
        part = await self._log.next(self._part)
        await self._log.begin(part)  # so that there is something to read
        self._shared_watch.add(part.key, self.wake)
        self._shared_watch.discard(self._part.key, self.wake)
        self._part, self._made = part, None

    async def _wait_for_change(self) -> None:
        try:
            async with asyncio.timeout(min(_FLOOR, self._look)):
                await self._changed.wait()
        except TimeoutError:
            pass

    async def _read_page(self, after: int, limit: int) -> Page:
        """Frames that are not held here any more, if the store has them."""
        part = self._part
        try:
            if after >= part.after:
                page = await self._store.read(part.key, after, limit)
            else:
                page = await self._log.page(part, after, limit)
        except StoreError:
            raise
        except Exception as error:  # no stream of a feed ends with an error
            raise Unavailable(f"The feed cannot be read: {error!r}") from error
        nothing = Page(after + 1, after, end=None, alive=True, cancel=False)
        return nothing if page is None else page
