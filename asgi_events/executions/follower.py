"""Copies what another process writes to the store into a log of this process.

So viewers run the same code wherever the execution runs. One follower reads for all
viewers of an execution, and one ``Watch`` gives hints to all followers of a process.

No process searches for executions whose writer is dead. A follower that finds a silent
writer passes its log to the ``Reaper``, and so does a call of ``Executions.get``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from asgi_events.aio.backoff import Backoff, Patience
from asgi_events.events import ExecutionStatus
from asgi_events.exceptions import Unavailable
from asgi_events.log.stored import StoredLog
from asgi_events.stores.contract import EventStore, Page, Watch
from asgi_events.wire.frames import lost_frame, unstored_lost_frame

logger = logging.getLogger(__name__)

_PAGE = 256 * 1024  # bytes read at once
_FLOOR = 1.0  # seconds; hints may be lost, and a writer dies without one


class Reaper:
    """Ends the logs whose writers are dead; a process has one for each store.

    It asks the store for a suspected log repeatedly, as ``EventStore.reap`` requires,
    until the writer gives a sign of life or the log has ended.

    Args:
        store: Where the logs are.
        lease: Seconds of a lease, where a log does not say.

    Attributes:
        on_reaped: Is awaited with the key and the ``meta`` of a log that was ended.
    """

    def __init__(self, store: EventStore, *, lease: float) -> None:
        self.on_reaped: Callable[[str, Mapping[str, str]], Awaitable[None]] | None
        self.on_reaped = None
        self._store = store
        self._lease = lease
        self._reaping: dict[str, asyncio.Task[None]] = {}
        self._closed = False

    def suspect(self, key: str) -> None:
        """Find out whether the writer of a log is dead, and if so end the log."""
        if self._closed or key in self._reaping:
            return
        task = asyncio.ensure_future(self._reap(key))
        if not task.done():  # an eager task may be
            self._reaping[key] = task
            task.add_done_callback(lambda _: self._reaping.pop(key, None))

    def reopen(self) -> None:
        """Ask again, after ``aclose``."""
        self._closed = False

    async def aclose(self) -> None:
        """Stop asking."""
        self._closed = True
        reaping = list(self._reaping.values())
        for task in reaping:
            task.cancel()
        if reaping:
            await asyncio.wait(reaping)

    async def _reap(self, key: str) -> None:
        try:
            pause = await self._ask(key)
            while pause is not None:
                await asyncio.sleep(pause)
                pause = await self._ask(key)
        except Exception as error:  # other logs are not affected
            logger.warning("The log %s cannot be ended: %r", key, error)

    async def _ask(self, key: str) -> float | None:
        """Ask once; return the seconds until the next question, None for none."""
        try:
            page = await self._store.read(key, 0, 0)
            if page is None or page.alive or page.end is not None:
                return None
            if await self._is_reaped(key, page.last):
                if self.on_reaped is not None:
                    await self.on_reaped(key, page.meta)
                return None
        except Unavailable:
            return min(self._lease / 16, _FLOOR)
        # A gap of more than a quarter of the writer's lease begins a new suspicion.
        return min(float(page.meta.get("lease", self._lease)) / 16, _FLOOR)

    async def _is_reaped(self, key: str, last: int) -> bool:
        terminal = lost_frame(key, last + 1)
        if not await self._store.reap(key, last, terminal, end=ExecutionStatus.LOST):
            return False
        logger.warning("The writer of %s has died; its log is ended.", key)
        return True


class SharedWatch:
    """One ``Watch`` of a store for all followers and recorders of a process.

    Args:
        store: Gives the hints.
        writer: Returns the name under which this process writes; after a fork it is
            another one.
    """

    def __init__(self, store: EventStore, writer: Callable[[], str]) -> None:
        self._store = store
        self._writer = writer
        self._wakes: dict[str, list[Callable[[], None]]] = {}
        self._writers: dict[str, Callable[[], None]] = {}
        self._watch: Watch | None = None
        self._task: asyncio.Task[None] | None = None

    def add(self, key: str, wake: Callable[[], None]) -> None:
        """Call ``wake`` when ``key`` may have changed."""
        self._wakes.setdefault(key, []).append(wake)
        if self._watch is not None:
            self._watch.add(key)
        self._begin()

    def discard(self, key: str, wake: Callable[[], None]) -> None:
        """Call this ``wake`` no more."""
        wakes = self._wakes.get(key, [])
        if wake in wakes:
            wakes.remove(wake)
        if not wakes:
            self._wakes.pop(key, None)
            if self._watch is not None:
                self._watch.discard(key)
        self._end()

    def add_writer(self, key: str, wake: Callable[[], None]) -> None:
        """Call ``wake`` when the lease of ``key``, written here, must be renewed."""
        if not self._writers and self._watch is not None:
            self._watch.add_writer(self._writer())
        self._writers[key] = wake
        self._begin()

    def discard_writer(self, key: str) -> None:
        """Forget that ``key`` is written here."""
        self._writers.pop(key, None)
        self._end()

    async def aclose(self) -> None:
        """Listen no more, until the next ``add``."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    def _begin(self) -> None:
        if self._task is None:
            self._task = asyncio.ensure_future(self._listen())

    def _end(self) -> None:
        if not self._wakes and not self._writers and self._task is not None:
            self._task.cancel()
            self._task = None

    async def _listen(self) -> None:
        # Followers poll at a low rate and writers renew anyway, so a lost watch only
        # costs time.
        backoff = Backoff()
        while True:
            try:
                await self._pass_on()
            except Exception as error:  # it may pass
                logger.warning("Hints are late: %r", error)
            await backoff.wait()

    async def _pass_on(self) -> None:
        watch = await self._store.watch()
        try:
            self._watch = watch
            if self._writers:
                watch.add_writer(self._writer())
            for key in self._wakes:
                watch.add(key)
            while True:
                for key in await watch.get():
                    for wake in list(self._wakes.get(key, ())):
                        wake()
                    if key in self._writers:
                        self._writers[key]()
        finally:
            if self._watch is watch:  # not that of the next task
                self._watch = None
            await watch.aclose()


class Follower:
    """Follows one log to its end.

    Args:
        log: Receives the frames; it begins after the newest frame in the store.
        store: Has the frames.
        watch: Says when there is something new.
        reaper: Ends the log if its writer is dead.
        watched_for: Seconds for which each ``EventStore.mark_watched`` tells the writer
            that somebody watches here; None where the writer does not need it.
        patience: Seconds until a log that is gone, or cannot be read, is given up.
            A store that does not answer is waited for without end.
    """

    def __init__(
        self,
        log: StoredLog,
        store: EventStore,
        watch: SharedWatch,
        reaper: Reaper,
        *,
        watched_for: float | None,
        patience: float,
    ) -> None:
        assert log.name is not None
        self._log = log
        self._key = log.name
        self._store = store
        self._shared_watch = watch
        self._reaper = reaper
        # It is repeated once per poll at least, so it must last for three polls.
        self._watched_for = (
            None if watched_for is None else max(watched_for, 3 * _FLOOR)
        )
        self._marked = float("-inf")
        self._counts = True
        self._patience = Patience(patience)
        self._floor = min(_FLOOR, patience / 6)
        self._changed = asyncio.Event()

    def count(self, counts: bool) -> None:
        """Set whether a viewer here counts for ``cancel_after``, or somebody waits."""
        if counts and not self._counts:
            self._changed.set()
        self._counts = counts

    async def run(self) -> None:
        """Follow until the log has ended."""
        self._changed = asyncio.Event()  # the loop may be another one
        wake = self._changed.set
        self._shared_watch.add(self._key, wake)
        self._marked = float("-inf")
        self._patience.reset()
        backoff = Backoff()
        try:
            while self._log.end is None:
                self._changed.clear()
                if await self._has_looked():
                    backoff.reset()
                else:
                    await backoff.wait()
        finally:
            self._shared_watch.discard(self._key, wake)

    async def _has_looked(self) -> bool:
        """Take the new frames, or wait for some; False if that failed."""
        try:
            await self._say_that_somebody_watches()
            page = await self._store.read(self._key, self._log.last, _PAGE)
            await self._catch_up(page)
        except Unavailable as error:
            logger.warning("Viewers of %s wait: %s", self._key, error)
            self._patience.reset()
        except Exception as error:  # it may pass
            logger.warning("Viewers of %s wait: %r", self._key, error)
            self._give_up("The events of this execution cannot be read any more")
        else:
            return True
        return False

    async def _catch_up(self, page: Page | None) -> None:
        if self._log.end is not None:  # another reader took the end meanwhile
            return
        if page is None:  # a writer that lives will write it again
            self._give_up("The events of this execution are not kept any more")
            await self._wait_for_change()
            return
        self._patience.reset()
        if page.end is not None and page.last <= self._log.last:
            self._log.fork(page.last, end=page.end)
        elif page.frames or page.end is not None:
            self._take(page)
        else:
            if not page.alive:
                self._reaper.suspect(self._key)
            await self._wait_for_change()

    async def _wait_for_change(self) -> None:
        if self._log.end is not None:
            return
        try:
            async with asyncio.timeout(self._floor):
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

    def _give_up(self, message: str) -> None:
        """Once ``patience`` is over, end the log with ``lost`` for the viewers."""
        if self._patience.is_over():
            logger.error("Viewers of %s are sent away: %s.", self._key, message)
            lost = unstored_lost_frame(message)
            self._log.fork(1, end=ExecutionStatus.LOST, frames=[lost])

    async def _say_that_somebody_watches(self) -> None:
        if not self._counts:
            return
        now = asyncio.get_running_loop().time()
        if (
            self._watched_for is not None
            and now - self._marked >= self._watched_for / 3
        ):
            await self._store.mark_watched(self._key, self._watched_for)
            self._marked = now
