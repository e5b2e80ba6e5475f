"""The bus handler that makes an execution a stream of Server-Sent Events.

Subscribe it to a bus, as you subscribe an ``EventPrinter``. It encodes each event once,
as it is published, and appends it to a log. Every reader is a cursor on that log.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, Literal
from weakref import ref

from pydantic import BaseModel

from asgi_events.aio import signals
from asgi_events.aio.awaitables import mark_coroutine_function
from asgi_events.aio.grace import Grace
from asgi_events.aio.timers import Timer, timers
from asgi_events.aio.waiter import Waiter
from asgi_events.checks import (
    check_callables,
    check_counts,
    check_flags,
    check_headers,
    check_seconds,
)
from asgi_events.error_messages import ErrorMessage
from asgi_events.events import SHUTTING_DOWN, CancelledEvent, TerminalEvent
from asgi_events.http.response import EventSourceResponse
from asgi_events.log.cursor import Cursor
from asgi_events.log.log import Log
from asgi_events.log.stats import HasStats
from asgi_events.log.writer import LogWriter
from asgi_events.redaction import Redact, Redaction, check_redact
from asgi_events.types import ASGIApp, Headers
from asgi_events.wire.sse import KEEP_ALIVE, STREAM_START

logger = logging.getLogger(__name__)

OnDisconnect = Literal["cancel", "continue"]

_CLEANUP_TIMEOUT = 10.0  # seconds a response waits for the task it has cancelled


class EventStreamer:
    """Streams the events of one execution.

    Subscribe it to the execution's bus: ours, or any other that calls its subscribers
    with pydantic models. Then call ``stream`` or ``response`` once for each reader:
    every reader gets every event. When the execution ends, its streams end at once,
    with exactly one terminal event.

    Nothing is stored and events have no id, so a client cannot resume. Once
    ``max_events`` or ``max_bytes`` of frames wait for a reader, the execution waits
    too. It also waits if there is no reader yet.

    Args:
        include_cache_stats: Whether the ``complete`` event has ``cache_stats``, if a
            ``cache_backend`` is given.
        heartbeat_interval: Seconds without an event until a comment is sent; None for
            no comments. With the default, code that notices only when it writes that a
            client has gone notices it within a quarter of a second. Where thousands of
            streams wait, 15 costs a sixtieth.
        include_result: Whether the ``complete`` event has the ``result``.
        on_disconnect: What happens to the execution when its last reader leaves,
            because no reader can come back: ``"cancel"`` or ``"continue"``.
        error_message: Makes the message that readers see when the execution fails. The
            default, ``str``, may show more than readers should know.
        redact: Changes and hides events before readers get them; see
            ``ExecutionsOptions``.
        max_events: Frames that are kept for readers.
        max_bytes: Bytes of frames that are kept for readers.
        max_event_bytes: Bytes of JSON that an event may have; None for any number.
        drain_grace: Seconds for which an execution with readers may run on when the
            process stops.
        handle_signals: Whether to cancel such an execution after that, at SIGTERM and
            SIGINT, so that its streams end. Most servers wait for open streams before
            they stop.

    Attributes:
        cancel_message: The message that readers see when the execution is cancelled.

    Raises:
        TypeError: A value is of a wrong type.
        ValueError: An interval or a bound is not positive.
    """

    def __init__(
        self,
        include_cache_stats: bool = True,
        heartbeat_interval: float | None = 0.25,
        *,
        include_result: bool = False,
        on_disconnect: OnDisconnect = "cancel",
        error_message: ErrorMessage = str,
        redact: Redact | None = None,
        max_events: int = 10_000,
        max_bytes: int = 16 * 1024 * 1024,
        max_event_bytes: int | None = None,
        drain_grace: float = 5.0,
        handle_signals: bool = True,
    ) -> None:
        check_flags(
            include_cache_stats=include_cache_stats,
            include_result=include_result,
            handle_signals=handle_signals,
        )
        check_seconds(heartbeat_interval=heartbeat_interval)
        check_counts(max_event_bytes=max_event_bytes)
        check_counts(required=True, max_events=max_events, max_bytes=max_bytes)
        check_seconds(required=True, zero=True, drain_grace=drain_grace)
        check_callables(error_message=error_message)
        check_redact(redact=redact)
        if on_disconnect not in ("cancel", "continue"):
            raise ValueError(
                f'on_disconnect must be "cancel" or "continue", got {on_disconnect!r}'
            )
        self.log = Log(max_events=max_events, max_bytes=max_bytes)
        self._writer = LogWriter(
            self.log,
            include_cache_stats=include_cache_stats,
            include_result=include_result,
            error_message=error_message,
            max_event_bytes=max_event_bytes,
            redaction=None if redact is None else Redaction(redact),
        )
        self.heartbeat_interval = heartbeat_interval
        self._on_disconnect = on_disconnect
        self._task: asyncio.Future[Any] | None = None
        self._readers = 0
        mark_coroutine_function(self)
        self._drain_grace = drain_grace
        self._handle_signals = handle_signals
        self._grace: Grace | None = None
        self._draining: asyncio.Task[None] | None = None

    def __call__(self, event: BaseModel) -> Coroutine[Any, Any, None]:
        """Take an event, before this returns; await the answer, as a bus does.

        Raises:
            EventTooLarge: It has more bytes than ``max_event_bytes``.
        """
        return self._writer.write(event)

    @property
    def cancel_message(self) -> str:
        return self._writer.cancel_message

    @cancel_message.setter
    def cancel_message(self, message: str) -> None:
        self._writer.cancel_message = message

    def stream(
        self,
        execution_task: asyncio.Future[Any],
        cache_backend: HasStats | None = None,
    ) -> EventStream:
        """Return the stream as an async iterator of str, for a framework's response.

        Raises:
            TypeError: ``execution_task`` is not a task or future.
            ValueError: This streamer streams another task already.
        """
        self.follow(execution_task, cache_backend=cache_backend)
        stream = EventStream(self)
        self._readers += 1
        if self._handle_signals:
            signals.listen(self, EventStreamer._stop)
        return stream

    def response(
        self,
        execution_task: asyncio.Future[Any],
        cache_backend: HasStats | None = None,
        *,
        headers: Headers | None = None,
        send_timeout: float | None = 30.0,
    ) -> ASGIApp:
        """Return the stream as an ASGI application, which notices a disconnect.

        Args:
            execution_task: The task of the execution.
            cache_backend: The cache whose statistics the ``complete`` event has.
            headers: Further response headers, or other values for ours.
            send_timeout: Seconds that one send may take until the connection is
                dropped; None for any time.

        Raises:
            TypeError: ``execution_task`` is not a task or future.
            ValueError: This streamer streams another task already, or a stream cannot
                have a header.
        """
        check_headers(headers or {})
        response = EventSourceResponse(
            self.stream(execution_task=execution_task, cache_backend=cache_backend),
            headers=headers,
            heartbeat_interval=self.heartbeat_interval,
            send_timeout=send_timeout,
            handle_signals=self._handle_signals,
        )
        response.source_hears = True
        return response

    def follow(
        self, task: asyncio.Future[Any], *, cache_backend: HasStats | None = None
    ) -> None:
        """End the streams when ``task`` is done, in the way in which it ended."""
        if not asyncio.isfuture(task):
            raise TypeError(
                "execution_task must be a task: wrap the coroutine in "
                f"asyncio.create_task(…), got {type(task).__name__}"
            )
        if self._task is task:
            return
        if self._task is not None:
            raise ValueError(
                "This EventStreamer streams another execution already: make one each."
            )
        self._task = task
        self._writer.follow(task, cache_backend=cache_backend, end=self.end)

    def end(self, event: TerminalEvent) -> None:
        """End the streams with ``event``, unless they have a terminal event already."""
        self._writer.end(event)

    def leave(self, *, finished: bool) -> asyncio.Future[Any] | None:
        """Count a reader that has left; return the task if this has cancelled it.

        Nobody will see the rest after the last reader, so no frame is kept for one.
        """
        self._readers -= 1
        if not self._readers and self._draining is None:
            signals.forget(self)
        if finished or self._readers or self._task is None or self._task.done():
            return None
        self.log.release()
        if self._on_disconnect == "continue":
            return None
        self._task.cancel()
        return self._task

    def _stop(self, longest: float) -> asyncio.Future[None] | None:
        """Stop the execution, because the process stops and its readers wait."""
        if self._task is None or self._task.done():
            return None
        grace = min(self._drain_grace, longest)
        if self._grace is None or self._draining is None:
            self._grace = Grace(grace)
            self._draining = asyncio.ensure_future(self._drain(self._task, self._grace))
        self._grace.shorten(grace)
        return self._draining

    async def _drain(self, task: asyncio.Future[Any], grace: Grace) -> None:
        try:
            await grace.wait_for([_done(task)])
            if task.done():
                return
            self.cancel_message = SHUTTING_DOWN
            task.cancel()
            await asyncio.wait({task}, timeout=_CLEANUP_TIMEOUT)
            if not task.done():
                message = (
                    f"{SHUTTING_DOWN}; its cleanup was not done after "
                    f"{_CLEANUP_TIMEOUT} s"
                )
                self.end(CancelledEvent(message=message))
        finally:
            signals.forget(self)


async def _done(task: asyncio.Future[Any]) -> None:
    await asyncio.wait({task})


class EventStream:
    """One reader of an ``EventStreamer``: an async iterator of str.

    It counts as a reader as soon as it exists. It leaves when it is closed, when the
    task that waits for it is cancelled, or when nothing refers to it any more. It is
    also a ``FrameSource``, so an ``EventSourceResponse`` sends its frames unchanged.
    """

    _closed = True  # class default: __del__ also runs when __init__ raised

    def __init__(self, streamer: EventStreamer) -> None:
        self._streamer = streamer
        self._loop = asyncio.get_running_loop()
        self._cursor = Cursor(streamer.log)
        self.take = self._cursor.take  # attributes, because each frame calls them
        self.on_ready = self._cursor.on_ready
        self._waiter = Waiter(self._cursor.on_ready)
        self._timer: Timer | None = None
        self._last_given = 0.0
        self._beat = False
        self._slept = True
        self._closed = False

    def dismiss(self, farewell: bytes) -> None:
        """Give ``farewell`` next, then nothing more."""
        self._cursor.dismiss(farewell)

    async def aclose(self) -> None:
        """Leave, and wait up to 10 s for the task if that has cancelled it."""
        cancelled = self._leave()
        if cancelled is None:
            return
        _, pending = await asyncio.wait({cancelled}, timeout=_CLEANUP_TIMEOUT)
        if pending:
            logger.warning(
                "The execution %r is still cleaning up %s s after it was cancelled.",
                cancelled,
                _CLEANUP_TIMEOUT,
            )

    def __aiter__(self) -> EventStream:
        return self

    async def __anext__(self) -> str:
        if self._timer is None and not self._closed:
            self._start_heartbeat()
            return STREAM_START.decode()
        try:
            chunk = await self._next()
        except BaseException:
            await self.aclose()
            raise
        if chunk is None:
            await self.aclose()
            raise StopAsyncIteration
        self._last_given = self._loop.time()
        return chunk.decode()

    def __del__(self) -> None:
        # Frameworks drop an iterator that they have not read to its end, if the client
        # leaves before the body begins or while send() waits.
        if not self._closed and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(
                _depart, self._streamer, self._cursor, self._timer
            )

    async def _next(self) -> bytes | None:
        while not self._closed:
            chunk = self.take()
            if chunk is None:
                return None
            if chunk:
                if not self._slept:  # the caller may send it and never suspend
                    await asyncio.sleep(0)
                self._slept = self._beat = False
                return chunk
            if self._beat:
                self._beat = False
                return KEEP_ALIVE
            await self._waiter.sleep()
            self._slept = True
        return None

    def _leave(self) -> asyncio.Future[Any] | None:
        if self._closed:
            return None
        self._closed = True
        return _depart(self._streamer, self._cursor, self._timer)

    def _start_heartbeat(self) -> None:
        self._last_given = self._loop.time()
        interval = self._streamer.heartbeat_interval
        # The timer must not refer to this stream, or __del__ would never run.
        this = ref(self)

        def tick(now: float) -> float | None:
            stream = this()
            if stream is None or interval is None:
                return None
            due = stream._last_given + interval
            if now < due:
                return due
            stream._beat = True
            stream._waiter.wake()
            return now + interval

        self._timer = timers().start(tick, self._last_given + (interval or 0.0))


def _depart(
    streamer: EventStreamer, cursor: Cursor, timer: Timer | None
) -> asyncio.Future[Any] | None:
    if timer is not None:
        timer.stop()
    finished = cursor.finished
    cursor.close()
    return streamer.leave(finished=finished)
