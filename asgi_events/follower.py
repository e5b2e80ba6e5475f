"""Follows, into a log of this process, what another process writes to the store.

Its viewers run the very same code as those of an execution that runs here. However
many they are, one follower reads for all, and one ``Watch`` hints for all followers.

Nobody looks for orphans: a follower that finds the writer's lease over reaps the log,
and of several one succeeds.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from asgi_events.encoding import encode_json
from asgi_events.events import ExecutionStatus, LostEvent
from asgi_events.exceptions import StoreError
from asgi_events.log import Log, frame
from asgi_events.pauses import LONGEST, Pauses
from asgi_events.stores import EventStore, Page, Watch

logger = logging.getLogger(__name__)

_PAGE = 256 * 1024  # bytes read at once
_FLOOR = 1.0  # seconds; hints may be lost, and a lease ends without one


class Reaper:
    """Ends the logs of one store whose writers have died; one for all followers.

    A store that was away has renewed no leases meanwhile, so their ends say nothing
    until the writers have had time to come back.

    Args:
        store: Where the logs are.
        lease: Seconds of a lease.
    """

    def __init__(self, store: EventStore, *, lease: float) -> None:
        self._store = store
        self._patience = max(lease, 2 * LONGEST)
        self._trusted = float("-inf")

    def store_was_away(self) -> None:
        """Reap nothing for a while."""
        self._trusted = asyncio.get_running_loop().time() + self._patience

    async def reap(self, key: str, last: int) -> bool:
        """End a log whose lease is over; False when it is too early to say."""
        if asyncio.get_running_loop().time() < self._trusted:
            return False
        terminal = frame(key.encode(), last + 1, encode_json(LostEvent()))
        if await self._store.reap(key, last, terminal, end=ExecutionStatus.LOST):
            logger.warning("The writer of %s has died; its log is ended.", key)
        return True


class Hints:
    """The hints of one store, handed to those who follow; one ``Watch`` for all."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._wakes: dict[str, Callable[[], None]] = {}
        self._watch: Watch | None = None
        self._task: asyncio.Task[None] | None = None

    def add(self, key: str, wake: Callable[[], None]) -> None:
        """Call ``wake`` when ``key`` may have changed."""
        self._wakes[key] = wake
        if self._watch is not None:
            self._watch.add(key)
        if self._task is None:
            self._task = asyncio.ensure_future(self._listen())

    def discard(self, key: str) -> None:
        """Forget ``key``."""
        self._wakes.pop(key, None)
        if self._watch is not None:
            self._watch.discard(key)
        if not self._wakes and self._task is not None:
            self._task.cancel()
            self._task = None

    async def _listen(self) -> None:
        # Followers poll at a low rate in any case, so a lost watch costs time only.
        pauses = Pauses()
        while True:
            try:
                await self._pass_on()
            except StoreError as error:
                logger.warning("Hints are late: %s", error)
            await pauses.wait()

    async def _pass_on(self) -> None:
        watch = await self._store.watch()
        try:
            self._watch = watch
            for key in self._wakes:
                watch.add(key)
            while True:
                for key in await watch.get():
                    wake = self._wakes.get(key)
                    if wake is not None:
                        wake()
        finally:
            self._watch = None
            await watch.aclose()


class Follower:
    """Follows one log to its end.

    Args:
        log: Where the frames go; it begins where the store's log stood.
        store: Where they come from.
        hints: Who says when to look.
        reaper: Who ends the log should its writer have died.
        attend: Seconds for which the writer is told, again and again, that somebody
            watches here; None where the writer does not ask.
    """

    def __init__(
        self,
        log: Log,
        store: EventStore,
        hints: Hints,
        reaper: Reaper,
        *,
        attend: float | None,
    ) -> None:
        assert log.name is not None
        self._log = log
        self._key = log.name
        self._store = store
        self._hints = hints
        self._reaper = reaper
        # It is said when the floor is reached, if not before.
        self._attend = None if attend is None else max(attend, 3 * _FLOOR)
        self._attended = float("-inf")
        self._counts = True
        self._changed = asyncio.Event()

    def count(self, counts: bool) -> None:
        """Say whether anybody counts, of those who watch or wait here."""
        if counts and not self._counts:
            self._changed.set()
        self._counts = counts

    async def run(self) -> None:
        """Return when the log has ended."""
        self._hints.add(self._key, self._changed.set)
        self._attended = float("-inf")
        pauses = Pauses()
        try:
            while self._log.end is None:
                self._changed.clear()
                try:
                    await self._catch_up()
                    pauses.reset()
                except Exception as error:  # whatever it is, it may be mended
                    logger.warning("Viewers of %s wait: %s", self._key, error)
                    self._reaper.store_was_away()
                    await pauses.wait()
        finally:
            self._hints.discard(self._key)

    async def _catch_up(self) -> None:
        """Take what is new, or wait until there may be something."""
        await self._say_that_somebody_watches()
        page = await self._store.read(self._key, self._log.last, _PAGE)
        if page is None:
            logger.warning("The log %s is gone.", self._key)
            self._log.extend([], end=ExecutionStatus.LOST)
        elif page.frames or page.end is not None:
            self._take(page)
        elif page.alive or not await self._reaper.reap(self._key, page.last):
            try:
                async with asyncio.timeout(_FLOOR):
                    await self._changed.wait()
            except TimeoutError:
                pass

    def _take(self, page: Page) -> None:
        log = self._log
        if page.first > log.last + 1:
            log.skip_to(page.first)
        last = page.first + len(page.frames) - 1
        # The log may have been set further ahead while the page was read.
        new = page.frames[log.last + 1 - page.first :]
        log.extend(new, end=page.end if last >= page.last else None)

    async def _say_that_somebody_watches(self) -> None:
        if not self._counts:
            return
        now = asyncio.get_running_loop().time()
        if self._attend is not None and now - self._attended >= self._attend / 3:
            await self._store.attend(self._key, self._attend)
            self._attended = now
