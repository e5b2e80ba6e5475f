"""One execution that outlives its viewers: a task, its log, and who watches it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from asgi_events.cache import HasStats
from asgi_events.cursor import Cursor, ReadPage, parse_event_id
from asgi_events.events import CANCELLED, CancelledEvent, ExecutionStatus, LostEvent
from asgi_events.exceptions import Ended, Fenced, LimitReached
from asgi_events.frames import goodbye
from asgi_events.log import Log
from asgi_events.recorder import Recorder
from asgi_events.state import ExecutionState
from asgi_events.streamer import EventStreamer
from asgi_events.wheel import Timer, wheel

logger = logging.getLogger(__name__)


class Seats:
    """How many there may be of something, and how many there are."""

    def __init__(self, option: str, limit: int | None) -> None:
        self.taken = 0
        self._option = option
        self._limit = limit

    def take(self) -> None:
        """Take one.

        Raises:
            LimitReached: All are taken.
        """
        self.check()
        self.taken += 1

    def check(self) -> None:
        """Raise ``LimitReached`` when none is left."""
        if self._limit is not None and self.taken >= self._limit:
            raise LimitReached(self._option, self._limit)

    def leave(self) -> None:
        """Give one back."""
        self.taken -= 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What holds for every execution of an ``Executions``; seconds, ``retry`` in ms."""

    cancel_after: float | None
    cancel_timeout: float
    max_duration: float | None
    retry: int


class Execution:
    """A running or finished call of an actor; ``Executions.start`` makes them.

    Attributes:
        id: 32 hexadecimal digits, 128 random bits.
        actor: The actor's name.
        owner: Who started it, as ``authorize`` said; None without one.
        created: When it was started.
        ended: When its terminal event was stored; None before.
        log: Its frames.
    """

    def __init__(
        self,
        id: str,
        *,
        actor: str,
        owner: str | None,
        log: Log,
        read_page: ReadPage,
        terms: Terms,
        seats: Seats,
        on_end: Callable[[Execution], None],
    ) -> None:
        self.id = id
        self.actor = actor
        self.owner = owner
        self.created = datetime.now(UTC)
        self.ended: datetime | None = None
        self.log = log
        self._read_page = read_page
        self._terms = terms
        self._seats = seats
        self._on_end = on_end
        self._cursors: set[Cursor] = set()
        self._over = asyncio.Event()
        self._cancel_message: str | None = None
        self._state: ExecutionState | None = None
        self._streamer: EventStreamer | None = None
        self._task: asyncio.Task[Any] | None = None
        self._recording: asyncio.Task[None] | None = None
        self._unwatched: Timer | None = None
        self._overtime: Timer | None = None
        self._stubborn: Timer | None = None
        self._retained: Timer | None = None

    def __repr__(self) -> str:
        return f"<Execution {self.id} of {self.actor}: {self.status}>"

    @property
    def status(self) -> ExecutionStatus:
        """``started`` while it runs, then how it ended."""
        if self.ended is None or self.log.end is None:
            return ExecutionStatus.STARTED
        return ExecutionStatus(self.log.end)

    @property
    def viewers(self) -> int:
        """How many watch it now, in this process."""
        return len(self._cursors)

    def begin(
        self,
        work: Coroutine[Any, Any, Any],
        *,
        state: ExecutionState,
        streamer: EventStreamer,
        recorder: Recorder,
        cache_backend: HasStats | None,
    ) -> None:
        """Run ``work``, whose events ``streamer`` appends to the log."""
        self._state = state
        self._streamer = streamer
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(work, name=f"execution {self.id}")
        streamer.follow(self._task, cache_backend=cache_backend)
        self._recording = loop.create_task(self._record(recorder))
        if self._cancel_message is not None:
            self._cancel_task(self._cancel_message)
        elif self._terms.max_duration is not None:
            self._overtime = self._later(self._terms.max_duration, self._run_over_time)

    async def wait(self) -> ExecutionStatus:
        """Wait for the end, and return how it ended."""
        await self._over.wait()
        return self.status

    def attach(self, last_event_id: str | None = None) -> Cursor:
        """A new viewer, from where it stands; it leaves by ``close``.

        Raises:
            LimitReached: ``max_viewers`` watch already.
        """
        self._seats.take()
        if self._unwatched is not None:
            self._unwatched.stop()
            self._unwatched = None
        cursor = Cursor(
            self.log,
            last_event_id=last_event_id,
            read_page=self._read_page,
            retry=self._terms.retry,
            on_close=self._detach,
        )
        self._cursors.add(cursor)
        return cursor

    def is_seen(self, last_event_id: str | None) -> bool:
        """Whether that is the id of the terminal event."""
        if last_event_id is None or self.ended is None:
            return False
        return parse_event_id(last_event_id) == (self.id, self.log.last)

    def cancel(self, message: str = CANCELLED) -> bool:
        """Cancel it; viewers are told ``message``. False when it is over already."""
        if self.ended is not None:
            return False
        if self._cancel_message is None:
            self._cancel_message = message
            if self._task is not None:
                self._cancel_task(message)
        return True

    def dismiss(self) -> None:
        """Send the viewers away, since the process stops; they reconnect."""
        for cursor in list(self._cursors):
            cursor.dismiss(goodbye("draining"))

    def retain(self, until: Timer) -> None:
        """Keep it until ``until`` comes, which forgets it."""
        self._retained = until

    def forget(self) -> None:
        """Keep it no longer."""
        if self._retained is not None:
            self._retained.stop()

    def _cancel_task(self, message: str) -> None:
        assert self._task is not None and self._streamer is not None and self._state
        self._streamer.cancel_message = message
        self._state.cancel()
        self._task.cancel()
        self._stubborn = self._later(self._terms.cancel_timeout, self._give_up)

    def _detach(self, cursor: Cursor) -> None:
        self._cursors.discard(cursor)
        self._seats.leave()
        after = self._terms.cancel_after
        if self._cursors or self.ended is not None or after is None:
            return
        if after == 0:
            self._cancel_unwatched()
        elif self._unwatched is None:
            self._unwatched = self._later(after, self._cancel_unwatched)

    def _cancel_unwatched(self) -> None:
        self.cancel(
            f"Execution cancelled: nobody watched it for {self._terms.cancel_after} s"
        )

    def _run_over_time(self) -> None:
        self.cancel(
            f"Execution cancelled: it ran longer than {self._terms.max_duration} s"
        )

    def _give_up(self) -> None:
        """Report a cleanup that takes too long as the end that it is for viewers."""
        if self._task is None or self._task.done() or self._streamer is None:
            return
        timeout = self._terms.cancel_timeout
        logger.warning("%r is still cleaning up %s s after its cancel.", self, timeout)
        message = f"{self._cancel_message}; its cleanup goes on after {timeout} s"
        self._streamer.end(CancelledEvent(message=message), ExecutionStatus.CANCELLED)

    async def _record(self, recorder: Recorder) -> None:
        try:
            await recorder.run()
        except (Fenced, Ended) as error:
            logger.error("%r is not ours any more and stops: %s", self, error)
            self._lose()
        except Exception:
            logger.exception("%r can not be recorded any more and stops.", self)
            self._lose()
        self.ended = datetime.now(UTC)
        for timer in (self._unwatched, self._overtime, self._stubborn):
            if timer is not None:
                timer.stop()
        self._over.set()
        self._on_end(self)

    def _lose(self) -> None:
        assert self._task is not None and self._streamer is not None
        self._streamer.end(LostEvent(), ExecutionStatus.LOST)
        self._task.cancel()
        self.log.commit(self.log.last)

    @staticmethod
    def _later(delay: float, call: Callable[[], None]) -> Timer:
        def tick(_: float) -> None:
            call()

        return wheel().start(tick, asyncio.get_running_loop().time() + delay)
