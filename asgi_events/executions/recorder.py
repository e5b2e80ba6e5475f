"""Carries the frames of a log into a store, as many as wait in one call.

What the store has taken is committed, and only then do viewers see it. A store that
does not answer is asked again, with the same frames: appending is idempotent. Meanwhile
the log fills up to its bounds and then holds its publisher back. The lease is renewed
all the same, since a store that is full may still admit that.

A store may go back, as a replica does that takes over: the writer sends again what it
still holds, under the same numbers.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from asgi_events.aio.backoff import Backoff
from asgi_events.aio.timers import timers
from asgi_events.aio.waiter import Waiter
from asgi_events.exceptions import Busy, Ended, Fenced, Gap, Missing, Unavailable
from asgi_events.log.stored import StoredLog
from asgi_events.stores.contract import Ack, EventStore, Grant

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """How a log is opened, and opened anew should the store lose it.

    Attributes:
        store: Where.
        key: The log's key.
        writer: Who writes it.
        lease: Seconds the store waits for a sign of life.
        ttl: Seconds the log is kept after the last lease.
        meta: What readers in other processes have to know.
    """

    store: EventStore
    key: str
    writer: str
    lease: float
    ttl: float
    meta: Mapping[str, str]

    async def open(self, after: int = 0) -> Grant:
        """Open the log; a new one begins after the frame of number ``after``."""
        begin = {"after": after} if after else {}
        return await self.store.open(
            self.key,
            writer=self.writer,
            lease=self.lease,
            ttl=self.ttl,
            meta=self.meta,
            **begin,
        )


class Recorder:
    """Records one log.

    Args:
        log: What is recorded; its ``name`` is the key.
        opening: How its log in the store was opened. A sign of life is given three
            times in a lease.
        grant: The right to write, which the opening gave.

    Attributes:
        log: As given.
        key: The log's key.
        on_cancel: Called when somebody, in any process, wants the execution cancelled.
        on_left: Called when no other process has viewers any more.
        watched_elsewhere: Whether another process has viewers, as last heard.
    """

    def __init__(self, log: StoredLog, opening: Opening, grant: Grant) -> None:
        self.log = log
        self.key = opening.key
        self._opening = opening
        self._store = opening.store
        self._grant = grant
        self._interval = opening.lease / 3
        self.on_cancel: Callable[[], None] | None = None
        self.on_left: Callable[[], None] | None = None
        self.watched_elsewhere = False
        self._waiter = Waiter()
        self._renewal_due = False
        self._refused = False  # the newest append
        self._missing = False  # the log in the store
        self._heard = asyncio.get_running_loop().time()
        log.on_append = self._waiter.wake

    async def run(self) -> None:
        """Record until the terminal frame is stored.

        Raises:
            Fenced: The log is another writer's now.
            Missing: There is no log, and its time may have been over.
            Ended: The log was ended by somebody else.
        """
        now = asyncio.get_running_loop().time()
        timer = timers().start(self._tick, now + self._interval)
        # A suspicion lasts half a lease, and is answered between two tries.
        backoff = Backoff(self._opening.lease / 6)
        try:
            while not self._is_done():
                if await self._is_done_once():
                    backoff.reset()
                else:
                    await backoff.wait()
        finally:
            timer.stop()
            self.log.on_append = None

    def renew(self) -> None:
        """Renew the lease at once, since somebody has something to say."""
        self._renewal_due = True
        self._waiter.wake()

    def _is_done(self) -> bool:
        return self.log.end is not None and not self._is_behind()

    def _is_behind(self) -> bool:
        log = self.log
        return log.committed < log.last or log.resend_after is not None

    async def _is_done_once(self) -> bool:
        """Do what is next; False when the store has refused it."""
        began = asyncio.get_running_loop().time()
        try:
            await self._do_next()
        except Gap as gap:
            self.log.resend_after = gap.last
            self._complain("The store has lost its newest frames.", "Sending again.")
        except Missing:
            if began >= self._heard + self._opening.lease + self._opening.ttl:
                raise  # it was ended meanwhile, and its time is over
            self._missing = True
            self.log.resend_after = self.log.first - 1
            self._complain("The store has lost it.", "Sending again.")
        except (Fenced, Ended):
            raise
        except Unavailable as error:
            self._complain(error, "Trying again.")
        except Exception as error:
            if began >= self._heard + self._opening.lease:
                raise
            self._complain(repr(error), "Trying again until its lease is over.")
        else:
            return True
        return False

    def _complain(self, trouble: object, cure: str) -> None:
        logger.warning("Execution %s: %s %s", self.key, trouble, cure)

    async def _do_next(self) -> None:
        if self._missing:
            await self._open_anew()
        elif self._renewal_due and (self._refused or not self._is_behind()):
            await self._renew()
        elif self._is_behind():
            await self._append()
        else:
            await self._waiter.sleep()

    async def _renew(self) -> None:
        began = asyncio.get_running_loop().time()
        self._renewal_due = False
        try:
            ack = await self._store.renew(self.key, self._grant)
        except BaseException:
            self._renewal_due = True
            raise
        self._heard = began
        if ack.last < self.log.committed:
            self.log.resend_after = ack.last
        self._heed(ack)

    async def _append(self) -> None:
        log = self.log
        after = log.committed if log.resend_after is None else log.resend_after
        if after + 1 < log.first:
            await self._begin_later()
            return
        frames = log.chunk(after)
        last = after + len(frames)
        began = asyncio.get_running_loop().time()
        self._refused = True
        ack = await self._store.append(
            self.key,
            self._grant,
            after,
            frames,
            end=log.end if last == log.last else None,
        )
        self._refused = False
        self._renewal_due = False
        self._heard = began
        log.resend_after = last if last < log.committed else None
        if last > log.committed:
            log.commit(last)
        self._heed(ack)

    async def _begin_later(self) -> None:
        """Have the log begin with what is held: what the store lost is not all held."""
        await self._store.delete(self.key)
        self._missing = True

    async def _open_anew(self) -> None:
        try:
            self._grant = await self._opening.open(after=self.log.first - 1)
        except Busy as error:
            raise Fenced(str(error)) from error
        self._missing = False
        self.log.resend_after = min(self._grant.last, self.log.committed)

    def _heed(self, ack: Ack) -> None:
        left = self.watched_elsewhere and not ack.watched
        self.watched_elsewhere = ack.watched
        if left and self.on_left is not None:
            self.on_left()
        if ack.cancel and self.on_cancel is not None:
            self.on_cancel()

    def _tick(self, now: float) -> float:
        self.renew()
        return now + self._interval
