"""A viewer of an execution, as an ASGI application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from asgi_events.checks import check_headers
from asgi_events.executions.execution import Execution
from asgi_events.executions.viewers import Place
from asgi_events.http.problems import send_nothing
from asgi_events.http.request import last_event_id
from asgi_events.http.response import EventSourceResponse
from asgi_events.types import Headers, Receive, Scope, Send
from asgi_events.wire.formats import NATIVE, Format


class ExecutionResponse:
    """Streams the events of an execution, from where the client stands.

    Return it from any framework that takes an ASGI application, or await it. It reads
    ``Last-Event-ID``, or ``?last_event_id=`` of an ``EventSource`` that is new. A
    client that has all events gets 204, at which an ``EventSource`` stops. ``HEAD``
    gets the headers and is no viewer.

    It raises ``LimitReached``, before it has sent anything, when ``max_viewers``, or
    ``max_viewers_per_owner`` of the execution's owner, watch already.

    Args:
        execution: The execution.
        headers: More response headers, or other values for ours.
        counts: The viewer keeps the execution from ``cancel_after``, and by leaving
            lets it begin. False is for a viewer who may read but not cancel.
        format: Makes what this viewer is sent; the class of a ``Format``.
        place: A place that was taken for this viewer; it is released in any case.

    Raises:
        TypeError, ValueError: A header that no stream can have; see ``check_headers``.
    """

    # No __dict__: FastAPI would take that for the content, and name another error.
    __slots__ = ("_counts", "_execution", "_format", "_headers", "_place")

    def __init__(
        self,
        execution: Execution,
        *,
        headers: Headers | None = None,
        counts: bool = True,
        format: Callable[[], Format] | None = None,
        place: Place | None = None,
    ) -> None:
        try:
            check_headers(headers or {})
        except BaseException:
            if place is not None:
                place.release()
            raise
        self._place = place
        self._execution = execution
        self._headers = headers
        self._counts = counts
        self._format = format

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        place, self._place = self._place, None
        try:
            await self._respond(scope, receive, send, place)
        finally:
            if place is not None:
                place.release()

    async def _respond(
        self, scope: Scope, receive: Receive, send: Send, place: Place | None
    ) -> None:
        execution = self._execution
        seen = last_event_id(scope)
        # After a POST a 204 would be an error: it has the named event that ends it.
        is_get = scope["method"] != "POST"
        if is_get and execution.watchers.is_complete_after(seen):
            await send_nothing(scope, receive, send)
            return
        format = NATIVE if self._format is None else self._format()
        if scope["method"] == "HEAD":  # looks, but does not watch
            response = EventSourceResponse(
                _no_frames(), headers=self._headers, format=format
            )
            await response(scope, receive, send)
            return
        place = place or execution.watchers.take_place()
        try:
            await self._make(seen, format)(scope, receive, send)
        except asyncio.CancelledError:
            # Daphne sends no lifespan.shutdown, but waits for its applications.
            viewing = execution.watchers.viewing
            if viewing.draining:
                await viewing.drain()
            raise
        finally:  # later than the viewer leaves: the server may hold what is unread
            place.release()

    def _make(self, seen: str | None, format: Format) -> EventSourceResponse:
        viewing = self._execution.watchers.viewing
        options = viewing.options
        response = EventSourceResponse(
            self._execution.attach(seen, counts=self._counts, format=format),
            headers=self._headers,
            heartbeat_interval=options["heartbeat_interval"],
            send_timeout=options["send_timeout"],
            max_duration=options["max_stream_duration"],
            max_backlog=options["max_stream_backlog"],
            handle_signals=options["handle_signals"],
            format=format,
        )
        response.unread = viewing.unread
        response.source_hears = True

        def last_word() -> bytes | None:
            # Nothing where there is nothing to come back to: it may still end.
            return format.goodbye("draining") if viewing.returns else b""

        response.last_word = last_word
        return response


async def _no_frames() -> AsyncIterator[bytes]:
    return
    yield
