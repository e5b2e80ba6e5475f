"""Writes the events of an execution into its log, and the one terminal event."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from pydantic import BaseModel

from asgi_events.aio.awaitables import wait_for
from asgi_events.bus import NOTHING, is_instance
from asgi_events.error_messages import ErrorMessage, describe
from asgi_events.events import (
    CANCELLED,
    CancelledEvent,
    CompleteEvent,
    ErrorEvent,
    ExecutionEvent,
    ExecutionResult,
    ExecutionStatus,
    TerminalEvent,
    has_failed,
)
from asgi_events.exceptions import EventTooLarge
from asgi_events.log.log import Log
from asgi_events.log.stats import HasStats, end_with_stats
from asgi_events.native import mypyc_attr
from asgi_events.redaction import Redaction
from asgi_events.wire.encoding import encode_json

logger = logging.getLogger(__name__)

_FAILED = "Execution failed"

_STATUS: dict[type[TerminalEvent], ExecutionStatus] = {
    CompleteEvent: ExecutionStatus.COMPLETED,
    ErrorEvent: ExecutionStatus.FAILED,
    CancelledEvent: ExecutionStatus.CANCELLED,
}


@mypyc_attr(allow_interpreted_subclasses=True)  # or an EventStreamer has no copy
class LogWriter:
    """Encodes each event once, and appends it to a log: ``write`` is a bus handler.

    Args:
        log: The log.
        include_cache_stats: The ``complete`` event has ``cache_stats``.
        include_result: The ``complete`` event has the ``result``.
        error_message: Makes the message of a failed execution of its exception.
        max_event_bytes: How many bytes of JSON an event may have; None for any number.
        redaction: Changes and hides events before they are encoded.

    Attributes:
        log: The log.
        on_end: Called with the terminal event, as it is without redaction.
        cancel_message: The message of ``cancelled``, should the task be cancelled.
    """

    __slots__ = (
        "_cache_backend",
        "_end_by",
        "_ending",
        "_error_message",
        "_include_cache_stats",
        "_include_result",
        "_max_event_bytes",
        "_redaction",
        "cancel_message",
        "log",
        "on_end",
    )

    def __init__(
        self,
        log: Log,
        *,
        include_cache_stats: bool = True,
        include_result: bool = False,
        error_message: ErrorMessage = str,
        max_event_bytes: int | None = None,
        redaction: Redaction | None = None,
    ) -> None:
        self.log = log
        self.on_end: Callable[[TerminalEvent], None] | None = None
        self.cancel_message = CANCELLED
        self._include_cache_stats = include_cache_stats
        self._include_result = include_result
        self._error_message = error_message
        self._max_event_bytes = sys.maxsize
        if max_event_bytes is not None:
            self._max_event_bytes = max_event_bytes
        self._redaction = redaction
        self._cache_backend: HasStats | None = None
        self._end_by: Callable[[TerminalEvent], None] | None = None
        self._ending: asyncio.Task[None] | None = None

    def write(self, event: BaseModel) -> Coroutine[Any, Any, None]:
        """Take an event, before this returns.

        Await the answer: that is how a full log holds its publisher back.

        Raises:
            EventTooLarge: It has more bytes than ``max_event_bytes``.
        """
        if self._redaction is not None:
            shown = self._redaction.of(event)
            if shown is None:
                return NOTHING
            event = shown
        data = encode_json(event)
        if len(data) > self._max_event_bytes:
            raise EventTooLarge(_name_of(event), len(data), self._max_event_bytes)
        full = self.log.append(data, is_instance(ExecutionEvent, event))
        return wait_for(self.log.room()) if full else NOTHING

    def follow(
        self,
        task: asyncio.Future[Any],
        *,
        cache_backend: HasStats | None = None,
        end: Callable[[TerminalEvent], None] | None = None,
    ) -> None:
        """When ``task`` is done, end the log as it was done, by ``end`` if given."""
        self._cache_backend = cache_backend
        self._end_by = end
        task.add_done_callback(self._follow_end)

    def finish(self, result: Any) -> None:
        """Append the terminal event of a task that returns ``result``; see ``end``."""
        self.end(self._ended_with(result))

    def end(self, event: TerminalEvent) -> None:
        """Append the terminal event, unless there is one already.

        In place of an event that is too large viewers are sent its size.
        """
        if self.log.end is not None:
            return
        redaction = self._redaction
        shown = event if redaction is None else redaction.of_end(event)
        data = encode_json(shown)
        if len(data) > self._max_event_bytes:
            too_large = EventTooLarge(_name_of(event), len(data), self._max_event_bytes)
            logger.error("An execution cannot say how it ended: %s", too_large)
            if isinstance(event, CompleteEvent):
                event = ErrorEvent(message="")
            event = event.model_copy(update={"message": str(too_large)})
            data = encode_json(event)
        self.log.append(data, end=_STATUS[type(event)])
        on_end, self.on_end = self.on_end, None
        if on_end is not None:
            on_end(event)

    def silence(self) -> None:
        """Append nothing more: another process writes the log now."""
        self.log = Log()
        self.log.release()
        self.on_end = None

    def _follow_end(self, task: asyncio.Future[Any]) -> None:
        end = self._end_by or self.end
        event, cache_backend = self._terminal(task), self._cache_backend
        is_silent = self.log.last == 0 and self._redaction is None
        if is_silent and isinstance(event, CompleteEvent):
            logger.warning(
                "No event of %r was heard: was the EventStreamer subscribed to the bus "
                "of the execution?",
                task,
            )
        wants_stats = isinstance(event, CompleteEvent) and self._include_cache_stats
        if wants_stats and cache_backend is not None:
            self._ending = asyncio.ensure_future(
                end_with_stats(end, event, cache_backend)
            )
        else:
            end(event)

    def _terminal(self, task: asyncio.Future[Any]) -> TerminalEvent:
        if task.cancelled():
            return CancelledEvent(message=self.cancel_message)
        error = task.exception()
        if error is not None:
            return ErrorEvent(message=describe(error, self._error_message, _FAILED))
        return self._ended_with(task.result())

    def _ended_with(self, result: Any) -> TerminalEvent:
        if isinstance(result, ExecutionResult) and result.ok:
            result = result.result
        if has_failed(result):
            return ErrorEvent(message=self._message_of(result))
        return CompleteEvent(result=result if self._include_result else None)

    def _message_of(self, result: Any) -> str:
        """What a result that is not ok says of its error."""
        for name in ("error_message", "error", "message"):
            said = _look(result, name)
            if isinstance(said, BaseException):
                return describe(said, self._error_message, _FAILED)
            if isinstance(said, str) and said:
                return said
        return _FAILED if isinstance(result, ExecutionResult) else _text(result)


def _look(result: Any, name: str) -> Any:
    try:
        return getattr(result, name, None)
    except Exception:  # a property of somebody else's
        logger.exception("The %s of a result is not known.", name)
        return None


def _text(result: Any) -> str:
    try:
        return str(result) or _FAILED
    except Exception:
        logger.exception("A result that is not ok has no text.")
        return _FAILED


def check_size(event: BaseModel, max_event_bytes: int | None) -> None:
    """Raise ``EventTooLarge`` if a log would not take an event."""
    size = len(encode_json(event))
    if max_event_bytes is not None and size > max_event_bytes:
        raise EventTooLarge(_name_of(event), size, max_event_bytes)


def _name_of(event: BaseModel) -> str:
    """Return what an event is called in an error."""
    if isinstance(event, CompleteEvent):
        return "result"
    return f"event {getattr(event, 'event_type', type(event).__name__)!s}"
