"""The response that streams an execution to one viewer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection

from asgi_events.checks import check_headers
from asgi_events.executions.execution import Execution
from asgi_events.executions.viewers import Place, Viewing
from asgi_events.http.pausing import PausingSource
from asgi_events.http.problems import send_nothing
from asgi_events.http.request import last_event_id
from asgi_events.http.response import EventSourceResponse
from asgi_events.log.cursor import Cursor
from asgi_events.log.source import FrameSource
from asgi_events.types import Headers, Receive, Scope, Send
from asgi_events.wire.formats import NATIVE, Format
from asgi_events.wire.waits import WaitingFormat


class ExecutionResponse:
    """An ASGI application that streams an execution to one viewer.

    Return it from any framework that takes an ASGI application, or await it with
    ``(scope, receive, send)``. It continues after ``Last-Event-ID``, or after
    ``?last_event_id=`` for an ``EventSource`` that is new. A client that has all events
    gets a 204, which stops an ``EventSource``. ``HEAD`` gets the headers and does not
    count as a viewer.

    The call raises ``LimitReached`` before it sends anything, when ``max_viewers``, or
    ``max_viewers_per_owner`` of the execution's owner, are watching already.

    Args:
        execution: The execution.
        headers: Further response headers, or other values for ours.
        counts: Whether the viewer counts for ``cancel_after``. Give False for a viewer
            who may read but not cancel.
        format: Makes the bytes of this stream: the class of a ``Format``.
        resumes: Whether it continues after ``Last-Event-ID``. Give False for a client
            that always needs all events.
        place: A place that the caller has taken for this viewer; the call releases it.
        last_event_id: The id of the event that it continues after, in place of those.
        answered: The numbers of the questions that are answered already. The response
            ends where another one is open, in a ``WaitingFormat``, whose clients answer
            with another request. None: it goes on.

    Raises:
        TypeError, ValueError: A header that a stream cannot have; see
            ``check_headers``.
    """

    # No __dict__: FastAPI would serialise it, and its error would not name the cause.
    __slots__ = (
        "_answered",
        "_counts",
        "_execution",
        "_format",
        "_headers",
        "_last_event_id",
        "_place",
        "_resumes",
    )

    def __init__(
        self,
        execution: Execution,
        *,
        headers: Headers | None = None,
        counts: bool = True,
        format: Callable[[], Format] | None = None,
        resumes: bool = True,
        place: Place | None = None,
        last_event_id: str | None = None,
        answered: Collection[int] | None = None,
    ) -> None:
        check_headers(headers or {})
        self._last_event_id = last_event_id
        self._answered = answered
        self._place = place
        self._execution = execution
        self._headers = headers
        self._counts = counts
        self._format = format
        self._resumes = resumes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        execution = self._execution  # its viewers keep it, and later ones share it
        watchers = execution.watchers
        place, self._place = self._place, None
        try:
            seen = self._last_event_id
            if seen is None and self._resumes:
                seen = last_event_id(scope)
            # A fetch client takes a 204 for an error, so a POST gets the ``end`` event.
            if scope["method"] != "POST" and watchers.is_complete_after(seen):
                await send_nothing(scope, receive, send)
                return
            if scope["method"] == "HEAD":
                format = NATIVE if self._format is None else self._format()
                response = headers_alone(self._headers, format)
            else:
                place = place or watchers.take_place()
                response = self._response(seen)
            del self  # the rest is not needed, for hours
            await response(scope, receive, send)
        except asyncio.CancelledError:
            # Daphne sends no lifespan.shutdown, but waits for its applications.
            if watchers.viewing.draining:
                await watchers.viewing.drain()
            raise
        finally:  # after the viewer has left: the server may hold what it has not read
            if place is not None:
                place.release()

    def _response(self, seen: str | None) -> EventSourceResponse:
        watchers = self._execution.watchers
        cursor = watchers.attach(seen, counts=self._counts, format=self._format)
        source, format = self._source(cursor), cursor.format
        return response_of(
            source, watchers.viewing, headers=self._headers, format=format
        )

    def _source(self, cursor: Cursor) -> FrameSource:
        """What the response takes from: the cursor, or what ends at a question."""
        if self._answered is None or not isinstance(cursor.format, WaitingFormat):
            return cursor
        return PausingSource(cursor, cursor.format.pause(), self._answered)


def response_of(
    source: FrameSource,
    viewing: Viewing,
    *,
    headers: Headers | None = None,
    format: Format,
) -> EventSourceResponse:
    """Return the response that streams what a viewer gets.

    Args:
        source: Gives the frames.
        viewing: What the viewer shares with others.
        headers: Further response headers, or other values for ours.
        format: Makes the bytes beside the frames.
    """
    options = viewing.options
    response = EventSourceResponse(
        source,
        headers=headers,
        heartbeat_interval=options["heartbeat_interval"],
        send_timeout=options["send_timeout"],
        max_duration=options["max_stream_duration"],
        max_backlog=options["max_stream_backlog"],
        handle_signals=options["handle_signals"],
        format=format,
    )
    response.unread = viewing.unread
    response.source_hears = True
    response.last_word = _LastWord(format, viewing)
    return response


class _LastWord:
    """What a viewer gets when the process stops before the execution has ended."""

    __slots__ = ("_format", "_viewing")

    def __init__(self, format: Format, viewing: Viewing) -> None:
        self._format = format
        self._viewing = viewing

    def __call__(self) -> bytes | None:
        goodbye = self._format.goodbye("draining")
        # No goodbye where no other process can continue: the execution may end.
        return goodbye if goodbye is None or self._viewing.returns else b""


def headers_alone(
    headers: Headers | None = None, format: Format = NATIVE
) -> EventSourceResponse:
    """Return the response to a ``HEAD``."""
    return EventSourceResponse(_no_frames(), headers=headers, format=format)


async def _no_frames() -> AsyncIterator[bytes]:
    return
    yield
