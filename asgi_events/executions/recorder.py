"""Writes the frames of a log to a store: all that wait, in one call.

Viewers see a frame when the store has it. While the store does not answer, the recorder
repeats the call with the same frames: appending is idempotent. Meanwhile the log fills
up to its bounds, and then its publisher waits. The recorder still renews the lease,
since a full store may accept that.

A store may lose its newest frames, for example when a replica takes over. The recorder
then sends them again, with the same numbers.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from asgi_events.aio.backoff import Backoff
from asgi_events.aio.timers import Timer, timers
from asgi_events.aio.waiter import Waiter
from asgi_events.exceptions import Busy, Ended, Fenced, Gap, Missing, Unavailable
from asgi_events.log.stored import StoredLog
from asgi_events.stores.contract import Ack, EventStore, Grant

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """How a log is opened, and opened again if the store loses it.

    Attributes:
        store: Where.
        key: The log's key.
        writer: Who writes it.
        lease: Seconds without a sign of life after which the writer counts as dead.
        ttl: Seconds the store keeps the log after the last lease.
        meta: Facts about the execution for readers in other processes.
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
        log: The frames; the log's ``name`` is the key.
        opening: How its log in the store was opened. The recorder renews the lease
            three times in its length.
        grant: The right to write, which ``opening.open`` returned.

    Attributes:
        log: As given.
        key: The log's key.
        on_cancel: Called when a process has asked to cancel the execution.
        on_left: Called when the last viewer in another process has left.
        watched_elsewhere: Whether another process has viewers, as last known.
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
            Fenced: Another process writes the log now.
            Missing: The store has no log, and it may have expired.
            Ended: Another process has ended the log.
        """
        began = asyncio.get_running_loop().time()
        timer: Timer | None = None
        # A suspicion lasts half a lease: one of the tries has to come within it.
        backoff = Backoff(self._opening.lease / 6)
        try:
            while not self._is_done():
                # What has ended already needs no lease, unless its first call fails.
                if timer is None and (self.log.end is None or self._refused):
                    timer = timers().start(self._tick, began + self._interval)
                if await self._is_done_once():
                    backoff.reset()
                else:
                    await backoff.wait()
        finally:
            if timer is not None:
                timer.stop()
            self.log.on_append = None

    def renew(self) -> None:
        """Renew the lease at once: the answer of the store has news."""
        self._renewal_due = True
        self._waiter.wake()

    def _is_done(self) -> bool:
        return self.log.end is not None and not self._is_behind()

    def _is_behind(self) -> bool:
        log = self.log
        return log.committed < log.last or log.resend_after is not None

    async def _is_done_once(self) -> bool:
        """Make the next call to the store; False if it failed."""
        began = asyncio.get_running_loop().time()
        try:
            await self._do_next()
        except Gap as gap:
            self.log.resend_after = gap.last
            self._complain("The store has lost its newest frames.", "Sending again.")
        except Missing:
            if began >= self._heard + self._opening.lease + self._opening.ttl:
                raise  # the log has ended meanwhile, and has expired
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
        self._apply(ack)

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
        self._apply(ack)

    async def _begin_later(self) -> None:
        """Begin the log with the oldest frame held: the store lost more than that."""
        await self._store.delete(self.key)
        self._missing = True

    async def _open_anew(self) -> None:
        try:
            self._grant = await self._opening.open(after=self.log.first - 1)
        except Busy as error:
            raise Fenced(str(error)) from error
        self._missing = False
        self.log.resend_after = min(self._grant.last, self.log.committed)

    def _apply(self, ack: Ack) -> None:
        left = self.watched_elsewhere and not ack.watched
        self.watched_elsewhere = ack.watched
        if left and self.on_left is not None:
            self.on_left()
        if ack.cancel and self.on_cancel is not None:
            self.on_cancel()

    def _tick(self, now: float) -> float:
        self.renew()
        return now + self._interval
