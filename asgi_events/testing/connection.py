"""One HTTP request to an ASGI application, in the event loop of the test.

The application's ``send`` goes straight to the test: each message is seen when it is
sent, a body without an end can be read, and the client can stop reading or leave
between any two messages.
"""

from __future__ import annotations

import asyncio
import json as jsonlib
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Self, TypeAlias

from asgi_events.testing.clock import is_virtual
from asgi_events.testing.response import Response, is_last
from asgi_events.types import ASGIApp
from asgi_events.wire.sse import ServerSentEvent

Headers: TypeAlias = Mapping[str, str] | Iterable[tuple[str, str]]
"""Request headers: pairs where one name occurs several times."""

TIMEOUT = 10.0  # seconds
# Seconds, which pass at once. Heartbeats must come more often.
_VIRTUAL_TIMEOUT = 3600.0


class Connection(Response):
    """A request, its response, and the client that reads it.

    ``async with Connection(app, "GET", "/x") as connection`` starts the application.
    Leaving the block disconnects, waits until the application has returned, and raises
    what it raised. ``async for event in connection`` reads the events of a stream until
    its end.

    Args:
        app: The ASGI application.
        method: The method.
        path: The path, with ``?`` and the query if there is one.
        headers: The request's headers.
        json: What the body is as JSON; it sets ``content-type``.
        body: The body, or the chunks in which it arrives.
        disconnect_after: Disconnect at the event of this number, 1 for the first. What
            the application sends after it is lost.
        stall_after: Stop reading at the event of this number: the next ``send`` does
            not return until ``resume``.
        timeout: Seconds that each wait may take, by the time of the event loop. The
            default is ten, and an hour in ``virtual_time``, where waiting is free.
        scope: Members of the ASGI scope to add or replace.

    Raises:
        ValueError: Both ``json`` and ``body`` are given, or the number of an event
            is below 1.

    Attributes:
        scope: The ASGI scope.
        messages: All messages that the application has sent.
        task: The application's task; cancel it as a server does that stops.
        receiving: How many calls of ``receive`` wait now.
    """

    def __init__(
        self,
        app: ASGIApp,
        method: str = "GET",
        path: str = "/",
        *,
        headers: Headers = (),
        json: Any = None,
        body: bytes | list[bytes] = b"",
        disconnect_after: int | None = None,
        stall_after: int | None = None,
        timeout: float | None = None,
        **scope: Any,
    ) -> None:
        super().__init__()
        for name, number in [
            ("disconnect_after", disconnect_after),
            ("stall_after", stall_after),
        ]:
            if number is not None and number < 1:
                raise ValueError(f"{name} must be at least 1, got {number}")
        pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
        if json is not None:
            if body:
                raise ValueError("Give json or body, not both.")
            body = jsonlib.dumps(json).encode()
            if "content-type" not in {name.lower() for name, _ in pairs}:
                pairs.append(("content-type", "application/json"))
        self.scope: dict[str, Any] = _scope(method, path, pairs) | scope
        self.receiving = 0
        self._app = app
        self._timeout = timeout
        self._disconnect_after = disconnect_after
        self._stall_after = stall_after
        self._reading = asyncio.Event()
        self._reading.set()
        self._arrived = asyncio.Event()
        self._inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        chunks = body if isinstance(body, list) else [body]
        for number, chunk in enumerate(chunks, 1):
            more = number < len(chunks)
            self._inbox.put_nowait(
                {"type": "http.request", "body": chunk, "more_body": more}
            )
        self._read = 0  # of those, how many the test has taken
        self._disconnected = False

    async def __aenter__(self) -> Self:
        self.task = asyncio.ensure_future(
            self._app(self.scope, self._receive, self._send)
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.disconnect()
        if kind is not None:
            self.task.cancel()
            await asyncio.wait({self.task})
            return
        await self.end()

    def disconnect(self) -> None:
        """Leave, as a client does that closes its connection."""
        if not self._disconnected:
            self._disconnected = True
            self._inbox.put_nowait({"type": "http.disconnect"})
            self._reading.set()

    def stall(self) -> None:
        """Stop reading: from now on the application's ``send`` does not return."""
        if not self._disconnected:
            self._reading.clear()

    def resume(self) -> None:
        """Read on after ``stall``."""
        self._reading.set()

    async def start(self) -> dict[str, Any]:
        """The ``http.response.start`` message, as soon as it is there.

        Raises:
            EOFError: The application has returned without a response.
            TimeoutError: Nothing came in time.
        """
        if not self.messages:
            await self._more(0)
        return self.messages[0]

    async def end(self) -> None:
        """Wait until the application has returned; raise what it raised.

        Raises:
            TimeoutError: It has not returned in time.
        """
        timeout = self._patience()
        done, _ = await asyncio.wait({self.task}, timeout=timeout)
        if not done:
            raise TimeoutError(
                f"{self!r} has not returned within {timeout:g} s. A response without "
                "an end is read inside of a block, whose end disconnects."
            )
        await self.task

    async def until(self, text: bytes) -> bytes:
        """The body so far, as soon as ``text`` is in it.

        Raises:
            EOFError: The application has returned.
            TimeoutError: Nothing came in time.
        """
        while text not in self.body:
            await self._more(len(self.messages))
        return self.body

    async def event(self) -> ServerSentEvent:
        """The next event of the stream.

        Raises:
            EOFError: The stream is over.
            TimeoutError: Nothing came in time.
        """
        while self._read >= len(self._events):
            await self._more(len(self.messages))
        self._read += 1
        return self._events[self._read - 1]

    async def events(self, count: int | None = None) -> list[ServerSentEvent]:
        """The next ``count`` events, or all up to the end of the stream."""
        events: list[ServerSentEvent] = []
        while count is None or len(events) < count:
            try:
                events.append(await self.event())
            except EOFError:
                break
        return events

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ServerSentEvent:
        try:
            return await self.event()
        except EOFError:
            raise StopAsyncIteration from None

    async def json(self) -> Any:
        """The whole body as JSON, once the application has returned."""
        await self.end()
        return jsonlib.loads(self.body)

    def __repr__(self) -> str:
        return f"<Connection {self.scope['method']} {self.scope['path']}>"

    def _patience(self) -> float:
        if self._timeout is not None:
            return self._timeout
        return _VIRTUAL_TIMEOUT if is_virtual() else TIMEOUT

    async def _receive(self) -> dict[str, Any]:
        if self.receiving:
            raise AssertionError("two tasks call receive() at once")
        self.receiving += 1
        try:
            return await self._inbox.get()
        finally:
            self.receiving -= 1

    async def _send(self, message: Any) -> None:
        if self._disconnected:
            return  # as servers do: no exception, and no suspension
        await self._reading.wait()
        self._add(message)
        self._look_at_number()
        self._arrived.set()
        if is_last(message):  # as servers do; Quart 0.23 returns no sooner
            self._inbox.put_nowait({"type": "http.disconnect"})

    def _look_at_number(self) -> None:
        """Disconnect or stall, if the event has come at which to do so."""
        count = len(self._events)
        if self._disconnect_after is not None and count >= self._disconnect_after:
            del self._events[self._disconnect_after :]
            self.disconnect()
        elif self._stall_after is not None and count >= self._stall_after:
            self._stall_after = None
            self.stall()

    async def _more(self, count: int) -> None:
        """Wait until more than ``count`` messages have come."""
        timeout = self._patience()
        while len(self.messages) <= count:
            self._arrived.clear()
            arrived = asyncio.ensure_future(self._arrived.wait())
            done, _ = await asyncio.wait(
                {arrived, self.task},
                timeout=timeout,
                return_when=asyncio.FIRST_COMPLETED,
            )
            arrived.cancel()
            if not done:
                raise TimeoutError(f"{self!r} sent nothing within {timeout:g} s.")
            if self.task.done() and len(self.messages) <= count:
                await self.task
                raise EOFError(f"{self!r} has returned.")


def _scope(method: str, path: str, headers: list[tuple[str, str]]) -> dict[str, Any]:
    path, _, query = path.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [
            (name.lower().encode(), value.encode("latin-1", "surrogateescape"))
            for name, value in headers
        ],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
