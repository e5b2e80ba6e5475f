"""A client that drives an ASGI application in the test's own event loop.

It sees every message, may stop reading, and leaves when the test says so.
"""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from asgi_events.types import ASGIApp
from asgi_events.wire.sse import Decoder, ServerSentEvent

TIMEOUT = 10.0  # of every wait: a test that waits this long has failed

TERMINAL = {"complete", "error", "cancelled", "lost"}

PLACE = b'"address":"","timestamp":"2026-01-02T03:04:05Z"'
"""What terminal events have beside what they say, under ``fixed_time``."""


class Connection:
    """One HTTP request: ``async with Connection(app, "GET", "/x") as connection``.

    Attributes:
        messages: All that the application has sent.
        reading: Clear it and the application's sends block, as to a stuck client.
    """

    def __init__(
        self,
        app: ASGIApp,
        method: str = "GET",
        path: str = "/",
        *,
        headers: dict[str, str] | None = None,
        body: bytes | list[bytes] = b"",
        **scope: Any,
    ) -> None:
        path, _, query = path.partition("?")
        self.scope: dict[str, Any] = {
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
                for name, value in (headers or {}).items()
            ],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        } | scope
        self.messages: list[dict[str, Any]] = []
        self.reading = asyncio.Event()
        self.reading.set()
        self.receiving = 0
        self._app = app
        self._arrived = asyncio.Event()
        chunks = body if isinstance(body, list) else [body]
        self._inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        for number, chunk in enumerate(chunks, 1):
            self._inbox.put_nowait(
                {
                    "type": "http.request",
                    "body": chunk,
                    "more_body": number < len(chunks),
                }
            )
        self._decoder = Decoder()
        self._read = 0
        self._events: list[ServerSentEvent] = []
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

    async def _receive(self) -> dict[str, Any]:
        self.receiving += 1
        assert self.receiving == 1, "two tasks called receive() at once"
        try:
            return await self._inbox.get()
        finally:
            self.receiving -= 1

    async def _send(self, message: Any) -> None:
        if self._disconnected:
            return  # as servers do: no exception, and no suspension
        await self.reading.wait()
        self.messages.append(message)
        self._arrived.set()
        if self.ended:  # as servers do; Quart 0.23 returns no sooner
            self._inbox.put_nowait({"type": "http.disconnect"})

    def disconnect(self) -> None:
        """Leave, as a client does that closes its connection."""
        if not self._disconnected:
            self._disconnected = True
            self._inbox.put_nowait({"type": "http.disconnect"})
            self.reading.set()

    async def end(self) -> None:
        """Wait for the application to return; raise what it raised."""
        await asyncio.wait_for(asyncio.shield(self.task), TIMEOUT)

    async def _more(self, count: int) -> None:
        """Wait until more than ``count`` messages have come."""
        while len(self.messages) <= count:
            self._arrived.clear()
            arrived = asyncio.ensure_future(self._arrived.wait())
            done, _ = await asyncio.wait(
                {arrived, self.task},
                timeout=TIMEOUT,
                return_when=asyncio.FIRST_COMPLETED,
            )
            arrived.cancel()
            if not done:
                raise TimeoutError(f"No message came within {TIMEOUT} s.")
            if self.task.done() and len(self.messages) <= count:
                await self.task
                raise EOFError("The application has returned.")

    async def start(self) -> dict[str, Any]:
        """The ``http.response.start`` message."""
        if not self.messages:
            await self._more(0)
        return self.messages[0]

    @property
    def status(self) -> int:
        status: int = self.messages[0]["status"]
        return status

    @property
    def headers(self) -> dict[str, str]:
        return {
            name.decode(): value.decode() for name, value in self.messages[0]["headers"]
        }

    @property
    def bodies(self) -> list[bytes]:
        """The body of each message that had one."""
        return [m["body"] for m in self.messages[1:] if m["body"]]

    @property
    def body(self) -> bytes:
        """All of the body so far."""
        return b"".join(self.bodies)

    @property
    def ended(self) -> bool:
        """Whether the application said that its body is complete."""
        return any(
            m["type"] == "http.response.body" and not m.get("more_body", False)
            for m in self.messages
        )

    async def until(self, text: bytes) -> bytes:
        """The body, as soon as it has ``text`` in it."""
        while text not in self.body:
            await self._more(len(self.messages))
        return self.body

    async def event(self) -> ServerSentEvent:
        """The next event of the stream; ``EOFError`` at its end."""
        while not self._events:
            while self._read >= len(self.messages):
                await self._more(self._read)
            message = self.messages[self._read]
            self._read += 1
            self._events += self._decoder.feed(message.get("body", b""))
        return self._events.pop(0)

    async def events(self) -> list[ServerSentEvent]:
        """All events up to the end of the stream."""
        events = []
        try:
            while True:
                events.append(await self.event())
        except EOFError:
            return events

    async def json(self) -> Any:
        """The whole body as JSON, once the application has returned."""
        await self.end()
        return json.loads(self.body)


async def call(
    app: ASGIApp,
    method: str,
    path: str,
    *,
    headers: dict[str, str] | None = None,
    json: Any = None,
    body: bytes | list[bytes] = b"",
    **scope: Any,
) -> Connection:
    """A whole exchange: the connection, after the application has returned."""
    headers = dict(headers or {})
    if json is not None:
        body = to_json(json)
        headers.setdefault("content-type", "application/json")
    async with Connection(
        app, method, path, headers=headers, body=body, **scope
    ) as connection:
        await connection.end()
    return connection


def to_json(value: Any) -> bytes:
    return json.dumps(value).encode()


def data(events: list[ServerSentEvent]) -> list[Any]:
    """The JSON of unnamed events, without the place of the terminal one."""
    return [
        without_place(json.loads(e.data)) for e in events if e.event is None and e.data
    ]


def without_place(event: Any) -> Any:
    """A terminal event without its address and time, after a look at both."""
    if isinstance(event, dict) and event.get("event_type") in TERMINAL:
        assert event.pop("address") == ""
        assert datetime.fromisoformat(event.pop("timestamp")).tzinfo is not None
    return event


def kinds(events: list[ServerSentEvent]) -> list[str]:
    """The ``event_type`` of unnamed events."""
    return [item["event_type"] for item in data(events)]
