"""Carries the frames of a log into a store, all that wait in one call.

What the store has taken is committed, and only then do viewers see it. A store that
does not answer is asked again, with the same frames: appending is idempotent. Meanwhile
the log fills up to its bounds and then holds its publisher back.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from asgi_events.exceptions import Gap, Unavailable
from asgi_events.frames import Sleeper
from asgi_events.log import Log
from asgi_events.pauses import Pauses
from asgi_events.stores import Ack, AppendNow, EventStore, Grant, append_now
from asgi_events.wheel import wheel

logger = logging.getLogger(__name__)


class Recorder:
    """Records one log.

    Args:
        log: What is recorded; its ``name`` is the key.
        store: Where to.
        grant: The right to write, from ``store.open``.
        lease: Seconds the store waits for a sign of life; one is given three times in
            that time.

    Attributes:
        on_cancel: Called when somebody, in any process, wants the execution cancelled.
        on_left: Called when no other process has viewers any more.
        watched_elsewhere: Whether another process has viewers, as last heard.
    """

    def __init__(
        self,
        log: Log,
        store: EventStore,
        grant: Grant,
        *,
        lease: float,
    ) -> None:
        assert log.name is not None
        self._log = log
        self._key = log.name
        self._store = store
        self._grant = grant
        self._interval = lease / 3
        self.on_cancel: Callable[[], None] | None = None
        self.on_left: Callable[[], None] | None = None
        self.watched_elsewhere = False
        self._sleeper = Sleeper()
        self._renewal_due = False
        self._append_now = append_now(store)
        self._gathering = False
        log.on_append = self._appended

    async def run(self) -> None:
        """Record until the terminal frame is stored.

        Raises:
            Fenced: The log is another writer's now.
            Ended: The log was ended by somebody else.
        """
        now = asyncio.get_running_loop().time()
        timer = wheel().start(self._tick, now + self._interval)
        try:
            while self._log.end is None or self._log.committed < self._log.last:
                if self._log.committed < self._log.last:
                    await self._append()
                elif self._renewal_due:
                    self._renewal_due = False
                    self._heed(await self._insist(self._renew))
                else:
                    await self._sleeper.sleep()
        finally:
            timer.stop()
            self._log.on_append = None

    async def _append(self) -> None:
        log = self._log
        after = log.committed
        frames = log.uncommitted()
        end = log.end

        async def append() -> Ack:
            nonlocal after, frames
            try:
                return await self._store.append(
                    self._key, self._grant, after, frames, end=end
                )
            except Gap as gap:
                # The store has lost its newest frames, as a replica that took over may.
                if gap.last + 1 < log.first:
                    raise  # some of them are not held any more
                frames = log.since(gap.last)[: len(frames) + after - gap.last]
                after = gap.last
                raise Unavailable("The store went back; sending again.") from gap

        ack = await self._insist(append)
        self._renewal_due = False
        log.commit(after + len(frames))
        self._heed(ack)

    async def _renew(self) -> Ack:
        return await self._store.renew(self._key, self._grant)

    async def _insist(self, call: Callable[[], Awaitable[Ack]]) -> Ack:
        pauses = Pauses()
        while True:
            try:
                return await call()
            except Unavailable as error:
                logger.warning("Execution %s: %s Trying again.", self._key, error)
            await pauses.wait()

    def _heed(self, ack: Ack) -> None:
        left = self.watched_elsewhere and not ack.watched
        self.watched_elsewhere = ack.watched
        if left and self.on_left is not None:
            self.on_left()
        if ack.cancel and self.on_cancel is not None:
            self.on_cancel()

    def _appended(self) -> None:
        """Record what was appended, or have it recorded."""
        if self._append_now is None:
            self._sleeper.wake()
        elif self._log.end is not None:
            self._record_now(self._append_now)
        elif self._gathering:
            return
        elif self._log.awaited:
            self._record_now(self._append_now)
        else:  # nobody waits: what comes in this turn goes together
            self._gathering = True
            asyncio.get_running_loop().call_soon(self._gathered, self._append_now)

    def _gathered(self, append_now: AppendNow) -> None:
        self._gathering = False
        if self._log.committed < self._log.last:
            self._record_now(append_now)

    def _record_now(self, append_now: AppendNow) -> None:
        if not self._sleeper.asleep:
            return  # ``run`` is at work, and comes to it
        log = self._log
        after = log.committed
        try:
            ack = append_now(self._key, self._grant, after, log.since(after), log.end)
        except Exception:
            self._sleeper.wake()  # ``run`` calls again, and knows what to do
            return
        log.commit(log.last)
        if log.end is not None:
            self._sleeper.wake()
        if ack is not None or self.watched_elsewhere:
            self._heed(ack or Ack(log.last))

    def _tick(self, now: float) -> float:
        self._renewal_due = True
        self._sleeper.wake()
        return now + self._interval
