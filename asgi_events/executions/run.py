"""The work of an execution that runs in this process: a task, bounded and recorded."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from asgi_events.actors.cache import HasStats
from asgi_events.actors.state import ExecutionState
from asgi_events.aio.timers import Timer, timers
from asgi_events.events import CANCELLED, CancelledEvent, ExecutionStatus
from asgi_events.exceptions import Ended, Fenced
from asgi_events.executions.execution import Execution
from asgi_events.executions.follower import Follower, Hints
from asgi_events.executions.recorder import Recorder
from asgi_events.http.streamer import EventStreamer

logger = logging.getLogger(__name__)

_RETURN = 10.0  # seconds; a goodbye says 4 at most, and connecting takes a while
_LOOK_AGAIN = 1.0  # seconds until one watched elsewhere may be found unwatched

# Tasks that clean up when their executions have ended; an event loop holds none itself.
_cleaning: set[asyncio.Task[Any]] = set()


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How long an execution may be what; seconds."""

    cancel_after: float | None
    cancel_timeout: float
    max_duration: float | None


class Run:
    """Runs one actor, records what it publishes, and ends it when its terms say so.

    Args:
        execution: Whose work it is.
        call: The actor's call.
        state: The root state of the call.
        streamer: Appends its events to the execution's log.
        unsubscribe: Ends the subscription of the streamer.
        recorder: Stores that log.
        follower: Goes on with the log should another process take it over.
        hints: Who says that the store has something to tell the writer.
        terms: When it is cancelled.
        cache_backend: Whose statistics its terminal event has.
        on_stored: Called when the terminal event of this run is stored.
        on_end: Called when a terminal event is stored, be it another process's.
    """

    is_local = True

    def __init__(
        self,
        execution: Execution,
        call: Coroutine[Any, Any, Any],
        *,
        state: ExecutionState,
        streamer: EventStreamer,
        unsubscribe: Callable[[], None],
        recorder: Recorder,
        follower: Follower,
        hints: Hints,
        terms: Terms,
        cache_backend: HasStats | None,
        on_stored: Callable[[], None],
        on_end: Callable[[Execution], None],
    ) -> None:
        loop = asyncio.get_running_loop()
        self._execution = execution
        self._state = state
        self._streamer = streamer
        self._unsubscribe = unsubscribe
        self._recorder = recorder
        self._follower = follower
        self._terms = terms
        self._hints = hints
        self._on_stored = on_stored
        self._on_end = on_end
        self._over = asyncio.Event()
        self._counted = False
        self._unwatched: Timer | None = None
        self._overtime: Timer | None = None
        self._stubborn: Timer | None = None
        execution.work = self
        self._task = loop.create_task(call, name=f"execution {execution.id}")
        streamer.follow(self._task, cache_backend=cache_backend)
        recorder.on_cancel = self.stop
        recorder.on_left = self._left_elsewhere
        self._recording = loop.create_task(self._record())
        if terms.max_duration is not None:
            self._overtime = _later(terms.max_duration, self._run_over_time)

    async def cancel(self, message: str = CANCELLED) -> bool:
        """Cancel the task; False when it is over."""
        if self._over.is_set():
            return False
        self.stop(message)
        return True

    async def wait(self) -> None:
        """Wait until the terminal event is stored."""
        await self._over.wait()

    def abandon(self) -> None:
        """Record no more: the process stops, and the lease will tell the others."""
        self._recording.cancel()

    def stop(self, message: str = CANCELLED) -> None:
        """Cancel the task, once; viewers are told ``message``."""
        if self._stubborn is not None or self._over.is_set():
            return
        self._streamer.cancel_message = message
        self._state.cancel()
        self._task.cancel()
        self._stubborn = _later(self._terms.cancel_timeout, self._give_up)

    def audience_changed(self, *, watched: bool, counted: bool) -> None:
        """Count the time without any viewer that counts."""
        if counted != self._counted:
            self._counted = counted
            self._count_unwatched()

    def _count_unwatched(self) -> None:
        if self._unwatched is not None:
            self._unwatched.stop()
            self._unwatched = None
        after = self._terms.cancel_after
        if self._counted or after is None or self._over.is_set():
            return
        if self._execution.dismissed:  # by us, and they are to come back
            return
        if self._execution.awaits_viewers:
            after = max(after, _RETURN)
        if after == 0:
            self._stop_unwatched()
        else:
            self._unwatched = _later(after, self._stop_unwatched)

    def _left_elsewhere(self) -> None:
        if self._unwatched is None:
            self._count_unwatched()

    def _stop_unwatched(self) -> None:
        if self._recorder.watched_elsewhere:
            again = self._terms.cancel_after or _LOOK_AGAIN
            self._unwatched = _later(again, self._stop_unwatched)
            return
        self.stop(
            f"Execution cancelled: nobody watched it for {self._terms.cancel_after} s"
        )

    def _run_over_time(self) -> None:
        self.stop(
            f"Execution cancelled: it ran longer than {self._terms.max_duration} s"
        )

    def _give_up(self) -> None:
        """Report a cleanup that takes too long as the end that it is for viewers."""
        if self._task.done():
            return
        timeout = self._terms.cancel_timeout
        execution = self._execution
        logger.warning("%r cleans up for more than %s s.", execution, timeout)
        message = (
            f"{self._streamer.cancel_message}; "
            f"its cleanup was not done after {timeout} s"
        )
        self._streamer.end(CancelledEvent(message=message), ExecutionStatus.CANCELLED)

    async def _record(self) -> None:
        try:
            await self._record_to_the_end()
            self._execution.end()
        finally:
            self._let_go()
            self._over.set()
            self._on_end(self._execution)

    def _let_go(self) -> None:
        """Leave nothing that holds the task, whose result may be large."""
        for timer in (self._unwatched, self._overtime, self._stubborn):
            if timer is not None:
                timer.stop()
        self._unwatched = self._overtime = self._stubborn = None
        self._unsubscribe()  # a cancelled task holds its frames, and they the bus
        self._recorder.on_cancel = self._recorder.on_left = None
        self._execution.let_go()
        if not self._task.done():
            _cleaning.add(self._task)
            self._task.add_done_callback(_cleaning.discard)

    async def _record_to_the_end(self) -> None:
        if await self._is_stored():
            self._on_stored()
        else:
            await self._give_way()

    async def _is_stored(self) -> bool:
        """Record; whether all of it could be stored, and is ours."""
        id = self._execution.id
        self._hints.add_writer(id, self._recorder.renew)
        try:
            await self._recorder.run()
        except (Fenced, Ended) as error:
            logger.error(
                "%r is not ours any more, and stops: %s", self._execution, error
            )
        except Exception:
            logger.exception("%r cannot be recorded, and stops.", self._execution)
        else:
            return True
        finally:
            self._hints.discard_writer(id)
        return False

    async def _give_way(self) -> None:
        """Stop; show what the store has, and nothing that it does not have."""
        self._streamer.silence()
        self._state.cancel()
        self._task.cancel()
        self._execution.log.rewind()
        await self._follower.run()


def _later(delay: float, call: Callable[[], None]) -> Timer:
    def tick(_: float) -> None:
        call()

    return timers().start(tick, asyncio.get_running_loop().time() + delay)
