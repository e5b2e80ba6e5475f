"""What runs an execution: a task of this process, or another process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

from asgi_events.actors.call import cancel_open_calls
from asgi_events.actors.state import ExecutionState
from asgi_events.aio.threads import noted_calls
from asgi_events.aio.timers import Timer, timers
from asgi_events.events import CANCELLED, SHUTTING_DOWN, CancelledEvent, TerminalEvent
from asgi_events.executions.follower import Follower
from asgi_events.executions.held import Turn
from asgi_events.executions.options import ExecutionsOptions
from asgi_events.executions.questions import Questions
from asgi_events.executions.recording import Recording
from asgi_events.executions.viewers import Viewers
from asgi_events.log.stored import StoredLog
from asgi_events.log.writer import LogWriter
from asgi_events.stores.contract import EventStore

logger = logging.getLogger(__name__)

_RETURN = 10.0  # seconds; a goodbye says 4 at most, and connecting takes a while
_LOOK_AGAIN = 1.0  # seconds until one watched elsewhere may be found unwatched

# Tasks that still clean up after their execution has ended: a loop holds no tasks.
_cleaning: set[asyncio.Task[Any]] = set()


class LocalRun:
    """Runs one actor, records its events, and cancels it when its time is over.

    Args:
        viewers: Who watches it.
        call: Calls the actor.
        turn: Waits for its turn in its thread; None without a thread.
        id: The execution's id.
        state: The root state of the call.
        writer: Appends its events to the log.
        recording: Stores the log; None where nothing has to.
        questions: What it asks.
        options: When it is cancelled.
        on_end: Called when a terminal event is stored, this run's or another
            process's, with the run that replaces this one.

    Attributes:
        ended: When its terminal event was stored; None while it runs.
    """

    __slots__ = (
        "__weakref__",
        "_counted",
        "_id",
        "_on_end",
        "_options",
        "_over",
        "_overtime",
        "_questions",
        "_recorder",
        "_recording",
        "_state",
        "_stubborn",
        "_task",
        "_unwatched",
        "_viewers",
        "_waiting",
        "_writer",
        "ended",
    )

    is_local = True

    def __init__(
        self,
        viewers: Viewers,
        *,
        call: Callable[[], Coroutine[Any, Any, Any]],
        turn: Turn | None,
        id: str,
        state: ExecutionState,
        writer: LogWriter,
        recording: Recording | None,
        questions: Questions,
        options: ExecutionsOptions,
        on_end: Callable[[EndedRun], None],
    ) -> None:
        loop = asyncio.get_running_loop()
        self.ended: datetime | None = None
        self._id = id
        self._viewers = viewers
        self._state = state
        self._writer = writer
        self._recording = recording
        self._questions = questions
        self._options = options
        self._on_end = on_end
        self._over = False
        self._waiting: set[asyncio.Future[None]] | None = None  # for that
        self._counted = False
        self._unwatched: Timer | None = None
        self._overtime: Timer | None = None
        self._stubborn: Timer | None = None
        viewers.on_change = self._viewers_changed
        questions.on_change = self._count_unwatched
        self._task = loop.create_task(self._run(call, turn), name=f"execution {id}")
        writer.on_end = self._terminated
        writer.follow(self._task, cache_backend=options["cache_backend"])
        self._recorder: asyncio.Task[None] | None = None
        if recording is not None:
            self._recorder = loop.create_task(self._record(recording))

    async def _run(
        self, call: Callable[[], Coroutine[Any, Any, Any]], turn: Turn | None
    ) -> Any:
        """Call the actor when its turn has come."""
        in_threads = noted_calls(turn is not None)
        try:
            if turn is not None:
                await turn()
            if (longest := self._options["max_duration"]) is not None:
                self._overtime = _later(longest, self._run_over_time)
            running = call()
            del call  # it has the arguments once more, and the actor may run for long
            result = await running
            await self._questions.told(all=False)
            self._finish(result)
            return result
        except asyncio.CancelledError:
            await self._questions.told(all=True)
            # Sync code runs on, and the thread is free when the log has ended. The
            # end of the process ends the code.
            if in_threads is not None and self._writer.cancel_message != SHUTTING_DOWN:
                await in_threads.wait()
            raise
        finally:
            del self  # a cancelled task holds this frame, and this the task

    def _finish(self, result: Any) -> None:
        """End the log, unless the callback of the task has to; that comes a turn later.

        So viewers get the end together with what the actor has published last.
        """
        if self._writer.on_end is None:  # an eager task ends before it is followed
            return
        if self._options["cache_backend"] is None and not self._task.cancelling():
            self._writer.finish(result)

    async def cancel(self, message: str = CANCELLED) -> bool:
        """Cancel the task; False when it is over."""
        if self._over:
            return False
        self.stop(message)
        return True

    async def wait(self) -> None:
        """Wait until the terminal event is stored."""
        if self._over:
            return
        waiting = self._waiting = self._waiting or set()
        ended = asyncio.get_running_loop().create_future()
        waiting.add(ended)
        try:
            await ended
        finally:
            waiting.discard(ended)

    def abandon(self) -> None:
        """Stop recording: the process stops, and others see its lease end."""
        if self._recorder is not None:
            self._recorder.cancel()

    def stop(self, message: str = CANCELLED) -> None:
        """Cancel the task, once; ``message`` is what viewers get."""
        if self._stubborn is not None or self._over:
            return
        self._writer.cancel_message = message
        self._state.cancel()
        self._questions.wake()
        self._task.cancel()
        self._stubborn = _later(self._options["cancel_timeout"], self._give_up)

    def _viewers_changed(self) -> None:
        """Time how long no viewer counts for ``cancel_after``."""
        counted = self._viewers.counted > 0
        if counted != self._counted:
            self._counted = counted
            self._count_unwatched()

    def _count_unwatched(self) -> None:
        if self._unwatched is not None:
            self._unwatched.stop()
            self._unwatched = None
        after = self._options["cancel_after"]
        if self._counted or after is None or self._over:
            return
        if self._questions.are_open:  # people may take their time
            return
        if self._viewers.dismissed:  # they were told to come back
            return
        if self._viewers.expects_return:
            after = max(after, _RETURN)
        if after == 0:
            self._stop_unwatched()
        else:
            self._unwatched = _later(after, self._stop_unwatched)

    def _left_elsewhere(self) -> None:
        if self._unwatched is None:
            self._count_unwatched()

    def _stop_unwatched(self) -> None:
        if self._recording is not None and self._recording.watched_elsewhere:
            again = self._options["cancel_after"] or _LOOK_AGAIN
            self._unwatched = _later(again, self._stop_unwatched)
            return
        after = self._options["cancel_after"]
        self.stop(f"Execution cancelled: nobody watched it for {after} s")

    def _run_over_time(self) -> None:
        longest = self._options["max_duration"]
        self.stop(f"Execution cancelled: it ran longer than {longest} s")

    def _give_up(self) -> None:
        """End the log for viewers: the cleanup of the actor takes too long."""
        if self._task.done():
            return
        timeout = self._options["cancel_timeout"]
        logger.warning("Execution %s cleans up for more than %s s.", self._id, timeout)
        message = (
            f"{self._writer.cancel_message}; its cleanup was not done after {timeout} s"
        )
        cancel_open_calls(self._state, is_expected=True)
        self._writer.end(CancelledEvent(message=message))

    def _terminated(self, event: TerminalEvent) -> None:
        """The terminal event is in the log."""
        self._state.event_bus.discard(self._writer)
        try:
            self._state.event_bus.publish_nowait(event)  # other handlers hear it last
        finally:  # a handler may raise CancelledError
            if self._recording is None:
                self._end(datetime.now(UTC))

    async def _record(self, recording: Recording) -> None:
        ended = None
        try:
            await recording.run(
                on_cancel=self.stop,
                on_left=self._left_elsewhere,
                on_taken=self._give_way,
            )
            ended = datetime.now(UTC)
        finally:
            self._end(ended)

    def _give_way(self) -> None:
        self._writer.silence()
        self._state.cancel()
        self._questions.wake()
        self._task.cancel()

    def _end(self, moment: datetime | None) -> None:
        """Drop all that refers to the task, whose result may be large."""
        self.ended = moment
        for timer in (self._unwatched, self._overtime, self._stubborn):
            if timer is not None:
                timer.stop()
        self._unwatched = self._overtime = self._stubborn = None
        if not self._task.done() and self._task is not asyncio.current_task():
            _cleaning.add(self._task)
            self._task.add_done_callback(_cleaning.discard)
        self._over = True
        self._questions.end()
        # A cancelled task holds its frames, and they the bus.
        self._state.event_bus.discard(self._writer)
        for waiting in self._waiting or ():
            if not waiting.done():  # its waiter was cancelled
                waiting.set_result(None)
        self._on_end(EndedRun(moment))


class EndedRun:
    """A run that has ended here; it refers to nothing of its actor.

    Args:
        ended: When its terminal event was stored.
    """

    __slots__ = ("ended",)
    is_local = True

    def __init__(self, ended: datetime | None) -> None:
        self.ended = ended

    async def cancel(self, message: str) -> bool:
        """Return False: nothing runs."""
        return False

    async def wait(self) -> None:
        """Return at once."""

    def abandon(self) -> None:
        """Do nothing: nothing is recorded."""


class RemoteRun:
    """Follows an execution of another process while somebody here watches or waits.

    Args:
        viewers: Who watches it here.
        id: The execution's id.
        log: Where its events go.
        store: Where its events are kept.
        follower: Brings them here.

    Attributes:
        ended: When it ended, if that is known.
    """

    is_local = False

    def __init__(
        self,
        viewers: Viewers,
        *,
        id: str,
        log: StoredLog,
        store: EventStore,
        follower: Follower,
    ) -> None:
        self.ended: datetime | None = None
        self._id = id
        self._log = log
        self._viewers = viewers
        self._store = store
        self._follower = follower
        self._following: asyncio.Task[None] | None = None
        self._waiting = 0
        viewers.on_change = self._follow

    async def cancel(self, message: str) -> bool:
        """Ask the process that runs it; False if it is over."""
        return await self._store.cancel(self._id)

    async def wait(self) -> None:
        """Wait until its terminal event is stored."""
        self._waiting += 1
        try:
            self._follow()
            if self._following is not None:
                await asyncio.shield(self._following)
        finally:
            self._waiting -= 1
            self._follow()

    def abandon(self) -> None:
        """Do nothing: it follows while somebody watches."""

    def _follow(self) -> None:
        self._follower.count(self._viewers.counted > 0 or self._waiting > 0)
        if self._following is not None and self._following.done():
            self._following = None
        wanted = self._viewers or self._waiting > 0
        if wanted and self._following is None and self._log.end is None:
            self._following = asyncio.ensure_future(self._follower.run())
        elif not wanted and self._following is not None:
            self._following.cancel()
            self._following = None


def _later(delay: float, call: Callable[[], None]) -> Timer:
    def tick(_: float) -> None:
        call()

    return timers().start(tick, asyncio.get_running_loop().time() + delay)
