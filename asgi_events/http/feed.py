"""The route of the feed, and the response that streams it to one watcher."""

from __future__ import annotations

import asyncio
from functools import lru_cache

from asgi_events.executions.feed import Feed, Reason
from asgi_events.http.exchange import Exchange
from asgi_events.http.problems import Problem
from asgi_events.http.response import EventSourceResponse
from asgi_events.http.viewing import headers_alone, response_of
from asgi_events.types import ASGIApp, Receive, Scope, Send
from asgi_events.wire.encoding import encode_json
from asgi_events.wire.formats import NATIVE, Format, NativeFormat
from asgi_events.wire.sse import ServerSentEvent


async def stream_feed(exchange: Exchange) -> ASGIApp:
    """Stream what happens to the caller's executions, in every process.

    Raises:
        Problem: 403, the application has no ``authorize``, so an id is all that is
            needed to read and cancel its execution.
        AccessDenied: The caller may not do that.
        StoreError: The store does not answer.
    """
    owner = await exchange.owner_of("list")
    if owner is None:
        raise Problem(
            403,
            "Who knows an execution's id may read and cancel it here, so there is no "
            "feed of ids. Give the application an authorize hook: the feed is about "
            "the executions of the owner that it returns.",
        )
    if exchange.request.method == "HEAD":
        return headers_alone()
    seen = exchange.request.last_event_id
    return FeedResponse(await exchange.executions.feeds.get(owner, seen), seen)


class FeedResponse:
    """An ASGI application that streams a feed to one watcher.

    It continues after ``Last-Event-ID``, as ``ExecutionResponse`` does. If it cannot,
    or without one, it first sends a ``reset``, and then what happens from now on.

    Args:
        feed: The feed.
        seen: The id of the last event that the watcher has.
    """

    __slots__ = ("_feed", "_seen")

    def __init__(self, feed: Feed, seen: str | None) -> None:
        self._feed = feed
        self._seen = seen

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        viewing = self._feed.watchers.viewing
        place = self._feed.watchers.take_place()
        try:
            await self._response()(scope, receive, send)
        except asyncio.CancelledError:
            # Daphne sends no lifespan.shutdown, but waits for its applications.
            if viewing.draining:
                await viewing.drain()
            raise
        finally:
            place.release()

    def _response(self) -> EventSourceResponse:
        viewing = self._feed.watchers.viewing
        cursor, *where = self._feed.attach(self._seen)
        format = _format_of(*where, viewing.options["retry"])
        return response_of(cursor, viewing, format=format)


class _Beginning(NativeFormat):
    """The native format for a watcher who begins with what happens from now on."""

    def __init__(self, greeting: bytes) -> None:
        self.greeting = greeting


@lru_cache(64)  # thousands may begin at the same place
def _format_of(id: str, first: int, reset: Reason | None, retry: int) -> Format:
    if reset is None:
        return NATIVE
    block = ServerSentEvent(
        event="reset",
        data=encode_json({"reason": reset, "first": first}).decode(),
        id=id,  # to resume even if the connection breaks before an event
        retry=retry,
    )
    return _Beginning(NATIVE.greeting + block.encode())
