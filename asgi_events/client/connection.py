"""Performs the actions of plans, in the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import suppress
from inspect import isawaitable
from typing import Any, TypeVar

from asgi_events.client import http as library
from asgi_events.client.actions import (
    Action,
    Answer,
    Authorize,
    Broken,
    Close,
    Done,
    Emit,
    Follow,
    Outcome,
    Read,
    Send,
    Sleep,
    Steps,
)
from asgi_events.client.terms import AsyncAuth, RequestHeaders, Terms, checked_headers

T = TypeVar("T")


async def advance(steps: Steps[Any], connection: Connection) -> Emit | Done:
    """Perform actions until there is an event, or the end."""
    action = steps.abandon() if connection.is_closed else steps.begin()
    while not isinstance(action, Emit | Done):
        told = None if connection.is_closed else await connection.perform(action)
        try:
            action = steps.abandon() if connection.is_closed else steps.done(told)
        except BaseException:  # the plan has decided that it is over
            await connection.aclose()
            raise
    return action


class Connection:
    """Performs the actions of one plan, with one response at a time."""

    def __init__(
        self,
        http: Any,
        auth: AsyncAuth | None,
        terms: Terms,
        connections: set[Connection],
    ) -> None:
        self.is_closed = False
        self._http = http
        self._auth = auth
        self._terms = terms
        self._connections = connections
        self._response: Any = None
        self._chunks: Any = None
        self._has_begun = False
        self._limit: asyncio.Timeout | None = None  # of a wait that is under way
        self._waiter: asyncio.Task[Any] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._dropping: asyncio.Task[None] | None = None
        connections.add(self)

    async def perform(self, action: Action) -> Outcome:
        """Perform an action; if that is cancelled, the response is closed."""
        try:
            match action:
                case Authorize():
                    return await self._headers()
                case Send():
                    request = library.request_of(self._http, action, self._terms)
                    return await self._send(request)
                case Follow():
                    return await self._follow(action)
                case Read():
                    return await self._read()
                case Sleep():
                    await self._sleep(action.seconds)
                case Close():
                    await self._close()
        except BaseException:
            await self._close()
            raise
        return None

    async def aclose(self) -> None:
        """Close the response, and end a wait that is under way."""
        self.is_closed = True
        if self._limit is not None and self._waiter is not asyncio.current_task():
            self._limit.reschedule(0)  # long ago
            self._limit = None
        await self._close()
        if self._dropping is not None and self._dropping is not asyncio.current_task():
            await self._dropping
        self._connections.discard(self)

    def drop(self) -> None:
        """Close the response soon: its stream was left without ``aclose``."""
        if self._loop is None or self._response is None:
            self._connections.discard(self)
        elif _running_loop() is self._loop:
            self._begin_drop()
        else:  # in whichever thread collects garbage, or after the end of the loop
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._begin_drop)

    def _begin_drop(self) -> None:
        self._dropping = asyncio.ensure_future(self.aclose())

    async def _headers(self) -> RequestHeaders:
        given = self._auth() if callable(self._auth) else self._auth
        if isawaitable(given):
            given = await self._unless_closed(given)
        return checked_headers(given)

    async def _send(self, request: Any, **options: Any) -> Answer | Broken:
        self._loop = asyncio.get_running_loop()
        try:
            self._response = await self._unless_closed(
                self._http.send(request, stream=True, follow_redirects=False, **options)
            )
        except library.failures() as error:
            return library.broken_by(error, self._terms)
        if self._response is None:
            return library.INTERRUPTED
        self._chunks, self._has_begun = self._response.aiter_bytes(), False
        return library.answer_of(self._response)

    async def _follow(self, follow: Follow) -> Answer | Broken:
        if self._response is None:
            return library.INTERRUPTED
        request = library.redirected(self._response, follow.private)
        await self._close()
        if self.is_closed:
            return library.INTERRUPTED
        return await self._send(request, auth=None)

    async def _read(self) -> bytes | Broken | None:
        if self._chunks is None:
            return library.INTERRUPTED
        self._has_begun = True
        try:
            chunk = await _next(self._chunks)
        except library.failures() as error:
            return library.broken_by(error, self._terms)
        if chunk is None:
            self._chunks = None
        return chunk

    async def _sleep(self, seconds: float) -> None:
        await self._unless_closed(asyncio.sleep(seconds))

    async def _unless_closed(self, waiting: Awaitable[T]) -> T | None:
        """Wait for what another task may end with ``aclose``; then return None."""
        limit = self._limit = asyncio.timeout(None)
        self._waiter = asyncio.current_task()
        try:
            async with limit:
                return await waiting
        except TimeoutError:
            if not limit.expired():  # it is one of what was waited for
                raise
            return None
        finally:
            self._limit = self._waiter = None

    async def _close(self) -> None:
        chunks, self._chunks = self._chunks, None
        response, self._response = self._response, None
        with suppress(*library.failures()):
            if chunks is not None and self._has_begun:
                await _interrupt(chunks)
            if response is not None:
                await response.aclose()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


async def _next(chunks: AsyncIterator[bytes]) -> bytes | None:
    return await anext(chunks, None)


async def _interrupt(chunks: AsyncIterator[bytes]) -> None:
    """End an iteration by a cancellation where it waits for bytes.

    The HTTP library has a chain of generators there. If only the outermost one were
    closed, each of the others would be left to a task of the event loop.
    """
    reading = asyncio.ensure_future(_next(chunks))
    try:
        while not (await asyncio.wait({reading}, timeout=0))[1]:
            if reading.exception() is not None or reading.result() is None:
                return
            reading = asyncio.ensure_future(_next(chunks))
    finally:
        reading.cancel()
    await asyncio.wait({reading})
